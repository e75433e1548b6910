//! What a router makes sure of before it answers a packet.

use overlay_common::wire::{self, Ethernet, Ipv4, Ipv6, checksum, protocol};

/// The IPv4 packet of a frame, as much of it as is there. Its header is whole, and its checksum
/// right, which the path leaves to receivers where there are options (RFC 1812, 5.2.2).
pub fn ipv4(frame: &[u8]) -> Option<(&Ipv4, &[u8])> {
    let ip = wire::view::<Ipv4>(frame, Ethernet::LEN)?;
    let packet = frame.get(Ethernet::LEN..)?;
    let packet = &packet[..packet.len().min(ip.total_len().into())];
    let header = packet.get(..ip.header_len())?;
    (checksum::full(header) == 0).then_some((ip, packet))
}

/// What an IPv6 packet carries behind its extension headers (RFC 8200, section 4), and where.
pub fn upper(packet: &[u8]) -> Option<(u8, usize)> {
    let mut next = wire::view::<Ipv6>(packet, 0)?.next_header;
    let mut at = Ipv6::LEN;
    while let Some([kind, len, a, b]) = packet.get(at..).and_then(<[u8]>::first_chunk) {
        let is_first = u16::from_be_bytes([*a, *b]) >> 3 == 0;
        at += match next {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION => {
                8 + 8 * usize::from(*len)
            }
            protocol::AUTHENTICATION => 8 + 4 * usize::from(*len),
            protocol::FRAGMENT if is_first => 8,
            _ => break,
        };
        next = *kind;
    }
    Some((next, at))
}
