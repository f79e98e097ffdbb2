//! Records of other products, handed in as JSON: only the envelope is checked, and only allowed kinds are taken.

use super::canonical::{self, Bounds, CanonicalError, Form};
use super::document::Document;
use super::envelope::{Envelope, EnvelopeError, Kind};

/// A record that is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// Not JSON, or what canonical JSON can't carry.
    #[error(transparent)]
    Json(#[from] CanonicalError),
    /// Not an object.
    #[error("a record must be a JSON object")]
    NotAnObject,
    /// Without its envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Of a kind that this program makes itself. The reference client's records of these names have other schemas.
    #[error("records of kind {0} are made by this program itself")]
    Reserved(Kind),
    /// Of a kind that the site has not allowed.
    #[error("records of kind {0} are not allowed here")]
    NotAllowed(Kind),
}

impl ForeignError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Json(_) => None,
            Self::NotAnObject => Some("its members kind, version and time are required".to_owned()),
            Self::Envelope(_) => {
                Some(r#"every record begins like {"kind":"my-product","version":"v1","time":"…"}"#.to_owned())
            }
            Self::Reserved(_) => Some("collect them with --manifests DIR".to_owned()),
            Self::NotAllowed(kind) => Some(format!("if this site allows them, say so with --allow-kind {kind}")),
        }
    }
}

/// Takes a record of another product: makes it canonical and checks its envelope and its kind.
///
/// # Errors
/// See [`ForeignError`].
pub fn parse(text: &[u8], allowed: &[Kind], bounds: &Bounds) -> Result<(Document, Envelope), ForeignError> {
    let bytes = canonical::canonicalize(text, Form::Record, bounds)?;
    let document = Document::parse(bytes, bounds).map_err(|_| ForeignError::NotAnObject)?;
    let envelope = document.envelope()?;
    if super::is_known_kind(envelope.kind.as_str()) {
        return Err(ForeignError::Reserved(envelope.kind));
    }
    if !allowed.contains(&envelope.kind) {
        return Err(ForeignError::NotAllowed(envelope.kind));
    }
    Ok((document, envelope))
}
