//! From a kubeconfig to what a client needs, with what a kubeconfig may not do.
//!
//! Proxy variables are for the way out to the internet and say nothing about API servers: only a kubeconfig's own
//! `proxy-url` counts, which is why kube's own loader is not used.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderValue, Uri};
use kube::Config;
use kube::config::{AuthInfo, Cluster, ExecAuthCluster, Kubeconfig};
use secrecy::ExposeSecret as _;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A kubeconfig that can't be used. Where it lies is told by who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigError {
    /// There is no such file.
    #[error("the file does not exist")]
    Missing,
    /// The file can't be read.
    #[error("the file can't be read")]
    Unreadable,
    /// Not the YAML or JSON of a kubeconfig.
    #[error("it is not a kubeconfig")]
    Syntax,
    /// No context was asked for, and none is current.
    #[error("it has no current-context")]
    NoContext,
    /// The context is not in it, or says nothing.
    #[error("it has no such context")]
    UnknownContext,
    /// The context's cluster is not in it, or has no server.
    #[error("its context names a cluster that is not in it, or has no server")]
    UnknownCluster,
    /// A field does not hold what it should.
    #[error("its {0} is not valid")]
    Field(&'static str),
    /// A file that it refers to can't be read.
    #[error("the file that its {0} refers to can't be read")]
    File(&'static str),
    /// It asks for what one that comes out of a cluster may not.
    #[error("it asks for {0}, which a kubeconfig from a Secret may not")]
    Refused(&'static str),
}

impl KubeconfigError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Missing | Self::Unreadable => Some("--kubeconfig FILE names the file"),
            Self::NoContext => Some("choose one with --context NAME, or with `kubectl config use-context NAME`"),
            Self::UnknownContext => Some("`kubectl config get-contexts` lists the contexts"),
            Self::Refused(_) => Some(
                "`kubermatic-installer convert-kubeconfig` makes one with a token of its own; docs/permissions.md has \
                 the commands for a read-only one, which --kubeconfig-for takes",
            ),
            _ => None,
        }
    }
}

/// The configuration of a pod, by its service account.
///
/// # Errors
/// The files or variables of a service account are missing.
pub(super) fn in_cluster() -> Result<Config, KubeconfigError> {
    let mut config = Config::incluster_env().map_err(|_| KubeconfigError::Unreadable)?;
    settle(&mut config);
    Ok(config)
}

/// A kubeconfig file that a person gave, in which everything is allowed that kubectl allows.
pub(super) fn from_file(path: &Path, context: Option<&str>) -> Result<Config, KubeconfigError> {
    assemble(&read(path)?, context)
}

/// Several files, as the variable `KUBECONFIG` lists them. An error tells which of them is to blame.
pub(super) fn from_files<'p>(
    paths: &'p [PathBuf],
    context: Option<&str>,
) -> Result<Config, (&'p Path, KubeconfigError)> {
    let first = paths.first().map_or(Path::new(""), PathBuf::as_path);
    // kubectl passes over files that are not there, unless all are.
    let mut present = paths.iter().filter(|path| path.exists()).peekable();
    if present.peek().is_none() {
        return Err((first, KubeconfigError::Missing));
    }
    let mut merged = Kubeconfig::default();
    for path in present {
        let next = read(path).map_err(|error| (path.as_path(), error))?;
        merged = merged.merge(next).map_err(|_| (path.as_path(), KubeconfigError::Syntax))?;
    }
    assemble(&merged, context).map_err(|error| (first, error))
}

fn read(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    if !path.exists() {
        return Err(KubeconfigError::Missing);
    }
    Kubeconfig::read_from(path).map_err(|error| match error {
        kube::config::KubeconfigError::ReadConfig(..) => KubeconfigError::Unreadable,
        _ => KubeconfigError::Syntax,
    })
}

