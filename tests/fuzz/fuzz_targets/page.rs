//! Pages of lists, as an API server or somebody in its place sends them: read or refused, never harmful.
#![no_main]

use kubermatic_telemetry::agent::live::page::{PageError, decode};
use kubermatic_telemetry::agent::objects::{Cluster, Node, Seed, User};
use libfuzzer_sys::fuzz_target;

const MOST: usize = 64;

fuzz_target!(|data: &[u8]| {
    let plain = decode::<Cluster>(data, false, MOST);
    if let Ok(page) = &plain {
        assert!(page.objects.len() <= MOST);
        assert!(page.objects.iter().flatten().all(|object| !object.name.is_empty()));
        assert!(page.next.as_deref() != Some(""));
        // Whether a page is one does not depend on what is looked for in its objects.
        assert_eq!(decode::<Seed>(data, false, MOST).unwrap().objects.len(), page.objects.len());
        assert_eq!(decode::<Node>(data, false, MOST).unwrap().objects.len(), page.objects.len());
    } else {
        assert_eq!(decode::<User>(data, false, MOST).unwrap_err(), *plain.as_ref().unwrap_err());
    }
    if let Err(error) = decode::<User>(data, true, MOST) {
        assert!(matches!(error, PageError::NotAList | PageError::TooLarge));
    }
});
