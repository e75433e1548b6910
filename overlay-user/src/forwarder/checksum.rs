//! Finishing checksums that a local sender left to its device.
//!
//! A veth or tap hands over TCP and UDP with CHECKSUM_PARTIAL: the field holds
//! the sum of the pseudo-header alone. The kernel would finish it on the way out,
//! but a punted frame has lost the note that says so.

use overlay_common::wire::{Ethernet, Ipv4, Ipv6, Tag, checksum, ethertype, protocol, view};

/// Finishes the TCP or UDP checksum of a frame where it is partial. One that is
/// finished stays as it is, even where its value happens to be that sum: then
/// the two computations agree.
pub fn finish(frame: &mut [u8]) {
    if let Some(segment) = find(frame) {
        let Segment { start, end, field, pseudo_header } = segment;
        if frame[field..field + 2] == pseudo_header.to_be_bytes() {
            let finished = match checksum::full(&frame[start..end]) {
                // In UDP, zero says that there is no checksum (RFC 768).
                0 => 0xffff,
                sum => sum,
            };
            frame[field..field + 2].copy_from_slice(&finished.to_be_bytes());
        }
    }
}

/// A TCP or UDP segment in a frame.
struct Segment {
    start: usize,
    end: usize,
    /// Where its checksum is.
    field: usize,
    /// The sum, not complemented, of its pseudo-header.
    pseudo_header: u16,
}

fn find(frame: &[u8]) -> Option<Segment> {
    let mut offset = Ethernet::LEN;
    let mut kind = view::<Ethernet>(frame, 0)?.ethertype();
    if matches!(kind, ethertype::VLAN | ethertype::SERVICE_VLAN) {
        let inner = frame.get(offset + 2..offset + Tag::LEN)?;
        kind = u16::from_be_bytes([inner[0], inner[1]]);
        offset += Tag::LEN;
    }
    let (start, end, addresses, protocol) = match kind {
        ethertype::IPV4 => {
            let ip = view::<Ipv4>(frame, offset)?;
            if ip.is_fragment() {
                return None;
            }
            let end = offset + usize::from(ip.total_len());
            (offset + ip.header_len(), end, frame.get(offset + 12..offset + 20)?, frame[offset + 9])
        }
        ethertype::IPV6 => {
            let ip = view::<Ipv6>(frame, offset)?;
            let start = offset + Ipv6::LEN;
            let end = start + usize::from(ip.payload_len());
            (start, end, frame.get(offset + 8..offset + 40)?, frame[offset + 6])
        }
        _ => return None,
    };
    let field = start
        + match protocol {
            protocol::TCP => 16,
            protocol::UDP => 6,
            _ => return None,
        };
    if end > frame.len() || field + 2 > end {
        return None;
    }
    let mut pseudo = addresses.to_vec();
    pseudo.extend_from_slice(&u32::try_from(end - start).ok()?.to_be_bytes());
    pseudo.extend_from_slice(&[0, 0, 0, protocol]);
    Some(Segment { start, end, field, pseudo_header: !checksum::full(&pseudo) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// UDP 192.0.2.1:1000 → 192.0.2.2:2000 with the payload "hi!".
    fn udp_frame(check: u16) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        frame.extend([0x45, 0, 0, 31, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend([0x03, 0xe8, 0x07, 0xd0, 0, 11]);
        frame.extend(check.to_be_bytes());
        frame.extend(b"hi!");
        // Padding is not part of the datagram.
        frame.extend([0xee; 15]);
        frame
    }

    fn sum_of(frame: &[u8]) -> u16 {
        let mut bytes = vec![192, 0, 2, 1, 192, 0, 2, 2, 0, 17, 0, 11];
        bytes.extend(&frame[34..45]);
        checksum::full(&bytes)
    }

    #[test]
    fn a_partial_checksum_is_finished_and_a_finished_one_kept() {
        let segment = find(&udp_frame(0)).unwrap();
        let mut frame = udp_frame(segment.pseudo_header);
        finish(&mut frame);
        assert_eq!(sum_of(&frame), 0);
        let finished = frame.clone();
        finish(&mut frame);
        assert_eq!(frame, finished);
    }

    #[test]
    fn another_value_is_left_alone() {
        let mut frame = udp_frame(0x1234);
        finish(&mut frame);
        assert_eq!(frame, udp_frame(0x1234));
    }

    #[test]
    fn no_truncation_panics() {
        let segment = find(&udp_frame(0)).unwrap();
        let frame = udp_frame(segment.pseudo_header);
        for end in 0..frame.len() {
            finish(&mut frame[..end].to_vec());
        }
    }
}
