//! Whole commands on real files: what a user would notice.
#![allow(clippy::disallowed_methods, reason = "tests make and break files as a user would")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]
#![allow(clippy::too_many_lines, reason = "tables of cases are long")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail by panicking")]

mod api;
mod archive;
mod bad_input;
mod books;
mod bundles;
mod canaries;
mod catalogue;
mod collectors;
mod crowd;
mod documents;
mod full_disk;
mod golden;
mod http;
mod ingest;
mod kills;
mod leak;
mod live;
mod manifests;
mod mutants;
mod offline_path;
mod parts;
mod properties;
mod real_objects;
mod reduce;
mod site;
mod store;
mod support;
mod upkeep;
