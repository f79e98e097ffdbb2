//! The upload page and pages from files in a real browser: Chromium without a window, driven through `WebDriver`, and a
//! real server.
//! `docs/testing.md` says what is needed, and where the pictures go.
#![allow(clippy::disallowed_methods, reason = "tests make and break files as a user would")]
#![allow(clippy::too_many_lines, reason = "a person's way through a page is long")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail by panicking")]

mod access;
mod driver;
mod failures;
#[cfg(feature = "pages")]
mod fleet;
#[allow(dead_code, reason = "shared with tests/it")]
#[cfg(feature = "pages")]
#[path = "../it/fleets.rs"]
mod fleets;
mod looks;
#[allow(dead_code, reason = "shared with tests/it")]
#[path = "../it/made.rs"]
mod made;
#[cfg(feature = "pages")]
mod pages;
mod people;
#[allow(dead_code, reason = "shared with tests/it")]
#[cfg(feature = "pages")]
#[path = "../it/sample.rs"]
mod sample;
#[allow(dead_code, reason = "shared with tests/it")]
#[path = "../it/served.rs"]
mod served;
#[allow(dead_code, reason = "shared with tests/it")]
#[path = "../it/support.rs"]
mod support;
mod upload;
mod without_script;
