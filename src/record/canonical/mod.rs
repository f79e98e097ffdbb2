//! Canonical JSON: the one spelling that a document has in this product.
//!
//! RFC 8785 (JCS), and for records the sorting of keyed arrays that `docs/bundle-format.md` adds. [`canonicalize`]
//! turns any JSON text into its canonical bytes, [`check`] tells whether bytes are canonical already without building
//! anything in memory. What JCS can't carry exactly is refused with its path. This file never looks at what a document
//! means; what a reader needs of it while it reads is in `scanner`, and what it needs afterwards in `walk`.

mod order;
mod scanner;
pub(crate) mod walk;
mod writer;

use std::borrow::Cow;
use std::cmp::Ordering;

pub use writer::{RecordWriter, canonicalize};

pub(crate) use order::write_ordered;
pub(crate) use scanner::Scanner;
use walk::Raw;

use crate::text::shortened;

/// The largest magnitude of an integer that every JSON reader keeps: 2^53 − 1 (RFC 7493, section 2.2).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// How many characters of a member's name a path shows.
const MOST_OF_A_NAME: usize = 64;

/// What is sorted beyond the member names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// RFC 8785 as it stands: arrays keep their order (manifests, receipts, delta entries).
    Plain,
    /// Records: keyed arrays are sorted by their key as well.
    Record,
}

/// Bounds that hold for a document from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How deep arrays and objects may nest.
    pub depth: usize,
    /// The longest string or member name, in bytes of UTF-8.
    pub string: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { depth: 64, string: 64 * 1024 }
    }
}

/// Why bytes are not, or can't be made, canonical JSON; `path` says where in the document (`$` is its root).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {path}: {reason}")]
pub struct CanonicalError {
    /// Where: `$.clusters[3].name`, with control characters escaped.
    pub path: String,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a place in a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not JSON at all (or invalid UTF-8, a lone surrogate, a number that overflows).
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// An object names a member twice.
    #[error("a member is named twice")]
    DuplicateMember,
    /// An integer that not every JSON reader keeps exactly.
    #[error("an integer beyond ±(2^53-1)")]
    IntegerRange,
    /// Nested deeper than [`Bounds::depth`].
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    /// A string longer than [`Bounds::string`].
    #[error("a string longer than {0} bytes")]
    StringTooLong(usize),
    /// Valid JSON, but not spelled canonically.
    #[error("not canonical JSON (RFC 8785): {0}")]
    Spelling(&'static str),
    /// A keyed array that is not sorted by its key.
    #[error("an array of rows that is not sorted by `{0}`")]
    RowOrder(&'static str),
}

impl CanonicalError {
    fn new(reason: Reason) -> Self {
        Self { path: String::new(), reason }
    }

    fn under_member(mut self, name: &str) -> Self {
        self.path = format!(".{}{}", shortened(name, MOST_OF_A_NAME), self.path);
        self
    }

    /// As [`CanonicalError::under_member`], of a name as it is spelled.
    fn under_spelled(self, name: Raw<'_>) -> Self {
        self.under_member(&text_of(name))
    }

    fn under_index(mut self, index: usize) -> Self {
        self.path = format!("[{index}]{}", self.path);
        self
    }

    /// Opens a path that was complete, for a document that is a part of another one.
    fn unrooted(mut self) -> Self {
        self.path = self.path.split_off(self.path.starts_with('$').into());
        self
    }

    /// Completes the path once the error has left the whole document.
    pub(crate) fn rooted(mut self) -> Self {
        self.path.insert(0, '$');
        self
    }
}

/// The member that an array's rows are keyed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyField {
    /// `uuid`, which wins over `id`.
    Uuid,
    /// `id`.
    Id,
}

impl KeyField {
    /// The member's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Id => "id",
        }
    }
}

/// Serializes `value` to canonical bytes.
///
/// # Errors
/// As [`canonicalize`].
pub fn to_canonical<T: serde::Serialize>(value: &T, form: Form) -> Result<Vec<u8>, CanonicalError> {
    let text =
        serde_json::to_vec(value).map_err(|error| CanonicalError::new(Reason::Syntax(error.to_string())).rooted())?;
    canonicalize(&text, form, &Bounds { depth: 64, string: usize::MAX })
}

/// Checks that `input` is canonical, byte for byte.
///
/// # Errors
/// The first place that is not.
pub fn check(input: &[u8], form: Form, bounds: &Bounds) -> Result<(), CanonicalError> {
    let mut scanner = Scanner::new(input, form, bounds);
    scanner.document().map_err(CanonicalError::rooted)
}

/// Member names are ordered by UTF-16 code units (RFC 8785, section 3.2.3).
pub(crate) fn compare_names(left: &str, right: &str) -> Ordering {
    compare_units(left.bytes(), right.bytes())
}

/// As [`compare_names`], of names as they are spelled.
pub(crate) fn compare_spelled_names(left: Raw<'_>, right: Raw<'_>) -> Ordering {
    compare_units(Decoded(left), Decoded(right))
}

