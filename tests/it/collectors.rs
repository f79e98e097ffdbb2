//! The collectors: what KKP does where a field is absent, and what values are reduced to.

use serde_json::{Value, json};

use crate::site::{Site, cluster, configuration, lay_over, machines, node, row, seed, sorted, ssh_key, user};

// What KKP does where a field is absent, and what fields are reduced to: cases of an object and what comes of it.

/// Collects a cluster for each case and compares one place of its row; null means that it is not there.
fn clusters_have(place: &str, cases: &[(Value, Value)]) {
    let site = Site::complete();
    let names: Vec<_> = (0..cases.len()).map(|number| format!("case-{number}")).collect();
    let clusters: Vec<_> = cases.iter().zip(&names).map(|((spec, _), name)| cluster(name, spec.clone())).collect();
    site.put("seeds/europe/cases.json", &clusters);
    let record = site.read().complete().kubermatic;
    for ((spec, expected), name) in cases.iter().zip(&names) {
        let row = row(&record["clusters"], &site.id(&format!("cluster {name}")));
        assert_eq!(row.pointer(place).unwrap_or(&Value::Null), expected, "{place} of {spec}");
    }
}

#[test]
fn etcd_has_three_members_unless_the_launcher_makes_more() {
    let etcd = |launcher: Value, size: Value| json!({"features": {"etcdLauncher": launcher}, "componentsOverride": {"etcd": {"clusterSize": size}}});
    let cases = [
        (json!({}), 3),
        (json!({"componentsOverride": {"etcd": {"clusterSize": 5}}}), 3),
        (json!({"componentsOverride": {}, "features": {"etcdLauncher": true}}), 3),
        (etcd(json!(false), json!(5)), 3),
        (etcd(json!(true), json!(5)), 5),
        (etcd(json!(true), json!(9)), 9),
        (etcd(json!(true), json!(11)), 9),
        (etcd(json!(true), json!(1)), 3),
        (etcd(json!(true), json!(0)), 3),
        (etcd(json!(true), json!(-7)), 3),
        (etcd(json!(true), json!(null)), 3),
        (etcd(json!(null), json!(5)), 3),
    ];
    clusters_have("/etcdClusterSize", &cases.map(|(spec, size)| (spec, json!(size))));
}

#[test]
fn the_expose_strategy_falls_back_to_the_seeds_and_the_configurations() {
    for (configured, fallback) in [(json!({}), "NodePort"), (json!({"exposeStrategy": "Tunneling"}), "Tunneling")] {
        let site = Site::with_seeds(&[]);
        let mut configuration = configuration();
        configuration["spec"] = configured;
        site.put("master/all.json", &[configuration, user("u", json!({})), node("m1", json!({}))]);
        let seeds =
            [seed("own", json!({"exposeStrategy": "LoadBalancer"})), seed("plain", json!({"exposeStrategy": ""}))];
        site.put("master/seeds.json", &seeds);
        for name in ["own", "plain"] {
            let plain = cluster(&format!("{name}-plain"), json!({}));
            let empty = cluster(&format!("{name}-empty"), json!({"exposeStrategy": ""}));
            let special = cluster(&format!("{name}-special"), json!({"exposeStrategy": "NodePort"}));
            let odd = cluster(&format!("{name}-odd"), json!({"exposeStrategy": "Pigeon"}));
            site.put(&format!("seeds/{name}/all.json"), &[plain, empty, special, odd, node(name, json!({}))]);
        }
        let record = site.read().complete().kubermatic;
        let of = |rows: &str, what: &str| row(&record[rows], &site.id(what))["exposeStrategy"].clone();
        assert_eq!(of("seeds", "seed own"), "LoadBalancer");
        assert_eq!(of("seeds", "seed plain"), fallback);
        for (name, inherited) in [("own", "LoadBalancer"), ("plain", fallback)] {
            assert_eq!(of("clusters", &format!("cluster {name}-plain")), inherited);
            assert_eq!(of("clusters", &format!("cluster {name}-empty")), inherited);
            assert_eq!(of("clusters", &format!("cluster {name}-special")), "NodePort");
            assert_eq!(of("clusters", &format!("cluster {name}-odd")), "other");
        }
    }
}

