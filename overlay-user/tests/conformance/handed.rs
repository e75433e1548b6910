//! What user space does with frames that were handed to it: it carries them again when a
//! peer's way is found, and sends the rest of a flood's copies.

use overlay_common::abi::{AccessKey, Egress, Hook, Peer, Punt, PuntReason, Target};
use overlay_common::id::PeerId;
use overlay_common::path::{Ingress, from_access};
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::{Encap, Mac, Template};
use overlay_control::action::Action;
use overlay_control::frame::Frame;
use overlay_control::sample::{
    self, Devices, INGRESS_PORT, OVER_IPV6_PORT, PEERS, UPLINK_MAC, next_hop, station,
};
use overlay_control::tables::TableSet;

use crate::outer::Datagram;
use crate::picked::{ipv4, tcp_to};
use crate::vector::ethernet;

pub fn tables() -> TableSet {
    let mut tables = TableSet::default();
    sample::actions(&Devices::default()).iter().for_each(|action| tables.apply(action));
    tables
}

fn entry(index: u32) -> Peer {
    let sample = PEERS[index as usize - 1];
    let port = sample.encap.port();
    let (ends, encap): (_, Encap) = (sample.ends, sample.encap);
    let next_hop = next_hop(index as u8);
    let mut peer = Peer::new(&Template { next_hop, uplink: UPLINK_MAC, ends, encap, port });
    peer.max_frame = 1514;
    peer.flags |= Peer::READY;
    peer.egress = Egress { ifindex: Devices::default().uplinks[0], flags: Egress::XDP };
    peer
}

fn held() -> (Ingress, Punt) {
    let ingress = Ingress { ifindex: Devices::default().ingress, hook: Hook::User };
    let source = Target::port(INGRESS_PORT);
    let reason = PuntReason::PeerUnresolved as u8;
    (ingress, Punt { reason, segment: 1, source, ..Punt::default() })
}

#[test]
fn a_held_frame_goes_when_its_peer_is_found() {
    let mut tables = tables();
    tables.apply(&Action::PutPeer(PeerId(3), entry(3)));
    let (ingress, punt) = held();
    let inner = tcp_to(station(0x13));
    let mut frame = Frame::new(&inner);
    let answer = from_access::run_again(&mut frame, &tables, ingress, &punt);
    assert!(matches!(answer, Ok(Verdict::Transmit(_))), "{answer:?}");
    let at = frame.bytes().len() - inner.len() - 16;
    let port = u16::from_be_bytes([frame.bytes()[at], frame.bytes()[at + 1]]);
    assert_eq!(frame.bytes(), Datagram::of(3).sent_by_node(port, &inner));
}

#[test]
fn a_held_frame_does_not_follow_its_port_into_another_segment() {
    let mut tables = tables();
    let (ingress, punt) = held();
    let again = |tables: &TableSet, punt: &Punt| {
        from_access::run_again(&mut Frame::new(&tcp_to(station(2))), tables, ingress, punt)
    };
    assert!(matches!(again(&tables, &punt), Ok(Verdict::Deliver(_))));
    let moved = Err(DropReason::UnknownVlan);
    assert_eq!(again(&tables, &Punt { segment: 2, ..punt }), moved);
    assert_eq!(again(&tables, &Punt { source: Target::port(2), ..punt }), moved);
    tables.apply(&Action::DelAccess(AccessKey { ifindex: ingress.ifindex, vlan: 0, reserved: 0 }));
    assert_eq!(again(&tables, &punt), moved);
}

fn part(tables: &TableSet, punt: &Punt, bytes: &[u8]) -> (Result<Verdict, DropReason>, Vec<u8>) {
    let mut frame = Frame::new(bytes);
    let answer = from_access::run_part(&mut frame, tables, held().0, punt);
    (answer, frame.bytes().to_vec())
}

