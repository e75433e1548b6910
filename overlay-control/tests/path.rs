//! Properties of the packet path, on the host: decapsulation inverts
//! encapsulation, incremental checksums equal full ones, no input panics.

use overlay_common::abi::{
    FdbEntry, FdbKey, Hook, Punt, PuntReason, Target, Vtep, Vtep6Key, VtepKey,
};
use overlay_common::packet::Packet;
use overlay_common::path::{Ingress, from_access, from_underlay};
use overlay_common::tables::Tables;
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::{
    Ends, Ethernet, Ipv4, Mac, Outer4, Outer6, Shim, Vxlan, address_words, checksum, view,
};
use overlay_control::action::Action;
use overlay_control::frame::{Frame, XdpFrame};
use overlay_control::sample::{self, Devices, SamplePeer, station};
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

/// The same tables seen from a peer: the addresses of the two VTEPs are
/// exchanged, so that what the sample node sends can be received.
fn seen_from(peer: u8) -> TableSet {
    let mut tables = node();
    let mut other = *tables.node().expect("a node");
    let SamplePeer { ends, encap, profile } = sample::PEERS[usize::from(peer) - 1];
    let vtep = Vtep::new(u32::from(peer), encap, profile);
    match ends {
        Ends::V4(from, to) => {
            other.vtep = to;
            tables.apply(&Action::PutVtep(VtepKey(from), vtep));
        }
        Ends::V6(from, to) => {
            other.vtep6 = address_words(&to);
            tables.apply(&Action::PutVtep6(Vtep6Key(from), vtep));
        }
    }
    tables.apply(&Action::PutNode(other));
    // The receiving station is behind the plain port there.
    let key = FdbKey { mac: station(0x10 + peer).0, segment: 1 };
    let entry = FdbEntry {
        target: Target::port(sample::PLAIN_PORT),
        seen: sample::EPOCH,
        ..Default::default()
    };
    tables.apply(&Action::PutFdb(key, entry));
    tables
}

fn peer_one() -> TableSet {
    seen_from(1)
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
            // A SYN may be changed on its way.
            p[33] &= !2;
            p
        }),
        (any::<u8>(), proptest::collection::vec(any::<u8>(), 60..200)).prop_map(
            |(class, mut p)| {
                p[0] = 0x60 | class >> 4;
                p[6] = if class & 1 == 0 { 6 } else { 17 };
                p[53] &= !2;
                p
            }
        ),
    ];
    (ethertype, payload).prop_map(|(kind, payload)| ethernet(station(0x11), kind, &payload))
}

/// The peers that are resolved.
fn resolved() -> impl Strategy<Value = u8> {
    prop_oneof![Just(1_u8), Just(2), Just(4), Just(5), Just(6), Just(7)]
}

/// The same frame to the station behind a peer.
fn to_peer(inner: &[u8], peer: u8) -> Vec<u8> {
    [&station(0x10 + peer).0, &inner[6..]].concat()
}

/// A frame in the tunnel from the sample node to a peer.
fn tunnelled(inner: &[u8], peer: u8) -> Vec<u8> {
    let mut frame = Frame::new(&to_peer(inner, peer));
    from_access::run(&mut frame, &node(), ingress()).expect("encapsulated");
    frame.bytes().to_vec()
}

