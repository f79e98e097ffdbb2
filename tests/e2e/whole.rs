//! Everything is up: what is collected is what is there.

use crate::sites::sound;

#[test]
fn the_record_of_a_live_installation_is_that_of_its_manifests() {
    let Some(site) = sound() else { return };
    assert!(site.rejected.is_empty(), "{:#?}", site.rejected);
    site.dump(std::path::Path::new("/tmp/e2e-try/dump"));
    for _ in 0..5 { eprintln!("again"); site.dump(std::path::Path::new("/tmp/e2e-try/dump")); }
}
