//! What a vector is, and how they are generated.

use overlay_common::wire::{Encap, Mac, Outer4, Tag, bytes_of};
use overlay_control::action::Action;
use overlay_control::sample::{PEER_VTEPS, STATIC_STATION, station};
use proptest::prelude::*;

use crate::ip;
use crate::neighbours;
use crate::outer::{self, Datagram};

/// The path that a vector goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From an access port.
    FromAccess,
    /// From an uplink.
    FromUnderlay,
    /// From a device that is both.
    OneArmed,
}

/// A frame that comes in, to the sample node's tables.
#[derive(Clone, Debug)]
pub struct Vector {
    /// What it is about.
    pub name: String,
    /// The path that it goes.
    pub direction: Direction,
    /// The frame, from its Ethernet header on.
    pub frame: Vec<u8>,
    /// What is otherwise than usual.
    pub given: Given,
}

/// What is otherwise than usual while a vector runs.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Changes of the sample node's tables, undone afterwards.
    pub tables: Vec<Action>,
    /// Nobody reads what is punted, and there is no room for more.
    pub nobody_reads: bool,
    /// The payload of each segment of a super-frame. `BPF_PROG_TEST_RUN` makes none that the
    /// tunnel's helpers take, so these vectors are the host's alone.
    pub gso_size: u32,
    /// A tag beside the bytes, which `BPF_PROG_TEST_RUN` does not make either.
    pub stripped_vlan: Option<Tag>,
}

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Passed on untouched, to the host's stack or to the next hook.
    Untouched,
    /// Sent, with these bytes.
    Sent(Vec<u8>),
    /// Sent by XDP out of the device that it came in by.
    SentBack(Vec<u8>),
    /// Ended here: dropped, copied or punted.
    Ended,
}

/// An Ethernet frame.
pub fn ethernet(destination: Mac, source: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&destination.0[..], &source.0, &ethertype.to_be_bytes(), payload].concat()
}

/// Any frame to any interesting address, some of them tagged, some of them in a
/// tunnel, some of those damaged.
pub fn strategy() -> impl Strategy<Value = Vector> {
    let kind = prop_oneof![3 => Just(false), 1 => Just(true)];
    let tag = prop_oneof![4 => Just(None), 1 => (tag(), kind).prop_map(Some)];
    let access = (inner(), tag).prop_map(|(frame, tag)| Vector {
        name: String::new(),
        direction: Direction::FromAccess,
        frame: match tag {
            Some((tci, false)) => tagged(&frame, tci),
            Some((tci, true)) => service_tagged(&frame, tci),
            None => frame,
        },
        given: Given::default(),
    });
    let damage = (any::<prop::sample::Index>(), any::<u8>());
    let underlay = (inner(), vtep(), vni(), any::<u8>(), proptest::option::weighted(0.3, damage))
        .prop_map(|(frame, vtep, vni, tos, damage)| {
            let mut header = outer::tunnel(vtep, vni, frame.len());
            header.ip.set_tos(tos & 3);
            header.ip.seal();
            from_underlay([bytes_of::<Outer4>(&header), &frame].concat(), damage, Outer4::LEN)
        });
    let damage = (any::<prop::sample::Index>(), any::<u8>());
    let other = (inner(), datagram(), proptest::option::weighted(0.3, damage)).prop_map(
        |(frame, datagram, damage)| {
            let bytes = datagram.sent_to_node(&frame);
            let headers = bytes.len() - frame.len();
            from_underlay(bytes, damage, headers)
        },
    );
    prop_oneof![2 => access, 1 => underlay, 1 => other]
}

/// A frame in a tunnel, perhaps with a byte of its headers changed.
fn from_underlay(
    mut frame: Vec<u8>,
    damage: Option<(prop::sample::Index, u8)>,
    headers: usize,
) -> Vector {
    if let Some((at, value)) = damage {
        let at = at.index(headers + 14);
        frame[at] = value;
    }
    let (name, direction) = (String::new(), Direction::FromUnderlay);
    Vector { name, direction, frame, given: Given::default() }
}

/// What the peers send that are not VXLAN over IPv4, and what nobody sends.
fn datagram() -> impl Strategy<Value = Datagram> {
    let encap = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Encap::Vxlan)),
        1 => Just(Some(Encap::Geneve)),
    ];
    (4_u8..=6, encap, vni(), 0_u8..4, 0_u8..64, any::<[u8; 4]>()).prop_map(
        |(peer, encap, vni, ecn, words, [flags, version, protocol, checksum])| {
            let usual = Datagram::of(peer);
            let encap = encap.unwrap_or(usual.encap);
            let words = if encap == Encap::Geneve && words > 32 { words } else { 0 };
            // Now and then another version, flags and protocol.
            let odd = |value: u8| if value < 32 { value } else { 0 };
            Datagram {
                encap,
                vni,
                ecn,
                geneve: [words | odd(version) << 6, odd(flags) << 5],
                protocol: 0x6558 ^ u16::from(odd(protocol)),
                udp_checksum: u16::from(checksum),
                ..Datagram::with_options(peer, words)
            }
        },
    )
}

