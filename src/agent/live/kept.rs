//! The Secret that holds this installation's identity: the only thing that this program ever writes to a cluster.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::cause::Cause;
use super::client::{ApiServer, Manner, Traffic};
use super::{LiveError, Master, connect};
use crate::identity::SecretName;
use crate::identity::secret::Parts;

/// The values of a Secret; they are wiped when they are dropped.
pub type Values = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// How long a request goes on being tried, at most: as many request timeouts.
const PATIENCE: u32 = 4;

/// A Secret that can't be read, made or changed.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The API server refused, or can't be asked.
    #[error("can't {verb} the Secret {secret}: {}", because(verb, secret, *cause))]
    Refused {
        /// The verb of the request: `get`, `create` or `update`.
        verb: &'static str,
        /// The Secret.
        secret: SecretName,
        /// Why.
        cause: Cause,
    },
    /// A value is no base64.
    #[error("the Secret {secret} is not one that Kubernetes could have stored: {key} is no base64")]
    Undecodable {
        /// The Secret.
        secret: SecretName,
        /// Which value.
        key: String,
    },
    /// Somebody else changed it meanwhile.
    #[error("the Secret {secret} was changed by somebody else in the same moment, and stays as it is now")]
    Conflict {
        /// The Secret.
        secret: SecretName,
    },
}

impl SecretError {
    /// What a person can do about it; what RBAC rule is missing, if that is it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let Self::Refused { verb, secret, cause } = self else {
            return match self {
                Self::Conflict { .. } => Some("see with `init --secret` what it holds now, and try again".to_owned()),
                _ => None,
            };
        };
        let (namespace, name) = (secret.namespace(), secret.name());
        match (cause, *verb) {
            (Cause::Forbidden, "create") => Some(format!(
                "a Role in the namespace {namespace} has to allow it: apiGroups [\"\"], resources [secrets], verbs \
                 [create], without resourceNames (docs/permissions.md); if it does, a quota or an admission policy of \
                 the namespace does not"
            )),
            (Cause::Forbidden, verb) => Some(format!(
                "a Role in the namespace {namespace} has to allow it: apiGroups [\"\"], resources [secrets], \
                 resourceNames [{name}], verbs [{verb}] (docs/permissions.md)"
            )),
            (Cause::NotFound, "create") => Some(format!("kubectl create namespace {namespace}")),
            (cause, _) => LiveError::Master(*cause).hint().map(str::to_owned),
        }
    }
}

/// Why, in words that fit a Secret.
fn because(verb: &str, secret: &SecretName, cause: Cause) -> String {
    match (verb, cause) {
        ("create", Cause::NotFound) => format!("there is no namespace {}", secret.namespace()),
        (_, Cause::NotFound) => "it is not there".to_owned(),
        ("update", Cause::Status(422)) => {
            "it is immutable, or not what the API server takes (HTTP status 422)".to_owned()
        }
        (_, cause) => cause.to_string(),
    }
}

/// A Secret as it was read, to be changed.
pub struct Secret {
    name: SecretName,
    object: Object,
    values: Values,
}

impl Secret {
    /// Its values.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Secret({})", self.name)
    }
}

/// A Secret as the API has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    #[serde(default = "api_version")]
    api_version: String,
    #[serde(default = "kind")]
    kind: String,
    metadata: Map<String, Value>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    kind_of_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    immutable: Option<bool>,
    #[serde(default)]
    data: Option<BTreeMap<String, Zeroizing<String>>>,
}

fn api_version() -> String {
    "v1".to_owned()
}

fn kind() -> String {
    "Secret".to_owned()
}

/// The API server that keeps Secrets.
pub struct Keeper {
    server: ApiServer,
}

impl Keeper {
    /// Finds the API server. Nothing is sent yet. `request_timeout` is how long one request may take.
    ///
    /// # Errors
    /// A kubeconfig that can't be used, or no pod to be in.
    pub fn open(master: &Master, request_timeout: Duration) -> Result<Self, LiveError> {
        let config = match master {
            Master::InCluster => connect::in_cluster().map_err(|_| LiveError::NoCluster)?,
            Master::Kubeconfig { files, context } => {
                let named = |(file, source): (&Path, _)| LiveError::Kubeconfig { file: file.to_owned(), source };
                connect::from_files(files, context.as_deref()).map_err(named)?
            }
        };
        let manner = Manner { page_size: 1, request_timeout };
        let deadline = Instant::now() + request_timeout * PATIENCE;
        let server = ApiServer::new(config, manner, deadline, Arc::new(Traffic::default()));
        Ok(Self { server: server.map_err(LiveError::Master)? })
    }

