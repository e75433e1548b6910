//! Routing: the routers of segments, and where each prefix of a VRF leads.

#[cfg(not(target_arch = "bpf"))]
use core::net::{IpAddr, Ipv6Addr};

#[cfg(not(target_arch = "bpf"))]
use super::NeighbourKey;
use super::{Neighbour, Target, record};
#[cfg(not(target_arch = "bpf"))]
use crate::wire::address_words;
use crate::wire::{Family, Mac};

/// The router of a segment; all zeroes where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Router {
    /// The IPv6 address that its errors come from, the bytes as on the wire; zero for none.
    pub v6: [u64; 2],
    /// The same of IPv4.
    pub v4: [u8; 4],
    /// The VRF that routes what is sent to it; 0 where there is no router.
    pub vrf: u16,
    /// Its address, which is the same on every gateway.
    pub mac: Mac,
    /// The address of this gateway alone, to which what it asks is answered.
    pub own: Mac,
    /// Zero.
    pub reserved: [u16; 3],
}
record!(Router, 40);

/// A prefix of a VRF, as the kernel's longest-prefix match has it (`bpf_lpm_trie_key`, Linux
/// 4.11): how many bits count, and the bytes they are counted over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct RouteKey {
    /// Those of VRF and family included.
    pub bits: u32,
    /// VRF and family: a prefix of one matches nothing of another.
    pub table: u32,
    /// As in a [`NeighbourKey`].
    pub address: [u64; 2],
}
record!(RouteKey, 24);

impl RouteKey {
    /// Bits in front of the address.
    const TABLE_BITS: u32 = 32;

    /// Asks for the way to an address.
    #[inline(always)]
    pub const fn to(vrf: u16, family: Family, address: [u64; 2]) -> Self {
        Self { bits: Self::TABLE_BITS + 128, table: Self::table_of(vrf, family), address }
    }

    #[inline(always)]
    const fn table_of(vrf: u16, family: Family) -> u32 {
        (vrf as u32) << 1 | matches!(family, Family::V6) as u32
    }
}

#[cfg(not(target_arch = "bpf"))]
impl RouteKey {
    /// Bits in front of an IPv4 address in its IPv6 form.
    const MAPPED_BITS: u32 = 96;

    /// A prefix, of whose address only the first `len` bits may be set.
    pub fn prefix(vrf: u16, address: IpAddr, len: u8) -> Self {
        let (family, mapped, front) = match address {
            IpAddr::V4(v4) => (Family::V4, v4.to_ipv6_mapped(), Self::MAPPED_BITS),
            IpAddr::V6(v6) => (Family::V6, v6, 0),
        };
        Self {
            bits: Self::TABLE_BITS + front + u32::from(len),
            table: Self::table_of(vrf, family),
            address: address_words(&mapped.octets()),
        }
    }

    /// Of which VRF it is.
    pub const fn vrf(self) -> u16 {
        (self.table >> 1) as u16
    }

    /// The prefix's address and length.
    pub fn network(self) -> (IpAddr, u8) {
        let address = Ipv6Addr::from(self.bytes());
        match self.table & 1 {
            0 => {
                let v4 = address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4);
                (v4, (self.bits - Self::TABLE_BITS - Self::MAPPED_BITS) as u8)
            }
            _ => (IpAddr::V6(address), (self.bits - Self::TABLE_BITS) as u8),
        }
    }

    fn bytes(self) -> [u8; 16] {
        NeighbourKey { address: self.address, ..NeighbourKey::default() }.bytes()
    }

    /// Whether a prefix holds an address that is asked for.
    pub fn holds(&self, asked: &Self) -> bool {
        if self.table != asked.table {
            return false;
        }
        let number = |key: &Self| u128::from_be_bytes(key.bytes());
        match self.bits - Self::TABLE_BITS {
            0 => true,
            len => (number(self) ^ number(asked)) >> (128 - len) == 0,
        }
    }

    /// The first so many bits of an address that is asked for, as a prefix.
    #[must_use]
    pub fn cut(self, bits: u32) -> Self {
        let len = bits - Self::TABLE_BITS;
        let number = u128::from_be_bytes(self.bytes());
        let kept = if len == 0 { 0 } else { number >> (128 - len) << (128 - len) };
        Self { bits, table: self.table, address: address_words(&kept.to_be_bytes()) }
    }
}

