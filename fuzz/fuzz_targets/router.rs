//! Arbitrary frames to a router, which are answered, or whose senders are told of errors.
//!
//! Whatever is said is sound, goes back to who sent the frame, and is short enough; an error quotes
//! the packet's beginning. Nothing is said of errors, of fragments but the first, or to what is no
//! single host. A question has the address in it that it asks for.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use overlay_common::abi::{NeighbourKey, Router};
use overlay_common::verdict::DropReason;
use overlay_common::wire::{Ethernet, Ipv4, Ipv6, Mac, address_words, checksum, ethertype, view};
use overlay_control::router::{echo, error, question};
use overlay_fuzz::mac;

const IPV4: usize = Ethernet::LEN + Ipv4::LEN;
const IPV6: usize = Ethernet::LEN + Ipv6::LEN;

fuzz_target!(|data: &[u8]| {
    let Some(([choices, about, r1, r2], bytes)) = data.split_first_chunk() else { return };
    let (router, room) = (router(), u32::from(u16::from_be_bytes([*r1, *r2])));
    let mut frame = bytes.to_vec();
    if choices & 1 != 0 {
        make_sound(&mut frame);
    }
    if let Some(answer) = echo(&frame, &router) {
        sound(&answer, &frame, &router);
        let start = if is_v6(&frame) { IPV6 } else { IPV4 };
        assert_eq!(answer[start], if is_v6(&frame) { 129 } else { 0 });
        let asked = Ethernet::LEN + packet(&frame).len() - (answer.len() - start);
        assert_eq!(answer[start + 4..], frame[asked + 4..Ethernet::LEN + packet(&frame).len()]);
    }
    let reason = DropReason::from_u8(*about);
    if let Some(answer) = error(&frame, &router, reason, room) {
        sound(&answer, &frame, &router);
        let (start, longest) = if is_v6(&frame) { (IPV6, 1280) } else { (IPV4, 576) };
        assert!(answer.len() <= Ethernet::LEN + longest, "an error of {} bytes", answer.len());
        let (quote, whole) = (&answer[start + 8..], packet(&frame));
        assert!(whole.starts_with(quote) && quote.len() + start >= whole.len().min(longest));
    }
    if let Some(address) = bytes.first_chunk() {
        asked(*address, &router);
    }
});

fn router() -> Router {
    let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    Router {
        v6: address_words(&v6),
        v4: [10, 0, 0, 1],
        vrf: 1,
        mac: Mac(mac(0xe0)),
        own: Mac(mac(0xe1)),
        reserved: [0; 3],
    }
}

fn is_v6(frame: &[u8]) -> bool {
    view::<Ethernet>(frame, 0).is_some_and(|e| e.ethertype() == ethertype::IPV6)
}

/// The packet of a frame without what is behind it.
fn packet(frame: &[u8]) -> &[u8] {
    let len = match is_v6(frame) {
        true => Ipv6::LEN + usize::from(view::<Ipv6>(frame, 14).expect("a header").payload_len()),
        false => view::<Ipv4>(frame, 14).expect("a header").total_len().into(),
    };
    &frame[Ethernet::LEN..frame.len().min(Ethernet::LEN + len)]
}

/// Puts the lengths and checksums in that a fuzzer does not guess.
fn make_sound(frame: &mut [u8]) {
    let len = frame.len();
    let mut put = |at: usize, word: u16| frame[at..at + 2].copy_from_slice(&word.to_be_bytes());
    match len {
        IPV4.. if len.is_multiple_of(2) => put(12, ethertype::IPV4),
        IPV6.. => put(12, ethertype::IPV6),
        _ => return,
    }
    if len.is_multiple_of(2) {
        put(16, (len - Ethernet::LEN) as u16);
        frame[14] = 0x45 | frame[14] & 2;
        let start = Ethernet::LEN + usize::from(frame[14] & 15) * 4;
        if len >= start {
            seal(frame, 24, Ethernet::LEN..start, &[]);
        }
        if len >= start + 4 && frame[23] == 1 {
            seal(frame, start + 2, start..len, &[]);
        }
    } else {
        put(18, (len - IPV6) as u16);
        frame[14] = 0x60 | frame[14] & 15;
        if len >= IPV6 + 4 && frame[20] == 58 {
            let pseudo = pseudo(frame, len - IPV6);
            seal(frame, IPV6 + 2, IPV6..len, &pseudo);
        }
    }
}

