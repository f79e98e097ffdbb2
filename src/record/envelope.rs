//! What every record has, whatever product it comes from: kind, version, time and completeness.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::canonical;

/// A record kind: `[a-z][a-z0-9-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Kind(String);

/// A version of a record kind: `v[1-9][0-9]{0,3}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

/// The time of a record as its own text, an RFC 3339 date and time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordTime(String);

/// The members that every record has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `kind`.
    pub kind: Kind,
    /// `version`.
    pub version: Version,
    /// `time`.
    pub time: RecordTime,
    /// `complete`, true where the record has none.
    pub complete: bool,
}

/// A record that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A member that every record must have is not there.
    #[error("the record has no `{0}`")]
    Missing(&'static str),
    /// A member is there but is not what it must be.
    #[error("the record's `{field}` must be {expected}")]
    Invalid {
        /// The member.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

pub(crate) const KIND_RULE: &str = "a string like `my-product` (lower case letters, digits and hyphens, at most 63)";
pub(crate) const VERSION_RULE: &str = "a string like `v1`";
pub(crate) const TIME_RULE: &str = "an RFC 3339 time like `2026-01-31T12:00:00Z`";

macro_rules! text_newtype {
    ($name:ident, $field:literal, $rule:expr, $check:expr) => {
        impl $name {
            /// Checks the rule that the type stands for.
            ///
            /// # Errors
            /// A text that breaks the rule.
            pub fn new(text: impl Into<String>) -> Result<Self, EnvelopeError> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) {
                    Ok(Self(text))
                } else {
                    Err(EnvelopeError::Invalid { field: $field, expected: $rule })
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = EnvelopeError;

            fn try_from(text: String) -> Result<Self, EnvelopeError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = EnvelopeError;

            fn from_str(text: &str) -> Result<Self, EnvelopeError> {
                Self::new(text)
            }
        }
    };
}

text_newtype!(Kind, "kind", KIND_RULE, |text| {
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
});
text_newtype!(Version, "version", VERSION_RULE, |text| {
    matches!(text.as_bytes(), [b'v', b'1'..=b'9', rest @ ..]
        if rest.len() <= 3 && rest.iter().all(u8::is_ascii_digit))
});
text_newtype!(RecordTime, "time", TIME_RULE, |text| text.len() <= 40 && is_rfc3339(text));

/// Whether a text is a date and time of RFC 3339, section 5.6, spelled with `T` and `Z` in upper case. Parsers of ISO 8601
/// take much else.
pub(crate) fn is_rfc3339(text: &str) -> bool {
    let shaped = |part: &[u8], shape: &[u8]| {
        part.len() == shape.len()
            && part
                .iter()
                .zip(shape)
                .all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form })
    };
    let bytes = text.as_bytes();
    let Some((start, rest)) = bytes.split_at_checked(19).filter(|(start, _)| shaped(start, b"0000-00-00T00:00:00"))
    else {
        return false;
    };
    let fraction = match rest.strip_prefix(b".") {
        Some(digits) => 1 + digits.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        None => 0,
    };
    let offset = &rest[fraction..];
    let hours_and_minutes = |offset: &[u8]| offset[1..3] <= b"23"[..] && offset[4..] <= b"59"[..];
    let zoned = offset == b"Z" || (shaped(offset, b"+00:00") || shaped(offset, b"-00:00")) && hours_and_minutes(offset);
    let (date_and_time, seconds) = (text.get(..19).unwrap_or_default(), &start[17..]);
    // Second 60 is a leap second, which parsers take for the one before.
    fraction != 1
        && fraction <= 10
        && zoned
        && *seconds <= b"60"[..]
        && date_and_time.parse::<jiff::civil::DateTime>().is_ok()
}

/// What the records of a bundle are ordered by.
pub(crate) type Order<'r> = (&'r Kind, &'r Version, &'r RecordTime, Uuid);

impl Envelope {
    /// Where a record with this envelope stands among others.
    pub(crate) fn order(&self, id: Uuid) -> Order<'_> {
        (&self.kind, &self.version, &self.time, id)
    }

    /// Reads the envelope from the members' JSON text.
    pub(crate) fn from_members(
        kind: Option<&str>,
        version: Option<&str>,
        time: Option<&str>,
        complete: Option<&str>,
    ) -> Result<Self, EnvelopeError> {
        let complete = match complete {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(EnvelopeError::Invalid { field: "complete", expected: "true or false" }),
        };
        Ok(Self {
            kind: Kind::new(string("kind", kind, KIND_RULE)?)?,
            version: Version::new(string("version", version, VERSION_RULE)?)?,
            time: RecordTime::new(string("time", time, TIME_RULE)?)?,
            complete,
        })
    }
}

fn string(field: &'static str, text: Option<&str>, expected: &'static str) -> Result<String, EnvelopeError> {
    let text = text.ok_or(EnvelopeError::Missing(field))?;
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    quoted.map(|raw| canonical::unescape(raw).into_owned()).ok_or(EnvelopeError::Invalid { field, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_versions_and_times_follow_their_patterns() {
        for good in ["a", "kubermatic", "a-1", &"x".repeat(63)] {
            assert!(Kind::new(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "A", "a_b", "../x", &"x".repeat(64)] {
            assert!(Kind::new(bad).is_err(), "{bad}");
        }
        assert!(["v1", "v10", "v9999"].iter().all(|good| Version::new(*good).is_ok()));
        assert!(["v0", "1", "v", "v01", "v10000", "v1a"].iter().all(|bad| Version::new(*bad).is_err()));
        assert!(
            [
                "2026-01-31T12:00:00Z",
                "2026-01-31T12:00:00.5Z",
                "2026-01-31T12:00:00+02:00",
                "9999-12-31T23:59:59Z",
                "0000-01-01T00:00:00-23:59",
                "2016-12-31T23:59:60Z",
            ]
            .iter()
            .all(|good| RecordTime::new(*good).is_ok())
        );
        for bad in [
            "2026-01-31",
            "2026-13-01T00:00:00Z",
            "now",
            "2026-01-31 12:00:00Z",
            "20260131T120000Z",
            "2026-01-31T12Z",
            "2026-01-31T12:00Z",
            "2026-01-31T12:00:00+0200",
            "2026-01-31T12:00:00+02",
            "2026-01-31T12:00:00+02:00:30",
            "+002026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31t12:00:00z",
            "2026-01-31T25:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-01-31T12:00:61Z",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00+02:60",
            "2026-01-31T12:00:00.1234567890Z",
            "2026-01-31T12:00:00",
        ] {
            assert!(RecordTime::new(bad).is_err(), "{bad}");
        }
    }
}
