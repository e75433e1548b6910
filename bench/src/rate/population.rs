//! Whom a chain's frames are from and to, and how each is called.
//!
//! A frame's remote host is chosen at random among all of them, and its local host
//! among those of the same segment: a gateway sees few addresses on its own ports
//! and many behind its peers.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Local hosts at most, where one segment has them all.
const LOCAL: u32 = 1000;
/// VLANs of an access port, 1 to 4094 (IEEE 802.1Q).
const VLANS: u32 = 4094;
const FIRST_VNI: u32 = 100;
/// RFC 2544's network for benchmarks, without its first addresses.
const FIRST_VTEP: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 0);

/// How many there are of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Population {
    /// Remote hosts, each with an entry in the FDB.
    pub entries: u32,
    /// Peers that they are behind, not more than they are.
    pub peers: u32,
    /// Segments that there are. Hosts are in as many of them as the access port has
    /// VLANs, which may be no more than there are remote hosts.
    pub segments: u32,
    /// Whether frames of the access port are tagged, as several segments need.
    pub tagged: bool,
}

impl Population {
    /// One of each.
    pub const ONE: Self = Self { entries: 1, peers: 1, segments: 1, tagged: false };

    /// Segments that have a port, and so hosts: as many as there are VLANs.
    pub fn visited(&self) -> u32 {
        self.segments.min(VLANS)
    }

    /// Local hosts of each segment.
    pub fn hosts(&self) -> u32 {
        (self.entries.min(LOCAL) / self.visited()).max(1)
    }

    /// Segments for each remote host, in units of 2⁻³².
    pub fn segments_each(&self) -> u64 {
        (u64::from(self.visited()) << 32) / u64::from(self.entries)
    }

    /// Peers for each remote host, in units of 2⁻³².
    pub fn peers_each(&self) -> u64 {
        (u64::from(self.peers) << 32) / u64::from(self.entries)
    }

    /// The segment of a remote host.
    pub fn segment_of(&self, entry: u32) -> u32 {
        share(self.segments_each(), entry)
    }

    /// The peer of a remote host.
    pub fn peer_of(&self, entry: u32) -> u32 {
        share(self.peers_each(), entry)
    }

    /// For each peer, the segments of the hosts behind it.
    pub fn segments_of_peers(&self) -> Vec<BTreeSet<u32>> {
        let mut segments = vec![BTreeSet::new(); self.peers as usize];
        for entry in 0..self.entries {
            segments[self.peer_of(entry) as usize].insert(self.segment_of(entry));
        }
        segments
    }

    /// The local hosts of a segment, by number.
    pub fn hosts_of(&self, segment: u32) -> impl Iterator<Item = u32> {
        (segment * self.hosts()..).take(self.hosts() as usize)
    }

    /// The tag of a segment's frames on the access port.
    pub fn vlan(&self, segment: u32) -> Option<u32> {
        self.tagged.then_some(segment + 1)
    }
}

/// As the generator reckons.
fn share(for_each: u64, entry: u32) -> u32 {
    ((for_each * u64::from(entry)) >> 32) as u32
}

/// A remote host's address.
pub fn remote(entry: u32) -> [u8; 6] {
    let [a, b, c, d] = entry.to_be_bytes();
    [2, 0, a, b, c, d]
}

/// A local host's address.
pub fn local(host: u32) -> [u8; 6] {
    let [a, b, c, d] = host.to_be_bytes();
    [2, 1, a, b, c, d]
}

/// A segment's VNI.
pub fn vni(segment: u32) -> u32 {
    FIRST_VNI + segment
}

/// A peer's VTEP.
pub fn vtep(peer: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST_VTEP.to_bits() + peer)
}

/// An address as commands and configurations write it.
pub fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: Population =
        Population { entries: 10_000, peers: 10_000, segments: 4096, tagged: true };

    #[test]
    fn every_peer_and_every_segment_with_a_port_is_visited() {
        let segments: BTreeSet<_> = (0..MANY.entries).map(|e| MANY.segment_of(e)).collect();
        let peers: BTreeSet<_> = (0..MANY.entries).map(|e| MANY.peer_of(e)).collect();
        assert_eq!((segments.len(), peers.len()), (4094, 10_000));
        assert_eq!(segments.last(), Some(&4093));
    }

    #[test]
    fn a_large_population_of_one_segment_stays_in_it() {
        let large = Population { entries: 1_000_000, ..Population::ONE };
        assert_eq!((large.segment_of(999_999), large.peer_of(999_999)), (0, 0));
        assert_eq!(large.hosts(), 1000);
    }

    #[test]
    fn a_peer_is_permitted_where_its_hosts_are() {
        let segments = MANY.segments_of_peers();
        for entry in 0..MANY.entries {
            assert!(segments[MANY.peer_of(entry) as usize].contains(&MANY.segment_of(entry)));
        }
        assert!(segments.iter().all(|of_peer| of_peer.len() == 1));
    }

    #[test]
    fn peers_differ_in_the_lower_half_of_their_address_only() {
        let halves = [0, MANY.peers - 1].map(|peer| vtep(peer).to_bits() >> 16);
        assert_eq!(halves[0], halves[1]);
    }
}