#[test]
fn the_ip_family_follows_from_the_blocks_of_pod_addresses() {
    let network =
        |family: Value, blocks: Value| json!({"clusterNetwork": {"ipFamily": family, "pods": {"cidrBlocks": blocks}}});
    let (one, two) = (json!(["172.25.0.0/16"]), json!(["172.25.0.0/16", "fd01::/48"]));
    let cases = [
        (json!({}), "IPv4"),
        (json!({"clusterNetwork": {}}), "IPv4"),
        (network(json!(null), json!(null)), "IPv4"),
        (network(json!(""), json!([])), "IPv4"),
        (network(json!(""), one.clone()), "IPv4"),
        (network(json!(""), two.clone()), "IPv4+IPv6"),
        (network(json!("IPv4"), two), "IPv4"),
        (network(json!("IPv4+IPv6"), one.clone()), "IPv4+IPv6"),
        (network(json!("IPv7"), one), "other"),
    ];
    clusters_have("/clusterNetwork/ipFamily", &cases.map(|(spec, family)| (spec, json!(family))));
}

#[test]
fn the_ssh_key_agent_is_on_unless_it_is_switched_off() {
    let agent = |value: Value| json!({"enableUserSSHKeyAgent": value});
    let cases =
        [(json!({}), true), (agent(json!(null)), true), (agent(json!(true)), true), (agent(json!(false)), false)];
    clusters_have("/enableUserSSHKeyAgent", &cases.map(|(spec, on)| (spec, json!(on))));
}

#[test]
fn the_container_runtime_is_containerd_by_default() {
    let runtime = |value: &str| json!({"containerRuntime": value});
    let cases = [
        (json!({}), "containerd"),
        (runtime(""), "containerd"),
        (runtime("docker"), "docker"),
        (runtime("containerd"), "containerd"),
        (runtime("acme-runtime"), "other"),
    ];
    clusters_have("/containerRuntime", &cases.map(|(spec, runtime)| (spec, json!(runtime))));
}

#[test]
fn switches_of_clusters_are_off_where_they_are_absent() {
    let cases = [
        ("/opaIntegrationEnabled", json!({"opaIntegration": {"enabled": true}})),
        ("/mla/monitoringEnabled", json!({"mla": {"monitoringEnabled": true}})),
        ("/mla/loggingEnabled", json!({"mla": {"loggingEnabled": true}})),
        ("/clusterNetwork/konnectivityEnabled", json!({"clusterNetwork": {"konnectivityEnabled": true}})),
    ];
    for (place, on) in cases {
        clusters_have(place, &[(json!({}), json!(false)), (on, json!(true))]);
    }
}

#[test]
fn network_plugins_are_known_by_type_and_version() {
    let plugin = |kind: &str, version: &str| json!({"cniPlugin": {"type": kind, "version": version}});
    let cases = [
        (json!({}), Value::Null),
        (plugin("cilium", "1.16.9"), json!({"type": "cilium", "version": "1.16.9"})),
        (plugin("canal", "v3.29"), json!({"type": "canal", "version": "v3.29"})),
        (plugin("none", ""), json!({"type": "none"})),
        (plugin("acme-net", "v1.0-acme"), json!({"type": "other", "version": "v1.0"})),
    ];
    clusters_have("/cniPlugin", &cases);
}

#[test]
fn the_provider_of_a_cluster_is_its_one_key_or_its_name() {
    let cloud = |members: Value| {
        let mut cloud = json!({"aws": null, "providerName": null});
        lay_over(&mut cloud, members);
        json!({"cloud": cloud})
    };
    let cases = [
        (cloud(json!({"hetzner": {}})), json!("hetzner")),
        (cloud(json!({"hetzner": {"network": "n"}, "openstack": null})), json!("hetzner")),
        (cloud(json!({"vsphere": {}, "providerName": "vsphere"})), json!("vsphere")),
        (cloud(json!({"providerName": "kubevirt"})), json!("kubevirt")),
        (cloud(json!({"packet": {}, "providerName": "packet"})), json!("packet")),
        (cloud(json!({"acme": {}, "providerName": "acme"})), json!("other")),
        (cloud(json!({})), Value::Null),
    ];
    clusters_have("/cloud/provider", &cases);
}

