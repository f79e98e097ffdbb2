//! Whole commands on real files: what a user would notice.
#![allow(clippy::disallowed_methods, reason = "tests make and break files as a user would")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]
#![allow(clippy::too_many_lines, reason = "tables of cases are long")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail by panicking")]

mod api;
mod archive;
mod bad_input;
mod bombs;
mod books;
mod build_script;
mod bundles;
mod canaries;
mod catalogue;
mod choice;
mod collectors;
mod crowd;
mod documents;
#[cfg(feature = "pages")]
mod fleet;
#[allow(dead_code, reason = "shared with tests/browser")]
#[cfg(feature = "pages")]
mod fleets;
mod forge;
mod full_disk;
mod golden;
mod http;
mod ingest;
#[cfg(feature = "pages")]
mod inspect_page;
mod interop;
mod kills;
mod leak;
mod live;
mod made;
mod manifests;
mod mutants;
mod observe;
mod offline_path;
mod operator;
mod packing;
mod page;
mod parts;
mod passphrases;
mod properties;
mod real_objects;
mod reduce;
mod refusals;
mod renewal_kills;
mod report;
mod rotation;
#[cfg(feature = "pages")]
mod sample;
mod schemas;
mod second;
#[allow(dead_code, reason = "shared with tests/browser")]
mod served;
mod shell;
mod site;
mod states;
mod store;
mod support;
mod tables;
mod troubleshooting;
mod upkeep;
mod vectors;
mod withholding;
mod withholding_kills;