/// Row keys are ordered by the UTF-8 bytes of what their spellings stand for.
pub(crate) fn compare_keys(left: Raw<'_>, right: Raw<'_>) -> Ordering {
    let escaped = left.contains(&b'\\') || right.contains(&b'\\');
    if escaped { Decoded(left).cmp(Decoded(right)) } else { left.cmp(right) }
}

/// Orders UTF-8 as UTF-16 would be. They differ where a character beyond the basic plane, which is a pair of surrogates
/// there, meets one behind the surrogates.
fn compare_units(left: impl Iterator<Item = u8>, right: impl Iterator<Item = u8>) -> Ordering {
    let unit = |byte: u8| match byte {
        0xee | 0xef => byte + 0x10,
        _ => byte,
    };
    left.map(unit).cmp(right.map(unit))
}

/// The UTF-8 bytes that a canonically spelled string literal stands for.
struct Decoded<'a>(Raw<'a>);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        if first != b'\\' {
            return Some(first);
        }
        let (&escape, rest) = rest.split_first()?;
        self.0 = rest;
        Some(match escape {
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            b'u' => {
                let (digits, rest) = rest.split_at_checked(4)?;
                self.0 = rest;
                let code = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                code.unwrap_or_default()
            }
            other => other,
        })
    }
}

/// The text that a canonically spelled string literal stands for.
pub(crate) fn unescape(spelled: &str) -> Cow<'_, str> {
    text_of(spelled.as_bytes())
}

