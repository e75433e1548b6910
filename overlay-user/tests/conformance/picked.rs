//! The hand-picked vectors, each with what must become of it.

use overlay_common::abi::{Hook, Policer, PolicerKey, Target};
use overlay_common::verdict::DropReason as Why;
use overlay_common::wire::{Encap, Mac, Outer4, bytes_of};
use overlay_control::action::Action;
use overlay_control::sample::{
    DANGLING_STATION, DOWN_PORT, PEER_VTEPS, STATIC_STATION, UPLINK_MAC, next_hop, station,
};

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
    decapsulation(&mut picks);
    outer_refusals(&mut picks);
    inner_refusals(&mut picks);
    foreign(&mut picks);
    congestion(&mut picks);
    other_tunnels(&mut picks);
    geneve_refusals(&mut picks);
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

fn decapsulation(picks: &mut Picks) {
    let inner = inner_to(station(2));
    picks.underlay("to a port", from_peer(100, &inner), Expect::Delivered(inner.clone(), None));
    let to_tagged = inner_to(station(3));
    picks.underlay(
        "to a port with a VLAN, from a peer",
        from_peer(100, &to_tagged),
        Expect::Delivered(to_tagged, Some(30)),
    );
    let to_service = inner_to(station(9));
    picks.underlay(
        "to a port with a service tag, from a peer",
        from_peer(100, &to_service),
        Expect::ServiceTagged(to_service, 20),
    );
    let small = inner_to(station(4));
    picks.underlay_by_tc(
        "to a port that XDP cannot reach, from a peer",
        from_peer(100, &small),
        Expect::Delivered(small, None),
    );
    let v6 = ethernet(station(2), station(0x11), 0x86dd, &ipv6(0, 6));
    picks.underlay("IPv6 in IPv4", from_peer(100, &v6), Expect::Delivered(v6, None));
    let arp_reply = ethernet(station(2), station(0x11), 0x88b5, &arp());
    picks.underlay("ARP", from_peer(100, &arp_reply), Expect::Delivered(arp_reply, None));
    let mut padded = from_peer(100, &inner);
    padded.extend([0; 9]);
    picks.underlay("link-layer padding is cut", padded, Expect::Delivered(inner.clone(), None));
    let mut reserved = from_peer(100, &inner);
    reserved[42] = 0xff;
    reserved[43] = 0xff;
    reserved[49] = 0xff;
    picks.underlay(
        "reserved VXLAN bits are ignored",
        reserved,
        Expect::Delivered(inner.clone(), None),
    );
    let mut summed = from_peer(100, &inner);
    summed[40..42].copy_from_slice(&[0xbe, 0xef]);
    picks.underlay(
        "an outer UDP checksum is not verified (RFC 7348, 5)",
        summed,
        Expect::Delivered(inner.clone(), None),
    );
    let moved = ethernet(station(2), station(1), 0x0800, &ipv4(0, 6, 40));
    picks.underlay(
        "a station that moved to a peer",
        from_peer(100, &moved),
        Expect::Delivered(moved, None),
    );
    let fixed = ethernet(station(2), STATIC_STATION, 0x0800, &ipv4(0, 6, 40));
    picks.underlay("a static station", from_peer(100, &fixed), Expect::Delivered(fixed, None));
    let broadcast = ethernet(Mac::BROADCAST, station(0x11), 0x88b5, &arp());
    picks.underlay_by_tc("broadcast from a peer", from_peer(100, &broadcast), Expect::Consumed);
    let unknown = inner_to(station(0x73));
    picks.underlay_by_tc("unknown unicast from a peer", from_peer(100, &unknown), Expect::Consumed);
}

