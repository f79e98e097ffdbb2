//! `manifest.json`: the signed description of a bundle.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::error::VerifyError;
use super::limits::{Limits, within};
use crate::digest::{PrefixedDigest, Sha256Digest};
use crate::keys::rotation::Link;
use crate::keys::{KeyId, PublicKey};
use crate::record::canonical::{self, CanonicalError, Form, MAX_INTEGER};
use crate::record::envelope::{Kind, Order, RecordTime, Version, is_rfc3339};

/// The format that this program writes and reads.
pub const FORMAT: &str = "kubermatic-telemetry-bundle/1";
/// The payload's name.
pub const PAYLOAD_NAME: &str = "records.tar.gz";

/// `manifest.json`; `docs/bundle-format.md` says what each member means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the members are documented by the format")]
pub struct Manifest {
    pub format: String,
    #[serde(deserialize_with = "uuid_v7")]
    pub bundle: Uuid,
    #[serde(deserialize_with = "uuid")]
    pub client: Uuid,
    #[serde(deserialize_with = "uuid")]
    pub store: Uuid,
    pub key: KeyId,
    pub public_key: PublicKey,
    pub sequence: u64,
    #[serde(deserialize_with = "required")]
    pub previous: Option<PrefixedDigest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "links")]
    pub rotation: Vec<Link>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_uuid")]
    pub replaces: Option<Uuid>,
    pub created: Seconds,
    pub producer: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub note: Option<String>,
    pub withheld: Vec<String>,
    pub dropped: u64,
    pub discarded: u64,
    pub payload: Payload,
    pub records: Vec<RecordEntry>,
}

/// The payload as the manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// [`PAYLOAD_NAME`].
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// Of the compressed bytes.
    pub sha256: Sha256Digest,
}

/// A record as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordEntry {
    /// Given when the record was stored.
    #[serde(deserialize_with = "uuid_v7")]
    pub id: Uuid,
    /// The record's kind.
    pub kind: Kind,
    /// The version of its schema.
    pub version: Version,
    /// The record's time, as it spells it.
    pub time: RecordTime,
    /// Whether the record says that it is complete.
    pub complete: bool,
    /// How it lies in the payload.
    pub encoding: Encoding,
    /// Size of the full canonical record, in bytes.
    pub size: u64,
    /// Digest of the full canonical record.
    pub sha256: Sha256Digest,
    /// Rows per top-level array, informative.
    pub counts: Counts,
}

impl RecordEntry {
    /// Where the record stands among the others.
    fn order(&self) -> Order<'_> {
        (&self.kind, &self.version, &self.time, self.id)
    }
}

/// How a record lies in the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Encoding {
    /// As its canonical bytes.
    Full,
    /// As a delta against the entry before it.
    Delta,
}

/// An RFC 3339 time in UTC with whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seconds(String);

impl Seconds {
    /// Seconds since 1970, as tar headers have them; times before count as zero.
    #[must_use]
    pub fn unix(&self) -> u64 {
        self.0.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_second()).ok()).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Seconds {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() == 20 && text.ends_with('Z') && is_rfc3339(&text) {
            Ok(Self(text))
        } else {
            Err("not an RFC 3339 time in UTC with whole seconds and `Z`")
        }
    }
}

impl From<Seconds> for String {
    fn from(time: Seconds) -> Self {
        time.0
    }
}

/// Rows per top-level array. Kept as text, since a hostile manifest may name a million of them.
#[derive(Clone)]
pub struct Counts(Box<RawValue>);

impl Counts {
    /// Makes them from names and numbers.
    ///
    /// # Errors
    /// None that can be met.
    pub fn new(counts: &[(String, u64)]) -> Result<Self, serde_json::Error> {
        let object: serde_json::Map<_, _> =
            counts.iter().map(|(name, count)| (name.clone(), (*count).into())).collect();
        serde_json::value::to_raw_value(&object).map(Self)
    }

    /// Names and numbers, in the manifest's order, at most `most` of them.
    #[must_use]
    pub fn list(&self, most: usize) -> Vec<(String, u64)> {
        let mut visitor = CountsVisitor { list: Vec::new(), most };
        let mut deserializer = serde_json::Deserializer::from_str(self.0.get());
        // Checked when it was read.
        let _ = deserializer.deserialize_map(&mut visitor);
        visitor.list
    }
}

impl PartialEq for Counts {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Counts {}

impl fmt::Debug for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.get())
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let mut visitor = CountsVisitor { list: Vec::new(), most: 0 };
        serde_json::Deserializer::from_str(raw.get()).deserialize_map(&mut visitor).map_err(de::Error::custom)?;
        Ok(Self(raw))
    }
}

struct CountsVisitor {
    list: Vec<(String, u64)>,
    most: usize,
}

impl<'de> Visitor<'de> for &mut CountsVisitor {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of counts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some((name, count)) = members.next_entry::<std::borrow::Cow<'_, str>, u64>()? {
            if self.list.len() < self.most {
                self.list.push((name.into_owned(), count));
            }
        }
        Ok(())
    }
}

