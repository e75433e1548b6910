//! Packets to a router, and its answers as their receiver reads them. Nothing here relies on how
//! the router writes.

use overlay_common::abi::Router;
use overlay_common::wire::{Mac, address_words};
use proptest::collection::vec;
use proptest::prelude::*;

/// The Internet checksum (RFC 1071), word by word: 0 over what has a right one in it.
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        _ => u16::from_be_bytes([pair[0], 0]),
    });
    !words.fold(0, |sum: u16, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

fn seal(bytes: &mut [u8], at: usize, pseudo: &[u8]) {
    bytes[at..at + 2].fill(0);
    let sum = checksum(&[pseudo, bytes].concat());
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// What a checksum covers beside an ICMPv6 message (RFC 8200, 8.1).
fn pseudo(addresses: &[u8], len: usize) -> Vec<u8> {
    [addresses, &(len as u32).to_be_bytes(), &[0, 0, 0, 58]].concat()
}

/// A packet to be, between two hosts.
#[derive(Clone, Debug)]
pub struct Packet {
    pub is_v6: bool,
    /// Of which IPv4 takes the first 4 bytes.
    pub source: [u8; 16],
    pub destination: [u8; 16],
    pub class: u8,
    /// IPv4's flags and offset of fragments.
    pub fragment: u16,
    /// IPv4's options, 4 bytes each, or IPv6's headers of options, 8 bytes each.
    pub options: usize,
    pub protocol: u8,
    pub payload: Vec<u8>,
    /// Bytes behind the packet.
    pub padding: usize,
}

pub const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 9];

impl Packet {
    /// ICMP's number.
    pub fn icmp(&self) -> u8 {
        if self.is_v6 { 58 } else { 1 }
    }

    /// The addresses as they are in the packet.
    pub fn ends(&self) -> (Vec<u8>, Vec<u8>) {
        let len = if self.is_v6 { 16 } else { 4 };
        (self.source[..len].to_vec(), self.destination[..len].to_vec())
    }

    /// The same with an ICMP message, whose checksum is right.
    pub fn with_message(&self, kind: u8, code: u8, rest: &[u8]) -> Self {
        let mut payload = [&[kind, code, 0, 0], rest].concat();
        let (source, destination) = self.ends();
        let covered = match self.is_v6 {
            true => pseudo(&[source, destination].concat(), payload.len()),
            false => Vec::new(),
        };
        seal(&mut payload, 2, &covered);
        Self { protocol: self.icmp(), payload, ..self.clone() }
    }

    /// The same with an echo request.
    pub fn with_echo(&self, rest: &[u8]) -> Self {
        self.with_message(if self.is_v6 { 128 } else { 8 }, 0, rest)
    }

    /// The packet's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        if self.is_v6 { self.v6() } else { self.v4() }
    }

    fn v4(&self) -> Vec<u8> {
        let len = 20 + 4 * self.options;
        let [a, b] = ((len + self.payload.len()) as u16).to_be_bytes();
        let [c, d] = self.fragment.to_be_bytes();
        let mut header = vec![0x40 | (len / 4) as u8, self.class, a, b, 0x12, 0x34, c, d];
        header.extend([7, self.protocol, 0, 0]);
        header.extend([&self.source[..4], &self.destination[..4]].concat());
        header.resize(len, 1);
        seal(&mut header, 10, &[]);
        [header, self.payload.clone()].concat()
    }

    fn v6(&self) -> Vec<u8> {
        let [a, b] = ((8 * self.options + self.payload.len()) as u16).to_be_bytes();
        let mut kinds = vec![60; self.options];
        kinds.push(self.protocol);
        let mut packet = vec![0x60 | self.class >> 4, self.class << 4, 0, 0, a, b, kinds[0], 7];
        packet.extend([self.source, self.destination].concat());
        for next in &kinds[1..] {
            packet.extend([*next, 0, 1, 4, 0, 0, 0, 0]);
        }
        [packet, self.payload.clone()].concat()
    }

    /// The frame in which it comes to the router.
    pub fn frame(&self, router: &Router) -> Vec<u8> {
        let kind = if self.is_v6 { [0x86, 0xdd] } else { [8, 0] };
        let ethernet = [&router.mac.0[..], &SENDER, &kind].concat();
        [ethernet, self.bytes(), vec![0xee; self.padding]].concat()
    }
}

