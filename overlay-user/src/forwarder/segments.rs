//! Super-frames, taken apart: a local sender's TCP leaves the segmentation to its device, and
//! no device does it for a tunnel that user space sends.
//!
//! Of a frame of which nothing is known but its size, TCP alone is: a super-frame of UDP may
//! as well be a tunnel whose inner TCP is to be segmented, and nothing in the frame says which.

use overlay_common::wire::{
    Ethernet, Family, Ipv4, Ipv6, Tag, Tcp, Udp, checksum, ethertype, protocol, view,
};

/// TCP flags that the last segment alone carries, and the one that the first does.
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// How a super-frame is to be taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The tunnel's headers in front of it, if there are any.
    outer: Option<Family>,
    layout: Layout,
    /// The payload bytes of each segment.
    size: usize,
    /// The super-frame's bytes.
    len: usize,
}

/// Where the headers of a frame are.
#[derive(Clone, Copy, Debug)]
struct Layout {
    ip: usize,
    is_v6: bool,
    upper: usize,
    protocol: u8,
    payload: usize,
}

/// The frames that a super-frame stands for, each with as much payload as `gso_size` says; a
/// frame that is none (`gso_size` 0) as it is. `None` where it is not TCP.
pub fn of(frame: Vec<u8>, gso_size: u32) -> Option<Vec<Vec<u8>>> {
    if gso_size == 0 {
        return Some(vec![frame]);
    }
    let plan = Plan::of(&frame, None, gso_size as usize, protocol::TCP)?;
    let segment = |number| {
        let mut segment = vec![0; plan.len_of(number)];
        plan.write(&frame, number, &mut segment);
        segment
    };
    Some((0..plan.count()).map(segment).collect())
}

impl Plan {
    /// For a super-frame of `protocol` (TCP or UDP), behind a tunnel's finished headers if it
    /// has any, with `size` payload bytes in each segment. `None` where it is something else.
    pub fn of(frame: &[u8], outer: Option<Family>, size: usize, protocol: u8) -> Option<Self> {
        let layout = layout(frame, outer.map_or(0, Family::tunnel_len), protocol)?;
        (size != 0).then_some(Self { outer, layout, size, len: frame.len() })
    }

    /// How many frames it becomes.
    pub fn count(&self) -> usize {
        (self.len - self.layout.payload).div_ceil(self.size).max(1)
    }

    /// The bytes of one of them, outer headers included.
    pub fn len_of(&self, number: usize) -> usize {
        let (from, to) = self.part(number);
        self.layout.payload + (to - from)
    }

    /// Writes one of them, whole and with finished checksums.
    ///
    /// # Panics
    ///
    /// `frame` or `segment` is not as long as this says.
    pub fn write(&self, frame: &[u8], number: usize, segment: &mut [u8]) {
        let Layout { ip, is_v6, upper, protocol, payload } = self.layout;
        let (from, to) = self.part(number);
        segment[..payload].copy_from_slice(&frame[..payload]);
        segment[payload..].copy_from_slice(&frame[from..to]);
        if let Some(outer) = self.outer {
            set_outer_lengths(segment, outer);
        }
        let upper_len = (segment.len() - upper) as u16;
        let addresses = if is_v6 {
            put(segment, ip + 4, (segment.len() - ip - Ipv6::LEN) as u16);
            ip + 8..ip + 40
        } else {
            put(segment, ip + 2, (segment.len() - ip) as u16);
            let id = u16::from_be_bytes([segment[ip + 4], segment[ip + 5]]);
            put(segment, ip + 4, id.wrapping_add(number as u16));
            seal(segment, ip, upper);
            ip + 12..ip + 20
        };
        let field = match protocol {
            protocol::TCP => {
                self.continue_tcp(segment, number);
                upper + 16
            }
            _ => {
                put(segment, upper + 4, upper_len);
                upper + 6
            }
        };
        put(segment, field, 0);
        let sum = [
            sum(&segment[addresses]),
            u32::from(protocol) + u32::from(upper_len),
            sum(&segment[upper..]),
        ];
        let sum = match !checksum::fold(sum.into_iter().sum()) {
            // In UDP, zero says that there is no checksum (RFC 768).
            0 if protocol == protocol::UDP => 0xffff,
            sum => sum,
        };
        put(segment, field, sum);
    }

    /// The sequence number and the flags of a segment.
    fn continue_tcp(&self, segment: &mut [u8], number: usize) {
        let upper = self.layout.upper;
        let at = upper + 4..upper + 8;
        let sequence = u32::from_be_bytes(segment[at.clone()].try_into().unwrap_or_default());
        let sequence = sequence.wrapping_add((number * self.size) as u32);
        segment[at].copy_from_slice(&sequence.to_be_bytes());
        if number + 1 != self.count() {
            segment[upper + 13] &= !FIN_PSH;
        }
        if number != 0 {
            segment[upper + 13] &= !CWR;
        }
    }