fn tunnel_len(peer: u8) -> usize {
    sample::PEERS[usize::from(peer) - 1].ends.family().tunnel_len()
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
        let outer = *view::<Outer4>(frame.bytes(), 0).expect("outer headers");
        prop_assert_eq!(frame.bytes().len(), inner.len() + Outer4::LEN);
        prop_assert!(outer.ip.checksum_holds());
        prop_assert_eq!(checksum::full(&frame.bytes()[14..34]), 0);
        prop_assert!(outer.ip.dont_fragment());
        prop_assert_eq!(outer.ip.ttl, 64);
        prop_assert_eq!(usize::from(outer.ip.total_len()), inner.len() + 36);
        prop_assert_eq!(usize::from(outer.udp.len()), inner.len() + 16);
        prop_assert!(outer.udp.source() >= 49152);
        prop_assert_eq!(outer.udp.destination(), Vxlan::PORT);
        prop_assert_eq!(outer.shim.vni(), 100);
        prop_assert_eq!(outer.ethernet.destination, sample::next_hop(1));

        let receiver = peer_one();
        let mut frame = Frame::new(frame.bytes());
        let verdict = from_underlay::run(&mut frame, &receiver, ingress());
        prop_assert!(matches!(verdict, Ok(Verdict::Deliver(_))), "{verdict:?}");
        prop_assert_eq!(frame.bytes(), &inner[..]);
    }

    #[test]
    fn every_kind_of_tunnel_is_inverted(inner in inner_frame(), peer in resolved()) {
        let sent = tunnelled(&inner, peer);
        prop_assert_eq!(sent.len(), inner.len() + tunnel_len(peer));
        let encap = sample::PEERS[usize::from(peer) - 1].encap;
        let (udp, shim) = if tunnel_len(peer) == Outer6::LEN {
            let outer = *view::<Outer6>(&sent, 0).expect("outer headers");
            prop_assert_eq!((outer.ip.version(), outer.ip.hop_limit), (6, 64));
            prop_assert_eq!(usize::from(outer.ip.payload_len()), inner.len() + 16);
            prop_assert_eq!(usize::from(outer.udp.len()), inner.len() + 16);
            (outer.udp, outer.shim)
        } else {
            let outer = *view::<Outer4>(&sent, 0).expect("outer headers");
            (outer.udp, outer.shim)
        };
        prop_assert_eq!((udp.destination(), shim), (encap.port(), Shim::new(encap, 100)));
        let mut frame = Frame::new(&sent);
        let verdict = from_underlay::run(&mut frame, &seen_from(peer), ingress());
        prop_assert!(matches!(verdict, Ok(Verdict::Deliver(_))), "{verdict:?}");
        prop_assert_eq!(frame.bytes(), &to_peer(&inner, peer)[..]);
    }

    #[test]
    fn geneve_options_are_skipped_and_counted_out(
        inner in inner_frame(),
        words in 0_u8..64,
        fill in any::<u8>(),
        over_v6 in any::<bool>(),
    ) {
        let peer = if over_v6 { 6 } else { 4 };
        let mut bytes = tunnelled(&inner, peer);
        let options = vec![fill; usize::from(words) * 4];
        let (shim, grown) = (tunnel_len(peer) - Shim::LEN, options.len() as u16);
        bytes[shim] = words;
        bytes.splice(shim + Shim::LEN..shim + Shim::LEN, options);
        let add = |bytes: &mut [u8], at: usize| {
            let len = u16::from_be_bytes([bytes[at], bytes[at + 1]]) + grown;
            bytes[at..at + 2].copy_from_slice(&len.to_be_bytes());
        };
        add(&mut bytes, shim - 4);
        if over_v6 {
            add(&mut bytes, 18);
        } else {
            add(&mut bytes, 16);
            bytes[24..26].fill(0);
            let sum = checksum::full(&bytes[14..34]);
            bytes[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        let mut frame = Frame::new(&bytes);
        let verdict = from_underlay::run(&mut frame, &seen_from(peer), ingress());
        prop_assert!(matches!(verdict, Ok(Verdict::Deliver(_))), "{verdict:?}");
        prop_assert_eq!(frame.bytes(), &to_peer(&inner, peer)[..]);
        // With the C bit the options would have to be known.
        bytes[shim + 1] |= 0x40;
        let verdict = from_underlay::run(&mut Frame::new(&bytes), &seen_from(peer), ingress());
        prop_assert_eq!(verdict, Err(DropReason::GeneveCritical));
    }

    #[test]
    fn encapsulation_on_xdp_equals_that_on_tc(inner in inner_frame()) {
        let tables = node();
        let (mut tc, mut xdp) = (Frame::new(&inner), XdpFrame::new(&inner));
        let verdict = from_access::run(&mut tc, &tables, ingress());
        let by_xdp = from_access::run(&mut xdp, &tables, ingress());
        if by_xdp == Ok(Verdict::Defer) {
            // ARP, ICMPv6, or TCP's flags behind either header.
            let is_rare = match (inner[12], inner[13]) {
                (8, 6) => true,
                (8, 0) => inner[47] & 2 != 0,
                _ => inner[20] == 58 || inner[67] & 2 != 0,
            };
            prop_assert!(is_rare, "{inner:02x?}");
            prop_assert_eq!(xdp.bytes(), &inner[..]);
        } else {
            prop_assert_eq!(verdict, by_xdp);
            prop_assert_eq!(tc.bytes(), xdp.bytes());
        }
    }

    #[test]
    fn a_flow_keeps_its_way_and_flows_take_all(inner in inner_frame()) {
        let next_hop = |bytes: &[u8]| view::<Ethernet>(bytes, 0).expect("a header").destination;
        let sent = tunnelled(&inner, 7);
        prop_assert_eq!(next_hop(&sent), next_hop(&tunnelled(&inner, 7)));
        let port = view::<Outer4>(&sent, 0).expect("outer headers").udp.source();
        prop_assert_eq!(next_hop(&sent), sample::next_hop(7 + (port >> 8 & 1) as u8));
    }

    #[test]
    fn a_flow_keeps_its_source_port(inner in inner_frame(), tail in any::<u8>()) {
        let tables = node();
        let port = |bytes: &[u8]| {
            let mut frame = Frame::new(bytes);
            from_access::run(&mut frame, &tables, ingress()).expect("encapsulated");
            view::<Outer4>(frame.bytes(), 0).expect("outer headers").udp.source()
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
        peer in resolved(),
    ) {
        let whole = tunnelled(&inner, peer);
        let cut = cut.index(whole.len());
        let mut frame = Frame::new(&whole[..cut]);
        let result = from_underlay::run(&mut frame, &seen_from(peer), ingress());
        if cut < tunnel_len(peer) - 16 {
            prop_assert_eq!(result, Ok(Verdict::Pass), "not yet known to be the overlay's");
        } else {
            prop_assert_eq!(result, Err(DropReason::Truncated), "cut at {}", cut);
        }
    }

    #[test]
    fn damaged_tunnels_are_never_delivered_as_something_longer(
        inner in inner_frame(),
        at in 0_usize..70,
        flip in 1_u8..=255,
        peer in resolved(),
    ) {
        let mut bytes = tunnelled(&inner, peer);
        prop_assume!(at < tunnel_len(peer));
        bytes[at] ^= flip;
        let mut frame = Frame::new(&bytes);
        let sent = to_peer(&inner, peer);
        match from_underlay::run(&mut frame, &seen_from(peer), ingress()) {
            // Geneve's length of options has no check of its own: what is left is the end
            // of what was sent.
            Ok(Verdict::Deliver(_)) if at != 15 => prop_assert!(sent.ends_with(frame.bytes())),
            // Over IPv6, congestion marks have no checksum either.
            Ok(Verdict::Deliver(_)) => prop_assert_eq!(frame.bytes().len(), sent.len()),
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
        seen.insert(view::<Outer4>(frame.bytes(), 0).expect("outer headers").udp.source());
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
        let result = from_access::run(&mut frame, &tables, ingress());
        (result, frame.len())
    };
    // 14 + 20 + 32 bytes of headers and 1448 of payload are exactly 1514.
    assert!(
        matches!(run(1448), (Ok(Verdict::Transmit(_)), len) if len as usize == bytes.len() + 50)
    );
    assert_eq!(run(1449).0, Err(DropReason::TooBig));
    // 39,948 bytes of payload in segments of 1,448.
    let counters = tables.peer_counters(1);
    assert_eq!(counters.tx_packets, 28, "a super-frame counts as its segments");
    assert_eq!(counters.tx_bytes, 39_948 + 28 * 66, "with the headers of all");

    // Out of the tunnel again, where nobody keeps their number.
    let mut sent = Frame::new(&bytes);
    sent.gso_size = 1448;
    from_access::run(&mut sent, &tables, ingress()).expect("encapsulated");
    let receiver = peer_one();
    from_underlay::run(&mut sent, &receiver, ingress()).expect("delivered");
    let (peer, port) = (receiver.peer_counters(1), receiver.port_counters(sample::PLAIN_PORT));
    assert_eq!((peer.rx_packets, peer.rx_bytes), (28, counters.tx_bytes));
    assert_eq!((port.tx_packets, port.tx_bytes), (28, counters.tx_bytes));
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

#[test]
fn a_frame_is_not_carried_again_where_it_no_longer_belongs() {
    let tables = node();
    let plain = ethernet(station(0x11), 0x0806, &[0; 46]);
    let punt = Punt { segment: 1, source: Target::port(sample::INGRESS_PORT), ..Punt::default() };
    let again = |bytes: &[u8], punt: &Punt| {
        from_access::run_again(&mut Frame::new(bytes), &tables, ingress(), punt)
    };
    assert!(matches!(again(&plain, &punt), Ok(Verdict::Transmit(_))));
    // A priority tag was stripped, and not said: what is behind it must not name the port.
    let behind = [&plain[..12], &[0x81, 0, 0, 20], &plain[12..]].concat();
    assert_eq!(again(&behind, &punt), Err(DropReason::UnknownVlan));
    // The port has become another segment's, or another port has its place.
    let other = Punt { segment: 2, ..punt };
    assert_eq!(again(&plain, &other), Err(DropReason::UnknownVlan));
    let other = Punt { source: Target::port(sample::PLAIN_PORT), ..punt };
    assert_eq!(again(&plain, &other), Err(DropReason::UnknownVlan));
}

#[test]
fn the_rest_of_a_flood_is_that_of_the_list_it_was_punted_by() {
    let tables = node();
    let bytes = ethernet(Mac::BROADCAST, 0x0806, &[0; 46]);
    let tagged = [&bytes[..12], &[0x81, 0, 0, 50], &bytes[12..]].concat();
    let mut frame = Frame::new(&tagged);
    assert_eq!(from_access::run(&mut frame, &tables, ingress()), Ok(Verdict::Consumed));
    let is_v6 = |bytes: &[u8]| bytes[12..14] == [0x86, 0xdd];
    assert_eq!(frame.copies.iter().map(|c| is_v6(&c.bytes)).collect::<Vec<_>>(), [true, true]);
    let punts = tables.take_punts();
    let punted = punts.iter().find(|p| p.punt.reason == PuntReason::Flood as u8).expect("a punt");
    assert_eq!(punted.frame, bytes, "without the tag of its port");

    let mut rest = Frame::new(&punted.frame);
    assert_eq!(from_access::run_rest(&mut rest, &tables, &punted.punt), Ok(Verdict::Consumed));
    assert_eq!(rest.copies.iter().map(|c| is_v6(&c.bytes)).collect::<Vec<_>>(), [false, false]);
    let (vxlan, geneve) = (&rest.copies[0].bytes, &rest.copies[1].bytes);
    assert_eq!((&vxlan[36..38], &geneve[36..38]), (&[0x12, 0xb5][..], &[0x17, 0xc1][..]));
    assert_eq!((rest.bytes(), &vxlan[50..], &geneve[50..]), (&bytes[..], &bytes[..], &bytes[..]));
    for peer in [1, 4, 5, 6] {
        assert_eq!(tables.peer_counters(peer).tx_packets, 1, "peer {peer}");
    }

    let other = Punt { generation: punted.punt.generation + 1, ..punted.punt };
    let result = from_access::run_rest(&mut Frame::new(&punted.frame), &tables, &other);
    assert_eq!(result, Err(DropReason::TableInconsistent));
}

/// Found by fuzzing.
#[test]
fn a_frame_that_its_tag_made_long_enough_is_not_handed_over() {
    let tables = node();
    let bytes = ethernet(Mac::BROADCAST, 0x0806, &[]);
    let tagged = [&bytes[..12], &[0x81, 0, 0, 50]].concat();
    let result = from_access::run(&mut Frame::new(&tagged), &tables, ingress());
    assert_eq!(result, Err(DropReason::ResizeFailed));
    let is_flood = |p: &overlay_control::tables::Punted| p.punt.reason == PuntReason::Flood as u8;
    assert!(!tables.take_punts().iter().any(is_flood), "dropped, and handed over");
}

#[test]
fn what_no_perf_record_can_hold_is_not_punted() {
    let tables = node();
    let send = |len: u32| {
        let mut frame =
            Frame::new(&ethernet(station(0x13), 0x0800, &vec![0x45; len as usize - 14]));
        frame.gso_size = 1448;
        from_access::run(&mut frame, &tables, ingress())
    };
    assert_eq!(send(Punt::LONGEST), Ok(Verdict::Consumed));
    assert_eq!(send(Punt::LONGEST + 1), Err(DropReason::TooBig));
}
