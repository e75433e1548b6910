//! The largest segment: what two stations tell each other when they connect over TCP is
//! brought down to what fits the path between them (RFC 9293, 3.7.1).
//!
//! It is never made larger, nor put in where nobody announced one. Fragments, IPv4 headers
//! with options and IPv6 headers with extensions are left alone: a PTB tells those stations.

use core::hint::black_box;

use crate::packet::Packet;
use crate::wire::{Ipv4, Ipv6, Tcp, TcpOption, ethertype, protocol};

/// Where the TCP header is of a packet of this EtherType at `at` that opens a connection or
/// answers that: few do.
#[inline(always)]
pub fn syn<P: Packet>(packet: &P, kind: u16, at: usize) -> Option<usize> {
    let tcp = match kind {
        ethertype::IPV4 => {
            let ip = packet.at::<Ipv4>(at)?;
            if ip.protocol != protocol::TCP || !ip.is_plain() || ip.is_fragment() {
                return None;
            }
            at + Ipv4::LEN
        }
        ethertype::IPV6 => {
            let ip = packet.at::<Ipv6>(at)?;
            if ip.next_header != protocol::TCP || ip.version() != 6 {
                return None;
            }
            at + Ipv6::LEN
        }
        _ => return None,
    };
    packet.at::<Tcp>(tcp)?.is_syn().then_some(tcp)
}

/// Makes the largest segment that the TCP header at `tcp` announces one that fits, with what is
/// in front of it, into `room` bytes.
#[inline(always)]
pub fn clamp<P: Packet>(packet: &mut P, tcp: usize, room: u32) {
    packet.require((tcp + Tcp::LONGEST) as u32);
    let most = room.saturating_sub((tcp + Tcp::LEN) as u32);
    let most = if most > u16::MAX as u32 { u16::MAX } else { most as u16 };
    let Some(offset) = find(packet, tcp) else { return };
    let Some(option) = packet.at_mut::<TcpOption>(tcp + offset) else { return };
    let mss = option.mss();
    if mss <= most {
        return;
    }
    option.set_mss(most);
    // A checksum is over words; the option may lie across two of them.
    let (old, new) = match offset % 2 {
        0 => (mss, most),
        _ => (mss.swap_bytes(), most.swap_bytes()),
    };
    // A kernel that refuses leaves a wrong checksum, so the SYN is lost and comes again.
    let _ = packet.adjust_checksum(tcp + Tcp::CHECKSUM, old, new);
}

/// The most options that are looked at: senders put the largest segment first.
const OPTIONS: usize = 20;
/// At least as much as a header is long.
const MASK: usize = 63;

/// Where the option that announces the largest segment is, from the TCP header on.
#[inline(always)]
fn find<P: Packet>(packet: &P, tcp: usize) -> Option<usize> {
    let end = packet.at::<Tcp>(tcp)?.header_len() as usize;
    let mut offset = Tcp::LEN;
    for _ in 0..OPTIONS {
        if offset + TcpOption::LEN > end {
            return None;
        }
        // Changes nothing, which the compiler must not see: from this, verifiers before Linux 6.3
        // know that the offset stays small, and so that one turn is like the next.
        offset = black_box(offset) & MASK;
        let option = packet.at::<TcpOption>(tcp + offset)?;
        if option.is_mss() {
            return Some(offset);
        }
        offset += match option.kind {
            TcpOption::END => return None,
            TcpOption::NOTHING => 1,
            _ if option.len < 2 => return None,
            _ => option.len as usize,
        };
    }
    None
}
