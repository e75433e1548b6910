//! Access lists: what a plain frame's packet is in their terms.
//!
//! They are about IP. A fragment but the first has no ports: rules that name ports are not for it.
//! Behind IPv6 extension headers nothing is looked for; the first of them is the protocol.

use crate::abi::{Charge, FlowKey};
use crate::packet::Packet;
use crate::tables::Tables;
use crate::verdict::DropReason;
use crate::wire::{Ethernet, Family, Ipv4, Ipv6, ethertype, protocol};

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
            let ip = *packet.at::<Ipv4>(Ethernet::LEN).ok_or(DropReason::AclDenied)?;
            if ip.header_len() > Ipv4::LEN {
                packet.require(BEHIND_OPTIONS);
            }
            tables.filter(segment, lists, Family::V4, charge, |flow| ipv4(packet, &ip, flow))
        }
        Some(ethertype::IPV6) => {
            let ip = packet.at::<Ipv6>(Ethernet::LEN).ok_or(DropReason::AclDenied)?;
            if is_discovery(packet, ip) {
                return Ok(());
            }
            tables.filter(segment, lists, Family::V6, charge, |flow| ipv6(packet, flow))
        }
        _ => Ok(()),
    }
}

/// Whether this is a question or an answer of neighbour discovery (RFC 4861, sections 7.1.1 and
/// 7.1.2), without which there is no IPv6: like ARP, it is not for lists.
#[inline(always)]
fn is_discovery<P: Packet>(packet: &P, ip: &Ipv6) -> bool {
    let kind = packet.at::<[u8; 2]>(Ethernet::LEN + Ipv6::LEN);
    ip.next_header == protocol::ICMPV6
        && ip.hop_limit == 255
        && kind.is_some_and(|kind| matches!(kind, [135 | 136, 0]))
}

#[inline(always)]
fn ipv4<P: Packet>(packet: &P, ip: &Ipv4, flow: &mut FlowKey) {
    let is_first = ip.is_first_fragment();
    let ports =
        if is_first { ports(packet, ip.protocol, Ethernet::LEN + ip.header_len()) } else { 0 };
    flow.fields = [
        0,
        u32::from_be_bytes(ip.source) as u64,
        0,
        u32::from_be_bytes(ip.destination) as u64,
        ip.protocol as u64,
        (ports >> 16) as u64,
        (ports & 0xffff) as u64,
        !is_first as u64,
    ];
}

#[inline(always)]
fn ipv6<P: Packet>(packet: &P, flow: &mut FlowKey) {
    let Some(ip) = packet.at::<Ipv6>(Ethernet::LEN) else { return };
    let ports = ports(packet, ip.next_header, Ethernet::LEN + Ipv6::LEN);
    let [from, to] = [ip.source_words(), ip.destination_words()];
    flow.fields = [
        from[0].to_be(),
        from[1].to_be(),
        to[0].to_be(),
        to[1].to_be(),
        ip.next_header as u64,
        (ports >> 16) as u64,
        (ports & 0xffff) as u64,
        0,
    ];
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