impl Manifest {
    /// The canonical bytes, which are what is signed.
    ///
    /// # Errors
    /// A member that canonical JSON can't carry.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::to_canonical(self, Form::Plain)
    }

    /// Reads and checks a manifest: step 2 of verifying.
    ///
    /// # Errors
    /// What is not a sound manifest of this format within the limits.
    pub fn from_bytes(bytes: &[u8], limits: &Limits) -> Result<Self, VerifyError> {
        let manifest: Self = parse_signed(bytes, FORMAT, limits)?;
        manifest.check(limits)?;
        if manifest.public_key.id() != manifest.key {
            return Err(VerifyError::KeyId);
        }
        Ok(manifest)
    }

    /// The rules that hold for a manifest beyond the types of its members; packing checks them too.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), VerifyError> {
        within("the number of records", self.records.len() as u64, limits.records as u64)?;
        within("the length of the rotation chain", self.rotation.len() as u64, limits.rotation as u64)?;
        within("the length of `producer` in bytes", self.producer.len() as u64, limits.text_bytes as u64)?;
        let note = self.note.as_ref().map_or(0, String::len);
        within("the length of `note` in bytes", note as u64, limits.text_bytes as u64)?;
        let total = self.records.iter().try_fold(0_u64, |total, record| total.checked_add(record.size));
        within("the size of all records in bytes", total.unwrap_or(u64::MAX), limits.total_bytes)?;
        for record in &self.records {
            within("the size of a record in bytes", record.size, limits.record_bytes)?;
        }
        let invalid = |what: &str| Err(VerifyError::Invalid(what.to_owned()));
        if !self.records.iter().map(|record| &record.id).chain([&self.bundle]).all(crate::clock::is_v7) {
            return invalid("the ids of bundle and records must be UUIDs of version 7");
        }
        if !(1..=MAX_INTEGER).contains(&self.sequence) {
            return invalid("`sequence` must be from 1 to 2^53-1");
        }
        if self.payload.name != PAYLOAD_NAME {
            return invalid("`payload.name` must be records.tar.gz");
        }
        if !self.withheld.is_sorted_by(|left, right| left < right) {
            return invalid("`withheld` must be sorted, each entry once");
        }
        if !self.records.is_sorted_by(|left, right| left.order() < right.order()) {
            return invalid("`records` must be ordered by kind, version, time and id");
        }
        let ids: BTreeSet<_> = self.records.iter().map(|record| record.id).collect();
        if ids.len() != self.records.len() {
            return invalid("`records` must not name an id twice");
        }
        Ok(())
    }
}

/// Reads a signed document: canonical JSON of the given format. Unknown members are ignored.
pub(crate) fn parse_signed<T: de::DeserializeOwned>(
    bytes: &[u8],
    format: &str,
    limits: &Limits,
) -> Result<T, VerifyError> {
    #[derive(Deserialize)]
    struct Head {
        format: Option<String>,
    }
    canonical::check(bytes, Form::Plain, &limits.json).map_err(VerifyError::NotCanonical)?;
    let invalid = |error: serde_json::Error| VerifyError::Invalid(error.to_string().escape_debug().to_string());
    let head: Head = serde_json::from_slice(bytes).map_err(invalid)?;
    match head.format {
        Some(found) if found == format => {}
        Some(found) => return Err(VerifyError::UnknownFormat(found.escape_debug().to_string())),
        None => return Err(VerifyError::Invalid("missing field `format`".into())),
    }
    serde_json::from_slice(bytes).map_err(invalid)
}

/// A UUID in lower case with hyphens, and in no other spelling.
pub(crate) fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
    let uuid = Uuid::try_parse(&text).ok().filter(|uuid| uuid.hyphenated().to_string() == *text);
    uuid.ok_or_else(|| de::Error::custom("not a UUID in lower case with hyphens"))
}

/// A UUID of version 7.
pub(crate) fn uuid_v7<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let uuid = uuid(deserializer)?;
    if crate::clock::is_v7(&uuid) { Ok(uuid) } else { Err(de::Error::custom("not a UUID of version 7")) }
}

fn optional_uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    uuid(deserializer).map(Some)
}

/// A rotation chain. Decoding keys takes time, so that there is a bound here beside the one in the limits.
fn links<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Link>, D::Error> {
    const MOST: usize = 1024;
    let raw = Vec::<&RawValue>::deserialize(deserializer)?;
    if raw.len() > MOST {
        return Err(de::Error::custom("a rotation chain of more than 1024 links"));
    }
    raw.into_iter().map(|link| serde_json::from_str(link.get()).map_err(de::Error::custom)).collect()
}

/// A member that may be null but must be there.
fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PrefixedDigest>, D::Error> {
    Option::deserialize(deserializer)
}

/// A member that may be left out but must not be null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}
