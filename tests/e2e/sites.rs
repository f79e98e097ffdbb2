//! The installations that the tests collect from.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;

use crate::harness::objects::{Installation, definitions};
use crate::harness::servers::{ControlPlane, assets};
use crate::harness::site::Site;
use crate::support::{installation, root, skip};

/// Datacenters of the test installation that are broken on purpose.
const BROKEN_DATACENTERS: &[&str] = &["moved-in-march", "to-be-removed"];

/// User clusters that get a server of their own; the others have nothing in them.
const SERVED: &[&str] = &["qxn7d5wv2k", "r9lb6tqz4m"];

/// etcd, from which a test starts what it needs. Without the programs the test is skipped.
pub fn control_plane() -> Option<ControlPlane> {
    control_plane_with(&[])
}

/// The same with further flags for its API servers.
pub fn control_plane_with(flags: &[&str]) -> Option<ControlPlane> {
    match assets() {
        Ok(assets) => Some(ControlPlane::start(&assets, flags)),
        Err(reason) => {
            skip(&reason);
            None
        }
    }
}

/// The test installation without what is broken in it. Nobody may change it, so that all tests can share it.
pub fn sound() -> Option<&'static Site> {
    static SITE: OnceLock<Option<Site>> = OnceLock::new();
    if let Err(reason) = assets() {
        skip(&reason);
        return None;
    }
    SITE.get_or_init(|| Some(Site::start(&control_plane()?, &sound_installation(), &minimal_definitions()))).as_ref()
}

/// The test installation's objects without what is broken in them.
pub fn sound_installation() -> Installation {
    let mut installation = Installation::read(&installation(), &["broken.yaml"]);
    for seed in installation.seeds_mut() {
        let datacenters = seed["spec"]["datacenters"].as_object_mut().unwrap();
        datacenters.retain(|name, _| !BROKEN_DATACENTERS.contains(&name.as_str()));
    }
    installation.user_clusters.retain(|name, _| SERVED.contains(&name.as_str()));
    installation
}

/// Definitions of KKP's kinds that allow anything.
pub fn minimal_definitions() -> Vec<Value> {
    definitions(&root().join("tests/e2e/crds"))
}

/// KKP's own definitions, which lie beside the repository (`KKP_DATA` gives another place).
pub fn real_definitions() -> Option<Vec<Value>> {
    let data = std::env::var_os("KKP_DATA").map_or_else(|| root().join("../shared/kkp"), PathBuf::from);
    let folder = data.join("crds");
    if !folder.is_dir() {
        skip(&format!("there is no folder {} with KKP's own definitions", folder.display()));
        return None;
    }
    Some(definitions(&folder))
}
