//! Properties of what the path does about sizes: a SYN is changed where it must be and nowhere
//! else, and an answer to what is too big is right in every byte, whatever the packet.

use overlay_common::abi::{Egress, Hook, Peer};
use overlay_common::id::PeerId;
use overlay_common::path::{Ingress, from_access, from_underlay};
use overlay_common::tables::Tables as _;
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::{Outer4, checksum};
use overlay_control::action::Action;
use overlay_control::frame::Frame;
use overlay_control::sample::{self, Devices, station};
use overlay_control::tables::TableSet;
use proptest::prelude::*;

/// The sample node, whose peer 1 takes frames of so many bytes.
fn node(max_frame: u16) -> TableSet {
    let mut tables = TableSet::new(Hook::Tc);
    sample::actions(&Devices::default()).iter().for_each(|action| tables.apply(action));
    let mut peer: Peer = *tables.peer(1).expect("a peer");
    peer.max_frame = max_frame;
    tables.apply(&Action::PutPeer(PeerId(1), peer));
    tables
}

fn ingress() -> Ingress {
    Ingress { ifindex: Devices::default().ingress, hook: Hook::Tc }
}

/// A frame from station 1 to the station behind peer 1.
fn frame(is_v6: bool, packet: &[u8]) -> Vec<u8> {
    let kind = if is_v6 { [0x86, 0xdd] } else { [8, 0] };
    [&station(0x11).0[..], &station(1).0, &kind, packet].concat()
}