#[test]
fn providers_that_contradict_each_other_are_ambiguous() {
    let clouds = [json!({"aws": {}, "gcp": {}}), json!({"aws": {}, "providerName": "gcp"})];
    for cloud in clouds {
        let site = Site::complete();
        site.put("seeds/europe/cases.json", &[cluster("c2", json!({"cloud": cloud}))]);
        let record = site.read().kubermatic;
        assert_eq!(record["problems"], json!([site.problem("clusters", "ambiguousProvider", "cluster c2")]));
        let row = row(&record["clusters"], &site.id("cluster c2"));
        assert_eq!(row["cloud"], json!({"dcUUID": site.id("datacenter dc")}), "a guess would be worse than nothing");
    }
}

#[test]
fn clusters_tell_their_project_datacenter_version_and_phase() {
    let site = Site::complete();
    let mut running = cluster("c2", json!({"version": "1.32.1"}));
    let conditions = json!({
        "ClusterControllerReconciledSuccessfully": {"kubermaticVersion": "v2.31.0-3-gabc1234"},
        "AddonControllerReconciledSuccessfully": {"kubermaticVersion": "v2.22.2"}
    });
    running["status"] = json!({"phase": "Running", "conditions": conditions, "versions": {"controlPlane": "1.31.0"}});
    let mut stray = cluster("c3", json!({}));
    stray["metadata"]["labels"] = json!({"project-id": ""});
    site.put("seeds/europe/more.json", &[running, stray, cluster("c4", json!({"version": ""}))]);
    let record = site.read().kubermatic;
    let of = |name: &str| row(&record["clusters"], &site.id(&format!("cluster {name}")));
    let c2 = of("c2");
    assert_eq!(c2["projectUUID"], site.id("project project"));
    assert_eq!(c2["cloud"]["dcUUID"], site.id("datacenter dc"));
    assert_eq!(c2["kubernetesServerVersion"], "1.32.1");
    assert_eq!((&c2["kubermaticVersion"], &c2["phase"]), (&json!("v2.31.0-3-gabc1234"), &json!("Running")));
    assert_eq!((&of("c3")["projectUUID"], &of("c3")["phase"]), (&Value::Null, &Value::Null));
    let expected =
        [site.problem("clusters", "noProject", "cluster c3"), site.problem("clusters", "malformed", "cluster c4")];
    assert_eq!(record["problems"], sorted(&expected));
}

/// Collects a datacenter for each case and compares its row with what is expected, the UUID left out.
fn datacenters_are(site: &Site, cases: &[(Value, Value)]) -> Value {
    let datacenters: serde_json::Map<_, _> = cases
        .iter()
        .enumerate()
        .map(|(number, (datacenter, _))| (format!("dc-{number}"), datacenter.clone()))
        .collect();
    site.put("master/seeds.json", &[seed("europe", json!({"datacenters": datacenters}))]);
    let record = site.read().kubermatic;
    for (number, (datacenter, expected)) in cases.iter().enumerate() {
        let mut row = row(&record["seeds"][0]["datacenters"], &site.id(&format!("datacenter dc-{number}")));
        row.as_object_mut().unwrap().remove("uuid");
        assert_eq!(row, *expected, "{datacenter}");
    }
    record
}

#[test]
fn the_provider_of_a_datacenter_is_its_one_key() {
    let site = Site::complete();
    let spec = |spec: Value| json!({"spec": spec});
    let cases = [
        (spec(json!({"bringyourown": {}})), json!({"provider": "bringyourown"})),
        (spec(json!({"aws": null, "nutanix": {"endpoint": "e"}})), json!({"provider": "nutanix"})),
        (spec(json!({"kubevirt": {}, "requiredEmails": ["x"], "kubelb": {}})), json!({"provider": "kubevirt"})),
        (spec(json!({"enforceAuditLogging": true, "machineFlavorFilter": {}})), json!({})),
        (spec(json!({"edge": null})), json!({})),
        (spec(json!({})), json!({})),
        (
            json!({"country": "de", "location": "Hall 3", "spec": {"edge": {}}}),
            json!({"country": "DE", "location": "Hall 3", "provider": "edge"}),
        ),
        (json!({"country": "Factory 7", "spec": {"fake": {}}}), json!({"country": "other", "provider": "fake"})),
    ];
    let record = datacenters_are(&site, &cases);
    assert_eq!(record["problems"], json!([]));
}

