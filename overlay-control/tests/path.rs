//! Properties of the packet path, on the host: decapsulation inverts
//! encapsulation, incremental checksums equal full ones, no input panics.

use overlay_common::abi::{FdbEntry, FdbKey, Hook, Punt, PuntReason, Target};
use overlay_common::packet::Packet;
use overlay_common::path::{Ingress, from_access, from_underlay};
use overlay_common::tables::Tables;
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::{Ethernet, Ipv4, Mac, Outer, TUNNEL_LEN, Vxlan, checksum, view};
use overlay_control::action::Action;
use overlay_control::frame::{Frame, XdpFrame};
use overlay_control::sample::{self, Devices, station};
use overlay_control::tables::TableSet;
use proptest::prelude::*;

fn node() -> TableSet {
    let mut tables = TableSet::new(Hook::Tc);
    sample::actions(&Devices::default()).iter().for_each(|action| tables.apply(action));
    tables
}

fn ingress() -> Ingress {
    Ingress { ifindex: Devices::default().ingress, hook: Hook::Tc }
}

/// The same tables seen from peer 1: the addresses of the two VTEPs are
/// exchanged, so that what the sample node sends can be received.
fn peer_one() -> TableSet {
    let mut tables = node();
    let mut other = *tables.node().expect("a node");
    other.vtep = sample::PEER_VTEPS[0];
    tables.apply(&Action::PutNode(other));
    let vtep = tables.vtep(&overlay_common::abi::VtepKey(sample::PEER_VTEPS[0])).expect("peer 1");
    tables.apply(&Action::PutVtep(overlay_common::abi::VtepKey(sample::LOCAL_VTEP), vtep));
    // The receiving station is behind the plain port there.
    let key = FdbKey { mac: station(0x11).0, segment: 1 };
    let entry = FdbEntry {
        target: Target::port(sample::PLAIN_PORT),
        seen: sample::EPOCH,
        ..Default::default()
    };
    tables.apply(&Action::PutFdb(key, entry));
    tables
}

fn ethernet(destination: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let header = Ethernet::new(destination, station(1), ethertype);
    [overlay_common::wire::bytes_of(&header), payload].concat()
}

/// Payloads that look like what stations send, or like nothing.
fn inner_frame() -> impl Strategy<Value = Vec<u8>> {
    let ethertype = prop_oneof![Just(0x0800_u16), Just(0x86dd), Just(0x0806), 0x0600_u16..=0xffff]
        .prop_filter("tags are refused", |kind| *kind != 0x8100 && *kind != 0x88a8);
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..1400),
        (any::<u8>(), proptest::collection::vec(any::<u8>(), 40..200)).prop_map(|(tos, mut p)| {
            p[0] = 0x45;
            p[1] = tos;
            p[9] = if tos & 4 == 0 { 6 } else { 17 };
            p
        }),
        (any::<u8>(), proptest::collection::vec(any::<u8>(), 60..200)).prop_map(
            |(class, mut p)| {
                p[0] = 0x60 | class >> 4;
                p[6] = if class & 1 == 0 { 6 } else { 17 };
                p
            }
        ),
    ];
    (ethertype, payload).prop_map(|(kind, payload)| ethernet(station(0x11), kind, &payload))
}

/// The stations that were reported, and where they are.
fn reported(tables: &TableSet) -> Vec<(Mac, Target)> {
    let learn = |punt: &Punt| punt.reason == PuntReason::Learn as u8;
    let punts = tables.take_punts();
    punts.iter().map(|p| &p.punt).filter(|p| learn(p)).map(|p| (Mac(p.mac), p.source)).collect()
}

/// A frame from a station that no table has.
fn from_a_stranger(destination: Mac) -> Vec<u8> {
    let header = Ethernet::new(destination, STRANGER, 0x88b5);
    [overlay_common::wire::bytes_of(&header), &[0; 46]].concat()
}

const STRANGER: Mac = station(0x70);

#[test]
fn a_frame_that_is_dropped_later_on_teaches_as_one_that_is_sent() {
    let tables = node();
    let mut frame = Frame::new(&from_a_stranger(station(1)));
    let verdict = from_access::run(&mut frame, &tables, ingress());
    assert_eq!(verdict, Err(DropReason::SamePort));
    assert_eq!(reported(&tables), [(STRANGER, Target::port(sample::INGRESS_PORT))]);

    let mut frame = Frame::new(&from_a_stranger(station(0x11)));
    assert!(matches!(from_access::run(&mut frame, &tables, ingress()), Ok(Verdict::Transmit(_))));
    assert_eq!(reported(&tables), [(STRANGER, Target::port(sample::INGRESS_PORT))]);

    let mut receiver = peer_one();
    let sent = frame.bytes().to_vec();
    let verdict = from_underlay::run(&mut Frame::new(&sent), &receiver, ingress());
    assert!(matches!(verdict, Ok(Verdict::Deliver(_))), "{verdict:?}");
    assert_eq!(reported(&receiver), [(STRANGER, Target::peer(1))]);

    let key = FdbKey { mac: station(0x11).0, segment: 1 };
    let down = FdbEntry { target: Target::port(sample::DOWN_PORT), ..FdbEntry::default() };
    receiver.apply(&Action::PutFdb(key, down));
    let verdict = from_underlay::run(&mut Frame::new(&sent), &receiver, ingress());
    assert_eq!(verdict, Err(DropReason::PortDown));
    assert_eq!(reported(&receiver), [(STRANGER, Target::peer(1))]);
}

