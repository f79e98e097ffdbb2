//! Deltas: a record as its differences from the one before it, on canonical bytes.
//!
//! Making and applying them looks at little more than what differs, so that the work is that of comparing and of copying
//! bytes, and the memory that of the records.

mod apply;
mod encode;
mod merge;
mod text;

use crate::record::canonical::CanonicalError;

pub use apply::apply;
pub(crate) use encode::Changes;
pub use encode::encode;

/// A delta that can't be applied to its base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// Not canonical JSON.
    #[error("the delta is not canonical JSON")]
    Json(#[from] CanonicalError),
    /// Not the shape of a delta, or against the rules of one.
    #[error("the delta is invalid: {0}")]
    Invalid(&'static str),
    /// The result would be larger than the manifest says.
    #[error("the delta's result is larger than the {0} bytes that the manifest says")]
    TooLarge(u64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::canonical::{self, Bounds, Form};
    use crate::record::document::Document;

    fn document(text: &str) -> Document {
        let bytes = canonical::canonicalize(text.as_bytes(), Form::Record, &Bounds::default()).unwrap();
        Document::parse(bytes, &Bounds::default()).unwrap()
    }

    fn applied(base: &str, delta: &str) -> Result<String, DeltaError> {
        let result = apply(&document(base), delta.as_bytes(), &Bounds::default(), 1 << 20)?;
        // The index that splicing keeps must be the one that reading the result gives.
        let again = Document::parse(result.bytes().to_vec(), &Bounds::default()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{result:?}"));
        Ok(String::from_utf8(result.into_bytes()).unwrap())
    }

    #[test]
    fn encoding_and_applying_meet() {
        let states = [
            r#"{"a":1,"rows":[{"uuid":"1","v":1},{"uuid":"2","v":1}],"z":[1]}"#,
            r#"{"a":1,"rows":[{"uuid":"1","v":2},{"uuid":"3","v":1}],"z":[1]}"#,
            r#"{"rows":[{"uuid":"0"},{"uuid":"9"}],"é":"😀"}"#,
            r#"{"rows":[],"😀":{"deep":[{"id":"a"}]},"דּ":1}"#,
            r#"{"rows":[{"id":"\n"},{"id":"\""},{"id":"é","uuid":"x"}]}"#,
            r#"{"rows":[{"id":"\n"},{"id":"\"","n":1},{"id":"ê"}]}"#,
            "{}",
        ];
        for base in states {
            for target in states {
                let delta = encode(&document(base), &document(target));
                let result = applied(base, std::str::from_utf8(&delta).unwrap()).unwrap();
                assert_eq!(result.as_bytes(), document(target).bytes(), "{base} -> {target}");
            }
        }
    }

    #[test]
    fn only_what_changed_is_in_a_delta() {
        let base = document(r#"{"a":1,"b":2,"rows":[{"uuid":"1","v":1},{"uuid":"2"},{"uuid":"3"}],"t":"x"}"#);
        let target = document(r#"{"b":2,"c":3,"rows":[{"uuid":"1","v":2},{"uuid":"3"},{"uuid":"4"}],"t":"y"}"#);
        let expected = r#"{"rows":{"rows":{"delete":["2"],"put":[{"uuid":"1","v":2},{"uuid":"4"}]}},"set":{"c":3,"t":"y"},"unset":["a"]}"#;
        assert_eq!(String::from_utf8(encode(&base, &target)).unwrap(), expected);
        assert_eq!(encode(&base, &base), b"{}");
    }

    #[test]
    fn rows_inside_of_what_is_set_are_sorted_as_in_any_record() {
        let result = applied("{}", r#"{"set":{"a":[{"in":[{"id":"2"},{"id":"1"}],"uuid":"k"}]}}"#).unwrap();
        assert_eq!(result, r#"{"a":[{"in":[{"id":"1"},{"id":"2"}],"uuid":"k"}]}"#);
        let delta = r#"{"rows":{"a":{"put":[{"in":[{"id":"2"},{"id":"1"}],"uuid":"l"}]}}}"#;
        let result = applied(r#"{"a":[{"uuid":"k"}]}"#, delta).unwrap();
        assert_eq!(result, r#"{"a":[{"uuid":"k"},{"in":[{"id":"1"},{"id":"2"}],"uuid":"l"}]}"#);
    }

    #[test]
    fn deltas_that_break_a_rule_are_refused() {
        let base = r#"{"a":1,"i":[{"id":"1"},{"id":"2","uuid":"u"}],"rows":[{"uuid":"1"},{"uuid":"2"}]}"#;
        let cases = [
            ("[]", "not canonical"),
            (r#"{"set":{"a":1,"a":2}}"#, "not canonical"),
            (r#"{"unset":["a"],"set":{"a":2}}"#, "not canonical"),
            (r#"{"set":{"a":2},"unset":["a"]}"#, "names a member twice"),
            (r#"{"rows":{"rows":{"put":[{"uuid":"3"}]}},"set":{"rows":1}}"#, "names a member twice"),
            (r#"{"unset":["a","a"]}"#, "unsets a member twice"),
            (r#"{"unset":["b"]}"#, "unsets a member that is not there"),
            (r#"{"unset":[1]}"#, "list of member names"),
            (r#"{"move":1}"#, "other than"),
            (r#"{"rows":{"rows":{"move":1}}}"#, "other than"),
            (r#"{"rows":{"rows":{"delete":[1]}}}"#, "list of keys"),
            (r#"{"rows":{"a":{"delete":["1"]}}}"#, "has no key"),
            (r#"{"rows":{"b":{"put":[{"uuid":"1"}]}}}"#, "rows of a member that is not there"),
            (r#"{"rows":{"rows":{"delete":["3"]}}}"#, "deletes a row that is not there"),
            (r#"{"rows":{"rows":{"delete":["1","2"]}}}"#, "not keyed by the same field"),
            (r#"{"rows":{"rows":{"delete":["2","1"]}}}"#, "sorted by key"),
            (r#"{"rows":{"rows":{"put":[{"uuid":"4"},{"uuid":"3"}]}}}"#, "sorted by key"),
            (r#"{"rows":{"rows":{"put":[{"uuid":"3"},{"uuid":"3"}]}}}"#, "sorted by key"),
            (r#"{"rows":{"rows":{"put":[{"id":"3"}]}}}"#, "lacks the key"),
            (r#"{"rows":{"rows":{"put":[3]}}}"#, "lacks the key"),
            (r#"{"rows":{"rows":{"put":[{"uuid":"1"}]}}}"#, "has already"),
            (r#"{"rows":{"rows":{"delete":["1"],"put":[{"n":1,"uuid":"1"}]}}}"#, "names a row twice"),
            (r#"{"rows":{"i":{"delete":["1"]}}}"#, "not keyed by the same field"),
            (r#"{"set":{}}"#, "empty part"),
            (r#"{"unset":[]}"#, "empty part"),
            (r#"{"rows":{}}"#, "empty part"),
            (r#"{"rows":{"rows":{}}}"#, "empty part"),
            (r#"{"rows":{"rows":{"delete":["1"],"put":[]}}}"#, "empty part"),
        ];
        for (delta, expected) in cases {
            let error = applied(base, delta).unwrap_err().to_string();
            assert!(error.contains(expected), "{delta}: {error}");
        }
        let tight = apply(&document(base), br#"{"set":{"b":"long enough"}}"#, &Bounds::default(), 80);
        assert_eq!(tight.unwrap_err(), DeltaError::TooLarge(80));
    }
}
