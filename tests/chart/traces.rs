//! What strace saw of the network.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The addresses that a trace has connections or messages to, as address and port; sockets of this machine alone are
/// left out, and anything that is neither is an address of its own.
pub fn peers(trace: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(trace).unwrap();
    let asked = |line: &&str| ["connect(", "sendto(", "sendmsg(", "sendmmsg("].iter().any(|call| line.contains(call));
    let to = |line: &str| {
        let family = line.split("sa_family=").nth(1)?;
        if family.starts_with("AF_UNIX") || family.starts_with("AF_NETLINK") {
            return None;
        }
        let port = family.split("htons(").nth(1).and_then(|rest| rest.split(')').next()).unwrap_or("?");
        let address = family.split('"').nth(1).unwrap_or(family);
        Some(format!("{address}:{port}"))
    };
    text.lines().filter(asked).filter_map(to).collect()
}
