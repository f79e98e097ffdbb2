//! Kubeconfigs in Secrets: which one reaches a seed or a user cluster.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kube::Config;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::cause::Cause;
use super::client::ApiServer;
use super::connect;
use crate::agent::objects::SecretReference;

/// The key that KKP keeps kubeconfigs under (KKP `sdk/apis/kubermatic/v1/datacenter.go`, `pkg/resources/resources.go`).
const KEY: &str = "kubeconfig";

/// Where a kubeconfig is.
#[derive(Debug)]
pub(super) struct Place {
    pub namespace: String,
    pub name: String,
    pub key: String,
}

/// A seed's, from the master: KKP `pkg/provider/kubernetes/seed.go`.
pub(super) fn of_seed(namespace: &str, reference: Option<&SecretReference>) -> Result<Place, Cause> {
    let filled = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let reference = reference.ok_or(Cause::SecretNotFound)?;
    Ok(Place {
        namespace: filled(reference.namespace.as_ref()).unwrap_or_else(|| namespace.to_owned()),
        name: filled(reference.name.as_ref()).ok_or(Cause::SecretNotFound)?,
        key: filled(reference.field_path.as_ref()).unwrap_or_else(|| KEY.to_owned()),
    })
}

/// A user cluster's, from its seed: KKP `pkg/cluster/client/client.go`, `pkg/provider/kubernetes/util.go`. The internal
/// one leads to a name that only pods of the seed can resolve.
pub(super) fn of_user_cluster(cluster: &str, namespace: Option<&str>, inside: bool) -> Place {
    Place {
        namespace: namespace.map_or_else(|| format!("cluster-{cluster}"), str::to_owned),
        name: if inside { "internal-admin-kubeconfig" } else { "admin-kubeconfig" }.to_owned(),
        key: KEY.to_owned(),
    }
}

/// Reads a kubeconfig.
pub(super) async fn read(server: &ApiServer, place: &Place) -> Result<Config, Cause> {
    // Names come from objects; anything that is not one would be another request.
    let is_name = |name: &str| {
        name.len() <= 253 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
    };
    if !is_name(&place.namespace) || !is_name(&place.name) || place.name.starts_with('.') {
        return Err(Cause::SecretNotFound);
    }
    let path = format!("/api/v1/namespaces/{}/secrets/{}", place.namespace, place.name);
    let secret: Secret = server.get(&path).await.map_err(|cause| match cause {
        Cause::NotFound => Cause::SecretNotFound,
        other => other,
    })?;
    let encoded = secret.data.and_then(|mut data| data.remove(&place.key)).ok_or(Cause::KubeconfigMissing)?;
    let syntax = Cause::Kubeconfig(connect::KubeconfigError::Syntax);
    let bytes = Zeroizing::new(BASE64.decode(encoded.as_bytes()).map_err(|_| syntax)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| syntax)?;
    if text.trim().is_empty() {
        return Err(Cause::KubeconfigMissing);
    }
    connect::from_secret(text).map_err(Cause::Kubeconfig)
}

/// A Secret; its values are wiped when they are dropped.
#[derive(Deserialize)]
struct Secret {
    data: Option<BTreeMap<String, Zeroizing<String>>>,
}
