//! Kubeconfigs, as `kubectl config` would write them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::authority::Identity;

/// What a kubeconfig proves its user with.
#[derive(Clone, Copy)]
pub enum User<'u> {
    Certificate(&'u Identity),
    Token(&'u str),
}

/// A kubeconfig of one context. JSON is YAML.
pub fn kubeconfig(server: &str, authority: &str, user: User<'_>) -> String {
    let encoded = |pem: &str| STANDARD.encode(pem);
    let user = match user {
        User::Token(token) => json!({ "token": token }),
        User::Certificate(Identity { certificate, key }) => json!({
            "client-certificate-data": encoded(certificate),
            "client-key-data": encoded(key),
        }),
    };
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{
            "name": "it",
            "cluster": { "server": server, "certificate-authority-data": encoded(authority) },
        }],
        "users": [{ "name": "it", "user": user }],
        "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
    });
    serde_json::to_string_pretty(&kubeconfig).unwrap()
}