#[test]
fn a_broken_datacenter_costs_only_itself() {
    let site = Site::complete();
    let datacenters = json!({
        "two": {"spec": {"aws": {"region": "eu-central-1"}, "gcp": {}}},
        "none": {"spec": null},
        "good": {"spec": {"aws": {"region": "eu-central-1"}}}
    });
    site.put("master/seeds.json", &[seed("europe", json!({"datacenters": datacenters}))]);
    let record = site.read().kubermatic;
    let expected = [
        site.problem("datacenters", "ambiguousProvider", "datacenter two"),
        site.problem("datacenters", "malformed", "datacenter none"),
    ];
    assert_eq!(record["problems"], sorted(&expected));
    let rows = &record["seeds"][0]["datacenters"];
    assert_eq!(row(rows, &site.id("datacenter good"))["region"], "eu-central-1");
    assert_eq!(row(rows, &site.id("datacenter two")), json!({"uuid": site.id("datacenter two")}));
    assert_eq!(rows.as_array().unwrap().len(), 2);
}

#[test]
fn public_regions_are_kept_and_private_ones_become_pseudonyms() {
    let site = Site::complete();
    let private = |name: &str| site.id(&format!("region {name}"));
    let cases = [
        ("aws", json!({"region": "eu-central-1"}), json!("eu-central-1")),
        ("aws", json!({"region": "acme-1"}), private("acme-1")),
        ("azure", json!({"location": "westeurope", "region": "ignored"}), json!("westeurope")),
        ("gcp", json!({"region": "europe-west3"}), json!("europe-west3")),
        ("digitalocean", json!({"region": "fra1"}), json!("fra1")),
        ("alibaba", json!({"region": "cn-hangzhou"}), json!("cn-hangzhou")),
        ("hetzner", json!({"datacenter": "nbg1-dc3"}), json!("nbg1")),
        ("hetzner", json!({"datacenter": "nbg1-dc3", "location": "fsn1"}), json!("fsn1")),
        ("hetzner", json!({"datacenter": "nbg1-dc3", "location": ""}), json!("nbg1")),
        ("openstack", json!({"region": "eu-central-1"}), private("eu-central-1")),
        ("vsphere", json!({"datacenter": "hall-4"}), private("hall-4")),
        ("anexia", json!({"locationID": "a1b2"}), private("a1b2")),
        ("packet", json!({"metro": "am"}), private("am")),
        ("kubevirt", json!({"region": "r"}), Value::Null),
        ("nutanix", json!({"endpoint": "prism.example.invalid"}), Value::Null),
        ("vmwareclouddirector", json!({"url": "https://vcd.example.invalid"}), Value::Null),
        ("baremetal", json!({}), Value::Null),
        ("aws", json!({"region": ""}), Value::Null),
    ];
    let cases = cases.map(|(provider, fields, region)| {
        let mut expected = json!({"provider": provider});
        if !region.is_null() {
            expected["region"] = region;
        }
        (json!({"spec": {provider: fields}}), expected)
    });
    let record = datacenters_are(&site, &cases);
    assert!(!record.to_string().contains("example.invalid"));
}

/// Collects a machine deployment for each case and compares one place of its row.
fn machines_have(place: &str, cases: &[(Value, Value)]) {
    let site = Site::complete();
    let named = |number: usize| format!("case-{number}");
    let objects: Vec<_> =
        cases.iter().enumerate().map(|(number, (spec, _))| machines(&named(number), spec.clone())).collect();
    site.put("user-clusters/c1/cases.json", &objects);
    let record = site.read().complete().kubermatic;
    for (number, (spec, expected)) in cases.iter().enumerate() {
        let scope = "--seed europe --cluster c1 --namespace kube-system";
        let id = site.id(&format!("machineDeployment {} {scope}", named(number)));
        let row = row(&record["machineDeployments"], &id);
        assert_eq!(row.get(place).unwrap_or(&Value::Null), expected, "{place} of {spec}");
    }
}

