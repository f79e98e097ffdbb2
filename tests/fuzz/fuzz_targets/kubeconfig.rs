//! Kubeconfigs out of Secrets: taken or refused, and nothing that is taken reaches out of itself.
#![no_main]

use kubermatic_telemetry::agent::live::connect::from_secret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(config) = from_secret(text) {
        assert!(config.auth_info.exec.is_none() && config.auth_info.auth_provider.is_none());
        assert!(config.auth_info.token_file.is_none() && config.root_cert_file.is_none());
        assert!(config.auth_info.client_certificate.is_none() && config.auth_info.client_key.is_none());
        assert!(matches!(config.cluster_url.scheme_str(), Some("https" | "http")));
        // What the program does with it next.
        let _ = kube::client::ClientBuilder::try_from(config);
    }
});
