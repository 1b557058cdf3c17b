//! What the doors count as one client, and which addresses only this machine reaches. Owns these rules, so that the
//! limits of connections and of failed authentications mean the same client, and `::ffff:127.0.0.1` is the same
//! everywhere.

use std::net::{IpAddr, Ipv4Addr};

/// Returns whether only this machine reaches an address, in whatever form it is written.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A client by its address: an IPv4 address, or the /64 network of an IPv6 address, which usually is one customer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl Peer {
    /// Returns the client at an address.
    pub(crate) fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_in_each_form_and_nothing_else_is() {
        let is = |text: &&str| is_loopback(text.parse().unwrap());
        let own = ["127.0.0.1", "127.255.255.254", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1"];
        assert!(own.iter().all(is));
        let others = [
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "::ffff:192.0.2.1",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
            "fe80::1",
            "10.0.0.1",
            "128.0.0.1",
            "::2",
        ];
        assert!(!others.iter().any(is));
    }

    #[test]
    fn an_address_is_a_customer() {
        let peer = |text: &str| Peer::new(text.parse().unwrap());
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_eq!(peer("2001:db8:0:1::1"), peer("2001:db8:0:1:ffff::9"));
        assert_ne!(peer("2001:db8:0:1::1"), peer("2001:db8:0:2::1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
    }
}
