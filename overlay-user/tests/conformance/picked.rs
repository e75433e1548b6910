//! The hand-picked vectors, each with what must become of it.

use overlay_common::abi::Hook;
use overlay_common::verdict::DropReason as Why;
use overlay_common::wire::{Mac, Outer4, bytes_of};
use overlay_control::sample::{DANGLING_STATION, DOWN_PORT, PEER_VTEPS, next_hop, station};

use crate::host::Observed;
use crate::mtu;
use crate::neighbours;
use crate::outer::{Datagram, tunnel};
use crate::vector::{Direction, Given, Outcome, Vector, ethernet, service_tagged, tagged};

/// What must become of a frame.
#[derive(Clone, Debug)]
pub enum Expect {
    /// Left as it is.
    Untouched,
    /// Sent into the tunnel to this peer, with this VNI and type of service.
    Tunnelled { peer: u8, vni: u32, tos: u8, inner: Vec<u8> },
    /// Sent as it is here; where a tag is given, tc has it beside the bytes.
    Delivered(Vec<u8>, Option<u16>),
    /// The same with a service tag.
    ServiceTagged(Vec<u8>, u16),
    /// Dropped, and counted under this reason.
    Dropped(Why),
    /// Dropped as too big, and its sender told with this, without the tag of the port.
    Answered(Vec<u8>),
    /// Copied or punted.
    Consumed,
    /// Copied, but for so many copies, which were dropped for this reason.
    Missed(Why, u64),
}

/// A vector and what must become of it at each hook.
pub struct Picked {
    pub vector: Vector,
    tc: Expect,
    xdp: Expect,
    user: Expect,
}

impl Picked {
    /// Where it runs on the host. XDP has no super-frames, and no tags beside the bytes.
    pub fn hooks(&self) -> &'static [Hook] {
        let given = &self.vector.given;
        if given.gso_size != 0 || given.stripped_vlan.is_some() {
            &[Hook::Tc, Hook::User]
        } else {
            &[Hook::Tc, Hook::Xdp, Hook::User]
        }
    }

    /// Whether a run was as expected; the error says how it was not.
    pub fn check(&self, hook: Hook, observed: &Observed) -> Result<(), String> {
        let expected = match hook {
            Hook::Xdp => &self.xdp,
            Hook::Tc => &self.tc,
            Hook::User => &self.user,
        };
        let drops: Vec<_> =
            observed.left.drops.iter().map(|((reason, _), count)| (*reason, *count)).collect();
        let outcome = match observed.outcome.clone() {
            Outcome::SentBack(bytes) => Outcome::Sent(bytes),
            other => other,
        };
        let held = match (expected, &outcome) {
            (Expect::Untouched, Outcome::Untouched) => drops.is_empty(),
            (Expect::Delivered(bytes, tag), Outcome::Sent(sent)) => match tag {
                Some(tci) if hook != Hook::Tc => *sent == tagged(bytes, *tci),
                _ => sent == bytes,
            },
            (Expect::ServiceTagged(bytes, tci), Outcome::Sent(sent)) => match hook {
                Hook::Tc => sent == bytes,
                _ => *sent == service_tagged(bytes, *tci),
            },
            (Expect::Tunnelled { peer, vni, tos, inner }, Outcome::Sent(sent)) => {
                is_tunnel(sent, *peer, *vni, *tos, inner)
            }
            (Expect::Answered(bytes), Outcome::Sent(sent)) => {
                // Only tc has the tag of the port beside the bytes.
                let has_tag = hook != Hook::Tc && sent[12..14] == [0x81, 0];
                let plain =
                    if has_tag { [&sent[..12], &sent[16..]].concat() } else { sent.clone() };
                plain == *bytes && drops == [(Why::TooBig as u8, 1)]
            }
            (Expect::Dropped(why), Outcome::Ended) => drops == [(*why as u8, 1)],
            (Expect::Missed(why, copies), Outcome::Ended) => drops == [(*why as u8, *copies)],
            (Expect::Consumed, Outcome::Ended) => drops.is_empty(),
            _ => false,
        };
        if held {
            Ok(())
        } else {
            Err(format!("expected {expected:02x?}\nobserved {observed:02x?}"))
        }
    }
}

