//! Live collection, against real API servers. `docs/testing.md` says how to run it.
#![allow(clippy::disallowed_methods, reason = "tests make and break files as a user would")]
#![allow(clippy::too_many_lines, reason = "tables of cases are long")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail by panicking")]

mod absent;
mod agent;
mod commands;
mod harness;
mod identity;
mod inside;
mod permissions;
mod proxy;
mod requests;
mod rules;
mod secrets;
mod sites;
#[allow(dead_code, reason = "shared with tests/it")]
#[path = "../it/support.rs"]
mod support;
mod tools;
mod unreachable;
mod whole;
