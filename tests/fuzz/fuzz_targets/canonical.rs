//! Canonical JSON from any bytes: what comes out is canonical, and checking agrees with making.
#![no_main]

use kubermatic_telemetry::record::canonical::{Bounds, Form, canonicalize, check};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for form in [Form::Plain, Form::Record] {
        let bounds = Bounds { depth: 16, string: 64 };
        let made = canonicalize(input, form, &bounds);
        let unchanged = made.as_ref().is_ok_and(|bytes| bytes == input);
        assert_eq!(check(input, form, &bounds).is_ok(), unchanged);
        if let Ok(bytes) = made {
            assert!(check(&bytes, form, &bounds).is_ok());
        }
    }
});