/// Compares byte by byte, but for the source port, which only has its range.
fn is_tunnel(sent: &[u8], peer: u8, vni: u32, tos: u8, inner: &[u8]) -> bool {
    let Some(at) = sent.len().checked_sub(inner.len() + 16) else { return false };
    let port = u16::from_be_bytes([sent[at], sent[at + 1]]);
    let mut expected = Datagram { vni, ecn: tos, ..Datagram::of(peer) }.sent_by_node(port, inner);
    // Peer 7 has two next hops; the kernel's choice has to be the host's.
    if peer == 7 && sent[..6] == next_hop(8).0 {
        expected[..6].copy_from_slice(&sent[..6]);
    }
    port >= 49152 && sent == expected
}

pub fn ipv4(tos: u8, protocol: u8, payload_len: usize) -> Vec<u8> {
    let total = (20 + 20 + payload_len) as u16;
    let mut packet = vec![0x45, tos];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    let sum = overlay_common::wire::checksum::full(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend([0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    packet.extend((0..payload_len).map(|i| i as u8));
    packet
}

pub fn ipv6(class: u8, next_header: u8) -> Vec<u8> {
    let mut packet = vec![0x60 | class >> 4, class << 4, 0x12, 0x34, 0, 20, next_header, 64];
    packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend([0x30, 0x39, 0, 80, 0, 20, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
    packet
}

pub fn arp() -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1];
    packet.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    packet
}

/// A TCP segment from station 1.
pub fn tcp_to(destination: Mac) -> Vec<u8> {
    ethernet(destination, station(1), 0x0800, &ipv4(0, 6, 40))
}

pub struct Picks(pub Vec<Picked>);

impl Picks {
    pub fn add(
        &mut self,
        direction: Direction,
        name: &str,
        frame: Vec<u8>,
        tc: Expect,
        xdp: Expect,
    ) {
        let vector = Vector { name: name.to_owned(), direction, frame, given: Given::default() };
        self.0.push(Picked { vector, user: tc.clone(), tc, xdp });
    }

    /// Changes what is given for the last one.
    pub fn given(&mut self, given: Given) {
        self.last().vector.given = given;
    }

    /// Changes what user space makes of the last one.
    pub fn in_user_space(&mut self, user: Expect) {
        self.last().user = user;
    }

    /// tc refuses the last one: too little would remain of it.
    pub fn tc_refuses(&mut self) {
        self.last().tc = Expect::Dropped(Why::ResizeFailed);
    }

    /// Changes what XDP makes of the last one.
    pub fn in_xdp(&mut self, xdp: Expect) {
        self.last().xdp = xdp;
    }

    fn last(&mut self) -> &mut Picked {
        self.0.last_mut().expect("one was added")
    }

    pub fn access(&mut self, name: &str, frame: Vec<u8>, expect: Expect) {
        self.add(Direction::FromAccess, name, frame, expect.clone(), expect);
    }

    /// XDP leaves the frame to tc.
    pub fn access_by_tc(&mut self, name: &str, frame: Vec<u8>, tc: Expect) {
        self.add(Direction::FromAccess, name, frame, tc, Expect::Untouched);
    }

    pub fn tunnelled(&mut self, name: &str, inner: Vec<u8>, tos: u8) {
        let expect = Expect::Tunnelled { peer: 1, vni: 100, tos, inner: inner.clone() };
        self.access(name, inner, expect);
    }

    pub fn tunnelled_by_tc(&mut self, name: &str, inner: Vec<u8>) {
        let expect = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner: inner.clone() };
        self.access_by_tc(name, inner, expect);
    }

    /// Another frame than came in goes to a peer, by tc.
    pub fn becomes(&mut self, name: &str, frame: Vec<u8>, peer: u8, inner: Vec<u8>) {
        self.access_by_tc(name, frame, Expect::Tunnelled { peer, vni: 100, tos: 0, inner });
    }

    pub fn underlay(&mut self, name: &str, frame: Vec<u8>, expect: Expect) {
        self.add(Direction::FromUnderlay, name, frame, expect.clone(), expect);
    }

    pub fn underlay_by_tc(&mut self, name: &str, frame: Vec<u8>, tc: Expect) {
        self.add(Direction::FromUnderlay, name, frame, tc, Expect::Untouched);
    }
}

/// All of them.
pub fn vectors() -> Vec<Picked> {
    let mut picks = Picks(Vec::new());
    encapsulation(&mut picks);
    access_refusals(&mut picks);
    local_switching(&mut picks);
    neighbours::vectors(&mut picks);
    crate::underlay::add(&mut picks);
    limits(&mut picks);
    crate::rare::add(&mut picks);
    mtu::add(&mut picks);
    crate::routing::add(&mut picks);
    crate::guard::add(&mut picks);
    crate::acl::add(&mut picks);
    picks.0
}

fn encapsulation(picks: &mut Picks) {
    picks.tunnelled("TCP over IPv4", tcp_to(station(0x11)), 0);
    for (ecn, name) in ["Not-ECT", "ECT(1)", "ECT(0)", "CE"].iter().enumerate() {
        let tos = ecn as u8;
        let v4 = ethernet(station(0x11), station(1), 0x0800, &ipv4(tos | 0xb8, 17, 10));
        picks.tunnelled(&format!("{name} in IPv4 is copied outwards, DSCP is not"), v4, tos);
        let v6 = ethernet(station(0x11), station(1), 0x86dd, &ipv6(tos, 6));
        picks.tunnelled(&format!("{name} in IPv6 is copied outwards"), v6, tos);
    }
    let options = [&[0x46, 0, 0, 44][..], &[0; 40]].concat();
    let cases = [
        ("ICMP", ethernet(station(0x11), station(1), 0x0800, &ipv4(0, 1, 8))),
        ("ICMPv6", ethernet(station(0x11), station(1), 0x86dd, &ipv6(0, 58))),
        ("IPv4 with options", ethernet(station(0x11), station(1), 0x0800, &options)),
        ("IPv4 in name only", ethernet(station(0x11), station(1), 0x0800, &[0x15; 46])),
        ("IPv6 in name only", ethernet(station(0x11), station(1), 0x86dd, &[0x15; 46])),
        ("an unknown EtherType", ethernet(station(0x11), station(1), 0x88b5, &[7; 46])),
        ("an 802.3 length", ethernet(station(0x11), station(1), 40, &[7; 46])),
        ("from an unknown station", ethernet(station(0x11), station(0x70), 0x88b5, &[7; 46])),
        ("the longest frame that fits", {
            ethernet(station(0x11), station(1), 0x0800, &ipv4(0, 6, 1460))
        }),
    ];
    for (name, frame) in cases {
        picks.tunnelled(name, frame, 0);
    }
    let to_known = ethernet(station(0x11), station(1), 0x0806, &arp());
    picks.tunnelled_by_tc("ARP to a known station", to_known);
    let long = ethernet(station(0x11), station(1), 0x0800, &ipv4(0, 6, 1461));
    picks.access_by_tc("one byte too long for the uplink", long, Expect::Consumed);

    let second = ethernet(station(0x11), station(5), 0x0800, &ipv4(0, 6, 40));
    let tunnel = Expect::Tunnelled { peer: 1, vni: 200, tos: 0, inner: second.clone() };
    picks.access("VLAN 20 is the second segment", tagged(&second, 20), tunnel.clone());
    picks.access("the tag's priority does not matter", tagged(&second, 0xe014), tunnel);
    let plain = tcp_to(station(0x11));
    let tunnel = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner: plain.clone() };
    picks.access("a priority tag counts as none", tagged(&plain, 0x6000), tunnel);

    let service = ethernet(station(0x11), station(9), 0x0800, &ipv4(0, 6, 40));
    let tunnel = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner: service.clone() };
    picks.access("VLAN 20 in a service tag", service_tagged(&service, 20), tunnel.clone());
    picks.access("a service tag's priority and DEI", service_tagged(&service, 0xf014), tunnel);
    let tunnel = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner: plain.clone() };
    picks.access("a service tag without VID", service_tagged(&plain, 0x6000), tunnel);

    let far = tcp_to(station(0x12));
    let tunnel = Expect::Tunnelled { peer: 2, vni: 100, tos: 0, inner: far.clone() };
    picks.access_by_tc("XDP cannot reach the uplink", far, tunnel);
    for flow in 0..8 {
        let mut several = ethernet(station(0x17), station(1), 0x0800, &ipv4(0, 6, 40));
        several[14 + 20] = flow;
        let tunnel = Expect::Tunnelled { peer: 7, vni: 100, tos: 0, inner: several.clone() };
        picks.access(&format!("flow {flow} to a peer with several ways"), several, tunnel);
    }
    picks.access("the peer is not resolved", tcp_to(station(0x13)), Expect::Consumed);
}

