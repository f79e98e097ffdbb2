//! Records hold what the field catalogue allows, and nothing else: checked here with rules of its own.

use kubermatic_telemetry::record;
use kubermatic_telemetry::record::catalogue::{Field, Privacy};
use kubermatic_telemetry::record::values::{DISTRIBUTIONS, NODE_RUNTIMES};
use serde_json::{Value, json};
use uuid::{Uuid, Variant};

use crate::leak;

/// Everything in a record that the catalogue does not allow.
pub fn violations(record: &Value) -> Vec<String> {
    let kinds = record::kinds();
    let known = kinds.iter().find(|(kind, ..)| record["kind"] == *kind);
    let Some((kind, _, fields)) = known else { return vec![format!("the kind {}", record["kind"])] };
    let mut found = Vec::new();
    check_object(kind, record, fields, &mut found);
    found
}

fn check_object(path: &str, value: &Value, fields: &[Field], found: &mut Vec<String>) {
    let Some(members) = value.as_object() else { return found.push(format!("{path} is no object")) };
    for (name, value) in members {
        let path = format!("{path}.{name}");
        match fields.iter().find(|field| field.name == name) {
            Some(field) => check(&path, value, field.privacy, found),
            None => found.push(format!("{path} is not in the catalogue")),
        }
    }
}

fn check(path: &str, value: &Value, privacy: Privacy, found: &mut Vec<String>) {
    let allowed = match privacy {
        Privacy::Rows(fields) => match value.as_array() {
            Some(rows) => return rows.iter().for_each(|row| check_object(path, row, fields, found)),
            None => false,
        },
        Privacy::Object(fields) => return check_object(path, value, fields, found),
        Privacy::Pseudonyms(_) => {
            value.as_array().is_some_and(|list| list.iter().all(|it| it.as_str().is_some_and(is_pseudonym)))
        }
        Privacy::Names => {
            let is_name =
                |name: &str| !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphabetic() || it == b'.');
            value.as_array().is_some_and(|list| list.iter().all(|it| it.as_str().is_some_and(is_name)))
        }
        Privacy::Flag => value.is_boolean(),
        Privacy::Number => value.as_u64().is_some_and(|number| u32::try_from(number).is_ok()),
        _ => value.as_str().is_some_and(|text| is_allowed(text, privacy)),
    };
    if !allowed {
        found.push(format!("{path} must not be {value}"));
    }
}

fn is_allowed(text: &str, privacy: Privacy) -> bool {
    match privacy {
        Privacy::Pseudonym(_) => is_pseudonym(text),
        Privacy::Choice(words) => text == "other" || words.contains(&text),
        Privacy::Constant(word) => text == word,
        Privacy::Release => is_release(text),
        Privacy::NumericRelease => text == "other" || is_numbers(text, 2..=4),
        Privacy::Country => text == "other" || (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())),
        Privacy::Location => text.chars().count() <= 128 && !text.contains(char::is_control),
        Privacy::Region => is_pseudonym(text) || is_region(text),
        Privacy::OsImage => is_os_image(text),
        Privacy::RuntimeVersion => is_runtime(text),
        Privacy::Quantity => is_quantity(text),
        Privacy::Time => is_time(text),
        _ => false,
    }
}

/// A UUID of version 8 in its usual form.
fn is_pseudonym(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|uuid| {
        uuid.get_version_num() == 8 && uuid.get_variant() == Variant::RFC4122 && uuid.hyphenated().to_string() == text
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// So many numbers with dots between them, and no address.
fn is_numbers(text: &str, counts: std::ops::RangeInclusive<usize>) -> bool {
    let address = text.parse::<std::net::Ipv4Addr>().is_ok();
    !address && counts.contains(&text.split('.').count()) && text.split('.').all(is_digits)
}

/// `v1.2.3`, then at most one suffix of each kind that a tool puts there, in the tools' order.
fn is_release(text: &str) -> bool {
    if text == "other" {
        return true;
    }
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    is_numbers(&text[..end], 2..=3) && is_suffix(&text[end..])
}

fn is_suffix(suffix: &str) -> bool {
    let mut rest = suffix;
    rest = without(rest, &["-alpha", "-beta", "-rc"], |it| is_digits(it.strip_prefix('.').unwrap_or(it)));
    rest = without(rest, &["-gke."], is_digits);
    rest = without(rest, &["-eks-"], is_commit);
    rest = without(rest, &["+k3s", "+rke2r"], is_digits);
    rest = without(rest, &["-"], is_digits);
    rest = without(rest, &["-g"], is_commit);
    rest.is_empty() || rest == "-dirty"
}

/// What follows one suffix that begins with one of `markers`, or the whole text if there is none.
fn without<'t>(text: &'t str, markers: &[&str], valid: impl Fn(&str) -> bool) -> &'t str {
    let Some(rest) = markers.iter().find_map(|marker| text.strip_prefix(marker)) else { return text };
    let end = rest.find(['-', '+']).unwrap_or(rest.len());
    if valid(&rest[..end]) { &rest[end..] } else { text }
}

