//! A fake Kubernetes API server at the wire, so that tests see every request and can spoil every answer.
//!
//! Written by hand on threads: what matters is full control over bytes and connections, not completeness. Where a
//! request asks for something that the fake does not know, it says so with status 501.

mod access;
mod answers;
mod client;
mod faults;
mod fleet;
mod http;
mod kubeconfig;
mod objects;
mod paging;
mod proxy;
mod requests;
mod server;
mod tests;
mod tls;

pub use access::{Access, Rule};
pub use faults::{Effect, Fault};
pub use fleet::{Fleet, Plan};
pub use http::{Framing, Request};
pub use kubeconfig::{Kubeconfig, secret};
pub use objects::Objects;
pub use paging::Cluster;
pub use proxy::Proxy;
pub use server::ApiServer;
