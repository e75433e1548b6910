//! Reads an inner frame's flow: what the outer header needs to know of it.
//!
//! Assumes a frame without VLAN tag, from its Ethernet header on.

use crate::packet::{Inner, Packet};
use crate::wire::{Ethernet, Ipv4, Ipv6, Tcp, Udp, ethertype, protocol};

/// What the outer header takes from the inner frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// What the frame carries.
    pub inner: Inner,
    /// The inner type of service or traffic class: DSCP and ECN; 0 where the frame is not IP.
    pub tos: u8,
    /// The outer UDP source port: 49152 to 65535 (RFC 7348, section 5).
    pub source_port: u16,
}

impl Flow {
    /// Reads the frame that starts at offset 0.
    #[inline(always)]
    pub fn of<P: Packet>(packet: &P) -> Option<Self> {
        let ethernet = packet.at::<Ethernet>(0)?;
        let flow = match ethernet.ethertype() {
            ethertype::IPV4 => ipv4(packet),
            ethertype::IPV6 => ipv6(packet),
            _ => None,
        };
        Some(flow.unwrap_or_else(|| stations(ethernet)))
    }
}

/// The longest frame that a plain inner frame becomes on a wire, in bytes: its
/// own length, or that of a super-frame's segments.
#[inline(always)]
pub fn wire_len<P: Packet>(packet: &P) -> u32 {
    match packet.gso_size() {
        0 => packet.len(),
        payload => headers_len(packet).unwrap_or(0) + payload,
    }
}

/// How many packets and bytes a plain inner frame is on a wire, where `wire_len` is the longest
/// of them: one, or a super-frame's segments, each with the headers of all. The kernel keeps
/// no number of segments that outlives a tunnel.
#[inline(always)]
pub fn counted<P: Packet>(packet: &P, wire_len: u32) -> (u32, u32) {
    let (len, payload) = (packet.len(), packet.gso_size());
    if payload == 0 {
        return (1, len);
    }
    let headers = wire_len.wrapping_sub(payload);
    if len <= headers {
        return (1, len);
    }
    let shared = len - headers;
    let packets = shared.wrapping_add(payload - 1) / payload;
    (packets, shared.wrapping_add(packets.wrapping_mul(headers)))
}

/// The bytes of all headers up to the payload that segments share out.
#[inline(always)]
fn headers_len<P: Packet>(packet: &P) -> Option<u32> {
    let (upper, protocol) = match packet.at::<Ethernet>(0)?.ethertype() {
        ethertype::IPV4 => {
            let ip = packet.at::<Ipv4>(Ethernet::LEN)?;
            (Ethernet::LEN + ip.header_len(), ip.protocol)
        }
        ethertype::IPV6 => {
            let ip = packet.at::<Ipv6>(Ethernet::LEN)?;
            (Ethernet::LEN + Ipv6::LEN, ip.next_header)
        }
        _ => return None,
    };
    let upper_len = match protocol {
        protocol::TCP => packet.at::<Tcp>(upper)?.header_len(),
        protocol::UDP => Udp::LEN as u32,
        _ => 0,
    };
    Some(upper as u32 + upper_len)
}

/// Addresses, protocol and, in unfragmented TCP and UDP without IP options,
/// ports. All fragments of a datagram share a source port.
#[inline(always)]
fn ipv4<P: Packet>(packet: &P) -> Option<Flow> {
    let ip = packet.at::<Ipv4>(Ethernet::LEN)?;
    if ip.version() != 4 {
        return None;
    }
    let upper = Ethernet::LEN + Ipv4::LEN;
    let addresses = ip.ends();
    let ports = match ip.protocol {
        protocol::TCP | protocol::UDP if ip.is_plain() && !ip.is_fragment() => {
            ports_at(packet, upper)
        }
        _ => 0,
    };
    Some(Flow {
        inner: Inner::Ipv4,
        tos: ip.tos(),
        source_port: entropy(addresses, ports | (ip.protocol as u64) << 32),
    })
}

/// Addresses, next header, and ports of TCP and UDP, or else the flow label.
#[inline(always)]
fn ipv6<P: Packet>(packet: &P) -> Option<Flow> {
    let ip = packet.at::<Ipv6>(Ethernet::LEN)?;
    if ip.version() != 6 {
        return None;
    }
    let upper = Ethernet::LEN + Ipv6::LEN;
    let rest = match ip.next_header {
        protocol::TCP | protocol::UDP => ports_at(packet, upper),
        _ => ip.flow_label() as u64,
    };
    let addresses = address(ip.source_words()) ^ address(ip.destination_words()).rotate_left(32);
    Some(Flow {
        inner: Inner::Ipv6,
        tos: ip.class(),
        source_port: entropy(addresses, rest | (ip.next_header as u64) << 32),
    })
}

/// The MAC addresses and EtherType of a frame that is not IP.
#[inline(always)]
fn stations(ethernet: &Ethernet) -> Flow {
    let [destination, source] = ethernet.stations();
    let [a, b, c, d, e, f] = destination.0;
    let destination = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let [a, b, c, d, e, f] = source.0;
    let source = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    Flow {
        inner: Inner::Other,
        tos: 0,
        source_port: entropy(destination, source | (ethernet.ethertype() as u64) << 48),
    }
}

/// Source and destination port; TCP's stand where UDP's do.
#[inline(always)]
fn ports_at<P: Packet>(packet: &P, offset: usize) -> u64 {
    packet.at::<Udp>(offset).map_or(0, |udp| (udp.source() as u64) << 16 | udp.destination() as u64)
}

#[inline(always)]
const fn address([high, low]: [u64; 2]) -> u64 {
    high.wrapping_mul(ODD_1).wrapping_add(low)
}

/// Odd constants with about half of their bits set (2⁶⁴ divided by the golden
/// ratio, and by the square root of 2), as multiplicative hashing wants them.
const ODD_1: u64 = 0x9e37_79b9_7f4a_7c15;
const ODD_2: u64 = 0xb504_f333_f9de_6485;

/// Hashes a flow into the dynamic port range (RFC 6335): 2¹⁴ ports.
#[inline(always)]
fn entropy(a: u64, b: u64) -> u16 {
    let mixed = (a ^ (a >> 32)).wrapping_mul(ODD_1) ^ b.wrapping_mul(ODD_2);
    let hash = (mixed ^ (mixed >> 29)).wrapping_mul(ODD_1);
    0xc000 | (hash >> 50) as u16
}