fn outer_refusals(picks: &mut Picks) {
    let inner = inner_to(station(2));
    let good = tunnel(PEER_VTEPS[0], 100, inner.len());
    let with = |change: &dyn Fn(&mut Outer4)| {
        let mut outer = good;
        change(&mut outer);
        outer.ip.seal();
        [bytes_of::<Outer4>(&outer), &inner[..]].concat()
    };
    let mut refuse = |name: &str, frame, why| picks.underlay(name, frame, Expect::Dropped(why));
    let from =
        |vtep, vni| [bytes_of::<Outer4>(&tunnel(vtep, vni, inner.len())), &inner[..]].concat();
    refuse("unknown VTEP", from([192, 0, 2, 9], 100), Why::UnknownVtep);
    refuse("unknown VNI", from_peer(101, &inner), Why::UnknownVni);
    refuse("VNI 0", from_peer(0, &inner), Why::UnknownVni);
    refuse("VNI of another peer", from(PEER_VTEPS[1], 200), Why::VniNotPermitted);
    refuse("VNI of no peer", from_peer(300, &inner), Why::VniNotPermitted);
    let flags = |flags: u8| {
        let mut frame = from_peer(100, &inner);
        frame[42] = flags;
        frame
    };
    refuse("I flag clear", flags(0), Why::NoVniFlag);
    refuse("all flags but I", flags(0xf7), Why::NoVniFlag);
    let len = (inner.len() + 36) as u16;
    refuse("IP length beyond the frame", with(&|o| o.ip.set_total_len(len + 1)), Why::Truncated);
    refuse("IP length short of UDP's", with(&|o| o.ip.set_total_len(len - 1)), Why::BadLength);
    refuse("IP length of headers alone", with(&|o| o.ip.set_total_len(20)), Why::BadLength);
    refuse("UDP length too long", with(&|o| o.udp.fill(50_000, len - 19)), Why::BadLength);
    refuse("UDP length too short", with(&|o| o.udp.fill(50_000, len - 21)), Why::BadLength);
    refuse("UDP length 0", with(&|o| o.udp.fill(50_000, 0)), Why::BadLength);
    let mut wrong = with(&|_| {});
    wrong[24] ^= 1;
    refuse("wrong IP checksum", wrong, Why::BadChecksum);
    let whole = from_peer(100, &inner);
    for cut in [34, 41, 42, 43, 49, 50, 63, 64, whole.len() - 1] {
        refuse(&format!("cut to {cut} bytes"), whole[..cut].to_vec(), Why::Truncated);
    }
}

fn inner_refusals(picks: &mut Picks) {
    let mut refuse = |name: &str, inner: &[u8], why| {
        picks.underlay(name, from_peer(100, inner), Expect::Dropped(why));
    };
    refuse("nothing inside", &[], Why::InnerTruncated);
    refuse("half an inner header", &[2; 13], Why::InnerTruncated);
    let from = |source| ethernet(station(2), source, 0x0800, &ipv4(0, 6, 40));
    refuse("inner source broadcast", &from(Mac::BROADCAST), Why::InvalidSource);
    refuse("inner source zero", &from(Mac([0; 6])), Why::InvalidSource);
    let tag = tagged(&inner_to(station(2)), 10);
    refuse("inner VLAN tag", &tag, Why::InnerVlan);
    refuse("inner VLAN tag cut off", &tag[..15], Why::InnerTruncated);
    let mut service = tag.clone();
    service[12..14].copy_from_slice(&[0x88, 0xa8]);
    refuse("inner service tag", &service, Why::InnerVlan);
    let group = ethernet(Mac([1, 0x80, 0xc2, 0, 0, 0]), station(0x11), 39, &[0; 46]);
    refuse("inner spanning tree", &group, Why::LinkLocalGroup);
    refuse("to a station behind a peer", &inner_to(station(0x12)), Why::SplitHorizon);
    refuse("back to the peer it came from", &inner_to(station(0x11)), Why::SplitHorizon);
    refuse("to a port without a device, from a peer", &inner_to(station(7)), Why::PortDown);
    let long = ethernet(station(4), station(0x11), 0x0800, &ipv4(0, 6, 961));
    let frame = from_peer(100, &long);
    picks.underlay_by_tc("too long for the port, from a peer", frame, Expect::Dropped(Why::TooBig));
}