fn machine_value(member: &str, value: &str) -> Value {
    json!({"template": {"spec": {"providerSpec": {"value": {member: value}}}}})
}

#[test]
fn providers_of_machines_have_kkps_names() {
    let names = [
        ("gce", "gcp"),
        ("vmware-cloud-director", "vmwareclouddirector"),
        ("equinixmetal", "packet"),
        ("packet", "packet"),
        ("aws", "aws"),
        ("azure", "azure"),
        ("alibaba", "alibaba"),
        ("hetzner", "hetzner"),
        ("linode", "linode"),
        ("vultr", "vultr"),
        ("scaleway", "scaleway"),
        ("opennebula", "opennebula"),
        ("external", "external"),
        ("edge", "edge"),
        ("acme-cloud", "other"),
    ];
    machines_have("provider", &names.map(|(raw, name)| (machine_value("cloudProvider", raw), json!(name))));
}

#[test]
fn operating_systems_of_machines_are_known_ones() {
    let names = ["amzn2", "centos", "coreos", "flatcar", "rhel", "rockylinux", "sles", "ubuntu"];
    let known = names.map(|name| (machine_value("operatingSystem", name), json!(name)));
    machines_have("os", &known);
    machines_have("os", &[(machine_value("operatingSystem", "acme-os"), json!("other"))]);
}

#[test]
fn a_machine_deployment_has_one_replica_unless_it_says_otherwise() {
    let replicas = |number: Value| json!({"replicas": number});
    let cases = [(json!({}), 1), (replicas(json!(null)), 1), (replicas(json!(0)), 0), (replicas(json!(40)), 40)];
    machines_have("numberOfReplicas", &cases.map(|(spec, number)| (spec, json!(number))));
}

#[test]
fn kubelet_versions_of_machines_may_be_absent() {
    let kubelet = |version: &str| json!({"template": {"spec": {"versions": {"kubelet": version}}}});
    let cases = [
        (kubelet("v1.33.4"), json!("v1.33.4")),
        (kubelet(""), Value::Null),
        (kubelet("1.30.2-acme"), json!("1.30.2")),
        (json!({"template": {"spec": {"versions": null}}}), Value::Null),
    ];
    machines_have("kubeletVersion", &cases);
}

/// Collects a node for each case and compares one member of its row.
fn nodes_have(member: &str, cases: &[(Value, Value)]) {
    let site = Site::complete();
    let objects: Vec<_> =
        cases.iter().enumerate().map(|(number, (more, _))| node(&format!("case-{number}"), more.clone())).collect();
    site.put("master/cases.json", &objects);
    let record = site.read().complete().kubernetes;
    for (number, (more, expected)) in cases.iter().enumerate() {
        let row = row(&record["nodes"], &site.id(&format!("node case-{number}")));
        assert_eq!(row.get(member).unwrap_or(&Value::Null), expected, "{member} of {more}");
    }
}

#[test]
fn the_provider_of_a_node_is_the_scheme_of_its_provider_id() {
    let ids = [
        ("aws:///eu-central-1a/i-0123456789abcdef0", "aws"),
        ("azure:///subscriptions/00000000-0000-4000-8000-000000000000/x", "azure"),
        ("gce://project/zone/node", "gcp"),
        ("hcloud://1234", "hetzner"),
        ("openstack:///f00d", "openstack"),
        ("openstack://region/f00d", "openstack"),
        ("vsphere://4211", "vsphere"),
        ("kubevirt://vm", "kubevirt"),
        ("nutanix://vm", "nutanix"),
        ("digitalocean://1", "digitalocean"),
        ("anexia://1", "anexia"),
        ("vmware-cloud-director://urn", "vmwareclouddirector"),
        ("equinixmetal://1", "packet"),
        ("kind://docker/kind/node", "kind"),
        ("a://b://c", "other"),
        ("acme://1", "other"),
    ];
    let mut cases: Vec<_> =
        ids.iter().map(|(id, provider)| (json!({"spec": {"providerID": id}}), json!(provider))).collect();
    cases.extend([(json!({}), Value::Null), (json!({"spec": {"providerID": ""}}), Value::Null)]);
    nodes_have("cloudProvider", &cases);
}

