//! What is never answered (RFC 1122, 3.2.2; RFC 4443, 2.4 e), be it an echo request or in error.

use overlay_control::router::{echo, error};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::errors::TOLD;
use crate::packets::{Packet, checksum, packet, read, router, udp};

/// All that a router says about a frame.
fn answers(frame: &[u8], room: u32) -> Vec<Vec<u8>> {
    let errors = TOLD.iter().filter_map(|(reason, ..)| error(frame, &router(), *reason, room));
    echo(frame, &router()).into_iter().chain(errors).collect()
}

/// Why nothing may be said of a frame.
fn why_silent(frame: &[u8]) -> Option<&'static str> {
    let packet = frame.get(14..)?;
    match (&frame[12..14], packet.first()? >> 4) {
        ([8, 0], 4) => why_silent4(packet),
        ([0x86, 0xdd], 6) => why_silent6(packet),
        _ => Some("neither IPv4 nor IPv6"),
    }
}

fn why_silent4(packet: &[u8]) -> Option<&'static str> {
    let header = usize::from(packet[0] & 15) * 4;
    if header < 20 || packet.len() < header {
        return Some("no header");
    }
    let is_host = |address: &[u8]| !matches!(address[0], 0 | 127 | 224..);
    let is_error = |kind: Option<&u8>| matches!(kind, None | Some(3 | 4 | 5 | 11 | 12));
    match packet {
        _ if usize::from(u16::from_be_bytes([packet[2], packet[3]])) < header => Some("too short"),
        _ if checksum(&packet[..header]) != 0 => Some("damaged"),
        _ if !is_host(&packet[12..16]) || !is_host(&packet[16..20]) => Some("no host"),
        _ if packet[6] & 0x1f != 0 || packet[7] != 0 => Some("not the first fragment"),
        _ if packet[9] == 1 && is_error(packet.get(header)) => Some("an error"),
        _ => None,
    }
}

fn why_silent6(packet: &[u8]) -> Option<&'static str> {
    if packet.len() < 40 {
        return Some("no header");
    }
    let (mut next, mut at) = (packet[6], 40);
    while let (0 | 43 | 44 | 51 | 60, Some([kind, len, high, low])) = (next, packet.get(at..at + 4))
    {
        at += match next {
            44 if *high != 0 || *low > 7 => return why_silent6_ends(packet),
            44 => 8,
            51 => 8 + 4 * usize::from(*len),
            _ => 8 + 8 * usize::from(*len),
        };
        next = *kind;
    }
    let is_error = |kind: Option<&u8>| matches!(kind, None | Some(0..128 | 137));
    let is_error = next == 58 && is_error(packet.get(at));
    is_error.then_some("an error").or(why_silent6_ends(packet))
}

fn why_silent6_ends(packet: &[u8]) -> Option<&'static str> {
    match packet {
        _ if packet[8] == 0xff || packet[24] == 0xff => Some("a group"),
        _ if packet[8..24] == [0; 16] => Some("from nobody"),
        _ => None,
    }
}

/// Extension headers that have ICMPv6 behind them: the type of each, how long it says it is, and
/// how long it is (RFC 8200, section 4; RFC 4302, 2.2).
const EXTENSIONS: [(u8, u8, usize); 5] =
    [(0, 1, 16), (43, 2, 24), (44, 0, 8), (51, 4, 24), (60, 0, 8)];

#[test]
fn errors_are_found_behind_extension_headers() {
    for (header, says, len) in EXTENSIONS {
        let behind = |packet: &Packet| {
            let mut payload = vec![58, says];
            payload.resize(len, 0);
            payload.extend_from_slice(&packet.payload);
            Packet { protocol: header, payload, ..packet.clone() }
        };
        silent(&behind(&udp(true).with_message(1, 0, &[0; 8])));
        let asks = behind(&udp(true).with_echo(&[0; 8])).frame(&router());
        assert_eq!(answers(&asks, 100).len(), TOLD.len() - 1, "all but that nobody listens");
        // Where the message itself is cut off, it might have been one.
        let cut = behind(&Packet { payload: Vec::new(), ..udp(true) });
        silent(&cut);
    }
}

#[test]
fn what_a_later_fragment_holds_is_not_looked_at() {
    let error = udp(true).with_message(1, 0, &[0; 8]);
    let payload = [&[58, 0, 0, 8, 0, 0, 0, 1], &error.payload[..]].concat();
    let fragment = Packet { protocol: 44, payload, ..error };
    assert_eq!(answers(&fragment.frame(&router()), 100).len(), TOLD.len());
}

/// Spoils a packet's source or destination.
fn spoiled(packet: &Packet, is_source: bool, first: u8) -> Packet {
    let mut packet = packet.clone();
    let address = if is_source { &mut packet.source } else { &mut packet.destination };
    address[0] = first;
    packet
}

