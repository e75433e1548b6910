//! Super-frames, taken apart: a local sender's TCP leaves the segmentation to its device, and
//! no device does it for a frame that user space sends.
//!
//! Only TCP is: a super-frame of UDP may as well be a tunnel whose inner TCP is to be
//! segmented, and nothing in the frame says which.

use overlay_common::wire::{Ethernet, Ipv4, Ipv6, Tag, Tcp, checksum, ethertype, protocol, view};

/// TCP flags that the last segment alone carries, and the one that the first does.
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// Where the headers of a frame are.
#[derive(Clone, Copy)]
struct Layout {
    ip: usize,
    is_v6: bool,
    upper: usize,
    payload: usize,
}

/// The frames that a super-frame stands for, each with as much payload as `gso_size` says; a
/// frame that is none (`gso_size` 0) as it is. `None` where it is not TCP.
pub fn of(frame: Vec<u8>, gso_size: u32) -> Option<Vec<Vec<u8>>> {
    let size = gso_size as usize;
    if size == 0 {
        return Some(vec![frame]);
    }
    let layout = layout(&frame)?;
    let (headers, payload) = frame.split_at(layout.payload);
    let last = payload.len().div_ceil(size).saturating_sub(1);
    let parts = payload.chunks(size).enumerate();
    Some(parts.map(|(number, part)| segment(headers, layout, size, number, last, part)).collect())
}

fn layout(frame: &[u8]) -> Option<Layout> {
    let mut ip = Ethernet::LEN;
    let mut kind = view::<Ethernet>(frame, 0)?.ethertype();
    if matches!(kind, ethertype::VLAN | ethertype::SERVICE_VLAN) {
        let inner = frame.get(ip + 2..ip + Tag::LEN)?;
        kind = u16::from_be_bytes([inner[0], inner[1]]);
        ip += Tag::LEN;
    }
    let (upper, protocol) = match kind {
        ethertype::IPV4 => {
            let header = view::<Ipv4>(frame, ip)?;
            if header.header_len() < Ipv4::LEN {
                return None;
            }
            (ip + header.header_len(), header.protocol)
        }
        ethertype::IPV6 => (ip + Ipv6::LEN, view::<Ipv6>(frame, ip)?.next_header),
        _ => return None,
    };
    if protocol != protocol::TCP {
        return None;
    }
    let payload = upper + (view::<Tcp>(frame, upper)?.header_len() as usize).max(Tcp::LEN);
    let is_v6 = kind == ethertype::IPV6;
    (payload <= frame.len()).then_some(Layout { ip, is_v6, upper, payload })
}

fn segment(
    headers: &[u8],
    layout: Layout,
    size: usize,
    number: usize,
    last: usize,
    payload: &[u8],
) -> Vec<u8> {
    let Layout { ip, is_v6, upper, .. } = layout;
    let mut frame = [headers, payload].concat();
    let upper_len = (frame.len() - upper) as u16;
    let addresses = if is_v6 {
        put(&mut frame, ip + 4, upper_len);
        ip + 8..ip + 40
    } else {
        put(&mut frame, ip + 2, (headers.len() - ip + payload.len()) as u16);
        let id = u16::from_be_bytes([frame[ip + 4], frame[ip + 5]]).wrapping_add(number as u16);
        put(&mut frame, ip + 4, id);
        put(&mut frame, ip + 10, 0);
        let sum = checksum::full(&frame[ip..upper]);
        put(&mut frame, ip + 10, sum);
        ip + 12..ip + 20
    };
    let at = upper + 4..upper + 8;
    let sequence = u32::from_be_bytes(frame[at.clone()].try_into().unwrap_or_default());
    let sequence = sequence.wrapping_add((number * size) as u32);
    frame[at].copy_from_slice(&sequence.to_be_bytes());
    if number != last {
        frame[upper + 13] &= !FIN_PSH;
    }
    if number != 0 {
        frame[upper + 13] &= !CWR;
    }
    put(&mut frame, upper + 16, 0);
    let mut summed = frame[addresses].to_vec();
    summed.extend([0, protocol::TCP]);
    summed.extend(upper_len.to_be_bytes());
    summed.extend_from_slice(&frame[upper..]);
    let sum = checksum::full(&summed);
    put(&mut frame, upper + 16, sum);
    frame
}