#[test]
fn a_frame_that_is_not_admitted_teaches_nothing() {
    let tables = node();
    let to_bridges = Mac([0x01, 0x80, 0xc2, 0, 0, 0]);
    let mut frame = Frame::new(&from_a_stranger(to_bridges));
    let verdict = from_access::run(&mut frame, &tables, ingress());
    assert_eq!(verdict, Err(DropReason::LinkLocalGroup));
    assert_eq!(reported(&tables), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decapsulation_inverts_encapsulation(inner in inner_frame()) {
        let sender = node();
        let mut frame = Frame::new(&inner);
        let verdict = from_access::run(&mut frame, &sender, ingress());
        prop_assert!(matches!(verdict, Ok(Verdict::Transmit(_))), "{verdict:?}");
        let outer = *view::<Outer>(frame.bytes(), 0).expect("outer headers");
        prop_assert_eq!(frame.bytes().len(), inner.len() + TUNNEL_LEN);
        prop_assert!(outer.ip.checksum_holds());
        prop_assert_eq!(checksum::full(&frame.bytes()[14..34]), 0);
        prop_assert!(outer.ip.dont_fragment());
        prop_assert_eq!(outer.ip.ttl, 64);
        prop_assert_eq!(usize::from(outer.ip.total_len()), inner.len() + 36);
        prop_assert_eq!(usize::from(outer.udp.len()), inner.len() + 16);
        prop_assert!(outer.udp.source() >= 49152);
        prop_assert_eq!(outer.udp.destination(), Vxlan::PORT);
        prop_assert_eq!(outer.vxlan.vni(), 100);
        prop_assert_eq!(outer.ethernet.destination, sample::next_hop(1));

        let receiver = peer_one();
        let mut frame = Frame::new(frame.bytes());
        let verdict = from_underlay::run(&mut frame, &receiver, ingress());
        prop_assert!(matches!(verdict, Ok(Verdict::Deliver(_))), "{verdict:?}");
        prop_assert_eq!(frame.bytes(), &inner[..]);
    }

    #[test]
    fn encapsulation_on_xdp_equals_that_on_tc(inner in inner_frame()) {
        let tables = node();
        let (mut tc, mut xdp) = (Frame::new(&inner), XdpFrame::new(&inner));
        let verdict = from_access::run(&mut tc, &tables, ingress());
        prop_assert_eq!(verdict, from_access::run(&mut xdp, &tables, ingress()));
        prop_assert_eq!(tc.bytes(), xdp.bytes());
    }

    #[test]
    fn a_flow_keeps_its_source_port(inner in inner_frame(), tail in any::<u8>()) {
        let tables = node();
        let port = |bytes: &[u8]| {
            let mut frame = Frame::new(bytes);
            from_access::run(&mut frame, &tables, ingress()).expect("encapsulated");
            view::<Outer>(frame.bytes(), 0).expect("outer headers").udp.source()
        };
        let mut later = inner.clone();
        if later.len() > 80 {
            *later.last_mut().expect("not empty") = tail;
        }
        prop_assert_eq!(port(&inner), port(&later));
    }

    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), gso in 0_u32..3000) {
        let tables = node();
        for run in [from_access::run::<Frame, TableSet>, from_underlay::run] {
            let mut frame = Frame::new(&bytes);
            frame.gso_size = gso;
            let _ = run(&mut frame, &tables, ingress());
        }
        let _ = from_access::run(&mut XdpFrame::new(&bytes), &tables, ingress());
        let _ = from_underlay::run(&mut XdpFrame::new(&bytes), &tables, ingress());
    }

    #[test]
    fn every_truncation_of_a_tunnelled_frame_is_an_error(
        inner in inner_frame(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut frame = Frame::new(&inner);
        from_access::run(&mut frame, &node(), ingress()).expect("encapsulated");
        let whole = frame.bytes();
        let cut = cut.index(whole.len());
        let receiver = peer_one();
        let mut frame = Frame::new(&whole[..cut]);
        let result = from_underlay::run(&mut frame, &receiver, ingress());
        if cut < 34 {
            prop_assert_eq!(result, Ok(Verdict::Pass), "not yet known to be the overlay's");
        } else {
            prop_assert_eq!(result, Err(DropReason::Truncated), "cut at {}", cut);
        }
    }

    #[test]
    fn damaged_tunnels_are_never_delivered_as_something_longer(
        inner in inner_frame(),
        at in 0_usize..TUNNEL_LEN,
        flip in 1_u8..=255,
    ) {
        let mut frame = Frame::new(&inner);
        from_access::run(&mut frame, &node(), ingress()).expect("encapsulated");
        let mut bytes = frame.bytes().to_vec();
        bytes[at] ^= flip;
        let mut frame = Frame::new(&bytes);
        match from_underlay::run(&mut frame, &peer_one(), ingress()) {
            Ok(Verdict::Deliver(_)) => prop_assert_eq!(frame.bytes(), &inner[..]),
            Ok(Verdict::Pass) => prop_assert_eq!(frame.bytes(), &bytes[..]),
            _ => {}
        }
    }

    #[test]
    fn incremental_checksums_equal_full_ones(
        words in proptest::collection::vec(any::<u16>(), 2..20),
        index in any::<prop::sample::Index>(),
        new in any::<u16>(),
    ) {
        let bytes = |words: &[u16]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>();
        let mut words = words;
        // An IPv4 header is never all zeros.
        words[0] |= 0x4000;
        let before = checksum::full(&bytes(&words));
        let index = 1 + index.index(words.len() - 1);
        let old = core::mem::replace(&mut words[index], new);
        let after = checksum::update(before, old, new);
        prop_assert_eq!(after, checksum::full(&bytes(&words)));
    }

    #[test]
    fn filling_a_template_equals_sealing_it(len in any::<u16>(), tos in 0_u8..4) {
        let template = Ipv4::new(sample::LOCAL_VTEP, sample::PEER_VTEPS[0], 17, 64);
        let mut filled = template;
        filled.seal();
        filled.fill(len, tos);
        let mut sealed = template;
        sealed.set_total_len(len);
        sealed.set_tos(tos);
        sealed.seal();
        prop_assert_eq!(filled, sealed);
    }

    #[test]
    fn ecn_changes_keep_the_checksum(tos in any::<u8>(), ecn in 0_u8..4) {
        let mut ip = Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2], 6, 64);
        ip.set_tos(tos);
        ip.seal();
        ip.set_ecn(ecn);
        prop_assert!(ip.checksum_holds());
        prop_assert_eq!(ip.ecn(), ecn);
        prop_assert_eq!(ip.tos() & !3, tos & !3);
    }
}

