//! What a program leaves to another comes out as if one had done it all: routing and floods.

use std::cell::Cell;

use overlay_common::abi::{
    Access, AccessKey, Arrival, Charge, Direction, FdbEntry, FdbKey, FloodKey, GuardKey, Hook,
    Neighbour, NeighbourKey, Node, Peer, Permit, PermitKey, PolicerKey, Port, Punt, Route,
    RouteKey, Router, Segment, Target, Vtep, Vtep6Key, VtepKey, Way,
};
use overlay_common::packet::Packet;
use overlay_common::path::{Ingress, from_access, from_underlay, router};
use overlay_common::tables::{Fields, Tables, Turns};
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::{Family, Mac};
use overlay_control::frame::Frame;
use overlay_control::sample::{Devices, ROUTER_ADDRESS, ROUTER_MAC, ipv4_of, ipv6_of, station};
use overlay_control::tables::TableSet;

use crate::handed::tables;
use crate::outer::Datagram;
use crate::picked::ipv4;
use crate::routing::{far6, to_router, udp4, udp6};
use crate::vector::{ethernet, tagged};

/// Tables as programs have them that leave this to others.
struct Apart<'a> {
    set: &'a TableSet,
    arrival: Cell<Option<Arrival>>,
}

/// Answers by the tables themselves.
macro_rules! by_the_set {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) $(-> $answer:ty)?;)*) => {
        $(fn $name(&self, $($argument: $kind),*) $(-> $answer)? {
            Tables::$name(self.set, $($argument),*)
        })*
    };
}

impl Tables for Apart<'_> {
    const APART: bool = true;

    fn is_back(&self) -> bool {
        true
    }

    fn hand_on(&self, arrival: Arrival) {
        self.arrival.set(Some(arrival));
    }

    fn node(&self) -> Option<&Node> {
        self.set.node()
    }

    fn port(&self, index: u32) -> Option<&Port> {
        self.set.port(index)
    }

    fn segment(&self, index: u16) -> Option<&Segment> {
        self.set.segment(index)
    }

    fn peer(&self, index: u32) -> Option<&Peer> {
        self.set.peer(index)
    }

    fn way(&self, index: u32) -> Option<&Way> {
        self.set.way(index)
    }

    fn router(&self, segment: u16) -> Option<&Router> {
        self.set.router(segment)
    }

    by_the_set! {
        fn access(key: &AccessKey) -> Option<Access>;
        fn vtep(key: &VtepKey) -> Option<Vtep>;
        fn vtep6(key: &Vtep6Key) -> Option<Vtep>;
        fn permit(key: &PermitKey) -> Option<Permit>;
        fn fdb(key: &FdbKey) -> Option<FdbEntry>;
        fn refresh(key: &FdbKey, epoch: u32);
        fn neighbour(key: &NeighbourKey) -> Option<Neighbour>;
        fn filter(
            segment: u16,
            lists: u16,
            family: Family,
            charge: Charge,
            fields: impl Fields
        ) -> Result<(), DropReason>;
        fn is_bound(key: &GuardKey) -> bool;
        fn route(key: &RouteKey) -> Option<Route>;
        fn flood(key: &FloodKey) -> Option<Target>;
        fn police(key: &PolicerKey, charge: Charge) -> Result<(), DropReason>;
        fn count_port(index: u32, direction: Direction, packets: u32, bytes: u32);
        fn count_peer(index: u32, direction: Direction, packets: u32, bytes: u32);
        fn count_drop(ifindex: u32, reason: DropReason, packets: u32);
        fn may_tell(port: u32) -> bool;
    }

    fn repeat<R: Turns>(&self, count: u32, turns: &mut R) {
        self.set.repeat(count, turns);
    }

    fn punt<P: Packet>(&self, packet: &mut P, punt: Punt) -> Result<(), DropReason> {
        self.set.punt(packet, punt)
    }
}

type Answer = Result<Verdict, DropReason>;

/// Where frames come in, and the path that they take there.
#[derive(Clone, Copy)]
enum Side {
    Access,
    Underlay,
}

impl Side {
    fn ingress(self) -> Ingress {
        let devices = Devices::default();
        let ifindex = match self {
            Side::Access => devices.ingress,
            Side::Underlay => devices.uplinks[0],
        };
        Ingress { ifindex, hook: Hook::Tc }
    }

    fn run<T: Tables>(self, frame: &mut Frame, tables: &T) -> Answer {
        match self {
            Side::Access => from_access::run(frame, tables, self.ingress()),
            Side::Underlay => from_underlay::run(frame, tables, self.ingress()),
        }
    }
}

fn counts(tables: &TableSet) -> String {
    let ports = (0..16).map(|index| tables.port_counters(index)).collect::<Vec<_>>();
    let peers = (0..16).map(|index| tables.peer_counters(index)).collect::<Vec<_>>();
    format!("{ports:?} {peers:?} {:?}", tables.drops())
}

