//! Source guard: the hosts behind a port use the addresses that are theirs, and no others.
//!
//! Each IP address is bound to a MAC address. A host that has no IP address yet may ask for one:
//! from 0.0.0.0 by DHCP or an ARP probe (RFC 5227), from `::` by duplicate address detection (RFC
//! 4862, 5.4.2). What it tells of itself counts as well: the sender of ARP, and the target of a
//! neighbour advertisement (RFC 4861, 4.4).
//!
//! What an address can hide behind is refused: a second tag, and extension headers in front of
//! what may be neighbour discovery (RFC 7113, section 3).

use super::classify::Frame;
use super::place;
use crate::abi::{GuardKey, NeighbourKey};
use crate::packet::Packet;
use crate::tables::Tables;
use crate::verdict::DropReason;
use crate::wire::{Arp, Discovery, Icmpv6, Ipv4, Ipv6, ethertype, protocol};

/// Refuses sources that are not the port's. The frame may have a tag.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
) -> Result<(), DropReason> {
    if !frame.guarded {
        return Ok(());
    }
    let (kind, at) = place(packet).ok_or(DropReason::SourceGuard)?;
    check(tables, frame, claimed(packet, frame, kind, at)?)?;
    match advertised(packet, kind, at) {
        Some(target) => check(tables, frame, target),
        None => Ok(()),
    }
}

#[inline(always)]
fn check<T: Tables>(tables: &T, frame: &Frame, address: [u64; 2]) -> Result<(), DropReason> {
    let station = GuardKey::station(frame.port, frame.source.station());
    let is_bound = tables.is_bound(&GuardKey { address, ..station });
    if is_bound { Ok(()) } else { Err(DropReason::SourceGuard) }
}

/// The address that a frame says is its sender's; zero where it says none.
#[inline(always)]
fn claimed<P: Packet>(
    packet: &P,
    frame: &Frame,
    kind: u16,
    at: usize,
) -> Result<[u64; 2], DropReason> {
    let told = match kind {
        ethertype::ARP => match packet.at::<Arp>(at) {
            Some(arp) if arp.sender_mac == frame.source.station() => of4(arp.sender_ip),
            _ => None,
        },
        ethertype::IPV4 => packet.at::<Ipv4>(at).and_then(|ip| of4(ip.source)),
        ethertype::IPV6 => match packet.at::<Ipv6>(at) {
            Some(ip) if !hides_discovery(ip) => Some(ip.source_words()),
            _ => None,
        },
        ethertype::VLAN | ethertype::SERVICE_VLAN => None,
        _ => Some([0; 2]),
    };
    told.ok_or(DropReason::SourceGuard)
}

/// Neighbour discovery that came through a router counts for nothing (RFC 4861, 7.1), so it has
/// the highest hop limit, which hardly any packet with extension headers has. Nor does it count
/// in fragments (RFC 6980).
#[inline(always)]
const fn hides_discovery(ip: &Ipv6) -> bool {
    use protocol::{DESTINATION, HOP_BY_HOP, ROUTING};
    ip.hop_limit == Discovery::HOP_LIMIT
        && matches!(ip.next_header, HOP_BY_HOP | ROUTING | DESTINATION)
}

#[inline(always)]
fn of4(ip: [u8; 4]) -> Option<[u64; 2]> {
    match ip {
        [0, 0, 0, 0] => Some([0; 2]),
        ip => NeighbourKey::v4(ip, 0).map(|key| key.address),
    }
}

/// The address that a neighbour advertisement is about.
#[inline(always)]
fn advertised<P: Packet>(packet: &mut P, kind: u16, at: usize) -> Option<[u64; 2]> {
    if kind != ethertype::IPV6 {
        return None;
    }
    let icmp = packet.at::<Icmpv6>(at)?;
    if icmp.ip.next_header != protocol::ICMPV6 || icmp.kind != Discovery::ADVERTISEMENT {
        return None;
    }
    let head = at + Ipv6::LEN;
    packet.require((head + Discovery::LEN) as u32);
    // One that ends early is about nobody, whom no host is.
    Some(packet.at::<Discovery>(head).map_or([u64::MAX; 2], Discovery::target_words))
}