fn access_refusals(picks: &mut Picks) {
    picks.access("empty", vec![], Expect::Dropped(Why::Truncated));
    picks.access("half a header", vec![2; 13], Expect::Dropped(Why::Truncated));
    let frame = tcp_to(station(0x11));
    for vlan in [1, 30, 4095] {
        let name = format!("VLAN {vlan} is nobody's");
        picks.access(&name, tagged(&frame, vlan), Expect::Dropped(Why::UnknownVlan));
    }
    for (name, frame) in [
        ("VLAN 50 in a tag of the other kind", service_tagged(&frame, 50)),
        ("the service bit is no VID", tagged(&frame, 0x8000 | 30)),
        ("VLAN 4095 in a service tag", service_tagged(&frame, 4095)),
    ] {
        picks.access(name, frame, Expect::Dropped(Why::UnknownVlan));
    }
    let from = |source| ethernet(station(0x11), source, 0x0800, &ipv4(0, 6, 40));
    for (name, source) in [
        ("broadcast as source", Mac::BROADCAST),
        ("multicast as source", Mac([1, 0, 0x5e, 0, 0, 1])),
        ("zero as source", Mac([0; 6])),
    ] {
        picks.access(name, from(source), Expect::Dropped(Why::InvalidSource));
    }
    for last in [0x00, 0x02, 0x0e, 0x0f] {
        let group = ethernet(Mac([1, 0x80, 0xc2, 0, 0, last]), station(1), 0x88cc, &[0; 46]);
        let name = format!("link-local group {last:02x}");
        picks.access(&name, group, Expect::Dropped(Why::LinkLocalGroup));
    }
    let own = ethernet(station(1), station(0x71), 0x0800, &ipv4(0, 6, 40));
    picks.access("to a station on the same port", own, Expect::Dropped(Why::SamePort));
    let double = tagged(&tagged(&frame, 7), 20);
    let to_second = |mut frame: Vec<u8>| {
        frame[..6].copy_from_slice(&station(0x11).0);
        frame
    };
    let double = to_second(double);
    picks.access("a tag inside the tag", double, Expect::Dropped(Why::InnerVlan));
    for (name, frame) in [
        ("a tag inside the service tag", service_tagged(&tagged(&frame, 7), 20)),
        ("a service tag inside the service tag", service_tagged(&service_tagged(&frame, 7), 20)),
    ] {
        picks.access(name, frame, Expect::Dropped(Why::InnerVlan));
    }
    // What the kernel does not take the tag off: not even a header would be left.
    for len in [16, 17] {
        let cut = |to| tagged(&ethernet(to, station(5), 0x88b5, &[0; 46]), 20)[..len].to_vec();
        let refused = Expect::Dropped(Why::ResizeFailed);
        let name = format!("{len} bytes with a tag");
        picks.access(&format!("{name}, to a peer"), cut(station(0x11)), refused.clone());
        picks.access_by_tc(&format!("{name}, to all"), cut(Mac::BROADCAST), refused);
    }
    let lonely = tagged(&ethernet(Mac::BROADCAST, station(6), 0x88b5, &arp()), 40);
    picks.access_by_tc("nobody to flood to", lonely, Expect::Dropped(Why::NoReceiver));
}