/// Runs a frame in one go and by two programs, and returns what both answered.
fn both(
    side: Side,
    bytes: &[u8],
    left: Verdict,
    rest: impl Fn(&mut Frame, &Apart<'_>) -> Answer,
) -> Answer {
    let (whole, parts) = (tables(), tables());
    let mut at_once = Frame::new(bytes);
    let expected = side.run(&mut at_once, &whole);
    let apart = Apart { set: &parts, arrival: Cell::new(None) };
    let mut frame = Frame::new(bytes);
    assert_eq!(side.run(&mut frame, &apart), Ok(left));
    assert_eq!((frame.bytes(), frame.copies.len()), (bytes, 0), "left as it was");
    assert_eq!(rest(&mut frame, &apart), expected);
    assert_eq!(frame, at_once);
    assert_eq!(counts(&parts), counts(&whole));
    expected
}

fn routed(side: Side, bytes: &[u8]) -> Answer {
    both(side, bytes, Verdict::Route, |frame, apart| {
        let arrival = apart.arrival.get().expect("an arrival");
        router::run(frame, apart, side.ingress(), arrival)
    })
}

#[test]
fn what_is_routed_apart_is_routed_alike() {
    let (host, host6) = (ipv4_of(1), ipv6_of(1));
    let v4 = |to| to_router(station(1), &udp4(host, to, 64));
    let v6 = |to| to_router(station(1), &udp6(host6, to, 64));
    let own = ipv4_of(ROUTER_ADDRESS);
    let frames =
        [v4(ipv4_of(2)), v4([10, 2, 0, 9]), v4([10, 3, 0, 9]), v6(ipv6_of(2)), v6(far6(3))];
    for bytes in &frames {
        assert!(routed(Side::Access, bytes).is_ok_and(|verdict| verdict != Verdict::Consumed));
        let second = tagged(bytes, 20);
        assert!(routed(Side::Access, &second).is_ok_and(|verdict| verdict != Verdict::Consumed));
        for peer in [1, 5] {
            let datagram = Datagram { vni: 200, ..Datagram::of(peer) };
            let tunnel = datagram.sent_to_node(bytes);
            let answer = routed(Side::Underlay, &tunnel);
            assert!(answer.is_ok_and(|verdict| verdict != Verdict::Consumed), "{answer:?}");
        }
    }
    let no_route = v4([10, 99, 0, 9]);
    assert_eq!(routed(Side::Access, &no_route), Err(DropReason::NoRoute));
    assert_eq!(routed(Side::Access, &v4(own)), Ok(Verdict::Consumed));
}

#[test]
fn what_floods_apart_floods_alike() {
    for bytes in [
        ethernet(Mac::BROADCAST, station(1), 0x0800, &ipv4(0, 17, 9)),
        tagged(&ethernet(Mac::BROADCAST, station(5), 0x0800, &ipv4(0, 17, 9)), 20),
        tagged(&ethernet(station(0x99), station(8), 0x0800, &ipv4(0, 17, 9)), 50),
    ] {
        let answer = both(Side::Access, &bytes, Verdict::Flood, |frame, apart| {
            from_access::flood(frame, apart, Side::Access.ingress())
        });
        assert_eq!(answer, Ok(Verdict::Consumed));
    }
}

/// The station of a packet that was cut up may have become a router since.
#[test]
fn a_part_of_a_frame_to_a_router_is_routed() {
    let tables = tables();
    let punt = Punt { segment: 1, source: Target::port(1), ..Punt::default() };
    let mut frame = Frame::new(&to_router(station(1), &udp4(ipv4_of(1), ipv4_of(2), 64)));
    let answer = from_access::run_part(&mut frame, &tables, Side::Access.ingress(), &punt);
    assert!(matches!(answer, Ok(Verdict::Deliver(_))), "{answer:?}");
    let sent = ethernet(station(2), ROUTER_MAC, 0x0800, &udp4(ipv4_of(1), ipv4_of(2), 63));
    assert_eq!(frame.bytes(), sent);
}

/// What does not fit into a punt is not handed over in part.
#[test]
fn a_frame_too_long_for_user_space_is_dropped() {
    let tables = tables();
    let own = udp4(ipv4_of(1), ipv4_of(ROUTER_ADDRESS), 64);
    let mut bytes = to_router(station(1), &own);
    let answer = |bytes: &[u8]| {
        let arrival = Arrival::plain(Target::port(1), 1);
        router::run(&mut Frame::new(bytes), &tables, Side::Access.ingress(), arrival)
    };
    bytes.resize(Punt::LONGEST as usize, 0);
    assert_eq!(answer(&bytes), Ok(Verdict::Consumed));
    bytes.push(0);
    assert_eq!(answer(&bytes), Err(DropReason::TooBig));
}
