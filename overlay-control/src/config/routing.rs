//! What the file says of routing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use overlay_common::id::Vni;
use overlay_common::wire::Mac;

/// `node.router_mac` where the file does not say: locally administered, and the same everywhere.
pub const ROUTER_MAC: Mac = Mac([0x02, 0x00, 0x5e, 0x00, 0x01, 0x01]);

/// `[[vrf]]`: one L3 routing domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vrf {
    /// Its name.
    pub name: String,
    /// The VNI that carries its packets from router to router (RFC 9135); `None`: none leave
    /// this gateway routed.
    pub vni: Option<Vni>,
    /// `[[vrf.route]]`.
    pub routes: Vec<StaticRoute>,
}

/// `[[vrf.route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// What it is for.
    pub prefix: Prefix,
    /// Where it leads.
    pub to: RouteTo,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteTo {
    /// To the router of the peer of this name.
    Peer(String),
    /// To a station of a segment, which routes it on.
    Gateway {
        /// The station's address.
        via: IpAddr,
        /// The segment.
        segment: String,
    },
    /// To the stations of the segment of this name.
    Segment(String),
    /// Nowhere, and the sender is told.
    Unreachable,
    /// Nowhere, and nobody is told.
    Blackhole,
}

/// An address and how many of its bits, from the front, name its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// The bits.
    pub len: u8,
}

impl Prefix {
    /// From its text, `10.0.0.0/8`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, len) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let len: u8 = len.parse().ok()?;
        (len <= Self::bits(address)).then_some(Self { address, len })
    }

    const fn bits(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }

    /// The address alone.
    pub const fn host(address: IpAddr) -> Self {
        Self { address, len: Self::bits(address) }
    }

    /// The network: the address without the bits behind the prefix.
    #[must_use]
    pub fn network(self) -> Self {
        Self { address: self.filled(false), len: self.len }
    }

    /// The last address of the network.
    pub fn last(self) -> IpAddr {
        self.filled(true)
    }

    fn filled(self, ones: bool) -> IpAddr {
        let behind = u32::from(Self::bits(self.address) - self.len);
        let fill = |bits: u128| {
            let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
            if ones { bits | !mask } else { bits & mask }
        };
        match self.address {
            IpAddr::V4(v4) => {
                IpAddr::V4(Ipv4Addr::from_bits(fill(u128::from(v4.to_bits())) as u32))
            }
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(fill(v6.to_bits()))),
        }
    }

    /// Whether an address is in the network.
    pub fn holds(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && Self { address, len: self.len }.network() == self.network()
    }

    /// Whether two networks have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        if self.len < other.len { self.holds(other.address) } else { other.holds(self.address) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).unwrap()
    }

    #[test]
    fn networks_of_both_families() {
        for (text, network, last) in [
            ("10.1.2.3/16", "10.1.0.0/16", "10.1.255.255"),
            ("10.1.2.3/32", "10.1.2.3/32", "10.1.2.3"),
            ("10.1.2.3/0", "0.0.0.0/0", "255.255.255.255"),
            ("fd00::1:2/64", "fd00::/64", "fd00::ffff:ffff:ffff:ffff"),
            ("::1/0", "::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            assert_eq!(prefix(text).network(), prefix(network));
            assert_eq!(prefix(text).last(), last.parse::<IpAddr>().unwrap());
            assert_eq!(prefix(text).to_string(), text);
        }
        for bad in ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "x/8", "10.0.0.0/-1"] {
            assert_eq!(Prefix::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn networks_hold_addresses_and_overlap() {
        let net = prefix("10.1.0.1/16");
        assert!(net.holds([10, 1, 255, 255].into()) && !net.holds([10, 2, 0, 1].into()));
        assert!(!prefix("0.0.0.0/0").holds("fd00::1".parse().unwrap()));
        assert!(net.overlaps(prefix("10.1.2.0/24")) && prefix("10.1.2.0/24").overlaps(net));
        assert!(!net.overlaps(prefix("10.2.0.0/16")) && !net.overlaps(prefix("::/0")));
    }
}