fn local_switching(picks: &mut Picks) {
    let plain = tcp_to(station(2));
    picks.access("to another port", plain.clone(), Expect::Delivered(plain, None));
    let to_tagged = tcp_to(station(3));
    picks.access(
        "to a port with a VLAN",
        to_tagged.clone(),
        Expect::Delivered(to_tagged, Some(30)),
    );
    let to_service = tcp_to(station(9));
    let delivered = Expect::ServiceTagged(to_service.clone(), 20);
    picks.access("to a port with a service tag", to_service, delivered);
    let from_service = ethernet(station(3), station(9), 0x0800, &ipv4(0, 6, 40));
    let delivered = Expect::Delivered(from_service.clone(), Some(30));
    picks.access("from one kind of tag to the other", service_tagged(&from_service, 20), delivered);
    let small = tcp_to(station(4));
    picks.access_by_tc(
        "to a port that XDP cannot reach",
        small.clone(),
        Expect::Delivered(small, None),
    );
    let long = ethernet(station(4), station(1), 0x0800, &ipv4(0, 6, 961));
    picks.access_by_tc("too long for the port", long, Expect::Consumed);
    let down = tcp_to(station(DOWN_PORT as u8));
    picks.access("to a port without a device", down, Expect::Dropped(Why::PortDown));
    let dangling = tcp_to(DANGLING_STATION);
    picks.access("to a port that is none", dangling, Expect::Dropped(Why::TableInconsistent));

    let arp = ethernet(Mac::BROADCAST, station(1), 0x88b5, &arp());
    picks.access_by_tc("broadcast", arp, Expect::Consumed);
    let multicast = ethernet(Mac([1, 0, 0x5e, 0, 0, 5]), station(1), 0x0800, &ipv4(0, 17, 10));
    picks.access_by_tc("multicast", multicast, Expect::Consumed);
    picks.access_by_tc("unknown unicast", tcp_to(station(0x72)), Expect::Consumed);
    let second = tagged(&ethernet(Mac::BROADCAST, station(5), 0x88b5, &[3; 46]), 20);
    picks.access_by_tc("broadcast in the second segment", second, Expect::Consumed);
}