/// The IP header of a payload, with DF over IPv4.
fn packet(is_v6: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = if is_v6 {
        let [a, b] = (payload.len() as u16).to_be_bytes();
        let mut ip = vec![0x60, 0, 0, 0, a, b, protocol, 64];
        ip.extend([0xfd; 16]);
        ip.extend([0xfc; 16]);
        ip
    } else {
        let [a, b] = (20 + payload.len() as u16).to_be_bytes();
        vec![0x45, 0, a, b, 0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
    };
    packet.extend_from_slice(payload);
    packet
}

/// The sum of a payload and its pseudo-header: 0 where the checksum in it is right.
fn sum(is_v6: bool, packet: &[u8], protocol: u8) -> u16 {
    let (addresses, payload) = if is_v6 { (8..40, 40) } else { (12..20, 20) };
    let mut summed = packet[addresses].to_vec();
    summed.extend(((packet.len() - payload) as u32).to_be_bytes());
    summed.extend([0, 0, 0, protocol]);
    summed.extend_from_slice(&packet[payload..]);
    checksum::full(&summed)
}

/// What options announce, as a receiver reads them, and where.
fn announced(options: &[u8]) -> Option<(usize, u16)> {
    let mut at = 0;
    // The path looks at no more.
    for _ in 0..20 {
        match *options.get(at..)? {
            [] | [0, ..] => return None,
            [1, ..] => at += 1,
            [2, 4, a, b, ..] => return Some((at, u16::from_be_bytes([a, b]))),
            [_, len, ..] if len >= 2 => at += usize::from(len),
            _ => return None,
        }
    }
    None
}

/// Options that make sense, or none.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let option = prop_oneof![
        3 => Just(vec![1]),
        2 => any::<u16>().prop_map(|mss| [&[2, 4][..], &mss.to_be_bytes()].concat()),
        1 => Just(vec![4, 2]),
        1 => Just(vec![3, 3, 7]),
        1 => Just(vec![8, 10, 0, 0, 0, 0, 0, 0, 0, 0]),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ];
    proptest::collection::vec(option, 0..14).prop_map(|list| {
        let mut options = list.concat();
        options.truncate(40);
        options.resize(options.len().next_multiple_of(4), 0);
        options
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_syn_announces_what_fits_and_is_else_unchanged(
        is_v6 in any::<bool>(),
        flags in any::<u8>(),
        options in options(),
        max_frame in 100_u16..9000,
    ) {
        let mut tcp = vec![0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2];
        tcp.extend([(5 + options.len() / 4) as u8 * 16, flags, 1, 0, 0, 0, 0, 0]);
        tcp.extend_from_slice(&options);
        let mut whole = packet(is_v6, 6, &tcp);
        let ip = whole.len() - tcp.len();
        let right = sum(is_v6, &whole, 6);
        whole[ip + 16..ip + 18].copy_from_slice(&right.to_be_bytes());
        let before = frame(is_v6, &whole);
        prop_assume!(before.len() <= usize::from(max_frame));
        let most = max_frame - (14 + ip as u16 + 20);

        let mut sent = Frame::new(&before);
        let verdict = from_access::run(&mut sent, &node(max_frame), ingress());
        prop_assert!(matches!(verdict, Ok(Verdict::Transmit(_))), "{verdict:?}");
        let inner = &sent.bytes()[Outer4::LEN..];
        prop_assert_eq!(sum(is_v6, &inner[14..], 6), 0, "the checksum is right");
        let mut expected = before.clone();
        if flags & 2 != 0
            && let Some((at, mss)) = announced(&options)
            && mss > most
        {
            let at = 14 + ip + 20 + at + 2;
            expected[at..at + 2].copy_from_slice(&most.to_be_bytes());
            let sum = 14 + ip + 16..14 + ip + 18;
            expected[sum.clone()].copy_from_slice(&inner[sum]);
        }
        prop_assert_eq!(inner, &expected[..]);
    }

    #[test]
    fn an_answer_is_right_in_every_byte(
        is_v6 in any::<bool>(),
        protocol in prop_oneof![Just(6_u8), Just(17), Just(47)],
        payload in proptest::collection::vec(any::<u8>(), 48..3000),
        room in 82_u16..2900,
        gso_size in prop_oneof![Just(0_u32), 500_u32..1500],
    ) {
        let tables = node(room);
        let whole = packet(is_v6, protocol, &payload);
        let mut answer = Frame::new(&frame(is_v6, &whole));
        answer.gso_size = gso_size;
        let verdict = from_access::run(&mut answer, &tables, ingress());
        if matches!(verdict, Ok(Verdict::Transmit(_))) {
            return Ok(());
        }
        if is_v6 && whole.len() <= 1280 {
            prop_assert_eq!(verdict, Err(DropReason::TooBig));
            return Ok(());
        }
        let back = Egress { ifindex: Devices::default().ingress, flags: Egress::XDP };
        prop_assert_eq!(verdict, Ok(Verdict::Deliver(back)));
        let bytes = answer.bytes();
        prop_assert_eq!(&bytes[..6], &station(1).0);
        prop_assert_eq!(&bytes[6..12], &station(0x11).0);
        let mtu = u32::from(room) - 14;
        let message = &bytes[14..];
        if is_v6 {
            prop_assert_eq!(message.len(), 1280);
            prop_assert_eq!(sum(true, message, 58), 0);
            prop_assert_eq!(&message[8..24], &[0xfc; 16]);
            prop_assert_eq!(&message[40..42], &[2, 0]);
            prop_assert_eq!(&message[44..48], &mtu.max(1280).to_be_bytes());
            prop_assert_eq!(&message[48..], &whole[..1232]);
        } else {
            let quoted = if whole.len() >= 548 { 548 } else { 68 };
            prop_assert_eq!(message.len(), 28 + quoted);
            prop_assert_eq!(usize::from(u16::from_be_bytes([message[2], message[3]])), message.len());
            prop_assert_eq!(checksum::full(&message[..20]), 0);
            prop_assert_eq!(checksum::full(&message[20..]), 0);
            prop_assert_eq!(&message[12..20], &[10, 0, 0, 2, 10, 0, 0, 1]);
            prop_assert_eq!(&message[20..22], &[3, 4]);
            prop_assert_eq!(&message[24..28], &mtu.to_be_bytes());
            prop_assert_eq!(&message[28..], &whole[..quoted]);
        }
        let drops: u64 = tables.drops().values().sum();
        prop_assert_eq!(drops, 1);
    }

    #[test]
    fn no_length_and_no_header_panics(
        mut bytes in proptest::collection::vec(any::<u8>(), 14..200),
        is_v6 in any::<bool>(),
        first in any::<u8>(),
        room in 0_u16..200,
    ) {
        let start = frame(is_v6, &[if first < 128 { 0x45 } else { 0x60 | first & 15 }]);
        let len = bytes.len().min(start.len());
        bytes[..len].copy_from_slice(&start[..len]);
        let mut sent = Frame::new(&bytes);
        let _ = from_access::run(&mut sent, &node(room), ingress());
        let _ = from_underlay::run(&mut Frame::new(&bytes), &node(room), ingress());
    }
}
