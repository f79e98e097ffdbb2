//! Who is calling: the address that quotas count by.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::Request;

/// The other end of a connection, added to each request by whoever accepted it.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// A caller, as far as it can be told: an IPv4 address, or an IPv6 network of 64 bits, which is what one customer has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller(Option<IpAddr>);

impl Caller {
    /// The caller of a request. With `proxies` in front, the address is the one that the first of them saw: the entry of
    /// `X-Forwarded-For` that many from its end. What stands before it was made up by whoever called.
    pub fn of(request: &Request, proxies: usize) -> Self {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        if proxies == 0 {
            return Self(peer.map(network));
        }
        let forwarded = request.headers().get_all("x-forwarded-for").iter();
        let entries: Vec<_> =
            forwarded.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
        let entry = entries.len().checked_sub(proxies).and_then(|index| entries.get(index));
        Self(entry.and_then(|entry| entry.trim().parse().ok()).or(peer).map(network))
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(formatter),
            None => formatter.write_str("unknown"),
        }
    }
}

/// What is counted as one caller.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !0 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn caller(forwarded: &[&str], proxies: usize) -> String {
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(Peer(SocketAddr::from(([192, 0, 2, 1], 1))));
        for value in forwarded {
            request.headers_mut().append("x-forwarded-for", value.parse().unwrap());
        }
        Caller::of(&request, proxies).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_added_counts() {
        assert_eq!(caller(&["198.51.100.7"], 0), "192.0.2.1");
        assert_eq!(caller(&["203.0.113.9, 198.51.100.7"], 1), "198.51.100.7");
        assert_eq!(caller(&["203.0.113.9", "198.51.100.7"], 2), "203.0.113.9");
        assert_eq!(caller(&["198.51.100.7"], 2), "192.0.2.1", "fewer than there should be");
        assert_eq!(caller(&["nonsense"], 1), "192.0.2.1");
        assert_eq!(caller(&["2001:db8:1:2:3:4:5:6"], 1), "2001:db8:1:2::");
        assert_eq!(caller(&["::ffff:198.51.100.7"], 1), "198.51.100.7");
    }
}