/// Limits that are used up, and some that are far from it.
fn limits(picks: &mut Picks) {
    let plain = tcp_to(station(0x11));
    let tunnel = Expect::Tunnelled { peer: 1, vni: 100, tos: 0, inner: plain.clone() };
    picks.access("a port within its limits", tagged(&plain, 60), tunnel);
    let local = tcp_to(station(2));
    let delivered = Expect::Delivered(local.clone(), None);
    picks.access("a port within its limits, to a port", tagged(&local, 60), delivered);
    let flood = ethernet(Mac::BROADCAST, station(10), 0x88b5, &arp());
    picks.access_by_tc("a flood over its limit", tagged(&flood, 60), Expect::Dropped(Why::Storm));
    let shut = |to| tagged(&ethernet(to, station(11), 0x0800, &ipv4(0, 6, 40)), 70);
    let policed = Expect::Dropped(Why::Policed);
    picks.access("a segment over its limit, to a peer", shut(station(0x11)), policed.clone());
    picks.access_by_tc("a segment over its limit, flooded", shut(Mac::BROADCAST), policed.clone());

    let from = |peer, vni, to| {
        let inner = ethernet(to, station(0x10 + peer), 0x0800, &ipv4(0, 6, 40));
        Datagram { vni, ..Datagram::of(peer) }.sent_to_node(&inner)
    };
    let within = ethernet(station(2), station(0x16), 0x0800, &ipv4(0, 6, 40));
    let sent = Datagram { vni: 100, ..Datagram::of(6) }.sent_to_node(&within);
    picks.underlay("a peer within its limits", sent, Expect::Delivered(within, None));
    let storm = Expect::Dropped(Why::Storm);
    picks.underlay_by_tc("a peer's flood over its limit", from(6, 100, Mac::BROADCAST), storm);
    let to_port = from(1, 500, station(11));
    picks.underlay("a segment over its limit, from a peer", to_port, policed.clone());
    let flood = from(1, 500, Mac::BROADCAST);
    picks.underlay_by_tc("a segment over its limit, flooded by a peer", flood, policed);
}

/// What peer 1 sends.
pub fn from_peer(vni: u32, inner: &[u8]) -> Vec<u8> {
    [bytes_of::<Outer4>(&tunnel(PEER_VTEPS[0], vni, inner.len())), inner].concat()
}

pub fn inner_to(destination: Mac) -> Vec<u8> {
    ethernet(destination, station(0x11), 0x0800, &ipv4(0, 6, 40))
}