fn foreign(picks: &mut Picks) {
    let inner = inner_to(station(2));
    let whole = from_peer(100, &inner);
    let mut pass = |name: &str, frame: Vec<u8>| picks.underlay(name, frame, Expect::Untouched);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = whole.clone();
        change(&mut frame);
        frame
    };
    // The kernel's stack puts these together, for the daemon's socket.
    let good = tunnel(PEER_VTEPS[0], 100, inner.len());
    let header = |change: &dyn Fn(&mut Outer4)| {
        let mut outer = good;
        change(&mut outer);
        outer.ip.seal();
        outer
    };
    let ip = |change| [bytes_of::<Outer4>(&header(change)), &inner[..]].concat();
    let len = (inner.len() + 36) as u16;
    let options = header(&|o| {
        o.ip.set_version_ihl(0x46);
        o.ip.set_total_len(len + 4);
    });
    let bytes = bytes_of(&options);
    pass("IP options", [&bytes[..34], &[1; 4], &bytes[34..], &inner[..]].concat());
    pass("a first fragment", ip(&|o| o.ip.set_fragment(0x2000)));
    pass("IP header length 4", ip(&|o| o.ip.set_version_ihl(0x41)));
    pass("IP header length 16", ip(&|o| o.ip.set_version_ihl(0x44)));
    pass("IP header length 60", ip(&|o| o.ip.set_version_ihl(0x4f)));
    let over_v6 = Datagram::of(5).sent_to_node(&inner);
    for (name, header) in
        [("hop-by-hop options", 0), ("a fragment", 44), ("destination options", 60), ("TCP", 6)]
    {
        let mut frame = over_v6.clone();
        frame[20] = header;
        pass(&format!("{name} over IPv6"), frame);
    }
    let mut elsewhere = over_v6.clone();
    elsewhere[53] = 77;
    pass("another destination over IPv6", elsewhere);
    let mut port = over_v6.clone();
    port[57] = 0;
    pass("another UDP port over IPv6", port);
    pass("UDP port 0", with(&|f| f[36..38].fill(0)));
    pass("cut inside the IPv6 header", over_v6[..53].to_vec());
    pass("another destination", with(&|f| f[33] = 77));
    pass("another UDP port", with(&|f| f[37] = 0));
    pass("TCP", with(&|f| f[23] = 6));
    pass("ARP on the underlay", ethernet(Mac::BROADCAST, station(9), 0x88b5, &arp()));
    pass("IPv6 on the underlay", ethernet(UPLINK_MAC, station(9), 0x86dd, &ipv6(0, 17)));
    pass("a later fragment", with(&|f| f[20..22].copy_from_slice(&[0x00, 0xb9])));
    pass("tagged on the underlay", tagged(&whole, 5));
    pass("IPv4 in name only, on the underlay", with(&|f| f[14] = 0x65));
    pass("cut before the addresses", whole[..33].to_vec());
    pass("an Ethernet header alone", whole[..14].to_vec());
    pass("half an Ethernet header", whole[..13].to_vec());
}

/// RFC 6040, figure 4, for IPv4 and IPv6.
fn congestion(picks: &mut Picks) {
    const NAMES: [&str; 4] = ["Not-ECT", "ECT(1)", "ECT(0)", "CE"];
    let result = |inner: u8, outer: u8| match (inner, outer) {
        (0, 3) => None,
        (0, _) => Some(0),
        (3, _) | (_, 3) => Some(3),
        (2, 1) => Some(1),
        (inner, _) => Some(inner),
    };
    for inner in 0..4_u8 {
        for outer in 0..4_u8 {
            for v6 in [false, true] {
                let frame = |ecn: u8| {
                    if v6 {
                        ethernet(station(2), station(0x11), 0x86dd, &ipv6(0x40 | ecn, 6))
                    } else {
                        ethernet(station(2), station(0x11), 0x0800, &ipv4(0x40 | ecn, 6, 40))
                    }
                };
                let sent = frame(inner);
                let mut header = tunnel(PEER_VTEPS[0], 100, sent.len());
                header.ip.set_tos(outer);
                header.ip.seal();
                let expect = match result(inner, outer) {
                    Some(ecn) => Expect::Delivered(frame(ecn), None),
                    None => Expect::Dropped(Why::EcnNotCapable),
                };
                let (i, o) = (NAMES[usize::from(inner)], NAMES[usize::from(outer)]);
                let family = if v6 { "IPv6" } else { "IPv4" };
                let frame = [bytes_of::<Outer4>(&header), &sent[..]].concat();
                picks.underlay(&format!("{i} {family} in {o}"), frame, expect);
            }
        }
    }
}

