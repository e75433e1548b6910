//! Cuts an IPv4 packet up for a way out that is too narrow (RFC 791, section 3.2).

use overlay_common::wire::{Ethernet, Ipv4, checksum, view};

/// Flags and offset of a header: more fragments follow, and the offset in units of 8 bytes.
const MORE: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
const RESERVED_AND_DF: u16 = 0xc000;
/// An option is copied into every fragment where its type has this bit.
const COPIED: u8 = 0x80;
const END: u8 = 0;
const NOTHING: u8 = 1;

/// The fragments of a plain frame, none longer than `max_frame` bytes; of a frame that fits, the
/// frame itself. `None` where it is no whole IPv4 packet that may be cut up, or where what fits
/// has no room for 8 bytes.
pub fn of(frame: &[u8], max_frame: usize) -> Option<Vec<Vec<u8>>> {
    let ip = *view::<Ipv4>(frame, Ethernet::LEN)?;
    let (header_len, total) = (ip.header_len(), usize::from(ip.total_len()));
    if ip.version() != 4 || header_len < Ipv4::LEN || total < header_len || ip.dont_fragment() {
        return None;
    }
    // What is behind the packet is padding.
    let frame = frame.get(..Ethernet::LEN + total)?;
    if frame.len() <= max_frame {
        return Some(vec![frame.to_vec()]);
    }
    let (headers, payload) = frame.split_at(Ethernet::LEN + header_len);
    let (ethernet, first) = headers.split_at(Ethernet::LEN);
    let later = later_header(first);
    let flags = u16::from_be_bytes([first[6], first[7]]);
    let mut fragments = Vec::new();
    let mut at = 0;
    while at < payload.len() {
        let header = if at == 0 { first } else { &later };
        let room = max_frame.checked_sub(ethernet.len() + header.len())? / 8 * 8;
        let end = (at + room).min(payload.len());
        // Offsets count from the beginning of the packet that was cut up first.
        let offset = usize::from(flags & OFFSET) + at / 8;
        if room == 0 || offset > usize::from(OFFSET) {
            return None;
        }
        let more = if end == payload.len() { flags & MORE } else { MORE };
        let mut header = header.to_vec();
        let total = header.len() + end - at;
        put(&mut header, 2, total as u16);
        put(&mut header, 6, flags & RESERVED_AND_DF | more | offset as u16);
        put(&mut header, 10, 0);
        let sum = checksum::full(&header);
        put(&mut header, 10, sum);
        fragments.push([ethernet, &header, &payload[at..end]].concat());
        at = end;
    }
    Some(fragments)
}