fn node_info(member: &str, value: &str) -> Value {
    json!({"status": {"nodeInfo": {member: value}}})
}

#[test]
fn os_images_are_reduced_to_a_distribution_and_its_version() {
    let images = [
        ("Ubuntu 22.04.4 LTS", "Ubuntu 22.04.4"),
        ("Flatcar Container Linux by Kinvolk 3815.2.0 (Oklo)", "Flatcar Container Linux 3815.2.0"),
        ("Red Hat Enterprise Linux 9.4 (Plow)", "Red Hat Enterprise Linux 9.4"),
        ("Debian GNU/Linux 12 (bookworm)", "Debian GNU/Linux 12"),
        ("Rocky Linux 9.3 (Blue Onyx)", "Rocky Linux 9.3"),
        ("Amazon Linux 2", "Amazon Linux 2"),
        ("Ubuntu acme edition", "Ubuntu"),
        ("AcmeOS 7", "other"),
    ];
    nodes_have("osImage", &images.map(|(raw, reduced)| (node_info("osImage", raw), json!(reduced))));
}

#[test]
fn kernels_are_reduced_to_their_numbers() {
    let kernels =
        [("5.15.0-105-generic", "5.15.0"), ("6.6.88-flatcar", "6.6.88"), ("6.1-acme", "6.1"), ("acme", "other")];
    nodes_have("kernelVersion", &kernels.map(|(raw, reduced)| (node_info("kernelVersion", raw), json!(reduced))));
}

#[test]
fn other_facts_of_nodes_are_known_words_and_versions() {
    let cases = [
        ("operatingSystem", "linux", "linux"),
        ("operatingSystem", "acmeos", "other"),
        ("architecture", "arm64", "arm64"),
        ("architecture", "acme64", "other"),
        ("containerRuntimeVersion", "containerd://1.7.13", "containerd://1.7.13"),
        ("containerRuntimeVersion", "acme://1.0", "other"),
        ("kubeletVersion", "v1.33.4+k3s1", "v1.33.4+k3s1"),
        ("kubeletVersion", "v1.33.4-acme", "v1.33.4"),
    ];
    for (member, raw, reduced) in cases {
        nodes_have(member, &[(node_info(member, raw), json!(reduced)), (node_info(member, ""), Value::Null)]);
    }
}

#[test]
fn capacity_has_known_resources_only_sorted_by_name() {
    let resource = |name: &str, value: &str| json!({"resource": name, "value": value});
    let capacity = json!({
        "pods": "110",
        "memory": "7958656Ki",
        "cpu": 4,
        "ephemeral-storage": "48G",
        "hugepages-2Mi": "0",
        "nvidia.com/gpu": "2",
        "acme.example/quantum": "1",
        "nvidia.com/acme-secret": "1",
        "hugepages-1Gi": "a lot",
        "amd.com/gpu": null
    });
    let expected = [
        resource("cpu", "4"),
        resource("ephemeral-storage", "48G"),
        resource("hugepages-2Mi", "0"),
        resource("memory", "7958656Ki"),
        resource("nvidia.com/gpu", "2"),
        resource("pods", "110"),
    ];
    let none = json!([]);
    nodes_have("capacity", &[(json!({"status": {"capacity": capacity}}), json!(expected)), (json!({}), none)]);
}

#[test]
fn users_are_administrators_and_service_accounts_where_their_objects_say_so() {
    let site = Site::complete();
    let cases = [
        ("person", json!({}), false, false),
        ("admin", json!({"admin": true, "isAdmin": false}), true, false),
        ("no-admin", json!({"admin": false, "isAdmin": true}), false, false),
        ("serviceaccount-x8k2", json!({"project": "p"}), false, true),
        ("serviceaccount-y9m3", json!({}), false, true),
        ("robot", json!({"project": "p"}), false, true),
        ("human", json!({"project": ""}), false, false),
    ];
    let users: Vec<_> = cases.iter().map(|(name, spec, ..)| user(name, spec.clone())).collect();
    site.put("master/users.json", &users);
    let record = site.read().complete().kubermatic;
    for (name, _, admin, service) in cases {
        let id = site.id(&format!("user {name}"));
        let expected = json!({"isAdmin": admin, "isServiceAccount": service, "uuid": id});
        assert_eq!(row(&record["users"], &id), expected, "{name}");
    }
}

