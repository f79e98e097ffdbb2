//! Cloud providers: which one an object has, by KKP's names, and in which region.

use super::objects::{Cloud, Datacenter, DatacenterProvider};
use crate::pseudonym::{NameType, Pseudonymizer};
use crate::record::values::{Choice, MACHINE_PROVIDERS, PROVIDERS, Region};

/// More than one provider where there must be one, or two that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ambiguous;

/// The provider of a datacenter: the one key of the union that has a value; `{}` is one, null is none
/// (KKP `sdk/apis/kubermatic/v1/helper/provider.go`, `DatacenterCloudProviderName`).
pub(super) fn of_datacenter(datacenter: &Datacenter) -> Result<Option<(&'static str, &DatacenterProvider)>, Ambiguous> {
    let mut found = None;
    for (key, provider) in &datacenter.spec {
        let known = PROVIDERS.iter().find(|known| *known == key);
        if let Some((known, provider)) = known.zip(provider.as_ref())
            && found.replace((*known, provider)).is_some()
        {
            return Err(Ambiguous);
        }
    }
    Ok(found)
}

/// The provider of a cluster: the one key of the union, or `providerName` where the union has no key that is known.
pub(super) fn of_cluster(cloud: &Cloud) -> Result<Option<Choice>, Ambiguous> {
    let mut keys = cloud.providers.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key.as_str());
    let named = cloud.provider_name.as_deref().unwrap_or_default();
    match (keys.next(), keys.next()) {
        (None, _) => Ok(Choice::among(PROVIDERS, named)),
        (Some(key), None) if named.is_empty() || named == key => Ok(Choice::among(PROVIDERS, key)),
        (Some(_), _) => Err(Ambiguous),
    }
}

/// The provider of a machine deployment, from machine-controller's name for it
/// (`sdk/providerconfig/types.go`, `CloudProvider*`).
pub(super) fn of_machines(name: &str) -> Option<Choice> {
    Choice::among(MACHINE_PROVIDERS, kkp_name(name))
}

/// The provider of a node, from the scheme of `spec.providerID`.
pub(super) fn of_node(provider_id: &str) -> Option<Choice> {
    let scheme = provider_id.split_once("://").map_or(provider_id, |(scheme, _)| scheme);
    Choice::among(MACHINE_PROVIDERS, kkp_name(scheme))
}

/// KKP's name for what machine-controller and cloud controllers call a provider.
fn kkp_name(name: &str) -> &str {
    match name {
        "gce" => "gcp",
        "hcloud" => "hetzner",
        "alicloud" | "alibabacloud" => "alibaba",
        "vmware-cloud-director" => "vmwareclouddirector",
        "equinixmetal" => "packet",
        "metal3" => "baremetal",
        other => other,
    }
}

/// The region of a datacenter: kept if it is one that a public cloud publishes, else a pseudonym.
pub(super) fn region(provider: &str, fields: &DatacenterProvider, names: &Pseudonymizer) -> Option<Region> {
    let raw = match provider {
        "azure" => fields.location.clone(),
        // `location` is optional since 2.20; the datacenter is named after it: nbg1-dc3.
        "hetzner" => filled(fields.location.as_ref())
            .or_else(|| fields.datacenter.as_ref().map(|name| name.split("-dc").next().unwrap_or(name).to_owned())),
        "vsphere" => fields.datacenter.clone(),
        "anexia" => fields.location_id.clone(),
        "packet" => fields.metro.clone(),
        "aws" | "digitalocean" | "openstack" | "gcp" | "alibaba" => fields.region.clone(),
        _ => None,
    };
    let raw = filled(raw.as_ref())?;
    Some(match published(provider, &raw) {
        Some(region) => Region::Public(region),
        None => Region::Private(names.of(NameType::Region, &raw)),
    })
}