/// The header of all fragments but the first: of the options, those that are copied.
fn later_header(first: &[u8]) -> Vec<u8> {
    let (fixed, mut options) = first.split_at(Ipv4::LEN);
    let mut header = fixed.to_vec();
    while let [kind, rest @ ..] = options {
        let len = match *kind {
            END => break,
            NOTHING => 1,
            _ => usize::from(rest.first().copied().unwrap_or(0)),
        };
        // A length that lies ends the options.
        let Some((option, behind)) = options.split_at_checked(len).filter(|_| len != 0) else {
            break;
        };
        if kind & COPIED != 0 {
            header.extend_from_slice(option);
        }
        options = behind;
    }
    header.resize(header.len().next_multiple_of(4), END);
    header[0] = 0x40 | (header.len() / 4) as u8;
    header
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with these options and flags, and `len` bytes of payload; two of padding.
    fn packet(options: &[u8], flags: u16, len: usize) -> Vec<u8> {
        let header_len = 20 + options.len();
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        frame.extend([0x40 | (header_len / 4) as u8, 0]);
        frame.extend(((header_len + len) as u16).to_be_bytes());
        frame.extend([0x12, 0x34]);
        frame.extend(flags.to_be_bytes());
        frame.extend([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend_from_slice(options);
        let sum = checksum::full(&frame[14..]);
        put(&mut frame, 24, sum);
        frame.extend((0..len).map(|i| (i * 7) as u8));
        frame.extend([0xee; 2]);
        frame
    }

    /// Puts fragments together as a receiver does, from offset `begin` on.
    fn assembled(fragments: &[Vec<u8>], begin: usize) -> Vec<u8> {
        let mut payload = Vec::new();
        for fragment in fragments {
            let ip = view::<Ipv4>(fragment, 14).unwrap();
            assert_eq!(usize::from(ip.total_len()), fragment.len() - 14);
            assert_eq!(checksum::full(&fragment[14..14 + ip.header_len()]), 0);
            assert_eq!(fragment[18..20], [0x12, 0x34], "one identification");
            let offset = usize::from(u16::from_be_bytes([fragment[20], fragment[21]]) & OFFSET);
            assert_eq!(offset * 8, begin + payload.len());
            payload.extend_from_slice(&fragment[14 + ip.header_len()..]);
        }
        payload
    }

    fn more(fragments: &[Vec<u8>]) -> Vec<bool> {
        fragments.iter().map(|fragment| fragment[20] & 0x20 != 0).collect()
    }

    #[test]
    fn fragments_fit_and_add_up() {
        let whole = packet(&[], 0, 1480);
        let fragments = of(&whole, 1244).unwrap();
        let lens: Vec<_> = fragments.iter().map(Vec::len).collect();
        assert_eq!(lens, [34 + 1208, 34 + 272], "units of 8 bytes");
        assert_eq!(more(&fragments), [true, false]);
        assert_eq!(assembled(&fragments, 0), whole[34..34 + 1480]);
        let small = of(&whole, 82).unwrap();
        assert!(small.iter().all(|fragment| fragment.len() <= 82));
        assert_eq!(assembled(&small, 0), whole[34..34 + 1480]);
    }

    #[test]
    fn a_fragment_is_cut_up_again() {
        let middle = packet(&[], MORE | 100, 1000);
        let fragments = of(&middle, 600).unwrap();
        assert_eq!(more(&fragments), [true, true]);
        assert_eq!(assembled(&fragments, 800), middle[34..1034]);
        let last = of(&packet(&[], 100, 1000), 600).unwrap();
        assert_eq!(more(&last), [true, false]);
    }

    #[test]
    fn options_are_copied_by_their_bit() {
        // Record route is not, a security option is; padding between them.
        let options = [7, 7, 4, 0, 0, 0, 0, 1, 0x82, 3, 9, 0];
        let whole = packet(&options, 0, 100);
        let fragments = of(&whole, 14 + 32 + 64).unwrap();
        assert_eq!(fragments[0][34..46], options);
        assert_eq!(fragments[1][14] & 0xf, 6);
        assert_eq!(fragments[1][34..38], [0x82, 3, 9, 0]);
        assert_eq!(assembled(&fragments, 0), whole[46..146]);
    }

    #[test]
    fn what_fits_stays_whole_and_loses_its_padding() {
        let whole = packet(&[], 0, 100);
        assert_eq!(of(&whole, 134), Some(vec![whole[..134].to_vec()]));
    }

    #[test]
    fn what_may_not_be_cut_up_is_refused() {
        assert_eq!(of(&packet(&[], 0x4000, 1000), 600), None, "DF");
        assert_eq!(of(&packet(&[], 0, 1000), 41), None, "no room for 8 bytes");
        assert_eq!(of(&packet(&[], OFFSET - 1, 1000), 600), None, "beyond the last offset");
        let mut v6 = packet(&[], 0, 1000);
        v6[14] = 0x65;
        assert_eq!(of(&v6, 600), None);
    }

    #[test]
    fn no_truncation_and_no_length_panics() {
        let whole = packet(&[0x82, 9, 1, 1], 0, 200);
        for end in 0..whole.len() {
            of(&whole[..end], 100);
        }
        for byte in 0..=255 {
            for at in [14, 16, 17, 34, 35] {
                let mut bad = whole.clone();
                bad[at] = byte;
                of(&bad, 100);
            }
        }
    }
}