fn put(frame: &mut [u8], at: usize, value: u16) {
    frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TCP (or what `protocol` says) of `len` payload bytes, FIN, PSH and CWR set, checksums
    /// wrong; over IPv4 with `options` bytes of options, and with a tag.
    fn super_frame(is_v6: bool, options: usize, protocol: u8, len: usize) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        if options != 0 {
            frame.extend([0x81, 0, 0, 10]);
        }
        if is_v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, protocol, 64]);
            frame.extend([0xfd; 32]);
        } else {
            let ihl = 0x45 + options as u8 / 4;
            frame.extend([8, 0, ihl, 0, 0, 0, 0xff, 0xff, 0x40, 0, 64, protocol, 0, 0]);
            frame.extend([192, 0, 2, 1, 192, 0, 2, 2]);
            frame.resize(frame.len() + options, 1);
        }
        frame.extend([0, 80, 0, 81, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0x80, 0x99, 1, 1]);
        frame.extend([9; 16]);
        frame.extend((0..len).map(|i| i as u8));
        frame
    }

    fn check(frame: &[u8]) {
        let Layout { ip, is_v6, upper, .. } = layout(frame).unwrap();
        let upper_len = (frame.len() - upper) as u16;
        if is_v6 {
            assert_eq!(view::<Ipv6>(frame, ip).unwrap().payload_len(), upper_len);
        } else {
            assert_eq!(usize::from(view::<Ipv4>(frame, ip).unwrap().total_len()), frame.len() - ip);
            assert_eq!(checksum::full(&frame[ip..upper]), 0);
        }
        let addresses = if is_v6 { ip + 8..ip + 40 } else { ip + 12..ip + 20 };
        let mut summed = frame[addresses].to_vec();
        summed.extend([0, protocol::TCP]);
        summed.extend(upper_len.to_be_bytes());
        summed.extend_from_slice(&frame[upper..]);
        assert_eq!(checksum::full(&summed), 0);
    }

    #[test]
    fn segments_are_whole_packets_that_add_up() {
        for (is_v6, options) in [(false, 0), (true, 0), (false, 8)] {
            let whole = super_frame(is_v6, options, protocol::TCP, 2501);
            let segments = of(whole.clone(), 1000).unwrap();
            let Layout { ip, upper, payload, .. } = layout(&whole).unwrap();
            let payloads: Vec<&[u8]> = segments.iter().map(|s| &s[payload..]).collect();
            assert_eq!(payloads.iter().map(|p| p.len()).collect::<Vec<_>>(), [1000, 1000, 501]);
            assert_eq!(payloads.concat(), whole[payload..]);
            segments.iter().for_each(|segment| check(segment));
            let flags: Vec<u8> = segments.iter().map(|s| s[upper + 13]).collect();
            assert_eq!(flags, [0x90, 0x10, 0x19]);
            let sequence = &segments[1][upper + 4..upper + 8];
            assert_eq!(sequence, (0xffff_ff00_u32).wrapping_add(1000).to_be_bytes());
            let id = |segment: &[u8]| u16::from_be_bytes([segment[ip + 4], segment[ip + 5]]);
            if !is_v6 {
                assert_eq!(segments.iter().map(|s| id(s)).collect::<Vec<_>>(), [0xffff, 0, 1]);
            }
        }
    }

    #[test]
    fn what_is_no_super_frame_stays_as_it_is_and_other_protocols_are_refused() {
        let frame = super_frame(false, 0, protocol::TCP, 300);
        assert_eq!(of(frame.clone(), 0), Some(vec![frame.clone()]));
        assert_eq!(of(frame, 300).unwrap().len(), 1);
        for protocol in [protocol::UDP, 47] {
            let other = super_frame(false, 0, protocol, 300);
            assert_eq!(of(other.clone(), 0), Some(vec![other.clone()]));
            assert_eq!(of(other, 100), None);
        }
    }

    #[test]
    fn no_truncation_panics() {
        let mut frame = super_frame(false, 0, protocol::TCP, 10);
        for end in 0..frame.len() {
            of(frame[..end].to_vec(), 1);
        }
        // Header lengths that lie.
        for byte in 0..=255 {
            frame[14] = byte;
            frame[46] = byte;
            of(frame.clone(), 1);
        }
    }
}
