//! The only strings that a record can hold, each made by a constructor that lets nothing else through.
//!
//! Privacy is an allow-list: whatever a constructor does not recognise becomes `other`, or is left out. That holds
//! for values of every source, so a collector can't leak by forgetting a check.

use serde::Serialize;

use crate::text::is_safe;

/// What stands where a value is known to exist but not known to be anonymous.
pub const OTHER: &str = "other";

/// KKP's cloud providers (`sdk/apis/kubermatic/v1/datacenter.go`, `DatacenterSpec`), `packet` up to 2.28.
pub const PROVIDERS: &[&str] = &[
    "alibaba",
    "anexia",
    "aws",
    "azure",
    "baremetal",
    "bringyourown",
    "digitalocean",
    "edge",
    "fake",
    "gcp",
    "hetzner",
    "kubevirt",
    "nutanix",
    "openstack",
    "packet",
    "vmwareclouddirector",
    "vsphere",
];
/// Providers of nodes and machine deployments: KKP's, and those that only those have.
pub const MACHINE_PROVIDERS: &[&str] = &[
    "alibaba",
    "anexia",
    "aws",
    "azure",
    "baremetal",
    "bringyourown",
    "digitalocean",
    "edge",
    "exoscale",
    "external",
    "fake",
    "gcp",
    "hetzner",
    "ibm",
    "k3s",
    "kind",
    "kubevirt",
    "linode",
    "nutanix",
    "oci",
    "opennebula",
    "openstack",
    "ovh",
    "packet",
    "scaleway",
    "vmwareclouddirector",
    "vsphere",
    "vultr",
];
/// `spec.exposeStrategy` of seeds and clusters.
pub const EXPOSE_STRATEGIES: &[&str] = &["LoadBalancer", "NodePort", "Tunneling"];
/// `spec.containerRuntime` of clusters.
pub const CONTAINER_RUNTIMES: &[&str] = &["containerd", "docker"];
/// `spec.cniPlugin.type` of clusters.
pub const CNI_PLUGINS: &[&str] = &["canal", "cilium", "none"];
/// `spec.clusterNetwork.ipFamily` of clusters.
pub const IP_FAMILIES: &[&str] = &["IPv4", "IPv4+IPv6"];
/// `status.phase` of clusters.
pub const PHASES: &[&str] = &["Creating", "Running", "Terminating", "Updating"];
/// `status.kubermaticEdition` of the configuration.
pub const EDITIONS: &[&str] = &["CE", "EE"];
/// `operatingSystem` of machine deployments, present and past.
pub const MACHINE_SYSTEMS: &[&str] = &["amzn2", "centos", "coreos", "flatcar", "rhel", "rockylinux", "sles", "ubuntu"];
/// `status.nodeInfo.operatingSystem` of nodes.
pub const NODE_SYSTEMS: &[&str] = &["linux", "windows"];
/// `status.nodeInfo.architecture` of nodes.
pub const ARCHITECTURES: &[&str] = &["386", "amd64", "arm", "arm64", "loong64", "ppc64le", "riscv64", "s390x"];
/// Container runtimes of nodes, as `status.nodeInfo.containerRuntimeVersion` names them.
pub const NODE_RUNTIMES: &[&str] = &["containerd", "cri-o", "docker"];
/// Distributions that `status.nodeInfo.osImage` is reduced to.
pub const DISTRIBUTIONS: &[&str] = &[
    "AlmaLinux",
    "Alpine Linux",
    "Amazon Linux",
    "Azure Linux",
    "Bottlerocket OS",
    "CentOS Linux",
    "CentOS Stream",
    "Container-Optimized OS",
    "Debian GNU/Linux",
    "Fedora CoreOS",
    "Fedora Linux",
    "Flatcar Container Linux",
    "Oracle Linux Server",
    "Red Hat Enterprise Linux",
    "Rocky Linux",
    "SUSE Linux Enterprise Server",
    "Talos",
    "Ubuntu",
    "Windows Server",
    "openSUSE Leap",
];
/// Node resources that Kubernetes itself defines, and the device resources of known vendors by their full name: what
/// follows a vendor's domain can be chosen by the customer.
pub const RESOURCES: &[&str] = &[
    "amd.com/gpu",
    "aws.amazon.com/neuron",
    "aws.amazon.com/neuroncore",
    "cpu",
    "devices.kubevirt.io/kvm",
    "devices.kubevirt.io/tun",
    "devices.kubevirt.io/vhost-net",
    "ephemeral-storage",
    "google.com/tpu",
    "gpu.intel.com/i915",
    "gpu.intel.com/xe",
    "habana.ai/gaudi",
    "hugepages-1Gi",
    "hugepages-2Mi",
    "memory",
    "nvidia.com/gpu",
    "nvidia.com/gpu.shared",
    "pods",
];