/// Geneve, and both encapsulations over IPv6.
fn other_tunnels(picks: &mut Picks) {
    let v4 = |to: u8| ethernet(station(to), station(1), 0x0800, &ipv4(2, 6, 40));
    let v6 = |to: u8| ethernet(station(to), station(1), 0x86dd, &ipv6(1, 6));
    let other = |to: u8| ethernet(station(to), station(1), 0x88b5, &arp());
    for (peer, tunnel) in [(4, "Geneve over IPv4"), (5, "VXLAN over IPv6"), (6, "Geneve over IPv6")]
    {
        for (what, inner, tos) in [
            ("IPv4", v4(0x10 + peer), 2),
            ("IPv6", v6(0x10 + peer), 1),
            ("no IP", other(0x10 + peer), 0),
        ] {
            let expect = Expect::Tunnelled { peer, vni: 100, tos, inner: inner.clone() };
            picks.access(&format!("{what} into {tunnel}"), inner, expect);
        }
        for (what, inner) in [("IPv4", v4(2)), ("IPv6", v6(2)), ("no IP", other(2))] {
            let name = |about: &str| format!("{what} out of {tunnel}{about}");
            let delivered = || Expect::Delivered(inner.clone(), None);
            picks.underlay(&name(""), Datagram::of(peer).sent_to_node(&inner), delivered());
            let mut padded = Datagram::of(peer).sent_to_node(&inner);
            padded.extend([0; 7]);
            picks.underlay(&name(", padded"), padded, delivered());
            let summed = Datagram { udp_checksum: 0xbeef, ..Datagram::of(peer) };
            picks.underlay(&name(", with a checksum"), summed.sent_to_node(&inner), delivered());
            if Datagram::of(peer).encap == Encap::Geneve {
                for words in [1, 2, 17, 63] {
                    let frame = Datagram::with_options(peer, words).sent_to_node(&inner);
                    picks.underlay(
                        &name(&format!(", {words} words of options")),
                        frame,
                        delivered(),
                    );
                }
            }
        }
        let marked = Datagram { ecn: 3, ..Datagram::of(peer) };
        let expect =
            Expect::Delivered(ethernet(station(2), station(1), 0x0800, &ipv4(3, 6, 40)), None);
        picks.underlay(&format!("congestion on {tunnel}"), marked.sent_to_node(&v4(2)), expect);
        let broadcast = ethernet(Mac::BROADCAST, station(0x10 + peer), 0x88b5, &arp());
        let frame = Datagram::of(peer).sent_to_node(&broadcast);
        picks.underlay_by_tc(&format!("broadcast out of {tunnel}"), frame, Expect::Consumed);
        if peer == 6 {
            // Which has no room for floods otherwise.
            let unlimited =
                Action::PutPolicer(PolicerKey::source(Target::peer(6)), Policer::default());
            picks.given(Given { tables: vec![unlimited], ..Given::default() });
        }
        let nothing = Datagram::of(peer).sent_to_node(&[]);
        let why = Expect::Dropped(Why::InnerTruncated);
        picks.underlay(&format!("nothing in {tunnel}"), nothing, why);
        let whole = Datagram::of(peer).sent_to_node(&v4(2));
        let headers = whole.len() - v4(2).len();
        for cut in [headers - 9, headers - 8, headers - 1, headers, whole.len() - 1] {
            let name = format!("{tunnel} cut to {cut} bytes");
            picks.underlay(&name, whole[..cut].to_vec(), Expect::Dropped(Why::Truncated));
        }
        let mut short = whole.clone();
        short[headers - 11] ^= 1;
        let name = format!("a wrong UDP length in {tunnel}");
        picks.underlay(&name, short, Expect::Dropped(Why::BadLength));
    }
    let mut stranger = Datagram::of(5).sent_to_node(&v4(2));
    stranger[37] = 0x99;
    picks.underlay("unknown VTEP over IPv6", stranger, Expect::Dropped(Why::UnknownVtep));
    let long = ethernet(station(0x15), station(1), 0x0800, &ipv4(0, 6, 1461));
    picks.access_by_tc("one byte too long for IPv6", long, Expect::Consumed);
    let over_v6 = tagged(&ethernet(Mac::BROADCAST, station(8), 0x0800, &ipv4(0, 17, 9)), 50);
    picks.access_by_tc(
        "broadcast over IPv6, and for user space to send over IPv4",
        over_v6,
        Expect::Consumed,
    );
}

fn geneve_refusals(picks: &mut Picks) {
    let inner = inner_to(station(2));
    for peer in [4, 6] {
        let mut refuse = |name: &str, datagram: Datagram, why| {
            let name = format!("{name} from peer {peer}");
            picks.underlay(&name, datagram.sent_to_node(&inner), Expect::Dropped(why));
        };
        let usual = || Datagram::of(peer);
        let flags = |flags| Datagram { geneve: [0, flags], ..usual() };
        refuse("Geneve version 1", Datagram { geneve: [0x40, 0], ..usual() }, Why::GeneveVersion);
        refuse("a critical option", flags(0x40), Why::GeneveCritical);
        refuse("another protocol", Datagram { protocol: 0x0800, ..usual() }, Why::GeneveProtocol);
        let beyond = Datagram { geneve: [63, 0], ..usual() };
        refuse("options beyond the packet", beyond, Why::BadLength);
        refuse("another's VNI", Datagram { vni: 300, ..usual() }, Why::VniNotPermitted);
        refuse("no such VNI", Datagram { vni: 101, ..usual() }, Why::UnknownVni);
        let other = match peer {
            4 => Datagram { encap: Encap::Vxlan, ..usual() },
            _ => Datagram { peer: 5, encap: Encap::Geneve, ..usual() },
        };
        refuse("the other encapsulation", other, Why::EncapMismatch);
        let control = Datagram { geneve: [0, 0x80], protocol: 0x1234, ..usual() };
        let name = format!("a control packet from peer {peer}");
        picks.underlay(&name, control.sent_to_node(&inner), Expect::Consumed);
        let reserved = Datagram { geneve: [0, 0x3f], ..usual() };
        let name = format!("reserved Geneve bits from peer {peer}");
        picks.underlay(
            &name,
            reserved.sent_to_node(&inner),
            Expect::Delivered(inner.clone(), None),
        );
    }
}