/// As [`unescape`], of bytes that were checked.
pub(crate) fn text_of(raw: Raw<'_>) -> Cow<'_, str> {
    if raw.contains(&b'\\') {
        Cow::Owned(String::from_utf8_lossy(&Decoded(raw).collect::<Vec<_>>()).into_owned())
    } else {
        String::from_utf8_lossy(raw)
    }
}

/// What a row offers to be keyed by.
#[derive(Debug, Default)]
pub(crate) struct RowKeys<T> {
    pub is_object: bool,
    pub uuid: Option<T>,
    pub id: Option<T>,
}

impl<T: Clone> RowKeys<T> {
    /// The row's value of `field`.
    pub fn field(&self, field: KeyField) -> Option<T> {
        match field {
            KeyField::Uuid => self.uuid.clone(),
            KeyField::Id => self.id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Result<String, CanonicalError> {
        canonicalize(text.as_bytes(), Form::Plain, &Bounds::default()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    fn record(text: &str) -> String {
        let bytes = canonicalize(text.as_bytes(), Form::Record, &Bounds::default()).unwrap();
        check(&bytes, Form::Record, &Bounds::default()).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_example_of_rfc_8785_comes_out_as_printed_there() {
        let input = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
            \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(plain(input).unwrap(), expected);
        check(expected.as_bytes(), Form::Plain, &Bounds::default()).unwrap();
    }

    #[test]
    fn members_are_ordered_by_utf_16_units() {
        // U+1F600 is D83D DE00 in UTF-16 and sorts before U+FB33, though not in UTF-8.
        assert_eq!(plain("{\"\u{fb33}\":1,\"\u{1f600}\":2,\"€\":3}").unwrap(), "{\"€\":3,\"😀\":2,\"\u{fb33}\":1}");
    }

    #[test]
    fn spellings_are_ordered_like_what_they_stand_for() {
        let texts = [
            "",
            "\0",
            "\u{1f}",
            "\t",
            "\n",
            "!",
            "\"",
            "#",
            "\\",
            "a",
            "\u{7f}",
            "é",
            "\u{d7ff}",
            "\u{e000}",
            "\u{fb33}",
            "\u{ffff}",
            "\u{10000}",
            "😀",
            "\u{10ffff}",
        ];
        let texts = texts.iter().flat_map(|first| texts.iter().map(move |second| format!("{first}{second}")));
        let texts: Vec<_> = texts.collect();
        let spelled = |text: &str| {
            let literal = plain(&serde_json::to_string(text).unwrap()).unwrap();
            literal[1..literal.len() - 1].to_owned()
        };
        for left in &texts {
            assert_eq!(unescape(&spelled(left)), *left);
            for right in &texts {
                let (raw_left, raw_right) = (spelled(left), spelled(right));
                let (raw_left, raw_right) = (raw_left.as_bytes(), raw_right.as_bytes());
                assert_eq!(compare_keys(raw_left, raw_right), left.cmp(right), "{left:?} {right:?}");
                let units = left.encode_utf16().cmp(right.encode_utf16());
                assert_eq!(compare_spelled_names(raw_left, raw_right), units, "{left:?} {right:?}");
                assert_eq!(compare_names(left, right), units, "{left:?} {right:?}");
            }
        }
    }

    #[test]
    fn what_can_not_be_carried_is_refused_with_its_path() {
        let cases = [
            (r#"{"a":[0,{"b":9007199254740992}]}"#, "$.a[1].b", Reason::IntegerRange),
            ("-9007199254740992", "$", Reason::IntegerRange),
            ("[1e20]", "$[0]", Reason::IntegerRange),
            ("[1000000000000000000000000]", "$", Reason::IntegerRange),
            (r#"{"a":{"b":1,"c":2,"b":3}}"#, "$.a.b", Reason::DuplicateMember),
        ];
        for (input, path, reason) in cases {
            let error = plain(input).unwrap_err();
            assert_eq!((error.path.as_str(), &error.reason), (path, &reason), "{input}");
        }
        for input in [r#"["\ud800"]"#, "[1e999]", "[1,]", "{\"a\":1}{}", "[\"\u{1}\"]", "", "nul", "[01]"] {
            assert!(matches!(plain(input).unwrap_err().reason, Reason::Syntax(_)), "{input}");
        }
        let invalid = canonicalize(b"[\"\xff\"]", Form::Plain, &Bounds::default()).unwrap_err();
        assert!(matches!(invalid.reason, Reason::Syntax(_)));
    }

    #[test]
    fn bounds_hold_for_depth_and_strings() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(plain(&nested(64)).is_ok());
        assert_eq!(plain(&nested(65)).unwrap_err().reason, Reason::TooDeep(64));
        assert!(check(nested(64).as_bytes(), Form::Plain, &Bounds::default()).is_ok());
        assert!(check(nested(65).as_bytes(), Form::Plain, &Bounds::default()).is_err());
        let text = |length: usize| format!("\"{}\"", "x".repeat(length));
        assert!(plain(&text(65_536)).is_ok());
        assert_eq!(plain(&text(65_537)).unwrap_err().reason, Reason::StringTooLong(65_536));
        assert!(check(text(65_537).as_bytes(), Form::Plain, &Bounds::default()).is_err());
    }

    #[test]
    fn only_keyed_arrays_are_sorted_and_only_in_records() {
        let rows = r#"[{"uuid":"b"},{"uuid":"a"}]"#;
        assert_eq!(record(rows), r#"[{"uuid":"a"},{"uuid":"b"}]"#);
        assert_eq!(plain(rows).unwrap(), rows);
        for kept in [
            r#"[{"uuid":"b"},{"uuid":"a"},{"uuid":"b"}]"#,
            r#"[{"uuid":"b"},{"uuid":"a"},3]"#,
            r#"[{"uuid":"b"},{"id":"a"}]"#,
            r#"[{"uuid":2},{"uuid":1}]"#,
            r#"["b","a"]"#,
            "[]",
        ] {
            assert_eq!(record(kept), kept);
        }
        // `uuid` wins where all rows have it, and then repeats there make the array unkeyed whatever `id` says.
        assert_eq!(
            record(r#"[{"id":"1","uuid":"b"},{"id":"2","uuid":"a"}]"#),
            r#"[{"id":"2","uuid":"a"},{"id":"1","uuid":"b"}]"#
        );
        assert_eq!(
            record(r#"[{"id":"2","uuid":"a"},{"id":"1","uuid":"a"}]"#),
            r#"[{"id":"2","uuid":"a"},{"id":"1","uuid":"a"}]"#
        );
        assert_eq!(record(r#"[{"id":"2","uuid":"a"},{"id":"1"}]"#), r#"[{"id":"1"},{"id":"2","uuid":"a"}]"#);
        assert_eq!(record(r#"{"a":[{"b":[{"id":"2"},{"id":"1"}]}]}"#), r#"{"a":[{"b":[{"id":"1"},{"id":"2"}]}]}"#);
    }

    #[test]
    fn check_refuses_every_other_spelling() {
        for input in [
            " 1",
            "1 ",
            "{\"a\": 1}",
            "1.0",
            "1e2",
            "-0",
            "01",
            "1E21",
            "\"\\u0041\"",
            "\"\\/\"",
            "\"\\u000A\"",
            "\"\\u000a\"",
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":2}"#,
            "[1,]",
            "{",
            "[",
            "\"",
            "",
            "tru",
            "[1 ,2]",
            "9007199254740992",
            "+1",
            ".5",
            "1.",
            "--1",
            "1e+400",
            "\"\\ud800\"",
        ] {
            assert!(check(input.as_bytes(), Form::Plain, &Bounds::default()).is_err(), "{input}");
        }
        for input in ["0", "-1", "1e+21", "1e-7", "0.000001", "\"\\u001f\\t\u{7f}\"", "{\"a\":[]}", "9007199254740991"]
        {
            assert!(check(input.as_bytes(), Form::Plain, &Bounds::default()).is_ok(), "{input}");
        }
        let unsorted = r#"{"rows":[{"id":"2"},{"id":"1"}]}"#;
        assert!(check(unsorted.as_bytes(), Form::Plain, &Bounds::default()).is_ok());
        let error = check(unsorted.as_bytes(), Form::Record, &Bounds::default()).unwrap_err();
        assert_eq!(error.to_string(), "at $.rows: an array of rows that is not sorted by `id`");
    }
}
