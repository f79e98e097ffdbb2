//! Reading the members of a signed document, which was found to be canonical JSON: each with its path and what it must
//! be. In every object, members are looked at in the document's order, and what is missing is told at the object's end.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use uuid::Uuid;

use super::error::VerifyError;
use super::json;
use super::limits::{Limit, Limits};
use super::manifest::Seconds;
use crate::digest::Sha256Digest;
use crate::keys::{KeyId, PublicKey};
use crate::record::canonical::walk::{Elements, Members};
use crate::record::canonical::{Form, MAX_INTEGER, unescape};
use crate::text::shortened;

/// Where a value stands in its document.
#[derive(Clone, Copy)]
pub(crate) enum Path<'p> {
    /// The document itself.
    Root,
    /// A member of an object.
    Member(&'p Path<'p>, &'p str),
    /// An element of an array.
    Element(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => formatter.write_str("the document"),
            Self::Member(Path::Root, name) => formatter.write_str(name),
            Self::Member(parent, name) => write!(formatter, "{parent}.{name}"),
            Self::Element(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

/// A value in a document.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a, 'p> {
    text: &'a [u8],
    path: Path<'p>,
}

type Read<T> = Result<T, VerifyError>;

const WHOLE_NUMBER: &str = "a whole number";
const UUID: &str = "a UUID in lower case with hyphens";
const UUID_V7: &str = "a UUID of version 7, in lower case with hyphens";
const SHA256: &str = "the SHA-256 digest in 64 hexadecimal digits in lower case";
const PUBLIC_KEY: &str = "the base64 of an Ed25519 public key as SPKI DER";

/// Reads a signed document of the given format, like `kubermatic-telemetry-bundle/1`. Members that `visit` does not
/// know are to be ignored.
pub(crate) fn document<'a>(
    text: &'a [u8],
    format: &'static str,
    limits: &Limits,
    visit: impl FnMut(&str, Value<'a, '_>) -> Read<()>,
) -> Read<()> {
    json::check(text, Form::Plain, limits)?;
    let document = Value { text, path: Path::Root };
    let mut found = None;
    document.object(|name, value| {
        if name == "format" {
            found = Some(value.string("a string")?.into_owned());
        }
        Ok(())
    })?;
    check_format(&required("format", found)?, format)?;
    document.object(visit)
}

fn check_format(found: &str, format: &'static str) -> Read<()> {
    let family = format.split('/').next().unwrap_or_default();
    if found == format {
        return Ok(());
    }
    let shown = shortened(found, 100);
    let is_version = found.strip_prefix(family).is_some_and(|version| version.starts_with('/'));
    Err(if is_version { VerifyError::UnknownVersion(shown) } else { VerifyError::UnknownFormat(shown) })
}

/// A member of the document that must be there.
pub(crate) fn required<T>(name: &'static str, value: Option<T>) -> Read<T> {
    value.ok_or_else(|| VerifyError::MissingMember(name.to_owned()))
}

impl<'a> Value<'a, '_> {
    /// Hands over each member of an object, in order.
    pub fn object(self, mut visit: impl FnMut(&'a str, Value<'a, '_>) -> Read<()>) -> Read<()> {
        if !self.text.starts_with(b"{") {
            return Err(self.invalid("an object"));
        }
        Members::of_object(self.text, 0).try_for_each(|member| {
            let name = std::str::from_utf8(member.name).unwrap_or_default();
            visit(name, Value { text: &self.text[member.value], path: Path::Member(&self.path, name) })
        })
    }

    /// Hands over each element of an array, in order.
    pub fn array(self, mut visit: impl FnMut(Value<'a, '_>) -> Read<()>) -> Read<()> {
        if !self.text.starts_with(b"[") {
            return Err(self.invalid("an array"));
        }
        Elements::new(self.text, 0).enumerate().try_for_each(|(index, element)| {
            visit(Value { text: &self.text[element], path: Path::Element(&self.path, index) })
        })
    }

    /// As [`Value::array`], of at most as many elements as a limit allows, which are counted first.
    pub fn limited_array(
        self,
        limit: Limit,
        limits: &Limits,
        visit: impl FnMut(Value<'a, '_>) -> Read<()>,
    ) -> Read<()> {
        if self.text.starts_with(b"[") {
            limits.within(limit, Elements::new(self.text, 0).count() as u64)?;
        }
        self.array(visit)
    }

    /// A member of this object that must be there.
    pub fn required<T>(self, name: &'static str, value: Option<T>) -> Read<T> {
        value.ok_or_else(|| VerifyError::MissingMember(Path::Member(&self.path, name).to_string()))
    }

    /// That the value is not what it must be.
    pub fn invalid(self, expected: &'static str) -> VerifyError {
        VerifyError::InvalidMember { member: self.path.to_string(), expected }
    }

    /// The value's canonical text.
    pub fn text(self) -> &'a str {
        std::str::from_utf8(self.text).unwrap_or_default()
    }

    /// A string.
    pub fn string(self, expected: &'static str) -> Read<Cow<'a, str>> {
        let raw = self.text().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        raw.map(unescape).ok_or_else(|| self.invalid(expected))
    }

    /// A string that `parse` takes.
    pub fn parse<T>(self, expected: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Read<T> {
        parse(&self.string(expected)?).ok_or_else(|| self.invalid(expected))
    }

    /// A string of at most as many bytes as the limit for texts allows.
    pub fn limited_text(self, limits: &Limits) -> Read<String> {
        let text = self.string("a string")?;
        limits.within(Limit::TextBytes, text.len() as u64)?;
        Ok(text.into_owned())
    }

    /// Whether the value is null.
    pub fn is_null(self) -> bool {
        self.text == b"null"
    }

    /// `true` or `false`.
    pub fn boolean(self) -> Read<bool> {
        match self.text {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(self.invalid("true or false")),
        }
    }

    /// A whole number that is not negative.
    pub fn count(self) -> Read<u64> {
        let digits = Some(self.text()).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| self.invalid(WHOLE_NUMBER))
    }

    /// A sequence number.
    pub fn sequence(self) -> Read<u64> {
        let expected = "a whole number from 1 to 9007199254740991";
        let number = self.count().map_err(|_| self.invalid(expected))?;
        if (1..=MAX_INTEGER).contains(&number) { Ok(number) } else { Err(self.invalid(expected)) }
    }

    /// A UUID in the one spelling that is allowed.
    pub fn uuid(self) -> Read<Uuid> {
        self.parse(UUID, parse_uuid)
    }

    /// A UUID of version 7.
    pub fn uuid_v7(self) -> Read<Uuid> {
        self.parse(UUID_V7, |text| parse_uuid(text).filter(crate::clock::is_v7))
    }

    /// A digest.
    pub fn sha256(self) -> Read<Sha256Digest> {
        self.parse(SHA256, |text| text.parse().ok())
    }

    /// A key id.
    pub fn key_id(self) -> Read<KeyId> {
        let expected = "`sha256:` and 64 hexadecimal digits in lower case";
        self.parse(expected, |text| KeyId::try_from(text.to_owned()).ok())
    }

    /// A public key.
    pub fn public_key(self) -> Read<PublicKey> {
        self.parse(PUBLIC_KEY, |text| PublicKey::try_from(text.to_owned()).ok())
    }

    /// The base64 of a signature, which stays what it is.
    pub fn signature(self) -> Read<String> {
        let is_signature = |text: &str| BASE64.decode(text).is_ok_and(|bytes| bytes.len() == 64);
        self.parse("the base64 of 64 bytes", |text| is_signature(text).then(|| text.to_owned()))
    }

    /// A time in UTC with whole seconds.
    pub fn seconds(self) -> Read<Seconds> {
        let expected = "a time in UTC with whole seconds, like `2026-01-31T12:00:00Z`";
        self.parse(expected, |text| Seconds::try_from(text.to_owned()).ok())
    }
}

fn parse_uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|uuid| uuid.hyphenated().to_string() == text)
}