    /// Reads a Secret, if it is there.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn get(&self, name: &SecretName) -> Result<Option<Secret>, SecretError> {
        match self.server.get::<Object>(&path(name, true)).await {
            Ok(object) => Ok(Some(Secret { values: decoded(name, object.data.as_ref())?, name: name.clone(), object })),
            Err(Cause::NotFound) => Ok(None),
            Err(cause) => Err(SecretError::Refused { verb: "get", secret: name.clone(), cause }),
        }
    }

    /// Makes a Secret; tells whether this is the one that made it. If not, somebody else's is there.
    ///
    /// # Errors
    /// It can't be made.
    pub async fn create(&self, name: &SecretName, parts: &Parts) -> Result<bool, SecretError> {
        let object = json!({
            "name": name.name(),
            "namespace": name.namespace(),
            "labels": {
                "app.kubernetes.io/name": env!("CARGO_PKG_NAME"),
                "app.kubernetes.io/managed-by": env!("CARGO_PKG_NAME"),
            },
        });
        let object = Object {
            api_version: api_version(),
            kind: kind(),
            metadata: object.as_object().cloned().unwrap_or_default(),
            kind_of_secret: Some("Opaque".to_owned()),
            immutable: None,
            data: Some(encoded(parts)),
        };
        match self.write("create", Method::POST, &path(name, false), name, &object).await {
            Ok(()) => Ok(true),
            // Also where the answer to a first attempt got lost: then what is there is this one's.
            Err(SecretError::Refused { cause: Cause::Status(409), .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives a Secret other parts of an identity, unless somebody changed it since it was read. Whatever else it holds
    /// stays.
    ///
    /// # Errors
    /// It can't be changed, or somebody else did.
    pub async fn replace(&self, mut secret: Secret, parts: &Parts) -> Result<(), SecretError> {
        let mut data = secret.object.data.take().unwrap_or_default();
        data.extend(encoded(parts));
        secret.object.data = Some(data);
        match self.write("update", Method::PUT, &path(&secret.name, true), &secret.name, &secret.object).await {
            Err(SecretError::Refused { cause: Cause::Status(409), .. }) => {
                // The answer to a first attempt may have got lost.
                let now = self.get(&secret.name).await?;
                let is_ours = |now: &Secret| {
                    parts.values().all(|(name, value)| now.values.get(name).is_some_and(|it| it.as_slice() == value))
                };
                if now.as_ref().is_some_and(is_ours) {
                    Ok(())
                } else {
                    Err(SecretError::Conflict { secret: secret.name })
                }
            }
            written => written,
        }
    }

    async fn write(
        &self,
        verb: &'static str,
        method: Method,
        path: &str,
        name: &SecretName,
        object: &Object,
    ) -> Result<(), SecretError> {
        let refused = |cause| SecretError::Refused { verb, secret: name.clone(), cause };
        let body = Zeroizing::new(serde_json::to_vec(object).map_err(|_| refused(Cause::Undecodable))?);
        let written = self.server.exchange::<serde::de::IgnoredAny>(method, path, &body).await;
        written.map(|_| ()).map_err(refused)
    }
}

/// The path of a Secret, or of those of its namespace.
fn path(name: &SecretName, whole: bool) -> String {
    let collection = format!("/api/v1/namespaces/{}/secrets", name.namespace());
    if whole { format!("{collection}/{}", name.name()) } else { collection }
}

fn encoded(parts: &Parts) -> BTreeMap<String, Zeroizing<String>> {
    parts.values().map(|(name, value)| (name.to_owned(), Zeroizing::new(BASE64.encode(value)))).collect()
}

fn decoded(secret: &SecretName, data: Option<&BTreeMap<String, Zeroizing<String>>>) -> Result<Values, SecretError> {
    let values = data.into_iter().flatten().map(|(key, value)| {
        let bytes = BASE64.decode(value.as_bytes());
        let bytes = bytes.map_err(|_| SecretError::Undecodable { secret: secret.clone(), key: key.clone() })?;
        Ok((key.clone(), Zeroizing::new(bytes)))
    });
    values.collect()
}