    /// Where the payload of a segment is in the super-frame.
    fn part(&self, number: usize) -> (usize, usize) {
        let from = (self.layout.payload + number * self.size).min(self.len);
        (from, (from + self.size).min(self.len))
    }
}

fn layout(frame: &[u8], start: usize, protocol: u8) -> Option<Layout> {
    let mut ip = start + Ethernet::LEN;
    let mut kind = view::<Ethernet>(frame, start)?.ethertype();
    if matches!(kind, ethertype::VLAN | ethertype::SERVICE_VLAN) {
        let inner = frame.get(ip + 2..ip + Tag::LEN)?;
        kind = u16::from_be_bytes([inner[0], inner[1]]);
        ip += Tag::LEN;
    }
    let (upper, found) = match kind {
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
    if found != protocol {
        return None;
    }
    let header_len = match protocol {
        protocol::TCP => (view::<Tcp>(frame, upper)?.header_len() as usize).max(Tcp::LEN),
        _ => Udp::LEN,
    };
    let payload = upper + header_len;
    let is_v6 = kind == ethertype::IPV6;
    (payload <= frame.len()).then_some(Layout { ip, is_v6, upper, protocol, payload })
}

/// The lengths in the headers of a tunnel, which lie in front of the whole frame.
fn set_outer_lengths(segment: &mut [u8], outer: Family) {
    let ip = Ethernet::LEN;
    let udp = match outer {
        Family::V4 => {
            put(segment, ip + 2, (segment.len() - ip) as u16);
            seal(segment, ip, ip + Ipv4::LEN);
            ip + Ipv4::LEN
        }
        Family::V6 => {
            put(segment, ip + 4, (segment.len() - ip - Ipv6::LEN) as u16);
            ip + Ipv6::LEN
        }
    };
    put(segment, udp + 4, (segment.len() - udp) as u16);
}

/// Computes the checksum of an IPv4 header.
fn seal(frame: &mut [u8], ip: usize, end: usize) {
    put(frame, ip + 10, 0);
    let sum = checksum::full(&frame[ip..end]);
    put(frame, ip + 10, sum);
}

fn sum(bytes: &[u8]) -> u32 {
    u32::from(!checksum::full(bytes))
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
        let Layout { ip, is_v6, upper, .. } = layout(frame, 0, protocol::TCP).unwrap();
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
            let Layout { ip, upper, payload, .. } = layout(&whole, 0, protocol::TCP).unwrap();
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

    /// Datagrams behind a tunnel's headers: both have their own lengths and checksums.
    #[test]
    fn segments_of_a_tunnel_are_tunnels() {
        for (outer, is_v6) in [(Family::V4, false), (Family::V4, true), (Family::V6, false)] {
            let inner = super_frame(is_v6, 0, protocol::UDP, 200);
            let mut whole = vec![0; outer.tunnel_len()];
            whole[14] = 0x45;
            whole.extend_from_slice(&inner);
            let plan = Plan::of(&whole, Some(outer), 100, protocol::UDP).unwrap();
            // The 24 bytes behind the first 8 are payload here.
            assert_eq!(plan.count(), 3);
            for (number, payload) in [(0, 100), (1, 100), (2, 24)] {
                let mut segment = vec![0; plan.len_of(number)];
                plan.write(&whole, number, &mut segment);
                let udp = outer.tunnel_len() - 16;
                let len =
                    |at: usize| usize::from(u16::from_be_bytes([segment[at], segment[at + 1]]));
                assert_eq!(len(udp + 4), segment.len() - udp);
                match outer {
                    Family::V4 => {
                        assert_eq!(len(16), segment.len() - 14);
                        assert_eq!(checksum::full(&segment[14..34]), 0);
                    }
                    Family::V6 => assert_eq!(len(18), segment.len() - 54),
                }
                let Layout { ip, upper, .. } =
                    layout(&segment, outer.tunnel_len(), protocol::UDP).unwrap();
                assert_eq!((len(upper + 4), segment.len() - upper), (payload + 8, payload + 8));
                let addresses = if is_v6 { ip + 8..ip + 40 } else { ip + 12..ip + 20 };
                let pseudo = u32::from(protocol::UDP) + (payload + 8) as u32;
                let total = sum(&segment[addresses]) + pseudo + sum(&segment[upper..]);
                assert_eq!(checksum::fold(total), 0xffff);
            }
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
