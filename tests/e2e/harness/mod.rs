//! Real API servers with an installation in them, for the end-to-end tests and for measurements.

pub mod authority;
pub mod client;
mod guard;
pub mod http;
pub mod kinds;
pub mod kubeconfig;
pub mod load;
pub mod objects;
pub mod schema;
pub mod servers;
pub mod site;