fn seal(frame: &mut [u8], at: usize, covered: std::ops::Range<usize>, pseudo: &[u8]) {
    frame[at..at + 2].fill(0);
    let sum = checksum::full(&[pseudo, &frame[covered]].concat());
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// What the checksum of ICMPv6 covers beside the message.
fn pseudo(frame: &[u8], len: usize) -> Vec<u8> {
    [&frame[22..IPV6], &(len as u32).to_be_bytes(), &[0, 0, 0, 58]].concat()
}

/// An answer is right, and there may be one.
fn sound(answer: &[u8], frame: &[u8], router: &Router) {
    assert_eq!(answer[..6], frame[6..12], "to who sent the frame");
    assert_eq!(answer[6..12], router.mac.0);
    assert_eq!(answer[12..14], frame[12..14], "in the same family");
    if is_v6(frame) {
        let ip: &Ipv6 = view(answer, Ethernet::LEN).expect("a header");
        assert_eq!((ip.version(), ip.next_header, ip.hop_limit), (6, 58, 64));
        assert_eq!(usize::from(ip.payload_len()), answer.len() - IPV6);
        let message = &answer[IPV6..];
        let whole = [&pseudo(answer, message.len()), message].concat();
        assert_eq!(checksum::full(&whole), 0, "a wrong checksum");
        assert_eq!(answer[38..54], frame[22..38], "to who sent the packet");
        assert!(frame[22] != 0xff && frame[38] != 0xff && frame[22..38] != [0; 16]);
        let is_error = |kind: u8| kind < 128 || kind == 137;
        assert!(frame[20] != 58 || !is_error(frame[IPV6]), "about an error");
    } else {
        let ip: &Ipv4 = view(answer, Ethernet::LEN).expect("a header");
        assert!(ip.is_plain() && ip.checksum_holds() && !ip.is_fragment());
        assert_eq!((ip.protocol, ip.ttl), (1, 64));
        assert_eq!(usize::from(ip.total_len()), answer.len() - Ethernet::LEN);
        assert_eq!(checksum::full(&answer[IPV4..]), 0, "a wrong checksum");
        assert_eq!(answer[30..34], frame[26..30], "to who sent the packet");
        let about: &Ipv4 = view(frame, Ethernet::LEN).expect("a header");
        let start = Ethernet::LEN + about.header_len();
        assert_eq!(checksum::full(&frame[Ethernet::LEN..start]), 0, "about a damaged header");
        assert!(about.is_first_fragment());
        assert!([frame[26], frame[30]].iter().all(|first| !matches!(first, 0 | 127 | 224..)));
        assert!(frame[23] != 1 || !matches!(frame[start], 3 | 4 | 5 | 11 | 12), "about an error");
    }
}

/// A question for an address.
fn asked(address: [u8; 16], router: &Router) {
    let Some(key) = NeighbourKey::from_bytes(address, 1) else { return };
    let frame = question(&key, router);
    assert_eq!(frame[6..12], router.own.0);
    match key.ip() {
        IpAddr::V4(ip) => assert_eq!((frame.len(), &frame[38..]), (42, &ip.octets()[..])),
        IpAddr::V6(ip) => {
            assert_eq!((frame.len(), &frame[62..78]), (86, &ip.octets()[..]));
            let whole = [&pseudo(&frame, 32), &frame[IPV6..]].concat();
            assert_eq!(checksum::full(&whole), 0, "a wrong checksum");
        }
    }
}
