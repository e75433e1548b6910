//! ARP and neighbour discovery on the path: what is answered, what is heard, and that nothing
//! else is changed.

use overlay_common::abi::{
    Access, AccessKey, FdbKey, Hook, NeighbourKey, Punt, PuntReason, Target,
};
use overlay_common::packet::Packet;
use overlay_common::path::{Ingress, from_access, from_underlay};
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::{Mac, Tag, TagKind, checksum};
use overlay_control::action::Action;
use overlay_control::frame::{Frame, XdpFrame};
use overlay_control::sample::{
    self, Devices, INGRESS_PORT, LOST, ROUTER, SECOND_PORT, STATIC_ADDRESS, ipv4_of, ipv6_of,
    station,
};
use overlay_control::tables::TableSet;
use proptest::prelude::*;

const ALL_NODES: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);
const NOBODY: Mac = Mac([0; 6]);
/// A station and an address that no table has.
const STRANGER: u8 = 0x70;

fn node() -> TableSet {
    let mut tables = TableSet::new(Hook::Tc);
    sample::actions(&Devices::default()).iter().for_each(|action| tables.apply(action));
    tables
}

fn ingress() -> Ingress {
    Ingress { ifindex: Devices::default().ingress, hook: Hook::Tc }
}

/// An ARP packet: operation, sender, target.
#[derive(Clone, Copy)]
struct Arp {
    to: Mac,
    from: Mac,
    operation: u8,
    sender: (Mac, [u8; 4]),
    target: (Mac, [u8; 4]),
}

impl Arp {
    /// Station `from` asks everybody for an address.
    fn request(from: u8, wanted: u8) -> Self {
        let sender = (station(from), ipv4_of(from));
        let (target, from) = ((NOBODY, ipv4_of(wanted)), station(from));
        Self { to: Mac::BROADCAST, from, operation: 1, sender, target }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.to.0[..], &self.from.0, &[8, 6]].concat();
        bytes.extend([0, 1, 8, 0, 6, 4, 0, self.operation]);
        for (mac, ip) in [self.sender, self.target] {
            bytes.extend(mac.0.iter().chain(&ip));
        }
        bytes.resize(60, 0x5a);
        bytes
    }
}

/// A message of neighbour discovery.
#[derive(Clone)]
struct Discovery {
    to: Mac,
    from: Mac,
    source: [u8; 16],
    destination: [u8; 16],
    hop_limit: u8,
    kind: u8,
    flags: u8,
    target: [u8; 16],
    options: Vec<u8>,
}

impl Discovery {
    /// Station `from` asks everybody for an address.
    fn solicitation(from: u8, wanted: u8) -> Self {
        let mut destination = [0; 16];
        destination[..2].copy_from_slice(&[0xff, 2]);
        destination[11..].copy_from_slice(&[1, 0xff, 0, 0, wanted]);
        Self {
            to: Mac([0x33, 0x33, 0xff, 0, 0, wanted]),
            from: station(from),
            source: ipv6_of(from),
            destination,
            hop_limit: 255,
            kind: 135,
            flags: 0,
            target: ipv6_of(wanted),
            options: option(1, station(from)),
        }
    }