#[test]
fn ssh_keys_belong_to_the_project_of_their_spec_or_else_to_their_owners() {
    let site = Site::complete();
    let owned = |name: &str, spec: Value| {
        let mut key = ssh_key(name, spec);
        let owner = |kind: &str, name: &str| json!({"kind": kind, "name": name});
        key["metadata"]["ownerReferences"] = json!([owner("User", "u"), owner("Project", "old")]);
        key
    };
    let clusters = json!({"project": "p", "clusters": ["c1", "c9", "c1"]});
    let keys = [
        ssh_key("spec", clusters),
        owned("both", json!({"project": "p"})),
        owned("owners", json!({})),
        ssh_key("none", json!({})),
    ];
    site.put("master/keys.json", &keys);
    let record = site.read().kubermatic;
    let of = |name: &str| row(&record["sshKeys"], &site.id(&format!("sshKey {name}")));
    assert_eq!(of("spec")["ownerProjectUUID"], site.ids("project", &["p"]));
    assert_eq!(of("spec")["clusterUUIDs"], site.ids("cluster", &["c1", "c9"]), "also clusters that are gone");
    assert_eq!(of("both")["ownerProjectUUID"], site.ids("project", &["p"]));
    assert_eq!(of("owners")["ownerProjectUUID"], site.ids("project", &["old"]));
    assert_eq!((&of("none")["ownerProjectUUID"], &of("none")["clusterUUIDs"]), (&json!([]), &json!([])));
    assert_eq!(record["problems"], json!([site.problem("sshKeys", "noProject", "sshKey none")]));
}

#[test]
fn edition_and_version_are_the_configurations() {
    let cases = [
        (json!({"kubermaticEdition": "EE", "kubermaticVersion": "v2.30.1"}), json!("EE"), json!("v2.30.1")),
        (json!({"kubermaticEdition": "", "kubermaticVersion": ""}), Value::Null, Value::Null),
        (json!({"kubermaticEdition": "Acme", "kubermaticVersion": "v2.31.0-acme"}), json!("other"), json!("v2.31.0")),
        (json!({"kubermaticVersion": "v2.31.0-5-gabc1234"}), Value::Null, json!("v2.31.0-5-gabc1234")),
    ];
    for (status, edition, version) in cases {
        let site = Site::complete();
        let mut configuration = configuration();
        configuration["status"] = status;
        site.put("master/all.json", &[configuration, user("u", json!({})), node("m1", json!({}))]);
        let record = site.read().complete().kubermatic;
        let found = |member: &str| record.get(member).cloned().unwrap_or_default();
        assert_eq!((found("kubermaticEdition"), found("kubermaticVersion")), (edition, version));
    }
}

#[test]
fn seeds_tell_country_location_and_monitoring() {
    let site = Site::complete();
    let spec = json!({"country": "Germany", "location": " Hall 3 ", "mla": {"userClusterMLAEnabled": true}});
    let mut wrong = seed("asia", json!({"mla": {"userClusterMlaEnabled": true}}));
    wrong["metadata"]["uid"] = json!("asia");
    site.put("master/seeds.json", &[seed("europe", spec), wrong]);
    site.put("seeds/asia/all.json", &[node("s2", json!({}))]);
    let record = site.read().complete().kubermatic;
    let of = |name: &str| row(&record["seeds"], &site.id(&format!("seed {name}")));
    let europe = of("europe");
    assert_eq!((&europe["country"], &europe["location"]), (&json!("DE"), &json!("Hall 3")));
    assert_eq!(europe["userClusterMlaEnabled"], true);
    let asia = of("asia");
    assert_eq!((asia.get("country"), &asia["userClusterMlaEnabled"]), (None, &json!(false)));
    assert_eq!(asia["datacenters"], json!([]));
}
