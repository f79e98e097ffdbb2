//! The rule of five, also by differences.

use serde_json::{Value, json};

use super::counts::check_all;
use super::{one, page_of};
use crate::fleets::{cluster, record};
use crate::support::say;

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    /// A word, of which the first are far more frequent than the last.
    fn pick(&mut self, words: &[&str]) -> Value {
        let most = self.below(words.len() as u64) + 1;
        words[usize::try_from(self.below(most)).unwrap()].into()
    }
}

#[test]
fn no_group_of_fewer_than_five_is_on_a_page_nor_follows_from_it() {
    let (mut dice, mut numbers) = (Dice(3), 0);
    for clients in [5, 6, 8, 11, 15, 22, 40, 60] {
        let mut records = Vec::new();
        for month in ["2025-05", "2025-06", "2025-07"] {
            for client in 0..clients {
                let clusters: Vec<_> = (0..dice.below(4))
                    .map(|_| {
                        let mut cluster = cluster("", "");
                        cluster["cloud"]["provider"] = dice.pick(&["aws", "gcp", "azure", "vsphere", "other"]);
                        cluster["kubernetesServerVersion"] = dice.pick(&["1.30.1", "1.31.2", "1.29.0", "1.32.0-rc.1"]);
                        cluster["cniPlugin"]["type"] = dice.pick(&["cilium", "canal", "none"]);
                        cluster["opaIntegrationEnabled"] = (dice.below(5) > 0).into();
                        cluster["enableUserSSHKeyAgent"] = if dice.below(9) > 0 { true.into() } else { Value::Null };
                        cluster
                    })
                    .collect();
                let machines: Vec<_> = (0..dice.below(3))
                    .map(|_| json!({"os": dice.pick(&["ubuntu", "flatcar", "rhel", "sles"])}))
                    .collect();
                let country = dice.pick(&["DE", "FR", "US", "CH"]);
                let members = json!({
                    "kubermaticVersion": dice.pick(&["2.25.1", "2.26.0", "2.24.9", "2.27.0"]),
                    "clusters": clusters, "machineDeployments": machines,
                    "seeds": [{"country": country, "datacenters": [{"country": dice.pick(&["DE", "FR", "US"])}]}],
                });
                let mut record = record(&format!("{month}-10T00:00:00Z"), &members);
                record["complete"] = (dice.below(12) > 0 || clients < 8).into();
                records.push((client, record));
            }
        }
        let (archive, page) = page_of(&records);
        numbers += check_all(&archive, &page);
    }
    say("measured", &format!("{numbers} numbers of 8 fleets"));
}

/// A fleet in which so many installations have something that the twelve others do not.
fn rare(number: u8) -> String {
    let common = (0..12).map(|client| (client, one("2025-06", if client < 6 { "aws" } else { "gcp" }, "1.30.1")));
    let rare = (20..20 + number).map(|client| {
        let mut record = one("2025-06", "rarest", "1.77.1");
        record["kubermaticVersion"] = "2.77.1".into();
        record["clusters"][0]["cniPlugin"]["type"] = "rare-cni".into();
        record["machineDeployments"][0]["os"] = "rare-os".into();
        record["seeds"][0]["country"] = "XR".into();
        (client, record)
    });
    page_of(&common.chain(rare).collect::<Vec<_>>()).1.0
}

#[test]
fn a_group_is_on_the_page_from_five_on() {
    let names = [">rarest<", ">1.77<", ">2.77<", ">rare-cni<", ">rare-os<", ">XR<"];
    for number in [1, 4] {
        let page = rare(number);
        for name in names {
            assert!(!page.contains(name), "{name} of {number}");
        }
        assert!(page.contains(">others<"));
    }
    for number in [5, 6] {
        let page = rare(number);
        for name in names {
            assert!(page.contains(name), "{name} of {number}");
        }
    }
}

#[test]
fn a_group_that_is_small_in_one_month_is_folded_in_that_one() {
    let mut records = Vec::new();
    for (month, rare) in [("2025-05", 4), ("2025-06", 5)] {
        for client in 0..20 {
            let provider = if client < rare {
                "rarest"
            } else if client < 13 {
                "aws"
            } else {
                "gcp"
            };
            records.push((client, one(month, provider, "1.30.1")));
        }
    }
    let (archive, page) = page_of(&records);
    check_all(&archive, &page);
    let value = |month: &str, name: &str| page.value("User clusters by provider and month", month, name).unwrap();
    let of = |month: &str| ["rarest", "aws", "gcp", "others"].map(|name| value(month, name));
    assert_eq!(of("2025-05"), ["not shown", "9", "not shown", "11"], "the next smallest goes with it");
    assert_eq!(of("2025-06"), ["5", "8", "7", "0"]);
}

#[test]
fn fewer_than_five_installations_are_nothing_to_show() {
    for (number, is_enough) in [(1, false), (4, false), (5, true), (6, true)] {
        let records: Vec<_> = (0..number).map(|client| (client, one("2025-06", "aws", "1.30.1"))).collect();
        let (archive, page) = page_of(&records);
        assert_eq!(page.text().contains("Too few to show anything."), !is_enough, "{number}");
        for shown in ["<table", "<svg", "<section", "aws", "1.30", "2025-06"] {
            assert_eq!(page.0.contains(shown), is_enough, "{shown} of {number}");
        }
        let printed = archive.line("--json").ok();
        assert_eq!(printed.json()["tooFew"], !is_enough);
        if !is_enough {
            printed.says("fewer than five installations sent records");
        }
    }
}

#[test]
fn five_that_never_sent_in_one_month_are_told_of_in_none() {
    let records: Vec<_> = (1..8).map(|number| (number, one(&format!("2025-0{number}"), "aws", "1.30.1"))).collect();
    let (_, page) = page_of(&records);
    assert!(page.text().contains("In none of these months five installations sent complete records."), "{}", page.0);
    assert!(!page.0.contains("<table") && !page.0.contains("aws"), "{}", page.0);
}

#[test]
fn who_lacks_what_nearly_all_have_is_not_told() {
    for (lacking, shown) in [(0, "12"), (1, "at least 8"), (4, "at least 8"), (5, "7")] {
        let records: Vec<_> = (0..12)
            .map(|client| {
                let mut record = one("2025-06", "aws", "1.30.1");
                let mut other = cluster("gcp", "1.30.1");
                other["opaIntegrationEnabled"] = false.into();
                if client < lacking {
                    record["clusters"] = json!([other]);
                } else {
                    record["clusters"].as_array_mut().unwrap().push(other);
                }
                (client, record)
            })
            .collect();
        let (archive, page) = page_of(&records);
        check_all(&archive, &page);
        let caption = "Installations: user clusters by provider, 2025-06";
        assert_eq!(page.row(caption, "aws").unwrap(), [shown], "{lacking}");
        assert_eq!(page.row("Features in use, 2025-06", "OPA integration").unwrap()[4], shown);
    }
}
