//! Access lists: what a plain frame's packet is in their terms.
//!
//! They are about IP. A fragment but the first has no ports: rules that name ports are not for it.
//! Of IPv6's extension headers only that of a fragment is looked behind. What hides behind others
//! is for the compiler of lists to refuse (`acl` in overlay-control).

use crate::abi::{Charge, FlowKey};
use crate::packet::Packet;
use crate::tables::{Fields, Tables};
use crate::verdict::DropReason;
use crate::wire::{Ethernet, Family, Fragment, Ipv4, Ipv6, ethertype, protocol};

/// Refuses what lists of a segment ([`Policed`](crate::abi::Policed)) deny.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    (segment, lists): (u16, u16),
    charge: Charge,
) -> Result<(), DropReason> {
    match packet.at::<Ethernet>(0).map(Ethernet::ethertype) {
        Some(ethertype::IPV4) => {
            let ip = packet.at::<Ipv4>(Ethernet::LEN).ok_or(DropReason::AclDenied)?;
            if ip.header_len() > Ipv4::LEN {
                packet.require(BEHIND_OPTIONS);
            }
            tables.filter(segment, lists, Family::V4, charge, V4(packet))
        }
        Some(ethertype::IPV6) => {
            packet.at::<Ipv6>(Ethernet::LEN).ok_or(DropReason::AclDenied)?;
            tables.filter(segment, lists, Family::V6, charge, V6(packet))
        }
        Some(kind) if kind < SHORTEST_TYPE && is_snap_ip(packet) => Err(DropReason::AclDenied),
        _ => Ok(()),
    }
}

/// Below is a length (IEEE 802.3, 3.2.6).
const SHORTEST_TYPE: u16 = 0x600;

/// Whether what follows is IP in a way of its own, which hardly anybody sends and some hosts take
/// (RFC 1042).
#[inline(always)]
fn is_snap_ip<P: Packet>(packet: &P) -> bool {
    const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];
    let Some([a, b, c, d, e, f, high, low]) = packet.at::<[u8; 8]>(Ethernet::LEN) else {
        return false;
    };
    let kind = u16::from_be_bytes([*high, *low]);
    [*a, *b, *c, *d, *e, *f] == SNAP && matches!(kind, ethertype::IPV4 | ethertype::IPV6)
}

/// A frame with an IPv4 packet.
struct V4<'a, P>(&'a P);

impl<P: Packet> Fields for V4<'_, P> {
    #[inline(always)]
    fn write(&self, flow: &mut FlowKey) -> Option<()> {
        let Self(packet) = self;
        let ip = packet.at::<Ipv4>(Ethernet::LEN)?;
        let behind = Ethernet::LEN + ip.header_len();
        let (from, to, transport) = match ip.is_first_fragment() {
            true => here(ports(*packet, ip.protocol, behind)),
            false => elsewhere(FlowKey::ELSEWHERE),
        };
        flow.fields = [
            0,
            u32::from_be_bytes(ip.source()) as u64,
            0,
            u32::from_be_bytes(ip.destination()) as u64,
            ip.protocol as u64,
            from,
            to,
            transport,
        ];
        Some(())
    }
}

/// A frame with an IPv6 packet.
struct V6<'a, P>(&'a P);

impl<P: Packet> Fields for V6<'_, P> {
    #[inline(always)]
    fn write(&self, flow: &mut FlowKey) -> Option<()> {
        let Self(packet) = self;
        let ip = packet.at::<Ipv6>(Ethernet::LEN)?;
        let behind = Ethernet::LEN + Ipv6::LEN;
        let (protocol, (from, to, transport)) = match ip.next_header {
            protocol::FRAGMENT => match packet.at::<Fragment>(behind) {
                Some(part) if is_hiding(part.next_header) => {
                    (part.next_header, elsewhere(FlowKey::HIDDEN))
                }
                Some(part) if part.is_first() => {
                    let ports = ports(*packet, part.next_header, behind + Fragment::LEN);
                    (part.next_header, here(ports))
                }
                Some(part) => (part.next_header, elsewhere(FlowKey::ELSEWHERE)),
                None => (protocol::FRAGMENT, elsewhere(FlowKey::HIDDEN)),
            },
            first if is_hiding(first) => (first, elsewhere(FlowKey::HIDDEN)),
            protocol => (protocol, here(ports(*packet, protocol, behind))),
        };
        let [source, destination] = [ip.source_words(), ip.destination_words()];
        flow.fields = [
            source[0].to_be(),
            source[1].to_be(),
            destination[0].to_be(),
            destination[1].to_be(),
            protocol as u64,
            from,
            to,
            transport,
        ];
        Some(())
    }
}

/// The ports of a transport header that is here.
#[inline(always)]
const fn here(ports: u32) -> (u64, u64, u64) {
    ((ports >> 16) as u64, (ports & 0xffff) as u64, FlowKey::HERE)
}

/// Those of one that is not.
#[inline(always)]
const fn elsewhere(transport: u64) -> (u64, u64, u64) {
    (FlowKey::NO_PORT, FlowKey::NO_PORT, transport)
}

/// Whether a next header is one of those that others stand behind (RFC 8200, section 4.1).
#[inline(always)]
const fn is_hiding(next_header: u8) -> bool {
    matches!(
        next_header,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::DESTINATION
    )
}

/// Source port and destination port, 16 bits each; of ICMP, type and code as the latter. What is cut
/// off before them has none.
#[inline(always)]
fn ports<P: Packet>(packet: &P, protocol: u8, at: usize) -> u32 {
    match protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => {
            packet.at::<[u8; 4]>(at).map_or(0, |ports| u32::from_be_bytes(*ports))
        }
        protocol::ICMP | protocol::ICMPV6 => {
            packet.at::<[u8; 2]>(at).map_or(0, |kind| u16::from_be_bytes(*kind) as u32)
        }
        _ => 0,
    }
}

/// Ports behind the longest IPv4 header.
const BEHIND_OPTIONS: u32 = Ethernet::LEN as u32 + 60 + 4;
