//! `manifest.json`: the signed description of a bundle.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::VerifyError;
use super::limits::{Limit, Limits};
use super::lists::{Counts, Withheld};
use super::members::{self, Value, required};
use crate::digest::{PrefixedDigest, Sha256Digest};
use crate::keys::rotation::Link;
use crate::keys::{KeyId, PublicKey};
use crate::record::canonical::{self, CanonicalError, Form};
use crate::record::envelope::{KIND_RULE, Kind, Order, RecordTime, TIME_RULE, VERSION_RULE, Version, is_rfc3339};

/// The format that this program writes and reads.
pub const FORMAT: &str = "kubermatic-telemetry-bundle/1";
/// The payload's name.
pub const PAYLOAD_NAME: &str = "records.tar.gz";

/// The members that the format defines, sorted. A manifest may have others, which verifiers ignore.
pub const MEMBERS: &[&str] = &[
    "bundle",
    "client",
    "created",
    "discarded",
    "dropped",
    "format",
    "key",
    "note",
    "payload",
    "previous",
    "producer",
    "publicKey",
    "records",
    "replaces",
    "rotation",
    "sequence",
    "store",
    "withheld",
];

/// The highest time that a tar header has room for: eleven octal digits, which end in the year 2242.
const LAST_MTIME: u64 = 0o777_7777_7777;

/// `manifest.json`; `docs/bundle-format.md` says what each member means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the members are documented by the format")]
pub struct Manifest {
    pub format: String,
    pub bundle: Uuid,
    pub client: Uuid,
    pub store: Uuid,
    pub key: KeyId,
    pub public_key: PublicKey,
    pub sequence: u64,
    pub previous: Option<PrefixedDigest>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rotation: Vec<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Uuid>,
    pub created: Seconds,
    pub producer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub withheld: Withheld,
    pub dropped: u64,
    pub discarded: u64,
    pub payload: Payload,
    pub records: Vec<RecordEntry>,
}

/// The payload as the manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payload {
    /// [`PAYLOAD_NAME`].
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// Of the compressed bytes.
    pub sha256: Sha256Digest,
}

/// A record as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordEntry {
    /// Given when the record was stored.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Encoding {
    /// As its canonical bytes.
    Full,
    /// As a delta against the entry before it.
    Delta,
}

impl Encoding {
    fn named(name: &str) -> Option<Self> {
        match name {
            "full" => Some(Self::Full),
            "delta" => Some(Self::Delta),
            _ => None,
        }
    }
}

/// An RFC 3339 time in UTC with whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seconds(String);

impl Seconds {
    /// Seconds since 1970, as tar headers have them: from zero to the last that they have room for.
    #[must_use]
    pub fn unix(&self) -> u64 {
        let time = self.0.parse::<jiff::Timestamp>().ok();
        time.and_then(|time| u64::try_from(time.as_second()).ok()).unwrap_or_default().min(LAST_MTIME)
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
        let manifest = Parts::default().read(bytes, limits)?;
        manifest.check(limits)?;
        if manifest.public_key.id() != manifest.key {
            return Err(VerifyError::KeyId);
        }
        Ok(manifest)
    }

    /// The rules that hold beyond the values of single members.
    fn check(&self, limits: &Limits) -> Result<(), VerifyError> {
        let sizes = || self.records.iter().map(|record| record.size);
        limits.within(Limit::RecordBytes, sizes().max().unwrap_or_default())?;
        limits.within(Limit::TotalBytes, sizes().fold(0, u64::saturating_add))?;
        limits.within(Limit::DeltaChain, self.longest_chain())?;
        let invalid = |index: usize, member: &str, expected| {
            Err(VerifyError::InvalidMember { member: format!("records[{index}]{member}"), expected })
        };
        let unordered = self.records.windows(2).position(|pair| pair[0].order() >= pair[1].order());
        if let Some(index) = unordered {
            return invalid(index + 1, "", "behind the record before it, by kind, version, time and id");
        }
        let mut ids = BTreeSet::new();
        let again = self.records.iter().position(|record| !ids.insert(record.id));
        again.map_or(Ok(()), |index| invalid(index, ".id", "another id than those before it"))
    }
}

impl Manifest {
    /// The most deltas that follow a full record.
    fn longest_chain(&self) -> u64 {
        let (mut chain, mut longest) = (0, 0);
        for record in &self.records {
            chain = if record.encoding == Encoding::Delta { chain + 1 } else { 0 };
            longest = longest.max(chain);
        }
        longest
    }
}

/// The members of a manifest as they are met.
#[derive(Default)]
struct Parts {
    bundle: Option<Uuid>,
    client: Option<Uuid>,
    store: Option<Uuid>,
    key: Option<KeyId>,
    public_key: Option<PublicKey>,
    sequence: Option<u64>,
    /// Whether the member is there, which may be null.
    has_previous: bool,
    previous: Option<PrefixedDigest>,
    rotation: Vec<Link>,
    replaces: Option<Uuid>,
    created: Option<Seconds>,
    producer: Option<String>,
    note: Option<String>,
    withheld: Option<Withheld>,
    dropped: Option<u64>,
    discarded: Option<u64>,
    payload: Option<Payload>,
    records: Option<Vec<RecordEntry>>,
}

