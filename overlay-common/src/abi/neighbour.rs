//! The neighbour table: (segment, IP address) → MAC.

use core::net::{IpAddr, Ipv6Addr};

use super::record;
use crate::wire::Mac;

/// An IP address in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct NeighbourKey {
    /// The bytes as on the wire, as two words; IPv4 as an IPv4-mapped address (RFC 4291,
    /// 2.5.5.2).
    pub address: [u64; 2],
    /// Index in `SEGMENTS`.
    pub segment: u16,
    /// Zero.
    pub reserved: [u16; 3],
}
record!(NeighbourKey, 24);

impl NeighbourKey {
    /// An IPv4 address; `None` for one that no host has: of "this network" (0/8, the
    /// unspecified one in it), loopback, multicast, reserved.
    #[inline(always)]
    pub const fn v4(ip: [u8; 4], segment: u16) -> Option<Self> {
        let [a, b, c, d] = ip;
        if a == 0 || a == 127 || a >= 224 {
            return None;
        }
        let low = u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d]);
        Some(Self { address: [0, low], segment, reserved: [0; 3] })
    }

    /// An IPv6 address; `None` for one that no host has: multicast, and what begins with 64
    /// zero bits, which is unspecified, loopback, or IPv4 in disguise.
    #[inline(always)]
    pub const fn v6(address: [u64; 2], segment: u16) -> Option<Self> {
        let [high, _] = address;
        if high == 0 || high.to_be() >> 56 == 0xff {
            return None;
        }
        Some(Self { address, segment, reserved: [0; 3] })
    }

    /// An address of either family; `None` as for [`v4`](Self::v4) and [`v6`](Self::v6).
    pub fn of(ip: IpAddr, segment: u16) -> Option<Self> {
        match ip {
            IpAddr::V4(ip) => Self::v4(ip.octets(), segment),
            IpAddr::V6(ip) => Self::v6(words(ip.octets()), segment),
        }
    }

    /// What a [`Punt`](super::Punt) carries; `None` as for [`of`](Self::of).
    pub fn from_bytes(address: [u8; 16], segment: u16) -> Option<Self> {
        Self::of(Ipv6Addr::from(address).to_canonical(), segment)
    }

    /// The address's bytes, IPv4 mapped.
    #[inline(always)]
    pub const fn bytes(self) -> [u8; 16] {
        // SAFETY: both are plain bytes of one size.
        unsafe { core::mem::transmute(self.address) }
    }

    /// The address.
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.bytes()).to_canonical()
    }
}

fn words(bytes: [u8; 16]) -> [u64; 2] {
    // SAFETY: both are plain bytes of one size.
    unsafe { core::mem::transmute(bytes) }
}

/// Whose an address is: the MAC and flags in one word, so that comparing two is comparing
/// two integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Neighbour(u64);
record!(Neighbour, 8);

impl Neighbour {
    const MAC: u64 = (1 << 48) - 1;
    const STATIC: u64 = 1 << 48;
    const ROUTER: u64 = 1 << 49;

    /// A station that is no router, or not known to be one.
    #[inline(always)]
    pub const fn new(mac: Mac) -> Self {
        let Mac([a, b, c, d, e, f]) = mac;
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    /// The same, as a router (RFC 4861, 4.4: the R flag) or not.
    #[inline(always)]
    #[must_use]
    pub const fn with_router(self, is_router: bool) -> Self {
        if is_router { Self(self.0 | Self::ROUTER) } else { Self(self.0 & !Self::ROUTER) }
    }

    /// The same, as the configuration has it.
    #[must_use]
    pub const fn fixed(self) -> Self {
        Self(self.0 | Self::STATIC)
    }

    /// The station.
    #[inline(always)]
    pub const fn mac(self) -> Mac {
        let [a, b, c, d, e, f, _, _] = self.0.to_le_bytes();
        Mac([a, b, c, d, e, f])
    }

    /// Whether no frame changes it.
    #[inline(always)]
    pub const fn is_static(self) -> bool {
        self.0 & Self::STATIC != 0
    }

    /// Whether the station is a router.
    #[inline(always)]
    pub const fn is_router(self) -> bool {
        self.0 & Self::ROUTER != 0
    }

    /// Whether both are one station.
    #[inline(always)]
    pub const fn is_station_of(self, other: Self) -> bool {
        (self.0 ^ other.0) & Self::MAC == 0
    }

    /// Whether both are one station in one role.
    #[inline(always)]
    pub const fn is_same_as(self, other: Self) -> bool {
        (self.0 ^ other.0) & (Self::MAC | Self::ROUTER) == 0
    }
}

/// Room in [`maps::NEIGHBOURS`](super::maps::NEIGHBOURS) beside an FDB of so many entries:
/// two addresses for each station, but no more than a million. The kernel's map takes 16 bytes
/// for each of them whether there is one or not.
pub const fn neighbours_beside(fdb_entries: u32) -> u32 {
    const MOST: u32 = 1 << 20;
    let wanted = fdb_entries.saturating_mul(2);
    if wanted > MOST { MOST } else { wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_come_back() {
        for ip in ["10.0.0.5", "223.255.255.255", "fe80::1", "2001:db8::5"] {
            let ip: IpAddr = ip.parse().unwrap();
            let key = NeighbourKey::of(ip, 7).unwrap();
            assert_eq!((key.ip(), key.segment), (ip, 7));
            assert_eq!(NeighbourKey::from_bytes(key.bytes(), 7), Some(key));
        }
    }

    #[test]
    fn nobody_has_some_addresses() {
        for ip in [
            "0.0.0.0",
            "0.0.0.1",
            "127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::1",
            "::ffff:10.0.0.5",
            "::10.0.0.5",
        ] {
            assert_eq!(NeighbourKey::of(ip.parse().unwrap(), 7), None, "{ip}");
        }
    }

    #[test]
    fn a_neighbour_is_a_mac_and_its_flags() {
        let (mac, other) = (Mac([2, 1, 2, 3, 4, 5]), Mac([2, 1, 2, 3, 4, 6]));
        let host = Neighbour::new(mac);
        let router = host.with_router(true);
        assert_eq!((host.mac(), router.fixed().mac()), (mac, mac));
        assert!(!host.is_router() && router.is_router() && !router.is_static());
        assert!(router.fixed().is_static() && router.fixed().is_router());
        assert!(host.is_station_of(router.fixed()) && !host.is_station_of(Neighbour::new(other)));
        assert!(host.is_same_as(host.fixed()) && !host.is_same_as(router));
        assert_eq!(router.with_router(false), host);
    }

    #[test]
    fn room_follows_the_fdb_up_to_a_million() {
        assert_eq!(
            [1, 1000, 1 << 20, u32::MAX].map(neighbours_beside),
            [2, 2000, 1 << 20, 1 << 20]
        );
    }
}
