//! Canonical JSON: the one spelling that a document has in this product.
//!
//! RFC 8785 (JCS), and for records the sorting of keyed arrays that `docs/bundle-format.md` adds. [`canonicalize`]
//! turns any JSON text into its canonical bytes, [`check`] tells whether bytes are canonical already without building
//! anything in memory. What JCS can't carry exactly is refused with its path. This file never looks at what a document
//! means; what a reader needs of it while it reads is in `scanner`.

mod scanner;
mod writer;

use std::cmp::Ordering;

pub use writer::{RecordWriter, canonicalize};

pub(crate) use scanner::{Scanned, Scanner, unescape};

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
    if left.is_ascii() && right.is_ascii() { left.cmp(right) } else { left.encode_utf16().cmp(right.encode_utf16()) }
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