fn is_commit(text: &str) -> bool {
    (7..=40).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Small letters, digits and hyphens in the form of public clouds: `eu-central-1`, `westeurope`, `fra1`.
fn is_region(text: &str) -> bool {
    let last = text.rsplit('-').next().unwrap_or(text);
    let letters = last.trim_end_matches(|c: char| c.is_ascii_digit());
    let small = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase());
    let rest = text[..text.len() - last.len()].split('-').all(small);
    (3..=24).contains(&text.len()) && rest && small(letters) && last.len() - letters.len() <= 2
}

fn is_os_image(text: &str) -> bool {
    let name = DISTRIBUTIONS.iter().find(|name| text.starts_with(**name));
    text == "other"
        || name.is_some_and(|name| {
            let version = &text[name.len()..];
            version.is_empty() || version.strip_prefix(' ').is_some_and(|version| is_numbers(version, 1..=4))
        })
}

fn is_runtime(text: &str) -> bool {
    let known = text.split_once("://").filter(|(name, _)| NODE_RUNTIMES.contains(name));
    text == "other" || known.is_some_and(|(_, version)| is_release(version))
}

fn is_quantity(text: &str) -> bool {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffixes = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let digits = |text: &str| (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<_> = number.split('.').collect();
    suffixes.contains(&&text[number.len()..]) && parts.len() <= 2 && parts.into_iter().all(digits)
}

/// `2026-01-11T04:10:00Z`.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00Z"
}

#[test]
fn every_value_of_a_record_is_what_the_catalogue_allows() {
    for (name, records) in leak::previews() {
        assert_eq!(records.len(), 2);
        for record in records {
            assert_eq!(violations(&record), Vec::<String>::new(), "{name}");
        }
    }
}

#[test]
fn the_rules_notice_what_the_catalogue_does_not_allow() {
    let uuid = "59ef1105-e829-86c3-ac28-73d7832f42d5";
    let good = json!({
        "kind": "kubermatic", "version": "v1", "time": "2026-01-11T04:10:00Z", "complete": true,
        "projects": [{"uuid": uuid}], "kubermaticEdition": "other",
        "kubermaticVersion": "v2.30.1-rc.1-5-gabc1234-dirty", "users": [{"uuid": uuid, "isAdmin": true}],
    });
    assert_eq!(violations(&good), Vec::<String>::new());
    let bad = [
        ("/version", json!("v2")),
        ("/time", json!("2026-01-11T04:10:00+01:00")),
        ("/complete", json!("true")),
        ("/projects/0/uuid", json!("59ef1105-e829-36c3-ac28-73d7832f42d5")),
        ("/projects/0/uuid", json!(uuid.to_uppercase())),
        ("/projects/0", json!({"name": "acme"})),
        ("/kubermaticEdition", json!("ACME")),
        ("/kubermaticVersion", json!("v2.30.1-acme")),
        ("/kubermaticVersion", json!("v2.30.1-49-40-123456")),
        ("/kubermaticVersion", json!("203.0.113.77")),
        ("/users", json!({})),
        ("/kind", json!("acme")),
    ];
    for (pointer, value) in bad {
        let mut record = good.clone();
        *record.pointer_mut(pointer).unwrap() = value.clone();
        assert!(!violations(&record).is_empty(), "{pointer} may be {value}");
    }
}

#[test]
fn the_rules_know_the_forms_of_values() {
    assert!(["fra1", "eu-central-1", "europe-west3", "westeurope", "cn-hangzhou"].into_iter().all(is_region));
    assert!(!["Frankfurt", "acme 1", "10.0.0.1", "f1", "room-123"].into_iter().any(is_region));
    assert!(["Ubuntu", "Ubuntu 24.04.3", "other"].into_iter().all(is_os_image));
    assert!(!["Ubuntu acme", "AcmeOS 1", "Ubuntu 203.0.113.77"].into_iter().any(is_os_image));
    assert!(["containerd://1.7.13", "other"].into_iter().all(is_runtime));
    assert!(!["containerd://acme", "acme://1.0.0"].into_iter().any(is_runtime));
    assert!(["4", "7958656Ki", "0.5", "1500m"].into_iter().all(is_quantity));
    assert!(!["4 cores", "203.0.113.77", "", "Ki"].into_iter().any(is_quantity));
}