    /// Station `from` tells everybody its address.
    fn advertisement(from: u8, address: u8, flags: u8) -> Self {
        let mut destination = [0; 16];
        [destination[0], destination[1], destination[15]] = [0xff, 2, 1];
        Self {
            to: ALL_NODES,
            from: station(from),
            source: ipv6_of(address),
            destination,
            hop_limit: 255,
            kind: 136,
            flags,
            target: ipv6_of(address),
            options: option(2, station(from)),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut message = vec![self.kind, 0, 0, 0, self.flags, 0, 0, 0];
        message.extend(self.target.iter().chain(&self.options));
        let length = message.len() as u16;
        let ends = [self.source, self.destination].concat();
        let pseudo = [&ends[..], &[0, 0], &length.to_be_bytes(), &[0, 0, 0, 58]].concat();
        let sum = checksum::full(&[&pseudo, &message[..]].concat());
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut bytes = [&self.to.0[..], &self.from.0, &[0x86, 0xdd, 0x60, 0, 0, 0]].concat();
        bytes.extend(length.to_be_bytes());
        bytes.extend([58, self.hop_limit]);
        bytes.extend(ends);
        bytes.extend(message);
        bytes
    }
}

fn option(kind: u8, mac: Mac) -> Vec<u8> {
    [&[kind, 1][..], &mac.0].concat()
}

/// What the sample node answers station `to` for an address of station `of`.
fn arp_reply(to: u8, (of, address): (u8, u8)) -> Vec<u8> {
    let target = (station(to), ipv4_of(to));
    let sender = (station(of), ipv4_of(address));
    Arp { to: station(to), from: station(of), operation: 2, sender, target }.bytes()
}

fn advertised(to: u8, (of, address): (u8, u8), flags: u8) -> Vec<u8> {
    let (destination, options) = (ipv6_of(to), option(2, station(of)));
    let to = station(to);
    let told = Discovery::advertisement(of, address, flags);
    Discovery { to, destination, options, ..told }.bytes()
}

/// Sends a frame into the untagged port, or another, and returns what came of it.
fn access(tables: &TableSet, bytes: &[u8]) -> (Result<Verdict, DropReason>, Frame) {
    let mut frame = Frame::new(bytes);
    let verdict = from_access::run(&mut frame, tables, ingress());
    (verdict, frame)
}

fn reports(tables: &TableSet) -> Vec<Punt> {
    let punts = tables.take_punts().into_iter().map(|punted| punted.punt);
    punts.filter(|punt| punt.reason == PuntReason::Neighbour as u8).collect()
}

/// Every copy carries the frame as it was, and so does what is left of it.
fn assert_flooded(tables: &TableSet, bytes: &[u8], why: &str) {
    let (verdict, frame) = access(tables, bytes);
    assert_eq!(verdict, Ok(Verdict::Consumed), "{why}");
    assert!(frame.copies.len() >= 4, "{why}: {} copies", frame.copies.len());
    let plain = |bytes: &[u8]| bytes.to_vec();
    for copy in &frame.copies {
        let tail = &copy.bytes[copy.bytes.len() - bytes.len()..];
        // A port with a VLAN puts its tag behind the stations.
        let same =
            tail == bytes || copy.bytes[copy.bytes.len() - bytes.len() + 12..] == bytes[12..];
        assert!(same, "{why}: {:02x?}", plain(&copy.bytes));
    }
}

fn assert_answered(tables: &TableSet, question: &[u8], answer: &[u8]) {
    let (verdict, frame) = access(tables, question);
    let Ok(Verdict::Deliver(egress)) = verdict else { panic!("{verdict:?}") };
    assert_eq!(egress.ifindex, Devices::default().ingress);
    assert_eq!(frame.bytes(), answer);
    assert!(frame.copies.is_empty(), "nobody else hears of it");
}

#[test]
fn a_question_whose_answer_is_known_is_answered() {
    let tables = node();
    // Behind a peer, behind another port, of a router, and by the configuration.
    for (of, address, router) in
        [(0x11, 0x11, false), (2, 2, false), (ROUTER, ROUTER, true), (0x11, STATIC_ADDRESS, false)]
    {
        let request = Arp::request(1, address).bytes();
        assert_answered(&tables, &request, &arp_reply(1, (of, address)));
        let flags = if router { 0xe0 } else { 0x60 };
        let solicitation = Discovery::solicitation(1, address).bytes();
        assert_answered(&tables, &solicitation, &advertised(1, (of, address), flags));
    }
    let counted = tables.port_counters(INGRESS_PORT);
    assert_eq!((counted.rx_packets, counted.tx_packets), (8, 8));
    assert_eq!((counted.rx_bytes, counted.tx_bytes), (4 * (60 + 86), 4 * (60 + 86)));
}

#[test]
fn the_answer_has_the_tag_of_its_port() {
    let from = SECOND_PORT as u8;
    let tag = |bytes: &[u8]| [&bytes[..12], &[0x81, 0, 0, 20], &bytes[12..]].concat();
    let cases = [
        (Arp::request(from, 0x11).bytes(), arp_reply(from, (0x11, 0x11))),
        (Discovery::solicitation(from, 0x11).bytes(), advertised(from, (0x11, 0x11), 0x60)),
    ];
    for (question, answer) in cases {
        assert_answered(&node(), &tag(&question), &tag(&answer));
        // The tag beside the bytes, with a priority.
        let mut frame = Frame::with_stripped_vlan(&question, Tag::new(TagKind::Customer, 0x6014));
        let verdict = from_access::run(&mut frame, &node(), ingress());
        assert!(matches!(verdict, Ok(Verdict::Deliver(_))), "{verdict:?}");
        assert_eq!(
            (frame.stripped_vlan, frame.bytes()),
            (Some(Tag::new(TagKind::Customer, 20)), &answer[..])
        );
        // A priority alone counts as no tag, and is not given back.
        let question = [&station(1).0[..], &question[12..]].concat();
        let mut untagged = Frame::with_stripped_vlan(
            &[&[0xff; 6][..], &question].concat(),
            Tag::new(TagKind::Customer, 0x6000),
        );
        let verdict = from_access::run(&mut untagged, &node(), ingress());
        assert_eq!(verdict, Ok(Verdict::Consumed), "the sender's MAC is another's");
    }
}

#[test]
fn what_is_no_question_to_all_or_has_no_answer_is_flooded() {
    let tables = node();
    let request = |from, wanted| Arp::request(from, wanted);
    let asked = request(1, 0x11);
    let cases = [
        ("nobody's address", request(1, STRANGER)),
        ("its station is not in the FDB", request(1, LOST)),
        ("its station is behind the same port", request(STRANGER, 1)),
        ("an announcement", Arp { target: (NOBODY, ipv4_of(1)), ..asked }),
        (
            "an announcement of a known address",
            Arp { sender: (station(1), ipv4_of(0x11)), ..asked },
        ),
        ("a probe", Arp { sender: (station(1), [0; 4]), ..asked }),
        ("for another", Arp { sender: (station(2), ipv4_of(2)), ..asked }),
        ("from a new address", Arp { sender: (station(1), ipv4_of(STRANGER)), ..asked }),
        ("from an address that moved", Arp { sender: (station(1), ipv4_of(2)), ..asked }),
        ("a reply", Arp { operation: 2, ..asked }),
        ("reverse ARP", Arp { operation: 3, ..asked }),
    ];
    for (why, arp) in cases {
        assert_flooded(&tables, &arp.bytes(), why);
    }
    let mut odd = asked.bytes();
    odd[18] = 8;
    assert_flooded(&tables, &odd, "other lengths of addresses");

    let asked = Discovery::solicitation(1, 0x11);
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    let cases = [
        ("nobody's address", Discovery::solicitation(1, STRANGER)),
        ("its station is not in the FDB", Discovery::solicitation(1, LOST)),
        ("its station is behind the same port", Discovery::solicitation(STRANGER, 1)),
        ("duplicate address detection", {
            Discovery { source: [0; 16], options: vec![], ..asked.clone() }
        }),
        ("the same, with a nonce (RFC 7527)", {
            Discovery { source: [0; 16], options: nonce.to_vec(), ..asked.clone() }
        }),
        ("from afar", Discovery { hop_limit: 254, ..asked.clone() }),
        ("without option", Discovery { options: vec![], ..asked.clone() }),
        ("with an option more", {
            Discovery { options: [&option(1, station(1))[..], &nonce].concat(), ..asked.clone() }
        }),
        ("for another", Discovery { options: option(1, station(2)), ..asked.clone() }),
        ("from an address that moved", Discovery { source: ipv6_of(2), ..asked.clone() }),
        ("an advertisement", Discovery::advertisement(1, 1, 0x20)),
        ("a router's", Discovery { kind: 134, ..asked.clone() }),
        ("for a group", Discovery { target: [0xff; 16], ..asked }),
    ];
    for (why, message) in cases {
        assert_flooded(&tables, &message.bytes(), why);
    }
}

#[test]
fn a_question_to_one_station_goes_there() {
    let tables = node();
    let unicast = Arp { to: station(2), ..Arp::request(1, 2) }.bytes();
    let probe = Discovery { to: station(2), ..Discovery::solicitation(1, 2) }.bytes();
    for question in [unicast, probe] {
        let (verdict, frame) = access(&tables, &question);
        let Ok(Verdict::Deliver(egress)) = verdict else { panic!("{verdict:?}") };
        assert_eq!(egress.ifindex, Devices::default().ports[0], "station 2 is asked itself");
        assert_eq!(frame.bytes(), question);
    }
}

#[test]
fn xdp_leaves_it_all_to_tc_untouched() {
    let tables = node();
    for bytes in [
        Arp::request(1, 0x11).bytes(),
        Arp { to: station(2), operation: 2, ..Arp::request(1, 2) }.bytes(),
        Discovery::solicitation(1, 0x11).bytes(),
        Discovery::advertisement(1, 1, 0x60).bytes(),
    ] {
        let mut frame = XdpFrame::new(&bytes);
        let verdict = from_access::run(&mut frame, &tables, ingress());
        assert_eq!((verdict, frame.bytes()), (Ok(Verdict::Defer), &bytes[..]));
        assert_eq!(reports(&tables), []);
    }
}

#[test]
fn a_segment_without_suppression_neither_hears_nor_answers() {
    let mut tables = node();
    let key = AccessKey { ifindex: Devices::default().ingress, vlan: 0, reserved: 0 };
    tables.apply(&Action::PutAccess(key, Access { port: INGRESS_PORT, segment: 1, flags: 0 }));
    for bytes in [
        Arp::request(1, 0x11).bytes(),
        Arp { sender: (station(1), ipv4_of(STRANGER)), ..Arp::request(1, 0x11) }.bytes(),
        Discovery::solicitation(1, 0x11).bytes(),
        Discovery::advertisement(1, STRANGER, 0x20).bytes(),
    ] {
        assert_flooded(&tables, &bytes, "suppression is off");
        assert_eq!(reports(&tables), []);
    }
}

/// What is heard of an address, as punts tell it: the MAC, and whether it is a router's.
fn heard(tables: &TableSet, address: NeighbourKey, bytes: &[u8]) -> Option<(Mac, bool)> {
    reports(tables);
    let _ = access(tables, bytes);
    let reports = reports(tables);
    assert!(reports.len() <= 1, "{reports:?}");
    let punt = *reports.first()?;
    assert_eq!(NeighbourKey::from_bytes(punt.address, punt.segment), Some(address));
    assert_eq!((punt.source, punt.ifindex), (Target::port(INGRESS_PORT), ingress().ifindex));
    assert_eq!((punt.frame_len, punt.captured), (0, 0));
    Some((Mac(punt.mac), punt.is_router()))
}

fn v4(last: u8) -> NeighbourKey {
    NeighbourKey::v4(ipv4_of(last), 1).unwrap()
}

fn v6(last: u8) -> NeighbourKey {
    NeighbourKey::of(ipv6_of(last).into(), 1).unwrap()
}

#[test]
fn arp_tells_what_is_news_and_nothing_else() {
    let tables = node();
    let says =
        |mac, address| Arp { sender: (station(mac), ipv4_of(address)), ..Arp::request(1, 2) };
    let news = |mac| Some((station(mac), false));
    assert_eq!(heard(&tables, v4(1), &says(1, 1).bytes()), None, "known");
    assert_eq!(heard(&tables, v4(STRANGER), &says(1, STRANGER).bytes()), news(1), "new");
    assert_eq!(heard(&tables, v4(0x11), &says(1, 0x11).bytes()), news(1), "another's before");
    let reply = Arp { operation: 2, to: station(2), ..says(1, STRANGER) };
    assert_eq!(heard(&tables, v4(STRANGER), &reply.bytes()), news(1), "a reply");
    let announced = Arp { target: (NOBODY, ipv4_of(2)), ..says(1, 2) };
    assert_eq!(heard(&tables, v4(2), &announced.bytes()), news(1), "announced");
    let fixed = says(1, STATIC_ADDRESS).bytes();
    assert_eq!(heard(&tables, v4(STATIC_ADDRESS), &fixed), None, "the configuration's");
    // The station that is told is not the one that tells.
    assert_eq!(heard(&tables, v4(STRANGER), &says(9, STRANGER).bytes()), None);
    assert_eq!(heard(&tables, v4(0x11), &says(9, 0x11).bytes()), Some((NOBODY, false)));
    assert_eq!(heard(&tables, v4(0x11), &says(0x11, 0x11).bytes()), None, "no contradiction");
    let probe = Arp { sender: (station(1), [0; 4]), ..says(1, 1) };
    assert_eq!(heard(&tables, v4(1), &probe.bytes()), None);
    let multicast = Arp { sender: (station(1), [224, 0, 0, 1]), ..says(1, 1) };
    assert_eq!(heard(&tables, v4(1), &multicast.bytes()), None);
}

#[test]
fn discovery_tells_what_is_news_and_nothing_else() {
    const OVERRIDE: u8 = 0x20;
    const ROUTERS: u8 = 0xa0;
    let tables = node();
    let advertised = |mac, address, flags| {
        let told = Discovery::advertisement(1, address, flags);
        Discovery { options: option(2, station(mac)), ..told }.bytes()
    };
    let news = |router| Some((station(1), router));
    assert_eq!(heard(&tables, v6(1), &advertised(1, 1, OVERRIDE)), None, "known");
    assert_eq!(heard(&tables, v6(1), &advertised(1, 1, ROUTERS)), news(true), "a router now");
    assert_eq!(heard(&tables, v6(STRANGER), &advertised(1, STRANGER, OVERRIDE)), news(false));
    assert_eq!(heard(&tables, v6(STRANGER), &advertised(1, STRANGER, 0)), news(false));
    assert_eq!(heard(&tables, v6(2), &advertised(1, 2, OVERRIDE)), news(false), "moved");
    assert_eq!(heard(&tables, v6(2), &advertised(1, 2, 0)), None, "does not override");
    let fixed = advertised(1, STATIC_ADDRESS, OVERRIDE);
    assert_eq!(heard(&tables, v6(STATIC_ADDRESS), &fixed), None, "the configuration's");
    assert_eq!(heard(&tables, v6(STRANGER), &advertised(9, STRANGER, OVERRIDE)), None);
    assert_eq!(heard(&tables, v6(2), &advertised(9, 2, OVERRIDE)), Some((NOBODY, false)));
    let from_afar = Discovery { hop_limit: 64, ..Discovery::advertisement(1, 2, OVERRIDE) };
    assert_eq!(heard(&tables, v6(2), &from_afar.bytes()), None);
    let wrong = Discovery { options: option(1, station(1)), ..from_afar };
    assert_eq!(heard(&tables, v6(2), &Discovery { hop_limit: 255, ..wrong }.bytes()), None);

    let solicited = |mac, address| {
        let asked = Discovery::solicitation(1, STRANGER);
        let (source, options) = (ipv6_of(address), option(1, station(mac)));
        Discovery { source, options, ..asked }.bytes()
    };
    assert_eq!(heard(&tables, v6(1), &solicited(1, 1)), None);
    assert_eq!(heard(&tables, v6(STRANGER), &solicited(1, STRANGER)), None, "router or not?");
    assert_eq!(heard(&tables, v6(2), &solicited(1, 2)), Some((NOBODY, false)), "not 2's any more");
}

/// From peer 1, in the tunnel of segment 2.
fn from_peer(tables: &TableSet, inner: &[u8]) -> (Result<Verdict, DropReason>, Frame) {
    let vni = 200_u32.to_be_bytes();
    let mut frame = Frame::new(inner);
    frame
        .grow_head(overlay_common::packet::Inner::Other, overlay_common::wire::Family::V4)
        .unwrap();
    let total = (inner.len() + 36) as u16;
    let mut outer = [&[2; 12][..], &[8, 0, 0x45, 0], &total.to_be_bytes()].concat();
    outer.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    outer.extend(sample::PEER_VTEPS[0].iter().chain(&sample::LOCAL_VTEP));
    let sum = checksum::full(&outer[14..34]);
    outer[24..26].copy_from_slice(&sum.to_be_bytes());
    outer.extend([0xc0, 0, 0x12, 0xb5]);
    outer.extend((total - 20).to_be_bytes());
    outer.extend([0, 0, 8, 0, 0, 0, vni[1], vni[2], vni[3], 0]);
    *frame.at_mut(0).unwrap() = <[u8; 50]>::try_from(outer).unwrap();
    let verdict = from_underlay::run(&mut frame, tables, ingress());
    (verdict, frame)
}

#[test]
fn peers_are_heard_and_never_answered() {
    let tables = node();
    let second = |key: NeighbourKey| NeighbourKey { segment: 2, ..key };
    for (bytes, key) in [
        (Arp::request(0x11, SECOND_PORT as u8).bytes(), None),
        (Discovery::solicitation(0x11, SECOND_PORT as u8).bytes(), None),
        (
            Arp { sender: (station(0x11), ipv4_of(STRANGER)), ..Arp::request(0x11, 5) }.bytes(),
            Some(second(v4(STRANGER))),
        ),
        (Discovery::advertisement(0x11, STRANGER, 0x20).bytes(), Some(second(v6(STRANGER)))),
        (
            Arp {
                to: station(SECOND_PORT as u8),
                operation: 2,
                sender: (station(0x11), ipv4_of(STRANGER)),
                ..Arp::request(0x11, 5)
            }
            .bytes(),
            Some(second(v4(STRANGER))),
        ),
    ] {
        let (verdict, frame) = from_peer(&tables, &bytes);
        match verdict {
            Ok(Verdict::Consumed) => assert_eq!(frame.copies.len(), 1),
            Ok(Verdict::Deliver(_)) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(&frame.to_wire()[frame.to_wire().len() - 28..], &bytes[bytes.len() - 28..]);
        let reports = reports(&tables);
        let told = reports.iter().map(|p| NeighbourKey::from_bytes(p.address, p.segment).unwrap());
        assert_eq!(told.collect::<Vec<_>>(), Vec::from_iter(key));
        for punt in reports {
            assert_eq!((punt.source, Mac(punt.mac)), (Target::peer(1), station(0x11)));
        }
    }
}

/// A question, perhaps with a byte changed, perhaps cut.
fn question() -> impl Strategy<Value = Vec<u8>> {
    let known = prop_oneof![Just(1_u8), Just(2), Just(0x11), Just(ROUTER), Just(STRANGER)];
    let arp = (known.clone(), 1_u8..4)
        .prop_map(|(wanted, operation)| Arp { operation, ..Arp::request(1, wanted) }.bytes());
    let discovery = (known, 133_u8..138, any::<u8>()).prop_map(|(wanted, kind, flags)| {
        let flags = if kind == 136 { flags } else { 0 };
        Discovery { kind, flags, ..Discovery::solicitation(1, wanted) }.bytes()
    });
    let change = proptest::option::of((any::<prop::sample::Index>(), any::<u8>()));
    let cut = proptest::option::weighted(0.2, any::<prop::sample::Index>());
    (prop_oneof![arp, discovery], change, cut).prop_map(|(mut bytes, change, cut)| {
        if let Some((at, value)) = change {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(at) = cut {
            bytes.truncate(at.index(bytes.len()));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn whatever_is_answered_is_right_and_the_rest_is_untouched(bytes in question()) {
        let tables = node();
        let (verdict, frame) = access(&tables, &bytes);
        for copy in &frame.copies {
            let at = copy.bytes.len() - (bytes.len() - 12);
            prop_assert_eq!(&copy.bytes[at..], &bytes[12..], "a copy is as it came");
        }
        let Ok(Verdict::Deliver(egress)) = verdict else { return Ok(()) };
        let out = frame.bytes();
        if egress.ifindex != ingress().ifindex {
            prop_assert_eq!(&out[out.len() - (bytes.len() - 12)..], &bytes[12..]);
            return Ok(());
        }
        prop_assert_eq!(&out[..6], &bytes[6..12], "back to who asked");
        prop_assert!(bytes[0] & 1 != 0, "everybody was asked");
        let mac = Mac(out[6..12].try_into().unwrap());
        let key = if bytes[12] == 8 {
            prop_assert_eq!(out, &arp_answer(&bytes, mac)[..]);
            NeighbourKey::v4(bytes[38..42].try_into().unwrap(), 1)
        } else {
            prop_assert_eq!(out.len(), 86);
            let pseudo = [&out[22..54], &[0, 0, 0, 32, 0, 0, 0, 58]].concat();
            prop_assert_eq!(checksum::full(&[&pseudo, &out[54..]].concat()), 0);
            prop_assert_eq!(&out[22..38], &bytes[62..78], "from the target");
            prop_assert_eq!(&out[38..54], &bytes[22..38], "to who asked");
            prop_assert_eq!(&out[62..78], &bytes[62..78]);
            prop_assert_eq!(&out[78..], &option(2, mac)[..]);
            prop_assert_eq!((out[54], out[55], out[58] & 0x7f), (136, 0, 0x60));
            NeighbourKey::from_bytes(bytes[62..78].try_into().unwrap(), 1)
        };
        use overlay_common::tables::Tables;
        let known = tables.neighbour(&key.unwrap()).expect("a known address");
        prop_assert_eq!(known.mac(), mac);
        let place = tables.fdb(&FdbKey::new(mac, 1)).expect("a known station");
        prop_assert_ne!(place.target, Target::port(INGRESS_PORT));
    }
}

fn arp_answer(question: &[u8], mac: Mac) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[..6].copy_from_slice(&question[6..12]);
    answer[6..12].copy_from_slice(&mac.0);
    answer[21] = 2;
    answer[22..28].copy_from_slice(&mac.0);
    answer[28..32].copy_from_slice(&question[38..42]);
    answer[32..42].copy_from_slice(&question[22..32]);
    answer
}
