//! What user space asks of the packet path for a router: whose a packet is, where it goes next,
//! and the way of the frames that a router sends itself.

use overlay_common::abi::{Arrival, Hook, NeighbourKey, Punt, Target};
use overlay_common::id::SegmentId;
use overlay_common::path::{Ingress, from_access, ptb, router};
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::{Family, Mac, address_words};
use overlay_control::action::Action;
use overlay_control::frame::Frame;
use overlay_control::sample::{
    DOWN_PORT, FILTERED_FAR_PORT, FILTERED_PORT, FILTERED_SEGMENT, INGRESS_PORT, OVER_IPV6_PORT,
    PLAIN_PORT, ROUTER_ADDRESS, ROUTER_MAC, SMALL_PORT, TAGGED_PORT, ipv4_of, ipv6_of, station,
};
use overlay_control::tables::TableSet;
use overlay_proof::ip::ipv4_with;

use crate::handed::tables;
use crate::mtu::{ipv6, payload};
use crate::outer::Datagram;
use crate::picked::{ipv4, tcp_to};
use crate::routing::{far6, to_router, udp4, udp6};
use crate::vector::{ethernet, tagged};

const HOST: [u8; 4] = ipv4_of(1);
const HOST6: [u8; 16] = ipv6_of(1);

const INGRESS: Ingress = Ingress { ifindex: 1, hook: Hook::User };

/// At the router of segment 1, from the host behind the ingress port.
const FROM_PORT: Arrival = Arrival::plain(Target::port(INGRESS_PORT), 1);

fn to4(to: [u8; 4]) -> Frame {
    Frame::new(&to_router(station(1), &udp4(HOST, to, 64)))
}

fn to6(to: [u8; 16]) -> Frame {
    Frame::new(&to_router(station(1), &udp6(HOST6, to, 64)))
}

#[test]
fn a_sender_is_where_it_was() {
    let mut tables = tables();
    let at = |tables: &TableSet, source, segment| {
        router::arrival_of(tables, &Punt { source, segment, ..Punt::default() })
    };
    let (port, peer) = (Target::port(INGRESS_PORT), Target::peer(1));
    assert_eq!(at(&tables, port, 1), Some(Arrival::plain(port, 1)));
    assert_eq!(at(&tables, peer, 2), Some(Arrival::plain(peer, 2)));
    // In another segment; in one without a router; in none.
    assert_eq!(at(&tables, port, 2), None);
    assert_eq!(at(&tables, peer, 3), None);
    assert_eq!(at(&tables, Target::port(1 << 20), 1), None);
    tables.apply(&Action::DelRouter(SegmentId(1)));
    assert_eq!(at(&tables, port, 1), None);
}

#[test]
fn a_packet_wants_the_neighbour_that_its_route_names() {
    let tables = tables();
    let wanted = |frame: Frame| router::wanted(&frame, &tables, FROM_PORT);
    // Itself; the next hop of a route.
    assert_eq!(wanted(to4(ipv4_of(99))), NeighbourKey::v4(ipv4_of(99), 1));
    assert_eq!(wanted(to4([10, 2, 0, 9])), NeighbourKey::v4(ipv4_of(0x11), 2));
    assert_eq!(wanted(to6(far6(2))), NeighbourKey::v6(address_words(&ipv6_of(0x11)), 2));
    // A peer; nobody; what goes no further than here.
    for to in [[10, 3, 0, 9], [10, 6, 0, 9], [10, 99, 0, 9], ipv4_of(ROUTER_ADDRESS)] {
        assert_eq!(wanted(to4(to)), None, "{to:?}");
    }
    let last = to_router(station(1), &udp4(HOST, ipv4_of(99), 1));
    assert_eq!(wanted(Frame::new(&last)), None);
    let mut link_local = HOST6;
    link_local[..2].copy_from_slice(&[0xfe, 0x80]);
    let local = to_router(station(1), &udp6(link_local, ipv6_of(99), 64));
    assert_eq!(wanted(Frame::new(&local)), None);
    for kind in [0x0806, 0x88b5] {
        let frame = Frame::new(&ethernet(ROUTER_MAC, station(1), kind, &payload(60)));
        assert_eq!(wanted(frame), None);
    }
    let nowhere = Arrival::plain(Target::port(INGRESS_PORT), 3);
    assert_eq!(router::wanted(&to4(ipv4_of(99)), &tables, nowhere), None);
}