/// Inserts an 802.1Q tag.
pub fn tagged(frame: &[u8], tci: u16) -> Vec<u8> {
    with_tag(frame, [0x81, 0x00], tci)
}

/// Inserts an 802.1ad tag.
pub fn service_tagged(frame: &[u8], tci: u16) -> Vec<u8> {
    with_tag(frame, [0x88, 0xa8], tci)
}

fn with_tag(frame: &[u8], tpid: [u8; 2], tci: u16) -> Vec<u8> {
    let (stations, rest) = frame.split_at(12);
    [stations, &tpid, &tci.to_be_bytes(), rest].concat()
}

fn tag() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), Just(20), Just(40), Just(50), Just(0x6014), any::<u16>()]
}

fn vtep() -> impl Strategy<Value = [u8; 4]> {
    prop_oneof![
        8 => proptest::sample::select(PEER_VTEPS.to_vec()),
        1 => any::<[u8; 4]>(),
    ]
}

fn vni() -> impl Strategy<Value = u32> {
    prop_oneof![6 => Just(100), 2 => Just(200), 1 => Just(300), 1 => Just(400), 1 => 0_u32..1 << 24]
}

fn address() -> impl Strategy<Value = Mac> {
    let known = [1, 2, 3, 4, 5, 7, 9, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x66, 0x77].map(station);
    prop_oneof![
        2 => Just(station(1)),
        8 => proptest::sample::select(known.to_vec()),
        1 => Just(STATIC_STATION),
        1 => Just(Mac::BROADCAST),
        1 => Just(Mac([1, 0x80, 0xc2, 0, 0, 3])),
        1 => any::<[u8; 6]>().prop_map(Mac),
    ]
}

fn inner() -> impl Strategy<Value = Vec<u8>> {
    let payload = |first: u8| {
        proptest::collection::vec(any::<u8>(), 46..300).prop_map(move |mut payload| {
            payload[0] = first;
            payload[9] = if payload[9] & 1 == 0 { 6 } else { 17 };
            payload[6] &= 0x41;
            payload
        })
    };
    // A SYN whose options hold the largest segment behind some padding, and what is too long.
    let syn = (0_usize..24, any::<u16>(), any::<u8>()).prop_map(|(at, mss, flags)| {
        let mut options = vec![1; at];
        options.extend([2, 4]);
        options.extend(mss.to_be_bytes());
        options.resize(options.len().next_multiple_of(4), 0);
        let mut tcp = vec![0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        tcp.extend([(5 + options.len() / 4) as u8 * 16, flags | 2, 1, 0, 0xaa, 0xbb, 0, 0]);
        tcp.extend(options);
        ip::ipv4(6, 0x4000, &tcp)
    });
    let long = (1500_usize..1600, any::<u8>(), any::<u16>()).prop_map(|(len, first, word)| {
        let payload: Vec<u8> = (0..len).map(|i| (i as u16).wrapping_mul(word) as u8).collect();
        let flags = if first & 1 == 0 { 0x4000 } else { 0 };
        ip::ipv4(if first & 2 == 0 { 1 } else { 17 }, flags, &payload)
    });
    let body = prop_oneof![
        2 => syn.prop_map(|p| (0x0800, p)),
        1 => long.clone().prop_map(|p| (0x0800, p)),
        1 => long.prop_map(|mut p| {
            p[0] = 0x60;
            p[6] = if p[6] & 0x40 == 0 { 58 } else { 6 };
            (0x86dd, p)
        }),
        4 => payload(0x45).prop_map(|p| (0x0800, p)),
        2 => payload(0x60).prop_map(|p| (0x86dd, p)),
        1 => payload(0x46).prop_map(|p| (0x0800, p)),
        1 => payload(0).prop_map(|p| (0x0806, p)),
        3 => neighbours::strategy(),
        1 => payload(0x45).prop_map(|p| (0x88b5, p)),
        1 => payload(0x45).prop_map(|p| (0x8100, p)),
        1 => payload(0x45).prop_map(|p| (0x88a8, p)),
    ];
    (address(), address(), body)
        .prop_map(|(to, from, (kind, payload))| ethernet(to, from, kind, &payload))
}
