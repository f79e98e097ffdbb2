//! Kubeconfigs that lead to a fake API server, and whatever a test wants to be wrong with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::server::ApiServer;
use crate::site::yaml;

/// The parts of a kubeconfig with one context.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    /// Members of the cluster: `server`, `certificate-authority-data`, ...
    pub cluster: Value,
    /// Members of the user: `token`, ...
    pub user: Value,
    /// The name of context, cluster and user.
    pub name: String,
    /// Absent if not even the member is there.
    pub current: Option<String>,
}

impl Kubeconfig {
    /// One that works, with a token.
    pub fn of(server: &ApiServer) -> Self {
        let name = "kubermatic".to_owned();
        Self {
            cluster: json!({"server": server.url(), "certificate-authority-data": BASE64.encode(server.ca_pem())}),
            user: json!({"token": server.token()}),
            current: Some(name.clone()),
            name,
        }
    }

    /// One that works, with a client certificate, as KKP makes them for user clusters.
    pub fn with_certificate(server: &ApiServer) -> Self {
        let (certificate, key) = server.client_pems();
        let user =
            json!({"client-certificate-data": BASE64.encode(certificate), "client-key-data": BASE64.encode(key)});
        Self { user, ..Self::of(server) }
    }

    /// The YAML.
    pub fn text(&self) -> String {
        let Self { cluster, user, name, current } = self;
        let mut document = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [{"name": name, "user": user}],
        });
        if let Some(current) = current {
            document["current-context"] = json!(current);
        }
        yaml(&document, 0).trim_start().to_owned() + "\n"
    }

    /// The Secret that holds it under a key.
    pub fn secret(&self, namespace: &str, name: &str, key: &str) -> Value {
        secret(namespace, name, key, &self.text())
    }
}

/// A Secret with one key.
pub fn secret(namespace: &str, name: &str, key: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "data": {key: BASE64.encode(text)},
        "type": "Opaque",
    })
}