/// One of a fixed set of words, or `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Choice(&'static str);

impl Choice {
    /// The word of `known` that `raw` is, else `other`; nothing where `raw` is empty.
    #[must_use]
    pub fn among(known: &'static [&'static str], raw: &str) -> Option<Self> {
        (!raw.is_empty()).then(|| Self(known.iter().find(|word| **word == raw).copied().unwrap_or(OTHER)))
    }

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// A version: numbers with a known kind of suffix, or `other`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release(String);

impl Release {
    /// Keeps `v1.2.3` and the suffixes that tools put there (`-rc.1`, `-5-gabc1234`, `+k3s1`, `-eks-abc1234`,
    /// `-gke.100`); any other suffix is cut off, since builds are named after customers.
    #[must_use]
    pub fn reduce(raw: &str) -> Option<Self> {
        if raw.is_empty() {
            return None;
        }
        let digits_from = usize::from(raw.starts_with('v'));
        let core = numeric_prefix(&raw[digits_from..]);
        if !is_version(core, 3) {
            return Some(Self(OTHER.to_owned()));
        }
        let core = &raw[..digits_from + core.len()];
        Some(Self(format!("{core}{}", known_suffix(&raw[core.len()..]))))
    }

    /// The numeric part alone, as kernels need it.
    #[must_use]
    pub fn numeric(raw: &str) -> Option<Self> {
        let core = numeric_prefix(raw);
        match (raw.is_empty(), is_version(core, 4)) {
            (true, _) => None,
            (false, true) => Some(Self(core.to_owned())),
            (false, false) => Some(Self(OTHER.to_owned())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The longest prefix like `1.2.3`.
fn numeric_prefix(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let trimmed = text[..end].trim_end_matches('.');
    if trimmed.starts_with('.') || trimmed.contains("..") { "" } else { trimmed }
}

/// Whether numbers are a version of at most `most` parts, and no address.
fn is_version(core: &str, most: usize) -> bool {
    let parts = core.split('.').count();
    (2..=most).contains(&parts) && core.len() <= 32 && core.parse::<std::net::Ipv4Addr>().is_err()
}

/// The longest prefix of a version's suffix that tools, not people, put there: each kind at most once, in the order that
/// they come in.
fn known_suffix(suffix: &str) -> &str {
    /// The markers of a kind of suffix, and how long one with a marker is.
    type SuffixKind = (&'static [&'static str], fn(&str, &str) -> Option<usize>);
    const KINDS: &[SuffixKind] = &[
        (&["-alpha.", "-beta.", "-rc.", "-alpha", "-beta", "-rc"], numbered),
        (&["-gke."], numbered),
        (&["-eks-"], hashed),
        (&["+k3s", "+rke2r"], numbered),
        // `git describe`: how many commits after the tag, and which.
        (&["-"], numbered),
        (&["-g"], hashed),
        (&["-dirty"], bare),
    ];
    let mut end = 0;
    for (markers, length) in KINDS {
        let rest = &suffix[end..];
        let found = markers.iter().find_map(|marker| length(rest, marker));
        end += found.filter(|length| ends_there(rest, *length)).unwrap_or(0);
    }
    &suffix[..end]
}

fn ends_there(text: &str, length: usize) -> bool {
    matches!(text.as_bytes().get(length), None | Some(b'-' | b'+' | b'.'))
}

fn numbered(text: &str, marker: &str) -> Option<usize> {
    let rest = text.strip_prefix(marker)?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    (1..=9).contains(&digits).then_some(marker.len() + digits)
}

fn hashed(text: &str, marker: &str) -> Option<usize> {
    let rest = text.strip_prefix(marker)?;
    let hex = rest.len() - rest.trim_start_matches(|c: char| matches!(c, '0'..='9' | 'a'..='f')).len();
    (7..=40).contains(&hex).then_some(marker.len() + hex)
}

fn bare(text: &str, marker: &str) -> Option<usize> {
    text.starts_with(marker).then_some(marker.len())
}

/// An ISO 3166-1 alpha-2 country, or `other`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Country(&'static str);

impl Country {
    /// Takes a code in either case (and `UK`, which KKP's documentation uses for `GB`) or an English name.
    #[must_use]
    pub fn reduce(raw: &str) -> Option<Self> {
        let raw = raw.trim();
        if raw.is_empty() {
            return None;
        }
        let wanted = if raw.eq_ignore_ascii_case("UK") { "GB" } else { raw };
        Some(Self(super::countries::code_of(wanted).unwrap_or(OTHER)))
    }
}

/// Free text that the proposal asks for: the `location` of seeds and datacenters, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location(String);

impl Location {
    /// The longest location, in characters; KKP's own are like `Hamburg` or `Datacenter 7`.
    pub const MAX: usize = 128;

    /// Keeps printable characters, at most [`Location::MAX`].
    #[must_use]
    pub fn new(raw: &str) -> Option<Self> {
        let visible = |c: &char| is_safe(*c);
        let printable = raw.trim().chars().filter(visible).take(Self::MAX).collect::<String>();
        (!printable.is_empty()).then_some(Self(printable))
    }
}

/// A distribution and its version, such as `Ubuntu 22.04.4`, or `other`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OsImage(String);

impl OsImage {
    /// Reduces `status.nodeInfo.osImage`.
    #[must_use]
    pub fn reduce(raw: &str) -> Option<Self> {
        if raw.is_empty() {
            return None;
        }
        let Some(name) = DISTRIBUTIONS.iter().find(|name| raw.starts_with(**name)) else {
            return Some(Self(OTHER.to_owned()));
        };
        let words = raw[name.len()..].split([' ', '-', '(', ')']).map(|word| word.trim_start_matches('v'));
        let version = words.map(numeric_prefix).find(|number| (1..=16).contains(&number.len()));
        let version = version.filter(|number| !number.contains('.') || is_version(number, 4));
        Some(Self(version.map_or_else(|| (*name).to_owned(), |version| format!("{name} {version}"))))
    }
}

/// A container runtime and its version, such as `containerd://1.7.13`, or `other`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuntimeVersion(String);

impl RuntimeVersion {
    /// Reduces `status.nodeInfo.containerRuntimeVersion`.
    #[must_use]
    pub fn reduce(raw: &str) -> Option<Self> {
        if raw.is_empty() {
            return None;
        }
        let known = raw.split_once("://").filter(|(name, _)| NODE_RUNTIMES.contains(name));
        let reduced =
            known.and_then(|(name, version)| Some(format!("{name}://{}", Release::reduce(version)?.as_str())));
        Some(Self(reduced.unwrap_or_else(|| OTHER.to_owned())))
    }
}

/// A Kubernetes quantity such as `7958656Ki`
/// (`k8s.io/apimachinery/pkg/api/resource/quantity.go`, the serialized forms).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quantity(String);

impl Quantity {
    /// Keeps what is a quantity, and nothing else.
    #[must_use]
    pub fn new(raw: &str) -> Option<Self> {
        const SUFFIXES: &[&str] =
            &["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let number = numeric_prefix(raw);
        let plain = !number.is_empty() && number.len() <= 24 && number.matches('.').count() <= 1;
        let valid = plain && SUFFIXES.contains(&&raw[number.len()..]);
        valid.then(|| Self(raw.to_owned()))
    }
}

/// A region of a public cloud, or the pseudonym of a name that the customer chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Region {
    /// A region that the provider publishes.
    Public(String),
    /// Anything else.
    Private(super::Pseudonym),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_know_their_words_and_nothing_else() {
        let among = |raw| Choice::among(PROVIDERS, raw).map(Choice::as_str);
        assert_eq!((among("aws"), among("ACME"), among("")), (Some("aws"), Some("other"), None));
    }

    #[test]
    fn versions_keep_numbers_and_the_suffixes_of_tools() {
        let cases = [
            ("v2.31.0", "v2.31.0"),
            ("1.27.6", "1.27.6"),
            ("v2.31.0-5-gabc1234", "v2.31.0-5-gabc1234"),
            ("v2.31.0-rc.1", "v2.31.0-rc.1"),
            ("v1.34.0-beta2", "v1.34.0-beta2"),
            ("v2.31.0-acme-prod", "v2.31.0"),
            ("v2.31.0-rc.1-acme", "v2.31.0-rc.1"),
            ("v2.31.0-5-gabc1234.acme", "v2.31.0-5-gabc1234"),
            ("v1.30.2+k3s1", "v1.30.2+k3s1"),
            ("v1.30.2-eks-1de2ab1", "v1.30.2-eks-1de2ab1"),
            ("v1.30.2-gke.1587003", "v1.30.2-gke.1587003"),
            ("v1.30.2+acme.1", "v1.30.2"),
            ("v3.25", "v3.25"),
            ("acme", "other"),
            ("v1", "other"),
            ("v..1", "other"),
            ("vé1.2", "other"),
        ];
        for (raw, expected) in cases {
            assert_eq!(Release::reduce(raw).unwrap().as_str(), expected, "{raw}");
        }
        assert!(Release::reduce("").is_none());
        assert_eq!(Release::numeric("5.4.0-52-generic").unwrap().as_str(), "5.4.0");
        assert_eq!(Release::numeric("acme-kernel").unwrap().as_str(), "other");
    }

    #[test]
    fn countries_are_codes() {
        let code = |raw: &str| Country::reduce(raw).map(|country| country.0);
        assert_eq!((code("DE"), code("de"), code("UK"), code("")), (Some("DE"), Some("DE"), Some("GB"), None));
        assert_eq!((code("Germany"), code("Factory 7"), code("XX")), (Some("DE"), Some("other"), Some("other")));
    }

    #[test]
    fn os_images_are_a_distribution_and_a_version() {
        let cases = [
            ("Ubuntu 20.04.1 LTS", "Ubuntu 20.04.1"),
            ("Flatcar Container Linux by Kinvolk 3602.2.3 (Oklo)", "Flatcar Container Linux 3602.2.3"),
            ("Red Hat Enterprise Linux 9.4 (Plow)", "Red Hat Enterprise Linux 9.4"),
            ("Talos (v1.7.0)", "Talos 1.7.0"),
            ("Ubuntu acme edition", "Ubuntu"),
            ("AcmeOS 1.2", "other"),
        ];
        for (raw, expected) in cases {
            assert_eq!(OsImage::reduce(raw).unwrap().0, expected, "{raw}");
        }
    }

    #[test]
    fn runtimes_and_quantities_are_recognised_by_their_form() {
        assert_eq!(RuntimeVersion::reduce("containerd://1.7.13").unwrap().0, "containerd://1.7.13");
        assert_eq!(RuntimeVersion::reduce("containerd://1.7.13-acme").unwrap().0, "containerd://1.7.13");
        assert_eq!(RuntimeVersion::reduce("acme://1.0").unwrap().0, "other");
        assert!(["1", "1500m", "7958656Ki", "0.5", "48G"].iter().all(|good| Quantity::new(good).is_some()));
        assert!(["", "Ki", "1 Ki", "1xx", "10.0.0.1x", "secret"].iter().all(|bad| Quantity::new(bad).is_none()));
    }

    #[test]
    fn locations_are_short_and_printable() {
        assert_eq!(Location::new(" Hamburg\u{1b}[31m ").unwrap().0, "Hamburg[31m");
        assert_eq!(Location::new(&"x".repeat(1000)).unwrap().0.len(), 128);
        assert!(Location::new(" \n").is_none());
    }
}
