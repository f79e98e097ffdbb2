//! Checking that a document of a bundle is canonical JSON, and telling what it is instead. The check is one pass that
//! keeps nothing; only a document that is refused is looked at again, to say which of its faults counts.

use serde::de::IgnoredAny;

use super::limits::{Limit, LimitExceeded, Limits};
use crate::record::canonical::{self, CanonicalError, Form, Reason};

/// Why a document is not canonical JSON within the limits: the first of these that applies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Bytes that are not UTF-8.
    #[error("it is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// The offset of the first such byte.
        at: usize,
    },
    /// Nested too deep, or with a string that is too long.
    #[error(transparent)]
    Limit(LimitExceeded),
    /// Text that is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// A member that is named twice in one object.
    #[error(transparent)]
    Duplicate(CanonicalError),
    /// JSON that is not spelled canonically, or that canonical JSON can't carry.
    #[error(transparent)]
    Spelling(CanonicalError),
}

/// Checks a document.
///
/// # Errors
/// It is not canonical JSON within the limits.
pub(crate) fn check(bytes: &[u8], form: Form, limits: &Limits) -> Result<(), JsonError> {
    canonical::check(bytes, form, &limits.json).map_err(|error| explain(bytes, error, limits))
}

/// Tells which fault of a document counts that the canonical check refused with `error`.
pub(crate) fn explain(bytes: &[u8], error: CanonicalError, limits: &Limits) -> JsonError {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return JsonError::NotUtf8 { at: error.valid_up_to() },
    };
    let (depth, longest) = measure(text);
    let within = limits.within(Limit::JsonDepth, depth).and_then(|()| limits.within(Limit::StringBytes, longest));
    if let Err(limit) = within {
        return JsonError::Limit(limit);
    }
    // Ignoring a value is done without recursion.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return JsonError::NotJson(error.to_string());
    }
    match error.reason {
        Reason::DuplicateMember => JsonError::Duplicate(error),
        _ => JsonError::Spelling(error),
    }
}

/// How deep brackets nest outside of strings, and how many bytes of UTF-8 the longest string stands for; also of text
/// that is not JSON.
fn measure(text: &str) -> (u64, u64) {
    let (mut depth, mut deepest, mut longest) = (0_u64, 0, 0);
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                let (length, after) = pass_string(rest);
                longest = longest.max(length);
                rest = after;
            }
            _ => {}
        }
    }
    (deepest, longest)
}

/// Passes over a string up to its closing quote: how many bytes it stands for, and what follows.
fn pass_string(mut rest: &[u8]) -> (u64, &[u8]) {
    let mut length = 0;
    loop {
        let (bytes, taken) = match rest {
            [] => return (length, rest),
            [b'"', after @ ..] => return (length, after),
            [b'\\', b'u', ..] => pass_unicode(rest),
            [b'\\', ..] => (1, 2),
            _ => (1, 1),
        };
        length += bytes;
        rest = &rest[taken.min(rest.len())..];
    }
}

/// Passes over one escape by number, or over the two of a pair of surrogates.
fn pass_unicode(rest: &[u8]) -> (u64, usize) {
    let unit = |at: usize| {
        let digits = rest.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
        u16::from_str_radix(std::str::from_utf8(&digits[2..]).ok()?, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (4, 12),
        (Some(0..=0x7f) | None, _) => (1, 6),
        (Some(0x80..=0x7ff), _) => (2, 6),
        (Some(_), _) => (3, 6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: impl AsRef<[u8]>) -> JsonError {
        check(text.as_ref(), Form::Plain, &Limits::default()).unwrap_err()
    }

    #[test]
    fn each_fault_of_a_document_is_told_apart() {
        assert_eq!(fault(b"{\"a\":\"\xc0\xaf\"}"), JsonError::NotUtf8 { at: 6 });
        assert!(matches!(fault("\u{feff}{}"), JsonError::NotJson(_)));
        assert!(matches!(fault("{\"a\":1"), JsonError::NotJson(_)));
        assert!(matches!(fault("{\"a\":01}"), JsonError::NotJson(_)));
        assert!(matches!(fault("{\"a\": 1}"), JsonError::Spelling(_)));
        assert!(matches!(fault("{\"a\":\"\\ud800\"}"), JsonError::Spelling(_)));
        assert!(matches!(fault("{\"a\":1e400}"), JsonError::Spelling(_)));
        assert!(matches!(fault("{\"a\":1,\"a\":1}"), JsonError::Duplicate(_)));
        assert!(matches!(fault("{\"a\":1,\"b\":2,\"a\":1}"), JsonError::Duplicate(_)));
        assert!(matches!(fault("{\"b\":1,\"a\":2,\"b\":1}"), JsonError::Spelling(_)), "the first fault counts");
    }

    #[test]
    fn limits_come_before_all_but_utf_8_and_say_how_much_there_is() {
        let limit = |text: &str| match fault(text) {
            JsonError::Limit(limit) => (limit.limit, limit.actual),
            other => panic!("{other}"),
        };
        assert_eq!(limit(&("[".repeat(100_000) + &"]".repeat(100_000))), (Limit::JsonDepth, 100_000));
        assert_eq!(limit(&"[".repeat(70)), (Limit::JsonDepth, 70), "also where it is no JSON");
        let (text, pair) = ("x".repeat(65_530), "\\ud83d\\ude00");
        assert_eq!(limit(&format!("[\"[[[\",\"{text}{pair}\\u20ac\"]")), (Limit::StringBytes, 65_537));
        assert!(matches!(fault(format!("[\"{text}{pair}é\", 1]")), JsonError::Spelling(_)));
    }
}