#[test]
fn the_routers_own_addresses_are_its_own() {
    let tables = tables();
    let is_local = |frame: Frame| router::is_local(&frame, &tables, FROM_PORT);
    assert!(is_local(to4(ipv4_of(ROUTER_ADDRESS))));
    assert!(is_local(to6(ipv6_of(ROUTER_ADDRESS))));
    assert!(!is_local(to4(ipv4_of(2))));
    assert!(!is_local(to4([10, 99, 0, 9])));
    assert!(!is_local(Frame::new(&ethernet(ROUTER_MAC, station(1), 0x0806, &payload(60)))));
}

/// What was let pass as a whole is let pass in parts, by its list and by that of the other segment.
#[test]
fn parts_are_not_held_against_lists_again() {
    let tables = tables();
    let (from, to) = ([172, 16, 0, 1], ipv4_of(FILTERED_FAR_PORT as u8));
    let packet = ipv4_with(&[], 17, 0x0010, (from, to), &payload(40));
    let bytes = to_router(station(1), &packet);
    let route = |generation| {
        let punt = Punt { segment: 1, source: Target::port(1), generation, ..Punt::default() };
        let arrival = router::arrival_of(&tables, &punt).unwrap();
        router::run(&mut Frame::new(&bytes), &tables, INGRESS, arrival)
    };
    assert_eq!(route(0), Err(DropReason::AclDenied));
    assert!(matches!(route(Punt::PART), Ok(Verdict::Deliver(_))), "{:?}", route(Punt::PART));
    let far = ethernet(station(0x11), station(FILTERED_PORT as u8), 0x0800, &packet);
    let punt =
        Punt { segment: FILTERED_SEGMENT, source: Target::port(FILTERED_PORT), ..Punt::default() };
    let part = from_access::run_part(&mut Frame::new(&far), &tables, INGRESS, &punt);
    assert!(matches!(part, Ok(Verdict::Transmit(_))), "{part:?}");
}

#[test]
fn there_is_as_much_room_as_the_way_on_has() {
    let tables = tables();
    let room = |frame: Frame| router::room(&frame, &tables, FROM_PORT);
    assert_eq!(room(to4(ipv4_of(SMALL_PORT as u8))), Some(1014));
    assert_eq!(room(to4(ipv4_of(0x11))), Some(1514));
    assert_eq!(room(to6(far6(3))), Some(1514));
    // A port that is down, a peer that is not resolved, a host nobody heard of, no route.
    for to in [ipv4_of(DOWN_PORT as u8), [10, 4, 0, 1], ipv4_of(99), [10, 99, 0, 1]] {
        assert_eq!(room(to4(to)), None, "{to:?}");
    }
}

fn answer(tables: &TableSet, frame: &mut Frame, to: Target, segment: u16) -> Answer {
    router::send_back(frame, tables, Arrival::plain(to, segment))
}

type Answer = Result<Verdict, DropReason>;

#[test]
fn an_answer_goes_back_to_a_port() {
    let tables = tables();
    let plain = ethernet(station(2), ROUTER_MAC, 0x0800, &ipv4(0, 1, 952));
    assert_eq!(plain.len(), 1006);
    let mut frame = Frame::new(&plain);
    let sent = answer(&tables, &mut frame, Target::port(PLAIN_PORT), 1);
    assert!(matches!(sent, Ok(Verdict::Deliver(_))), "{sent:?}");
    assert_eq!(frame.bytes(), plain);
    let mut frame = Frame::new(&plain);
    let sent = answer(&tables, &mut frame, Target::port(TAGGED_PORT), 1);
    assert!(matches!(sent, Ok(Verdict::Deliver(_))), "{sent:?}");
    assert_eq!(frame.bytes(), tagged(&plain, 30));
    let refused = |port, len: usize| {
        let frame = ethernet(station(2), ROUTER_MAC, 0x0800, &payload(len));
        answer(&tables, &mut Frame::new(&frame), Target::port(port), 1)
    };
    assert!(refused(SMALL_PORT, 1000).is_ok());
    assert_eq!(refused(SMALL_PORT, 1001), Err(DropReason::TooBig));
    assert_eq!(refused(DOWN_PORT, 60), Err(DropReason::PortDown));
    assert_eq!(refused(1 << 20, 60), Err(DropReason::TableInconsistent));
}