/// A kubeconfig out of a Secret: whoever wrote it must not make this program run another one, read files of this
/// machine, or hand the pod's own token to a stranger.
///
/// # Errors
/// What is no kubeconfig, and what asks for more than it may.
pub fn from_secret(text: &str) -> Result<Config, KubeconfigError> {
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(|_| KubeconfigError::Syntax)?;
    let (cluster, user) = chosen(&kubeconfig, None)?;
    let refused = [
        (user.exec.is_some(), "a program that makes credentials (exec)"),
        (user.auth_provider.is_some(), "a program that makes credentials (auth-provider)"),
        (user.token_file.is_some(), "a file (tokenFile)"),
        (user.client_certificate.is_some(), "a file (client-certificate)"),
        (user.client_key.is_some(), "a file (client-key)"),
        (cluster.certificate_authority.is_some(), "a file (certificate-authority)"),
    ];
    match refused.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(KubeconfigError::Refused(what)),
        None => assemble(&kubeconfig, None),
    }
}

/// The cluster and user of a context; like kubectl, a user that is missing is nobody.
fn chosen(kubeconfig: &Kubeconfig, context: Option<&str>) -> Result<(Cluster, AuthInfo), KubeconfigError> {
    let wanted = context.or(kubeconfig.current_context.as_deref()).filter(|name| !name.is_empty());
    let wanted = wanted.ok_or(KubeconfigError::NoContext)?;
    let found = kubeconfig.contexts.iter().find(|named| named.name == wanted);
    let context = found.and_then(|named| named.context.as_ref()).ok_or(KubeconfigError::UnknownContext)?;
    let found = kubeconfig.clusters.iter().find(|named| named.name == context.cluster);
    let cluster = found.and_then(|named| named.cluster.clone()).ok_or(KubeconfigError::UnknownCluster)?;
    let user = context.user.as_ref().and_then(|name| kubeconfig.auth_infos.iter().find(|named| named.name == *name));
    Ok((cluster, user.and_then(|named| named.auth_info.clone()).unwrap_or_default()))
}

fn assemble(kubeconfig: &Kubeconfig, context: Option<&str>) -> Result<Config, KubeconfigError> {
    let (cluster, mut user) = chosen(kubeconfig, context)?;
    if let Some(exec) = &mut user.exec
        && exec.provide_cluster_info
    {
        exec.cluster = Some(ExecAuthCluster::try_from(&cluster).map_err(|_| KubeconfigError::Field("cluster"))?);
    }
    let server = cluster.server.as_deref().filter(|text| !text.is_empty()).ok_or(KubeconfigError::UnknownCluster)?;
    let server: Uri = server.parse().map_err(|_| KubeconfigError::Field("server"))?;
    if server.host().is_none() || !matches!(server.scheme_str(), Some("https" | "http")) {
        return Err(KubeconfigError::Field("server"));
    }
    let mut config = Config::new(server);
    config.root_cert = authority(&cluster)?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name = cluster.tls_server_name.filter(|name| !name.is_empty());
    config.proxy_url = match cluster.proxy_url.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => Some(proxy(text)?),
        None => None,
    };
    // kube panics on a token that no header can carry.
    if user.token.as_ref().is_some_and(|token| HeaderValue::from_str(token.expose_secret()).is_err()) {
        return Err(KubeconfigError::Field("token"));
    }
    config.auth_info = user;
    settle(&mut config);
    Ok(config)
}

fn proxy(text: &str) -> Result<Uri, KubeconfigError> {
    let uri: Uri = text.parse().map_err(|_| KubeconfigError::Field("proxy-url"))?;
    let known = matches!(uri.scheme_str(), Some("http" | "https" | "socks5"));
    if known && uri.host().is_some() { Ok(uri) } else { Err(KubeconfigError::Field("proxy-url")) }
}