impl Parts {
    fn read(mut self, bytes: &[u8], limits: &Limits) -> Result<Manifest, VerifyError> {
        members::document(bytes, FORMAT, limits, |name, value| self.member(name, value, limits))?;
        Ok(Manifest {
            format: FORMAT.to_owned(),
            bundle: required("bundle", self.bundle)?,
            client: required("client", self.client)?,
            created: required("created", self.created)?,
            discarded: required("discarded", self.discarded)?,
            dropped: required("dropped", self.dropped)?,
            key: required("key", self.key)?,
            note: self.note,
            payload: required("payload", self.payload)?,
            previous: required("previous", self.has_previous.then_some(self.previous))?,
            producer: required("producer", self.producer)?,
            public_key: required("publicKey", self.public_key)?,
            records: required("records", self.records)?,
            replaces: self.replaces,
            rotation: self.rotation,
            sequence: required("sequence", self.sequence)?,
            store: required("store", self.store)?,
            withheld: required("withheld", self.withheld)?,
        })
    }

    fn member(&mut self, name: &str, value: Value<'_, '_>, limits: &Limits) -> Result<(), VerifyError> {
        match name {
            "bundle" => self.bundle = Some(value.uuid_v7()?),
            "client" => self.client = Some(value.uuid()?),
            "created" => self.created = Some(value.seconds()?),
            "discarded" => self.discarded = Some(value.count()?),
            "dropped" => self.dropped = Some(value.count()?),
            "key" => self.key = Some(value.key_id()?),
            "note" => self.note = Some(value.limited_text(limits)?),
            "payload" => self.payload = Some(read_payload(value)?),
            "previous" => (self.has_previous, self.previous) = (true, read_previous(value)?),
            "producer" => self.producer = Some(value.limited_text(limits)?),
            "publicKey" => self.public_key = Some(value.public_key()?),
            "records" => self.records = Some(read_records(value, limits)?),
            "replaces" => self.replaces = Some(value.uuid()?),
            "rotation" => self.rotation = read_rotation(value, limits)?,
            "sequence" => self.sequence = Some(value.sequence()?),
            "store" => self.store = Some(value.uuid()?),
            "withheld" => self.withheld = Some(Withheld::read(value)?),
            _ => {}
        }
        Ok(())
    }
}

fn read_previous(value: Value<'_, '_>) -> Result<Option<PrefixedDigest>, VerifyError> {
    if value.is_null() {
        return Ok(None);
    }
    let expected = "`sha256:` and 64 hexadecimal digits in lower case, or null";
    value.parse(expected, |text| PrefixedDigest::try_from(text.to_owned()).ok()).map(Some)
}

fn read_payload(value: Value<'_, '_>) -> Result<Payload, VerifyError> {
    let (mut name, mut size, mut sha256) = (None, None, None);
    value.object(|member, value| {
        match member {
            "name" => {
                name = Some(value.parse("records.tar.gz", |text| (text == PAYLOAD_NAME).then(|| text.to_owned()))?);
            }
            "size" => size = Some(value.count()?),
            "sha256" => sha256 = Some(value.sha256()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Payload {
        name: value.required("name", name)?,
        sha256: value.required("sha256", sha256)?,
        size: value.required("size", size)?,
    })
}

fn read_rotation(value: Value<'_, '_>, limits: &Limits) -> Result<Vec<Link>, VerifyError> {
    let mut links = Vec::new();
    value.limited_array(Limit::Rotation, limits, |link| {
        let (mut previous, mut public, mut signature) = (None, None, None);
        link.object(|member, value| {
            match member {
                "previousKey" => previous = Some(value.public_key()?),
                "publicKey" => public = Some(value.public_key()?),
                "signature" => signature = Some(value.signature()?),
                _ => {}
            }
            Ok(())
        })?;
        links.push(Link {
            previous_key: link.required("previousKey", previous)?,
            public_key: link.required("publicKey", public)?,
            signature: link.required("signature", signature)?,
        });
        Ok(())
    })?;
    Ok(links)
}

fn read_records(value: Value<'_, '_>, limits: &Limits) -> Result<Vec<RecordEntry>, VerifyError> {
    let mut records = Vec::new();
    value.limited_array(Limit::Records, limits, |record| {
        records.push(read_record(record)?);
        Ok(())
    })?;
    Ok(records)
}

fn read_record(record: Value<'_, '_>) -> Result<RecordEntry, VerifyError> {
    let (mut id, mut kind, mut version, mut time, mut complete) = (None, None, None, None, None);
    let (mut encoding, mut size, mut sha256, mut counts) = (None, None, None, None);
    record.object(|member, value| {
        match member {
            "id" => id = Some(value.uuid_v7()?),
            "kind" => kind = Some(value.parse(KIND_RULE, |text| Kind::new(text).ok())?),
            "version" => version = Some(value.parse(VERSION_RULE, |text| Version::new(text).ok())?),
            "time" => time = Some(value.parse(TIME_RULE, |text| RecordTime::new(text).ok())?),
            "complete" => complete = Some(value.boolean()?),
            "encoding" => encoding = Some(value.parse("`full` or `delta`", Encoding::named)?),
            "size" => size = Some(value.count()?),
            "sha256" => sha256 = Some(value.sha256()?),
            "counts" => counts = Some(Counts::read(value)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(RecordEntry {
        complete: record.required("complete", complete)?,
        counts: record.required("counts", counts)?,
        encoding: record.required("encoding", encoding)?,
        id: record.required("id", id)?,
        kind: record.required("kind", kind)?,
        sha256: record.required("sha256", sha256)?,
        size: record.required("size", size)?,
        time: record.required("time", time)?,
        version: record.required("version", version)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_header_fits_its_field_whatever_a_clock_says() {
        let unix = |text: &str| Seconds::try_from(text.to_owned()).unwrap().unix();
        assert_eq!(unix("1969-12-31T23:59:59Z"), 0);
        assert_eq!(unix("2016-12-31T23:59:60Z"), unix("2016-12-31T23:59:59Z"));
        assert_eq!(unix("2242-03-16T12:56:31Z"), 0o777_7777_7777);
        assert_eq!(unix("2242-03-16T12:56:32Z"), 0o777_7777_7777);
    }
}
