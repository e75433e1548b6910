//! The frames that generators send.

use std::fmt;

use overlay_testbed::frame::{Tunnel, ethernet, ipv4_udp, tagged};

use super::abi::{TEMPLATE_WORDS, Template};
use super::population::{self, Population};

/// The gateway's own VTEP.
pub const VTEP: [u8; 4] = [192, 0, 2, 1];
/// Ethernet, IPv4 and UDP headers in front of a plain frame's stamp.
const HEADERS: usize = 14 + 20 + 8;
const TAG_LEN: usize = 4;

/// Simple IMIX: 7 short frames, 4 of middle length, 1 long one, of which the last
/// leaves room for a tunnel in an MTU of 1500.
const IMIX: [usize; 12] = [64, 64, 64, 64, 64, 64, 64, 576, 576, 576, 576, 1400];

/// Which way frames cross the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the access port into a tunnel.
    Encap,
    /// Out of a tunnel to the access port.
    Decap,
    /// By turns the one and the other.
    Both,
}

impl Direction {
    /// Every direction.
    pub const ALL: [Self; 3] = [Self::Encap, Self::Decap, Self::Both];
    /// Each way alone.
    pub const SINGLE: [Self; 2] = [Self::Encap, Self::Decap];

    /// The name in a case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encap => "encap",
            Self::Decap => "decap",
            Self::Both => "both",
        }
    }
}

/// How long frames are: the plain frame, from its Ethernet header on, without VLAN
/// tag and FCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// All alike.
    Fixed(usize),
    /// Simple IMIX.
    Imix,
}

impl Length {
    /// The lengths to choose from at random.
    pub fn choices(self) -> Vec<usize> {
        match self {
            Self::Fixed(length) => vec![length],
            Self::Imix => IMIX.to_vec(),
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(f, "{length}"),
            Self::Imix => f.write_str("imix"),
        }
    }
}

/// A frame from the first local host to the first remote one.
pub fn outwards(population: &Population, len: usize) -> Vec<u8> {
    let (local, remote) = (population::local(0), population::remote(0));
    let frame = plain(remote, local, len);
    match population.vlan(0) {
        Some(vlan) => tagged(&frame, vlan as u16),
        None => frame,
    }
}

/// A frame from the first remote host to the first local one, in the first peer's
/// tunnel. `macs` are those of the gateway's uplink and of the next hop.
pub fn inwards(macs: ([u8; 6], [u8; 6]), len: usize) -> Vec<u8> {
    let inner = plain(population::local(0), population::remote(0), len);
    let src = population::vtep(0).octets();
    Tunnel { macs, src, dst: VTEP, vni: population::vni(0) }.wrap(&inner)
}

fn plain(dst: [u8; 6], src: [u8; 6], len: usize) -> Vec<u8> {
    let payload = vec![0x5a; len - HEADERS];
    ethernet(dst, src, 0x0800, &ipv4_udp(([10, 0, 0, 1], 5000), ([10, 0, 0, 2], 6000), &payload))
}

/// Where the stamp is in a plain frame of the access port.
pub fn stamp_in_plain(population: &Population) -> usize {
    HEADERS + if population.tagged { TAG_LEN } else { 0 }
}

/// Where the stamp is in a frame in a tunnel.
pub const fn stamp_in_tunnel() -> usize {
    Tunnel::LEN + HEADERS
}

/// The frame's beginning and length.
pub fn template(frame: &[u8]) -> Template {
    let mut words = [0; TEMPLATE_WORDS];
    for (word, bytes) in words.iter_mut().zip(frame.chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_ne_bytes(whole);
    }
    Template { words, len: frame.len() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::abi::Stamp;

    #[test]
    fn a_template_reaches_to_the_end_of_the_stamp() {
        assert!(stamp_in_tunnel() + size_of::<Stamp>() <= TEMPLATE_WORDS * 8);
        assert!(inwards(([0; 6], [0; 6]), 64).len() >= TEMPLATE_WORDS * 8);
    }

    #[test]
    fn a_frame_has_the_length_that_is_asked_for_beside_tag_and_tunnel() {
        let tagging = Population { tagged: true, ..Population::ONE };
        assert_eq!(outwards(&Population::ONE, 576).len(), 576);
        assert_eq!(outwards(&tagging, 576).len(), 580);
        assert_eq!(inwards(([0; 6], [0; 6]), 576).len(), 626);
    }

    #[test]
    fn imix_is_seven_to_four_to_one() {
        let of = |len| Length::Imix.choices().iter().filter(|choice| **choice == len).count();
        assert_eq!((of(64), of(576), of(1400)), (7, 4, 1));
    }
}
