//! The Helm chart and the image, as they are rendered, installed and run. `docs/testing.md` says how to run it.
#![allow(clippy::disallowed_methods, reason = "tests make and break files as a user would")]
#![allow(clippy::too_many_lines, reason = "tables of cases are long")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail by panicking")]

mod alerts;
mod documents;
#[allow(dead_code, reason = "shared with tests/e2e")]
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod helm;
mod image;
mod kubelet;
#[allow(dead_code, reason = "shared with tests/e2e")]
#[path = "../e2e/permissions.rs"]
mod permissions;
mod pods;
mod releases;
mod rendering;
mod rights;
#[allow(dead_code, reason = "shared with tests/it")]
#[path = "../it/served.rs"]
mod served;
#[allow(dead_code, reason = "shared with tests/e2e")]
#[path = "../e2e/sites.rs"]
mod sites;
#[allow(dead_code, reason = "shared with tests/it")]
#[path = "../it/support.rs"]
mod support;
mod traces;
mod typing;
mod walks;