/// An answer as its receiver reads it.
#[derive(Debug)]
pub struct Answer {
    pub from: Vec<u8>,
    pub to: Vec<u8>,
    pub class: u8,
    pub kind: (u8, u8),
    /// What stands behind the checksum.
    pub rest: Vec<u8>,
}

/// Reads an answer to a frame, all of whose lengths and checksums are right.
pub fn read(answer: &[u8], asked: &[u8], router: &Router) -> Answer {
    assert_eq!(answer[..6], asked[6..12], "to who sent the frame");
    assert_eq!(answer[6..12], router.mac.0, "from the router");
    assert_eq!(answer[12..14], asked[12..14], "in the same family");
    let packet = &answer[14..];
    let word = |at| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    let (addresses, message, class, covered) = if answer[12..14] == [8, 0] {
        assert_eq!((packet[0], packet[8], packet[9]), (0x45, 64, 1));
        assert_eq!(word(2), packet.len());
        assert_eq!(word(6) & 0x3fff, 0, "no fragment");
        assert_eq!(checksum(&packet[..20]), 0, "the header's checksum");
        (&packet[12..20], &packet[20..], packet[1], Vec::new())
    } else {
        assert_eq!((packet[0] >> 4, packet[6], packet[7]), (6, 58, 64));
        assert_eq!(word(4) + 40, packet.len());
        let covered = pseudo(&packet[8..40], packet.len() - 40);
        (&packet[8..40], &packet[40..], packet[0] << 4 | packet[1] >> 4, covered)
    };
    assert_eq!(checksum(&[&covered, message].concat()), 0, "the message's checksum");
    let (from, to) = addresses.split_at(addresses.len() / 2);
    let kind = (message[0], message[1]);
    Answer { from: from.to_vec(), to: to.to_vec(), class, kind, rest: message[4..].to_vec() }
}

/// Any packet but of ICMP, of a payload of so many bytes.
pub fn packet(len: std::ops::Range<usize>) -> impl Strategy<Value = Packet> {
    let host = || {
        (any::<[u8; 16]>(), 1..=223_u8).prop_map(|([_, rest @ ..], first)| {
            let mut address = [if first == 127 { 10 } else { first }; 16];
            address[1..].copy_from_slice(&rest);
            address
        })
    };
    let protocol = prop_oneof![Just(6_u8), Just(17), Just(132)];
    let fragment = prop_oneof![Just(0_u16), Just(0x4000)];
    let shape = (any::<bool>(), any::<u8>(), fragment, 0..4_usize, 0..20_usize);
    (shape, host(), host(), protocol, vec(any::<u8>(), len)).prop_map(
        |((is_v6, class, fragment, options, padding), source, destination, protocol, payload)| {
            Packet {
                is_v6,
                source,
                destination,
                class,
                fragment,
                options,
                protocol,
                payload,
                padding,
            }
        },
    )
}

/// One packet.
pub fn udp(is_v6: bool) -> Packet {
    Packet {
        is_v6,
        source: [10; 16],
        destination: [11; 16],
        class: 0,
        fragment: 0,
        options: 0,
        protocol: 17,
        payload: vec![0; 100],
        padding: 0,
    }
}

/// A router of both families.
pub fn router() -> Router {
    let v6 = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe];
    Router {
        v6: address_words(&v6),
        v4: [192, 0, 2, 254],
        vrf: 1,
        mac: Mac([2, 0, 0x5e, 0, 1, 1]),
        own: Mac([6, 0x5e, 192, 0, 2, 1]),
        reserved: [0; 3],
    }
}