#[test]
fn an_answer_goes_back_to_a_peer() {
    let tables = tables();
    let inner = tcp_to(station(0x11));
    let mut frame = Frame::new(&inner);
    let sent = answer(&tables, &mut frame, Target::peer(1), 2);
    assert!(matches!(sent, Ok(Verdict::Transmit(_))), "{sent:?}");
    assert_eq!(frame.bytes(), wrapped(1, 200, &inner, frame.bytes()));
    let refused = |peer, len: usize| {
        let frame = ethernet(station(0x11), ROUTER_MAC, 0x0800, &ipv4(0, 17, len));
        answer(&tables, &mut Frame::new(&frame), Target::peer(peer), 2)
    };
    assert!(refused(1, 1460).is_ok());
    assert_eq!(refused(1, 1461), Err(DropReason::TooBig));
    assert_eq!(refused(3, 60), Err(DropReason::PeerUnresolved));
    assert_eq!(refused(1 << 20, 60), Err(DropReason::PeerUnresolved));
}

/// What a peer gets, with the source port that was chosen.
fn wrapped(peer: u8, vni: u32, inner: &[u8], sent: &[u8]) -> Vec<u8> {
    let at = sent.len() - inner.len() - 16;
    let port = u16::from_be_bytes([sent[at], sent[at + 1]]);
    Datagram { vni, ..Datagram::of(peer) }.sent_by_node(port, inner)
}

#[test]
fn a_question_goes_to_everybody() {
    let tables = tables();
    let question = ethernet(Mac::BROADCAST, station(0xf1), 0x0806, &payload(28));
    let mut frame = Frame::new(&question);
    router::send_to_all(&mut frame, &tables, 4);
    assert_eq!(frame.bytes(), question, "the frame is plain again");
    let sent: Vec<Vec<u8>> = frame.copies.iter().map(|copy| copy.bytes.clone()).collect();
    assert_eq!(sent.len(), 5);
    assert_eq!(sent[0], tagged(&question, 50));
    for (peer, sent) in [5, 6, 1, 4].into_iter().zip(&sent[1..]) {
        assert_eq!(*sent, wrapped(peer, 400, &question, sent), "to peer {peer}");
    }
    assert_eq!(tables.port_counters(OVER_IPV6_PORT).tx_packets, 1);
    let mut frame = Frame::new(&question[..13]);
    router::send_to_all(&mut frame, &tables, 4);
    assert!(frame.copies.is_empty());
}

#[test]
fn errors_are_told_to_hosts_about_what_is_no_error() {
    let told = |kind, packet: &[u8]| {
        ptb::may_err(&Frame::new(&ethernet(ROUTER_MAC, station(1), kind, packet)))
    };
    let v4 = |ends, protocol, fragment, data: &[u8]| {
        told(0x0800, &ipv4_with(&[], protocol, fragment, ends, data))
    };
    let far = [10, 9, 9, 9];
    assert_eq!(v4((HOST, far), 17, 0, &payload(60)), Some(Family::V4));
    assert_eq!(v4((HOST, far), 1, 0, &[8, 0, 0, 0, 0, 0, 0, 0]), Some(Family::V4));
    assert_eq!(v4((HOST, far), 1, 0, &[3, 0, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(v4((HOST, far), 17, 0x10, &payload(60)), None, "not the first fragment");
    assert_eq!(v4(([127, 0, 0, 1], far), 17, 0, &payload(60)), None);
    assert_eq!(v4((HOST, [224, 0, 0, 9]), 17, 0, &payload(60)), None);
    let mut packet = udp4(HOST, far, 64);
    packet[0] = 0x44;
    assert_eq!(told(0x0800, &packet), None);
    let v6 = |next, ends: ([u8; 16], [u8; 16]), data: &[u8]| {
        told(0x86dd, &ipv6(next, ends.0, ends.1, data))
    };
    assert_eq!(v6(17, (HOST6, far6(9)), &payload(60)), Some(Family::V6));
    assert_eq!(v6(58, (HOST6, far6(9)), &[128, 0, 0, 0, 0, 0, 0, 0]), Some(Family::V6));
    assert_eq!(v6(58, (HOST6, far6(9)), &[1, 0, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(v6(17, ([0; 16], far6(9)), &payload(60)), None);
    assert_eq!(v6(17, (HOST6, [0xff; 16]), &payload(60)), None);
    assert_eq!(told(0x0806, &payload(60)), None);
    assert_eq!(told(0x86dd, &[0x60; 20]), None);
    assert_eq!(ptb::may_err(&Frame::new(&[0; 13])), None);
}