/// Where a prefix leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Route {
    /// Of [`GATEWAY`](Self::GATEWAY): the next hop's address, as in a [`NeighbourKey`].
    pub gateway: [u64; 2],
    /// Of [`PEER`](Self::PEER): the MAC address of the peer's router.
    pub station: Neighbour,
    /// Of [`PEER`](Self::PEER): the peer.
    pub target: Target,
    /// The segment that packets leave by; of [`PEER`](Self::PEER), that of the VRF's VNI.
    pub segment: u16,
    /// One of the kinds below.
    pub kind: u16,
}
record!(Route, 32);

impl Route {
    /// Nowhere, and the sender is told.
    pub const UNREACHABLE: u16 = 0;
    /// To the router itself.
    pub const LOCAL: u16 = 1;
    /// To stations of a segment.
    pub const CONNECTED: u16 = 2;
    /// To a station of a segment that routes them on.
    pub const GATEWAY: u16 = 3;
    /// To the router of a peer.
    pub const PEER: u16 = 4;
    /// Nowhere, and nobody is told.
    pub const BLACKHOLE: u16 = 5;
}

/// A frame that was sent to a router: what its path has found out of it. It is as it came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Arrival {
    /// The port or peer that it came from.
    pub source: Target,
    /// Index of the segment.
    pub segment: u16,
    /// Whose limits it is held against ([`Policed`](super::Policed)).
    pub limits: u16,
    /// From a peer, its length with outer headers and without padding.
    pub len: u32,
    /// From a peer, the bytes of all outer headers; else 0.
    pub outer_len: u16,
    /// From a peer, the outer ECN field.
    pub ecn: u8,
    /// [`TAGGED`](Self::TAGGED), [`V6`](Self::V6), [`IPV4`](Self::IPV4),
    /// [`IPV6`](Self::IPV6) and [`PART`](Self::PART).
    pub flags: u8,
}
record!(Arrival, 16);

impl Arrival {
    /// It has the tag of its port.
    pub const TAGGED: u8 = 1;
    /// Its tunnel is over IPv6.
    pub const V6: u8 = 1 << 1;
    /// What is in its tunnel is IPv4.
    pub const IPV4: u8 = 1 << 2;
    /// The same of IPv6.
    pub const IPV6: u8 = 1 << 3;

    /// It is a part of a frame that was held against the access list of where it goes.
    pub const PART: u8 = 1 << 4;

    /// Of a plain frame.
    pub const fn plain(source: Target, segment: u16) -> Self {
        Self { source, segment, limits: 0, len: 0, outer_len: 0, ecn: 0, flags: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(vrf: u16, ip: &str) -> RouteKey {
        let ip: IpAddr = ip.parse().unwrap();
        let len = if ip.is_ipv4() { 32 } else { 128 };
        RouteKey::prefix(vrf, ip, len)
    }

    #[test]
    fn a_prefix_comes_back() {
        for (ip, len) in
            [("10.1.0.0", 16), ("0.0.0.0", 0), ("10.1.2.3", 32), ("fd00::", 8), ("::", 0)]
        {
            let ip: IpAddr = ip.parse().unwrap();
            let key = RouteKey::prefix(7, ip, len);
            assert_eq!((key.network(), key.vrf()), ((ip, len), 7));
        }
    }

    #[test]
    fn what_is_asked_for_is_a_prefix_of_full_length() {
        let v4 = NeighbourKey::v4([10, 0, 0, 5], 0).unwrap().address;
        assert_eq!(RouteKey::to(3, Family::V4, v4), asked(3, "10.0.0.5"));
        let v6 = NeighbourKey::of("fd00::5".parse().unwrap(), 0).unwrap().address;
        assert_eq!(RouteKey::to(3, Family::V6, v6), asked(3, "fd00::5"));
    }

    #[test]
    fn a_prefix_holds_its_own_and_nothing_of_another_family_or_vrf() {
        let prefix = RouteKey::prefix(1, "10.1.0.0".parse().unwrap(), 16);
        assert!(prefix.holds(&asked(1, "10.1.255.255")));
        assert!(!prefix.holds(&asked(1, "10.2.0.0")) && !prefix.holds(&asked(2, "10.1.0.1")));
        let every = RouteKey::prefix(1, "::".parse().unwrap(), 0);
        assert!(every.holds(&asked(1, "fd00::1")) && !every.holds(&asked(1, "10.1.0.1")));
        let cut = asked(1, "10.1.255.255").cut(prefix.bits);
        assert_eq!(cut, prefix);
        assert_eq!(asked(1, "fd00::1").cut(every.bits), every);
    }
}