/// The certificates that the kubeconfig trusts, in DER; nothing means those of the machine.
fn authority(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, KubeconfigError> {
    const DATA: &str = "certificate-authority-data";
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let bundle = match (filled(&cluster.certificate_authority_data), filled(&cluster.certificate_authority)) {
        (Some(data), _) => BASE64.decode(data.trim()).map_err(|_| KubeconfigError::Field(DATA))?,
        (None, Some(file)) => std::fs::read(file).map_err(|_| KubeconfigError::File("certificate-authority"))?,
        (None, None) => return Ok(None),
    };
    let blocks = pem::parse_many(bundle).map_err(|_| KubeconfigError::Field(DATA))?;
    let certificates = blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE").map(pem::Pem::into_contents);
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() { Err(KubeconfigError::Field(DATA)) } else { Ok(Some(certificates)) }
}

/// What holds for every API server.
fn settle(config: &mut Config) {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Retried with the page, by who knows what was already taken of it.
    config.default_retry = false;
    // KKP writes `kubernetes.default.svc.cluster.local.`; not every verifier takes a name with a dot at its end.
    let host = config.cluster_url.host().unwrap_or_default();
    if let Some(name) = host.strip_suffix('.')
        && config.tls_server_name.is_none()
    {
        config.tls_server_name = Some(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(cluster: &str, user: &str) -> String {
        format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: k, user: \
             u}}}}], clusters: [{{name: k, cluster: {{{cluster}}}}}], users: [{{name: u, user: {{{user}}}}}]}}"
        )
    }

    #[test]
    fn a_secret_can_not_reach_out_of_itself() {
        let server = "server: 'https://a.invalid'";
        assert!(from_secret(&kubeconfig(server, "token: t")).is_ok());
        for (cluster, user, what) in [
            (server, "exec: {apiVersion: client.authentication.k8s.io/v1, command: x}", "exec"),
            (server, "auth-provider: {name: gcp}", "auth-provider"),
            (server, "tokenFile: /t", "tokenFile"),
            (server, "client-certificate: /c", "client-certificate"),
            (server, "client-key: /k", "client-key"),
            ("server: 'https://a.invalid', certificate-authority: /ca", "token: t", "certificate-authority"),
        ] {
            let error = from_secret(&kubeconfig(cluster, user)).unwrap_err();
            assert!(error.to_string().contains(&format!("({what})")), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let field = |cluster: &str| from_secret(&kubeconfig(cluster, "token: t")).unwrap_err();
        assert_eq!(field("server: ''"), KubeconfigError::UnknownCluster);
        assert_eq!(field("server: 'a b'"), KubeconfigError::Field("server"));
        assert_eq!(field("server: 'ftp://a.invalid'"), KubeconfigError::Field("server"));
        let with = |more: &str| field(&format!("server: 'https://a.invalid', {more}"));
        assert_eq!(with("proxy-url: 'ftp://p.invalid'"), KubeconfigError::Field("proxy-url"));
        assert_eq!(with("certificate-authority-data: '§'"), KubeconfigError::Field("certificate-authority-data"));
        assert_eq!(with("certificate-authority-data: 'YQ=='"), KubeconfigError::Field("certificate-authority-data"));
        let broken = from_secret(&kubeconfig("server: 'https://a.invalid'", r#"token: "a\nb""#)).unwrap_err();
        assert_eq!(broken, KubeconfigError::Field("token"));
        assert_eq!(from_secret("[").unwrap_err(), KubeconfigError::Syntax);
        assert_eq!(from_secret("{}").unwrap_err(), KubeconfigError::NoContext);
    }

    #[test]
    fn a_dot_at_the_end_of_a_server_s_name_is_not_in_its_certificate() {
        let name = |cluster: &str| from_secret(&kubeconfig(cluster, "token: t")).unwrap().tls_server_name;
        assert_eq!(name("server: 'https://a.invalid.:6443'").as_deref(), Some("a.invalid"));
        assert_eq!(name("server: 'https://a.invalid:6443'"), None);
        assert_eq!(name("server: 'https://a.invalid.', tls-server-name: b").as_deref(), Some("b"));
    }
}