fn silent(packet: &Packet) {
    let frame = packet.frame(&router());
    assert_eq!(answers(&frame, 100), Vec::<Vec<u8>>::new(), "{packet:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn errors_are_not_answered(
        packet in packet(0..1),
        rest in vec(any::<u8>(), 4..100),
        v4 in select(vec![3_u8, 4, 5, 11, 12]),
        v6 in prop_oneof![1 => Just(137_u8), 3 => 0..128_u8],
        code in 0..5_u8,
    ) {
        silent(&packet.with_message(if packet.is_v6 { v6 } else { v4 }, code, &rest));
    }

    #[test]
    fn who_is_no_single_host_is_not_answered(
        packet in packet(0..100),
        v4 in prop_oneof![Just(0_u8), Just(127), 224..=255_u8],
        is_source in any::<bool>(),
        is_echo in any::<bool>(),
    ) {
        let first = if packet.is_v6 { 0xff } else { v4 };
        let spoil = |packet: &Packet| spoiled(packet, is_source, first);
        let mut packet = spoil(&packet);
        if is_echo {
            packet = packet.with_echo(&[0; 8]);
            packet.options *= usize::from(!packet.is_v6);
        }
        silent(&packet);
    }

    #[test]
    fn nobody_is_not_answered(packet in packet(0..100), is_echo in any::<bool>()) {
        let mut packet = Packet { source: [0; 16], ..packet };
        if is_echo {
            packet = packet.with_echo(&[0; 8]);
            packet.options *= usize::from(!packet.is_v6);
        }
        silent(&packet);
    }

    #[test]
    fn of_fragments_the_first_alone_is_answered(
        packet in packet(8..100),
        flags in 0..8_u16,
        offset in 1..0x2000_u16,
        is_echo in any::<bool>(),
    ) {
        let mut packet = Packet { is_v6: false, fragment: flags << 13 | offset, ..packet };
        if is_echo {
            packet = packet.with_echo(&[0; 8]);
        }
        silent(&packet);
        packet.fragment = 0x2000;
        let frame = packet.frame(&router());
        // There is an error to tell of, but no whole request to answer.
        prop_assert_eq!(answers(&frame, 100).len(), TOLD.len() - usize::from(is_echo));
        prop_assert_eq!(echo(&frame, &router()), None);
    }

    #[test]
    fn damaged_headers_are_not_answered(
        packet in packet(0..100),
        at in any::<Index>(),
        bit in 0..8,
        is_short in any::<bool>(),
    ) {
        let packet = Packet { is_v6: false, ..packet };
        let header = 20 + packet.options * 4;
        let mut frame = packet.frame(&router());
        if is_short {
            // A length that the header itself does not fit in, of which it says that it is right.
            frame[16..18].copy_from_slice(&(at.index(header) as u16).to_be_bytes());
            frame[24..26].fill(0);
            let sum = checksum(&frame[14..14 + header]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        } else {
            frame[14 + at.index(header)] ^= 1_u8 << bit;
        }
        prop_assert_eq!(answers(&frame, 100), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn arbitrary_bytes_are_answered_rightly_or_not_at_all(
        bytes in vec(any::<u8>(), 0..200),
        kind in select(vec![[8_u8, 0], [0x86, 0xdd], [8, 6]]),
        version in select(vec![0x45_u8, 0x46, 0x60]),
        room in any::<u32>(),
    ) {
        let _ = answers(&bytes, room);
        let mut frame = bytes;
        if let Some(at) = frame.get_mut(12..15) {
            at.copy_from_slice(&[kind[0], kind[1], version]);
        }
        rightly_or_not_at_all(&frame, room);
    }

    #[test]
    fn damaged_packets_are_answered_rightly_or_not_at_all(
        packet in packet(0..100),
        is_icmp in any::<bool>(),
        damage in vec((any::<Index>(), any::<u8>()), 0..4),
        cut in any::<Index>(),
        room in any::<u32>(),
    ) {
        let packet = if is_icmp { packet.with_echo(&packet.payload) } else { packet };
        let mut frame = packet.frame(&router());
        let len = frame.len();
        for (at, byte) in damage {
            frame[at.index(len)] = byte;
        }
        let header = 14 + usize::from(frame[14] & 15) * 4;
        if frame[12..14] == [8, 0] && (34..len).contains(&header) {
            frame[24..26].fill(0);
            let sum = checksum(&frame[14..header]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        rightly_or_not_at_all(&frame, room);
        rightly_or_not_at_all(&frame[..cut.index(len)], room);
    }
}

fn rightly_or_not_at_all(frame: &[u8], room: u32) {
    for answer in answers(frame, room) {
        assert_eq!(why_silent(frame), None, "{frame:02x?} got {answer:02x?}");
        let answer = read(&answer, frame, &router());
        let addresses = if answer.to.len() == 4 { 26 } else { 22 };
        assert_eq!(answer.to, frame[addresses..addresses + answer.to.len()]);
    }
}
