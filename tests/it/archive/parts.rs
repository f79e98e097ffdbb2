//! Large bundles: stored in parts, with little memory, and small ones with few requests.

use std::fs;

use super::{Made, Place, client, in_each_place};
use crate::support::say;

in_each_place!(a_large_bundle_is_stored_whole_with_little_memory, as_many_records_as_a_bundle_may_have_are_entered,);

/// Text that does not compress.
pub fn noise(length: usize, mut seed: u64) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    (0..length).map(|_| char::from(letters[usize::try_from(next() % 64).unwrap()])).collect()
}

/// The most memory that a process had so far, in bytes.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn a_large_bundle_is_stored_whole_with_little_memory(place: &Place) {
    let server = place.serve();
    let (owner, key) = client(1);
    let texts: Vec<_> = (1..=60).map(|seed| noise(60_000, seed * 7_919)).collect();
    let made = |sequence, count: usize| {
        // Many strings, since one may not be long.
        let words: Vec<_> = (0..count).map(|index| texts[index % texts.len()].as_str()).collect();
        let records: Vec<_> =
            words.iter().enumerate().map(|(id, text)| (sequence * 10_000 + id as u64, *text)).collect();
        Made { client: owner, key: &key, sequence, previous: None, records: &records }.pack()
    };
    let (small, _) = made(1, 3);
    server.upload(&small).is(201);
    let before = peak(server.pid());
    // Some megabytes, whole parts and a rest.
    let (large, digest) = made(2, 600);
    assert!(large.len() > 4 * (5 << 20) && large.len() % (5 << 20) != 0, "{}", large.len());
    server.upload(&large).is(201);
    assert!(place.with(&format!("/bundles/{digest}.tar"))[0].1 == large);
    let more = peak(server.pid()) - before;
    // Two parts, and what it took to check the bundle.
    assert!(more < 32 << 20, "{more} bytes more for a bundle of {}", large.len());
    if !place.is_directory() {
        let requests = place.s3().requests();
        let count = |name: &str| requests.iter().filter(|request| request.ends_with(name)).count();
        assert_eq!((count("CreateMultipartUpload"), count("CompleteMultipartUpload")), (1, 1), "{requests:?}");
        assert_eq!(count("UploadPart"), large.len().div_ceil(5 << 20));
    }
    server.upload(&large).ok();
    say("measured", &format!("{more} bytes of memory more for a bundle of {}", large.len()));
}

fn as_many_records_as_a_bundle_may_have_are_entered(place: &Place) {
    let (owner, key) = client(1);
    // A request for each takes a debug build too long for more.
    let count = if place.is_directory() { 20_000 } else { 2_000 };
    let records: Vec<_> = (0..count).map(|id| (id, "x")).collect();
    let (bundle, _) = Made { client: owner, key: &key, sequence: 1, previous: None, records: &records }.pack();
    let again = Made { client: owner, key: &key, sequence: 2, previous: None, records: &records }.pack().0;
    place.desk.file("bundle.tar", bundle);
    place.desk.file("again.tar", again);
    let started = std::time::Instant::now();
    let answer = place.ingest("bundle.tar").ok().json();
    assert_eq!(answer[0]["accepted"], count);
    let first = started.elapsed();
    assert_eq!(place.ingest("again.tar").ok().json()[0]["duplicate"], count);
    let again = started.elapsed().saturating_sub(first);
    say("measured", &format!("{count} records of one bundle entered in {first:.1?}, found again in {again:.1?}"));
}

#[test]
fn a_small_bundle_takes_few_requests() {
    let Some(place) = Place::bucket() else { return };
    let server = place.serve();
    server.upload(&super::first_bundle(1).0).is(201);
    let before = place.s3().requests().len();
    let (owner, key) = client(1);
    let next = Made { client: owner, key: &key, sequence: 2, previous: None, records: &[(10, "x")] }.pack().0;
    server.upload(&next).is(201);
    let requests = place.s3().requests()[before..].to_vec();
    let count = |name: &str| requests.iter().filter(|request| request.ends_with(name)).count();
    // Bundle, record, index, chain, a table, receipt and its entry; the pinned key, the receipt that might be there; the
    // operator's keys, the chain; whether the key is revoked.
    assert_eq!((count("PutObject"), count("GetObject"), count("ListObjectsV2")), (7, 2, 2), "{requests:?}");
    assert_eq!(requests.len(), 12, "{requests:?}");
}
