//! IPv4 packets, byte by byte.

use overlay_common::wire::checksum;

/// Two hosts.
pub const HOST4: ([u8; 4], [u8; 4]) = ([10, 0, 0, 1], [10, 0, 0, 2]);

/// An IPv4 packet; `fragment` is flags and offset.
pub fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    ipv4_with(&[], protocol, fragment, HOST4, payload)
}

/// The same with options, and between these addresses.
pub fn ipv4_with(
    options: &[u8],
    protocol: u8,
    fragment: u16,
    (from, to): ([u8; 4], [u8; 4]),
    payload: &[u8],
) -> Vec<u8> {
    let header = 20 + options.len();
    let total = (header + payload.len()) as u16;
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(from);
    packet.extend(to);
    packet.extend_from_slice(options);
    let sum = checksum::full(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}
