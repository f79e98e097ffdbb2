//! Containers from any bytes, also with checksums that match, and from scripts: refused, or taken for what every other
//! reader of tar takes them for.
#![no_main]

use std::io::{Cursor, Read as _};

use kubermatic_telemetry::bundle::container::{Shape, read};
use kubermatic_telemetry_fuzz::{keep, limits, outer, tar::seal_all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    check(input);
    let mut sealed = input.to_vec();
    seal_all(&mut sealed);
    check(&sealed);
    check(&outer::forge(input));
});

fn check(file: &[u8]) {
    keep(|| file.to_vec());
    for (shape, names) in [
        (Shape::Bundle, &["manifest.json", "manifest.json.sig", "records.tar.gz"][..]),
        (Shape::Receipt, &["receipt.json", "receipt.json.sig"]),
    ] {
        let limits = limits();
        let Ok(contents) = read(&mut Cursor::new(file), shape, &limits) else { continue };
        assert!(contents.document.len() as u64 <= limits.manifest_bytes);
        let (start, size) = contents.payload;
        let payload = file[usize::try_from(start).unwrap()..][..usize::try_from(size).unwrap()].to_vec();
        let mut expected = vec![contents.document, contents.signature];
        if shape == Shape::Bundle {
            expected.push(payload);
        }
        let found = as_others_read_it(file);
        assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        assert!(found.into_iter().map(|(_, bytes)| bytes).eq(expected));
    }
}

/// Every file of a tar by the `tar` crate's reader.
fn as_others_read_it(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(file).entries().unwrap() {
        let mut entry = entry.expect("what is taken is a tar to others");
        let name = String::from_utf8(entry.path_bytes().into_owned()).expect("names are text");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("it is whole");
        if entry.header().entry_type().is_dir() {
            assert!(bytes.is_empty() && name == "./");
        } else {
            found.push((name.strip_prefix("./").unwrap_or(&name).to_owned(), bytes));
        }
    }
    found
}
