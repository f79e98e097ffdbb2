//! The archive without the program: the commands of `docs/ingest.md`, as they stand there.

use std::fs;

use super::{Place, client, first_bundle, in_each_place, opened};
use crate::support::{root, tool};

in_each_place!(a_client_that_was_deleted_is_as_if_it_had_never_been);

/// The first block of commands behind a text of the page.
fn commands(after: &str) -> String {
    let page = fs::read_to_string(root().join("docs/ingest.md")).unwrap();
    let (_, rest) = page.split_once(after).unwrap_or_else(|| panic!("the page does not say `{after}`"));
    let (_, rest) = rest.split_once("```sh\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

fn shell(place: &Place, commands: &str) {
    let script = format!("set -euo pipefail; CLIENT={}\n{commands}", client(1).0);
    tool(&place.desk.path(""), "bash", &["-c", &script]);
}

/// Two clients, of whom the first was also impersonated.
fn lived_in(place: &Place) {
    for number in [1, 2] {
        place.desk.file("bundle.tar", first_bundle(number).0);
        place.ingest("bundle.tar").ok();
    }
    let (owner, key) = (client(1).0, client(3).1);
    let forged = super::Made { client: owner, key: &key, sequence: 2, previous: None, records: &[(7, "x")] };
    place.desk.file("forged.tar", forged.pack().0);
    place.ingest("forged.tar").code(1);
}

#[test]
fn a_client_is_handed_out_with_all_that_is_kept_of_it() {
    let place = Place::directory();
    lived_in(&place);
    shell(&place, &commands("All that is kept of a client"));
    fs::create_dir(place.desk.path("given")).unwrap();
    shell(&place, "tar -C given -xf client.tar");
    let given: Vec<_> = place.desk.tree("given").into_iter().collect();
    let kept: Vec<_> =
        place.objects().into_keys().filter(|name| name.starts_with(&format!("clients/{}", client(1).0))).collect();
    assert_eq!(given, kept);
    assert_eq!(given.len(), 9, "{given:?}");
}

#[test]
fn a_client_is_deleted_and_nothing_names_it_any_more() {
    let place = Place::directory();
    lived_in(&place);
    let (digests, others) = ([first_bundle(1).1, first_bundle(2).1], place.with(&client(2).0.to_string()));
    shell(&place, &commands("Deleting it."));
    for (name, text) in place.objects() {
        let text = String::from_utf8_lossy(&text).into_owned() + &name;
        assert!(!text.contains(&client(1).0.to_string()), "{name} names the client");
        assert!(!text.contains(&digests[0].to_string()), "{name} names its bundle");
    }
    assert!(place.with(&client(2).0.to_string()) == others && others.len() == 9, "others stay");
    assert_eq!(place.with(&format!("manifests/{}", digests[1])).len(), 1);
}

fn a_client_that_was_deleted_is_as_if_it_had_never_been(place: &Place) {
    let server = place.serve();
    let (bundle, digest) = first_bundle(1);
    let before = opened(&server.upload(&bundle).is(201).body);
    // As far as anybody may do who may delete: the index tells no more than whose it was.
    fs::remove_dir_all(place.files().join(format!("clients/{}", before.client))).unwrap();
    server.get(&format!("/v1/receipts/{digest}")).refused(404, "receiptUnknown");
    let after = opened(&server.upload(&bundle).is(201).body);
    assert_ne!(after.receipt, before.receipt);
    server.get(&format!("/v1/receipts/{digest}")).ok();
}

#[test]
fn a_backup_has_what_its_receipts_commit_and_works_where_it_is_unpacked() {
    let place = Place::directory();
    lived_in(&place);
    place.desk.file("archive/manifests/torn#1", "what a killed server leaves");
    let taken = commands("the servers may go on\nmeanwhile");
    let (receipts, rest) = taken.split_once('\n').unwrap();
    shell(&place, receipts);
    // Accepted in between: its receipt is not in the backup, what it commits is, and does no harm.
    place.desk.file("bundle.tar", first_bundle(4).0);
    place.ingest("bundle.tar").ok();
    shell(&place, rest);
    let before = place.objects();
    shell(&place, "rm -r archive && tar -xf receipts.tar && tar -xf rest.tar");
    let after = place.objects();
    let gone: Vec<_> = before.keys().filter(|name| !after.contains_key(*name)).collect();
    let late = format!("clients/{}/receipts/{}.tar", client(4).0, first_bundle(4).1);
    assert_eq!(gone, [&late, &"manifests/torn#1".to_owned()]);
    assert_eq!(place.ingest("bundle.tar").ok().json()[0]["again"], false, "it is accepted when it comes again");
    place.desk.file("bundle.tar", first_bundle(1).0);
    assert_eq!(place.ingest("bundle.tar").ok().json()[0]["again"], true);
}

#[test]
fn what_a_killed_server_was_writing_is_no_object_and_goes_when_it_is_old() {
    let place = Place::directory();
    lived_in(&place);
    let store = format!("archive/clients/{}/stores/{}", client(1).0, crate::support::header().store);
    let torn = place.desk.file(&format!("{store}/0000000000000009-{}#1", "5".repeat(64)), "");
    place.desk.file("bundle.tar", first_bundle(1).0);
    place.desk.line("ingest bundle.tar --archive archive --trust tofu").ok();
    let old = commands("may go when it is old");
    shell(&place, &old);
    assert!(torn.exists(), "a server may be writing it");
    tool(&place.desk.path(""), "touch", &["-d", "2 days ago", torn.to_str().unwrap()]);
    let (before, ()) = (place.objects().len(), shell(&place, &old));
    assert!(!torn.exists());
    assert_eq!(place.objects().len(), before - 1);
}