fn filled(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

const DIRECTIONS: &[&str] =
    &["central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west"];
const AZURE: &[&str] = &[
    "australiacentral",
    "australiacentral2",
    "australiaeast",
    "australiasoutheast",
    "austriaeast",
    "belgiumcentral",
    "brazilsouth",
    "brazilsoutheast",
    "canadacentral",
    "canadaeast",
    "centralindia",
    "centralus",
    "chilecentral",
    "chinaeast",
    "chinaeast2",
    "chinaeast3",
    "chinanorth",
    "chinanorth2",
    "chinanorth3",
    "denmarkeast",
    "eastasia",
    "eastus",
    "eastus2",
    "francecentral",
    "francesouth",
    "germanynorth",
    "germanywestcentral",
    "indonesiacentral",
    "israelcentral",
    "italynorth",
    "japaneast",
    "japanwest",
    "jioindiacentral",
    "jioindiawest",
    "koreacentral",
    "koreasouth",
    "malaysiawest",
    "mexicocentral",
    "newzealandnorth",
    "northcentralus",
    "northeurope",
    "norwayeast",
    "norwaywest",
    "polandcentral",
    "qatarcentral",
    "southafricanorth",
    "southafricawest",
    "southcentralus",
    "southeastasia",
    "southindia",
    "spaincentral",
    "swedencentral",
    "swedensouth",
    "switzerlandnorth",
    "switzerlandwest",
    "uaecentral",
    "uaenorth",
    "uksouth",
    "ukwest",
    "usgovarizona",
    "usgovtexas",
    "usgovvirginia",
    "westcentralus",
    "westeurope",
    "westindia",
    "westus",
    "westus2",
    "westus3",
];
const ALIBABA_CITIES: &[&str] = &[
    "beijing",
    "chengdu",
    "fuzhou",
    "guangzhou",
    "hangzhou",
    "heyuan",
    "hongkong",
    "huhehaote",
    "nanjing",
    "qingdao",
    "shanghai",
    "shenzhen",
    "wuhan-lr",
    "wulanchabu",
    "zhangjiakou",
    "zhengzhou-jva",
];

/// The region, if it is spelled like those that the provider publishes. New ones that follow the provider's pattern
/// are recognised; whatever is not becomes a pseudonym.
fn published(provider: &str, raw: &str) -> Option<String> {
    let known = match provider {
        "aws" => is_aws(raw),
        "gcp" => is_gcp(raw),
        "azure" => {
            let plain = raw.replace(' ', "").to_ascii_lowercase();
            return AZURE.contains(&plain.as_str()).then_some(plain);
        }
        "digitalocean" => {
            is_city_number(raw, &["ams", "atl", "blr", "fra", "lon", "nyc", "ric", "sfo", "sgp", "syd", "tor"])
        }
        "hetzner" => is_city_number(raw, &["ash", "fsn", "hel", "hil", "nbg", "sin"]),
        "alibaba" => is_alibaba(raw),
        _ => false,
    };
    known.then(|| raw.to_owned())
}

/// `eu-central-1`, `us-gov-west-1`.
fn is_aws(raw: &str) -> bool {
    const AREAS: &[&str] =
        &["af", "ap", "ca", "cn", "eu", "eusc", "eusc-de", "il", "me", "mx", "sa", "us", "us-gov", "us-iso", "us-isob"];
    let mut parts = raw.rsplitn(3, '-');
    let (number, direction, area) = (parts.next(), parts.next(), parts.next());
    number.is_some_and(is_digit)
        && direction.is_some_and(|part| DIRECTIONS.contains(&part))
        && area.is_some_and(|part| AREAS.contains(&part))
}

/// `europe-west3`.
fn is_gcp(raw: &str) -> bool {
    const AREAS: &[&str] = &["africa", "asia", "australia", "europe", "me", "northamerica", "southamerica", "us"];
    let Some((area, rest)) = raw.split_once('-') else { return false };
    let direction = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = rest.len() - direction.len();
    AREAS.contains(&area) && DIRECTIONS.contains(&direction) && (1..=2).contains(&digits)
}

/// `nbg1`, `fra1`; Hetzner's newer ones have no number.
fn is_city_number(raw: &str, cities: &[&str]) -> bool {
    let city = raw.trim_end_matches(|c: char| c.is_ascii_digit());
    cities.contains(&city) && raw.len() - city.len() <= 1
}

/// `cn-hangzhou`, `eu-central-1`.
fn is_alibaba(raw: &str) -> bool {
    if let Some(city) = raw.strip_prefix("cn-") {
        return ALIBABA_CITIES.contains(&city);
    }
    let parts: Vec<_> = raw.split('-').collect();
    matches!(parts[..], [area, direction, number]
        if ["ap", "eu", "me", "na", "us"].contains(&area) && DIRECTIONS.contains(&direction) && is_digit(number))
}

fn is_digit(text: &str) -> bool {
    text.len() == 1 && text.as_bytes()[0].is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_regions_are_kept_and_customers_names_are_not() {
        let kept = [
            ("aws", "eu-central-1"),
            ("aws", "us-gov-west-1"),
            ("gcp", "europe-west3"),
            ("gcp", "northamerica-northeast2"),
            ("azure", "westeurope"),
            ("digitalocean", "fra1"),
            ("hetzner", "nbg1"),
            ("hetzner", "ash"),
            ("alibaba", "cn-hangzhou"),
            ("alibaba", "eu-central-1"),
        ];
        for (provider, region) in kept {
            assert_eq!(published(provider, region).as_deref(), Some(region), "{provider}");
        }
        assert_eq!(published("azure", "West Europe").as_deref(), Some("westeurope"));
        let private = [
            ("aws", "acme-central-1"),
            ("aws", "eu-acme-1"),
            ("gcp", "europe-acme1"),
            ("azure", "acmeland"),
            ("digitalocean", "acme1"),
            ("hetzner", "nbg12"),
            ("alibaba", "cn-acme"),
            ("vsphere", "eu-central-1"),
            ("openstack", "fra1"),
        ];
        for (provider, region) in private {
            assert_eq!(published(provider, region), None, "{provider} {region}");
        }
    }

    #[test]
    fn schemes_and_machine_controller_names_become_kkps() {
        let node = |id| of_node(id).map(Choice::as_str);
        assert_eq!((node("gce://p/z/n"), node("hcloud://1"), node("")), (Some("gcp"), Some("hetzner"), None));
        assert_eq!((node("aws:///a://b"), node("acme://x"), node("acme")), (Some("aws"), Some("other"), Some("other")));
        assert_eq!(of_machines("vmware-cloud-director").map(Choice::as_str), Some("vmwareclouddirector"));
    }
}