#[test]
fn source_ports_spread_over_the_whole_range() {
    let tables = node();
    let mut seen = std::collections::BTreeSet::new();
    for port in 0..4096_u16 {
        let mut payload = vec![0; 28];
        payload[0] = 0x45;
        payload[9] = 17;
        payload[20..22].copy_from_slice(&port.to_be_bytes());
        let mut frame = Frame::new(&ethernet(station(0x11), 0x0800, &payload));
        from_access::run(&mut frame, &tables, ingress()).expect("encapsulated");
        seen.insert(view::<Outer>(frame.bytes(), 0).expect("outer headers").udp.source());
    }
    // 4096 flows thrown at 16384 ports at random leave about 3623 in use.
    assert!(seen.len() > 3400, "{} source ports", seen.len());
    assert!(seen.first() < Some(&50_000) && seen.last() > Some(&64_000));
}

#[test]
fn super_frames_are_measured_by_their_segments() {
    let tables = node();
    let mut payload = vec![0; 40_000];
    payload[0] = 0x45;
    payload[9] = 6;
    payload[32] = 0x80; // TCP header of 32 bytes.
    let bytes = ethernet(station(0x11), 0x0800, &payload);
    let run = |gso_size| {
        let mut frame = Frame::new(&bytes);
        frame.gso_size = gso_size;
        frame.gso_segs = 28;
        let result = from_access::run(&mut frame, &tables, ingress());
        (result, frame.len())
    };
    // 14 + 20 + 32 bytes of headers and 1448 of payload are exactly 1514.
    assert!(
        matches!(run(1448), (Ok(Verdict::Transmit(_)), len) if len as usize == bytes.len() + 50)
    );
    assert_eq!(run(1449).0, Err(DropReason::TooBig));
    let counters = tables.peer_counters(1);
    assert_eq!(counters.tx_packets, 28, "a super-frame counts as its segments");
}

#[test]
fn a_vni_that_changes_its_segment_takes_no_peer_along() {
    use overlay_common::abi::{Permit, PermitKey};
    let mut sent = Frame::new(&ethernet(station(0x11), 0x0800, &[0x45; 60]));
    from_access::run(&mut sent, &node(), ingress()).expect("sent");
    let mut tables = peer_one();
    let receive =
        |tables: &TableSet| from_underlay::run(&mut Frame::new(sent.bytes()), tables, ingress());
    assert!(matches!(receive(&tables), Ok(Verdict::Deliver(_))));
    // Halfway through a change: VNI 100 is segment 3's by now, and the peer may
    // use what was segment 1's.
    let any = PermitKey { profile: PermitKey::ANY, vni: 100 };
    tables.apply(&Action::PutPermit(any, Permit { segment: 3, ..Permit::default() }));
    assert_eq!(receive(&tables), Err(DropReason::VniNotPermitted));
}