#[test]
fn a_part_of_a_frame_goes_the_way_of_the_whole() {
    let mut tables = tables();
    let (_, punt) = held();
    let inner = tcp_to(station(0x11));
    let (answer, sent) = part(&tables, &punt, &inner);
    assert!(matches!(answer, Ok(Verdict::Transmit(_))), "{answer:?}");
    let at = sent.len() - inner.len() - 16;
    let port = u16::from_be_bytes([sent[at], sent[at + 1]]);
    assert_eq!(sent, Datagram::of(1).sent_by_node(port, &inner));
    // The path has become narrower meanwhile.
    let long = ethernet(station(0x11), station(1), 0x0800, &ipv4(0, 17, 1473));
    assert_eq!(part(&tables, &punt, &long).0, Err(DropReason::TooBig));
    assert_eq!(part(&tables, &punt, &inner[..13]).0, Err(DropReason::Truncated));
    let moved = Err(DropReason::UnknownVlan);
    assert_eq!(part(&tables, &Punt { segment: 2, ..punt }, &inner).0, moved);
    assert_eq!(part(&tables, &Punt { source: Target::port(2), ..punt }, &inner).0, moved);
    tables.apply(&Action::DelAccess(AccessKey { ifindex: 1, vlan: 0, reserved: 0 }));
    assert_eq!(part(&tables, &punt, &inner).0, moved);
}

/// The flood of segment 4: the kernel sends to peers 5 and 6, user space to 1 and 4.
fn rest(tables: &TableSet, generation: u16, bytes: &[u8]) -> (Result<Verdict, DropReason>, Frame) {
    let mut frame = Frame::new(bytes);
    let ifindex = Devices::default().ingress;
    let punt = Punt { segment: 4, generation, ifindex, ..Punt::default() };
    (from_access::run_rest(&mut frame, tables, &punt), frame)
}

#[test]
fn the_rest_of_a_flood_goes_to_the_peers_that_the_kernel_left() {
    let inner = ethernet(Mac::BROADCAST, station(OVER_IPV6_PORT as u8), 0x0800, &ipv4(1, 17, 9));
    let mut tables = tables();
    let (answer, frame) = rest(&tables, 1, &inner);
    assert_eq!(answer, Ok(Verdict::Consumed));
    assert_eq!(frame.bytes(), inner, "the frame is plain again");
    let sent: Vec<Vec<u8>> = frame.copies.iter().map(|copy| copy.bytes.clone()).collect();
    let at = sent[0].len() - inner.len() - 16;
    let port = u16::from_be_bytes([sent[0][at], sent[0][at + 1]]);
    let to = |peer| Datagram { vni: 400, ecn: 1, ..Datagram::of(peer) }.sent_by_node(port, &inner);
    assert_eq!(sent, [to(1), to(4)]);
    assert_eq!((tables.peer_counters(1).tx_packets, tables.peer_counters(4).tx_packets), (1, 1));

    // A peer of the rest over IPv6, and one that is none.
    let slot = |slot| overlay_common::abi::FloodKey { segment: 4, generation: 1, slot };
    tables.apply(&Action::PutFlood(slot(3), Target::peer(5)));
    tables.apply(&Action::PutFlood(slot(4), Target::peer(1 << 20)));
    let (answer, frame) = rest(&tables, 1, &inner);
    assert_eq!((answer, frame.bytes()), (Ok(Verdict::Consumed), &inner[..]));
    assert_eq!(frame.copies.len(), 1);
    assert_eq!(frame.copies[0].bytes, to_v6(&frame.copies[0].bytes, &inner));
    tables.apply(&Action::DelFlood(slot(4)));
    let (_, frame) = rest(&tables, 1, &inner);
    assert_eq!(frame.copies.len(), 1);
    let drops: Vec<_> = tables.drops().into_iter().map(|(key, n)| (key.reason, n)).collect();
    assert_eq!(drops, [(DropReason::TableInconsistent as u8, 1)]);
}

fn to_v6(sent: &[u8], inner: &[u8]) -> Vec<u8> {
    let at = sent.len() - inner.len() - 16;
    let port = u16::from_be_bytes([sent[at], sent[at + 1]]);
    Datagram { vni: 400, ecn: 1, ..Datagram::of(5) }.sent_by_node(port, inner)
}

#[test]
fn the_rest_of_a_flood_is_not_sent_by_another_list() {
    let inner = ethernet(Mac::BROADCAST, station(OVER_IPV6_PORT as u8), 0x0800, &ipv4(0, 17, 9));
    let tables = tables();
    let (answer, frame) = rest(&tables, 2, &inner);
    assert_eq!((answer, frame.copies.len()), (Err(DropReason::TableInconsistent), 0));
    let (answer, _) = rest(&tables, 1, &inner[..13]);
    assert_eq!(answer, Err(DropReason::Truncated));
}
