//! A node's tables, made from a seed: what the controller might have made of some
//! configuration, with an entry here and there that is at odds with the others.

use std::net::{IpAddr, Ipv6Addr};

use overlay_common::abi::{
    ABI_VERSION, Access, AccessKey, Egress, FdbEntry, FdbKey, FilterKey, FloodKey, FloodList,
    GuardKey, Meter, Neighbour, NeighbourKey, Node, Peer, Permit, PermitKey, Policed, Policer,
    PolicerKey, Port, PuntLimit, PuntReason, Route, RouteKey, Router, Segment, Target, TunnelPorts,
    Vtep, Vtep6Key, VtepKey, Way,
};
use overlay_common::id::{PeerId, PortId, SegmentId, Vlan};
use overlay_common::wire::{Encap, Ends, Family, Mac, Template, address_words};
use overlay_control::acl::{Entry, List};
use overlay_control::action::Action;
use overlay_control::config::Prefix;
use overlay_control::sample::{
    Devices, EPOCH, LOCAL_VTEP, LOCAL_VTEP6, PEER_ROUTER_MAC, ROUTER_ADDRESS, ROUTER_MAC,
    UPLINK_MAC, ipv4_of, ipv6_of, next_hop,
};

use super::seed::Seed;

/// A network that routes are for: 10.N.0.0 or fd0N::, and the length of its prefix. The hosts of
/// all segments are in the first; 0 is everything.
fn routed_network(is_v4: bool, number: u8, len: u8) -> (IpAddr, u8) {
    match (is_v4, number) {
        (true, 0) => ([0; 4].into(), 0),
        (false, 0) => ([0; 16].into(), 0),
        (true, _) => ([10, number, 0, 0].into(), len),
        (false, 1) => (Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0).into(), 64),
        (false, _) => (Ipv6Addr::new(0xfd00 | u16::from(number), 0, 0, 0, 0, 0, 0, 0).into(), len),
    }
}

/// A list of some rules about what frames have.
fn list(seed: &mut Seed) -> Option<List> {
    let entries = (0..seed.below(12)).map(|_| {
        let protocol = seed.pick(&[None, None, Some(6), Some(17), Some(1), Some(58), Some(132)]);
        let has_ports = matches!(protocol, Some(6 | 17 | 132));
        let is_v4 = match protocol {
            Some(1) => true,
            Some(58) => false,
            _ => seed.percent(60),
        };
        let ports = |seed: &mut Seed| {
            let (a, b) = (seed.word() as u16, seed.word() as u16);
            (has_ports && seed.percent(40)).then(|| (a.min(b), a.max(b)))
        };
        let (source_port, destination_port) = (ports(seed), ports(seed));
        let is_icmp = matches!(protocol, Some(1 | 58));
        Entry {
            permits: seed.percent(70),
            protocol,
            source: prefix(seed, is_v4),
            destination: prefix(seed, is_v4),
            source_port,
            destination_port,
            icmp_type: (is_icmp && seed.percent(60)).then(|| seed.pick(&[8, 0, 128, 135, 136])),
        }
    });
    let entries = entries.collect();
    List::new(entries, seed.percent(60)).ok()
}

/// One that stations are in, or none.
fn prefix(seed: &mut Seed, is_v4: bool) -> Option<Prefix> {
    let station = seed.below(32) as u8;
    let (address, lens): (IpAddr, [u8; 4]) = match is_v4 {
        true => (ipv4_of(station).into(), [8, 16, 28, 32]),
        false => (ipv6_of(station).into(), [8, 64, 124, 128]),
    };
    let prefix = Prefix { address, len: seed.pick(&lens) };
    seed.percent(50).then(|| prefix.network())
}

/// Ports and peers, by their indexes from 1.
const PORTS: u32 = 8;
const PEERS: u32 = 6;
/// Beyond every table.
const NOWHERE: u32 = 1 << 20;

/// What is known of a port without looking at the tables.
#[derive(Clone, Copy, Debug)]
pub struct PortPlan {
    /// Its device.
    pub ifindex: u32,
    /// Its VLAN, as table entries have it; 0 for none.
    pub vlan: u16,
    /// The index of its segment.
    pub segment: u16,
}

/// The same of a peer.
#[derive(Clone, Debug)]
pub struct PeerPlan {
    /// From this node to the peer.
    pub ends: Ends,
    /// How it wraps its frames.
    pub encap: Encap,
    /// The indexes of the segments that it may use.
    pub segments: Vec<u16>,
}

/// A node.
#[derive(Clone, Debug)]
pub struct World {
    /// What fills its tables.
    pub actions: Vec<Action>,
    /// The device that test frames come in on.
    pub ingress: u32,
    /// The devices towards the peers.
    pub uplinks: [u32; 2],
    /// Its ports.
    pub ports: Vec<PortPlan>,
    /// Its peers.
    pub peers: Vec<PeerPlan>,
    /// Its segments' VNIs, by their indexes from 1.
    pub vnis: Vec<u32>,
    /// Addresses in the FDB: in which segment, and whether behind a peer.
    pub stations: Vec<(Mac, u16, bool)>,
    /// Where tunnels arrive.
    pub tunnel_ports: TunnelPorts,
    /// The VRFs of the segments' routers, by the segments' indexes from 1; 0 where there is none.
    pub vrfs: Vec<u16>,
    /// The segments that have limits, by their indexes from 1.
    limited: Vec<bool>,
    /// The segments that have access lists, likewise: bits of `Policed`.
    filtered: Vec<u16>,
}

impl World {
    /// Makes one.
    pub fn new(seed: &mut Seed, devices: &Devices) -> Self {
        let (vxlan, geneve) =
            if seed.percent(80) { (4789, 6081) } else { (8472, seed.pick(&[0, 6082])) };
        let vnis = (0..2 + seed.below(3)).map(|i| (seed.word() as u32 & 0x00ff_fff0) + i as u32);
        let mut world = Self {
            actions: Vec::new(),
            ingress: devices.ingress,
            uplinks: devices.uplinks,
            ports: Vec::new(),
            peers: Vec::new(),
            vnis: vnis.collect(),
            stations: Vec::new(),
            tunnel_ports: TunnelPorts { vxlan, geneve },
            vrfs: Vec::new(),
            limited: Vec::new(),
            filtered: Vec::new(),
        };
        world.limits(seed);
        world.filters(seed);
        world.node(seed);
        (1..=PORTS).for_each(|index| world.port(seed, devices, index));
        (1..=PEERS).for_each(|index| world.peer(seed, index));
        world.permits(seed);
        (1..=world.segments()).for_each(|segment| world.segment(seed, segment));
        world.fdb(seed);
        world.routing(seed);
        world
    }

    /// Whether what is routed may go from one segment to another.
    pub fn is_routed(&self, from: u16, to: u16) -> bool {
        let vrf = |segment: u16| self.vrfs[usize::from(segment) - 1];
        vrf(from) != 0 && vrf(from) == vrf(to)
    }

    /// The index of a VNI's segment.
    pub fn segment_of(&self, vni: u32) -> Option<u16> {
        self.vnis.iter().position(|known| *known == vni).map(|at| at as u16 + 1)
    }

    /// The index of the segment of a device's VLAN.
    pub fn segment_at(&self, ifindex: u32, vlan: u16) -> Option<u16> {
        let port = self.ports.iter().find(|port| (port.ifindex, port.vlan) == (ifindex, vlan));
        port.map(|port| port.segment)
    }

    /// What makes the tables these, where they were those of `former`.
    pub fn after(&self, former: Option<&Self>) -> Vec<Action> {
        former.into_iter().flat_map(Self::undo).chain(self.actions.iter().copied()).collect()
    }

    /// What empties the tables again.
    fn undo(&self) -> impl Iterator<Item = Action> + '_ {
        self.actions.iter().rev().filter_map(|action| match *action {
            Action::PutAccess(key, _) => Some(Action::DelAccess(key)),
            Action::PutSegment(id, _) => Some(Action::DelSegment(id)),
            Action::PutVtep(key, _) => Some(Action::DelVtep(key)),
            Action::PutVtep6(key, _) => Some(Action::DelVtep6(key)),
            Action::PutPermit(key, _) => Some(Action::DelPermit(key)),
            Action::PutFlood(key, _) => Some(Action::DelFlood(key)),
            Action::PutFdb(key, _) => Some(Action::DelFdb(key)),
            Action::PutPolicer(key, _) => Some(Action::DelPolicer(key)),
            Action::PutNeighbour(key, _) => Some(Action::DelNeighbour(key)),
            Action::PutFilter(key, _) => Some(Action::DelFilter(key)),
            Action::PutGuard(key) => Some(Action::DelGuard(key)),
            Action::PutRouter(id, _) => Some(Action::DelRouter(id)),
            Action::PutRoute(key, _) => Some(Action::DelRoute(key)),
            // Every world has all ports and peers, and their counters go on.
            _ => None,
        })
    }

    fn segments(&self) -> u16 {
        self.vnis.len() as u16
    }

    fn any_segment(&self, seed: &mut Seed) -> u16 {
        1 + seed.below(self.vnis.len()) as u16
    }

    fn node(&mut self, seed: &mut Seed) {
        let node = Node {
            abi_version: ABI_VERSION,
            vtep: if seed.percent(95) { LOCAL_VTEP } else { Node::NO_VTEP },
            vtep6: if seed.percent(95) { address_words(&LOCAL_VTEP6) } else { Node::NO_VTEP6 },
            epoch: EPOCH,
            ports: self.tunnel_ports,
            ptb_limit: PuntLimit { per_second: 1_000_000_000, burst: 1_000_000 },
            ..Node::default()
        };
        self.actions.push(Action::PutNode(node));
        for reason in PuntReason::ALL {
            let is_open = seed.percent(90);
            let limit = if is_open { (1_000_000_000, 1_000_000) } else { (0, 0) };
            let limit = PuntLimit { per_second: limit.0, burst: limit.1 };
            self.actions.push(Action::PutPuntLimit(reason, limit));
        }
    }

    /// Limits of some segments.
    fn limits(&mut self, seed: &mut Seed) {
        self.limited = (1..=self.segments())
            .map(|segment| self.limit(seed, PolicerKey::segment(segment)))
            .collect();
    }

    /// Gives somebody limits, some of them used up for good and the others far from it, or
    /// gives none; returns whether there are any.
    fn limit(&mut self, seed: &mut Seed, key: PolicerKey) -> bool {
        let is_limited = seed.percent(15);
        if is_limited && seed.percent(97) {
            let mut meter = || match seed.below(10) {
                0 => Meter::per_second(1).shut_until(u64::MAX),
                1..6 => Meter::per_second(1_000_000_000_000),
                _ => Meter::default(),
            };
            let policer = Policer { packets: meter(), bytes: meter(), floods: meter() };
            self.actions.push(Action::PutPolicer(key, policer));
        }
        is_limited
    }

    fn policed_segment(&self, segment: u16) -> u16 {
        let at = usize::from(segment) - 1;
        self.filtered[at] | if self.limited[at] { Policed::SEGMENT } else { 0 }
    }

    /// Access lists of some segments, hardly any of which has none after all.
    fn filters(&mut self, seed: &mut Seed) {
        let (mut nodes, mut rules) = (0, 0);
        for segment in 1..=self.segments() {
            let mut bits = 0;
            for (bit, direction) in FilterKey::DIRECTIONS {
                if seed.percent(80) {
                    continue;
                }
                bits |= bit;
                let Some(list) = list(seed).filter(|_| seed.percent(97)) else { continue };
                let own = (nodes..).take(list.nodes()).collect::<Vec<u32>>();
                let counted = (rules..).take(list.rules()).collect::<Vec<u32>>();
                (nodes, rules) = (nodes + own.len() as u32, rules + counted.len() as u32);
                let (filter, placed) = list.placed(&own, &counted);
                let placed = placed.map(|(index, node)| Action::PutFilterNode(index, node));
                self.actions.extend(placed);
                let key = FilterKey { segment, direction };
                self.actions.push(Action::PutFilter(key, filter));
            }
            self.filtered.push(bits);
        }
    }

    /// The first ports are those that test frames come in by, one a segment.
    fn port(&mut self, seed: &mut Seed, devices: &Devices, index: u32) {
        let is_ingress = index <= u32::from(self.segments());
        let segment = if is_ingress { index as u16 } else { self.any_segment(seed) };
        let device = if is_ingress { devices.ingress } else { seed.pick(&devices.ports) };
        let vlan = if seed.percent(30) { 0 } else { 100 + index as u16 };
        let vlan = if self.segment_at(device, vlan).is_some() { 100 + index as u16 } else { vlan };
        let vlan = if vlan != 0 && seed.percent(25) { Vlan::SERVICE | vlan } else { vlan };
        let ifindex = if is_ingress || seed.percent(95) { device } else { 0 };
        let back = if is_ingress && seed.percent(50) { Egress::TX } else { 0 };
        let flags = if seed.percent(75) { Egress::XDP | back } else { 0 };
        let max_frame = seed.pick(&[1514, 1514, 1514, 1014, 200, 9014]);
        let egress = Egress { ifindex, flags };
        self.actions
            .push(Action::PutPort(PortId(index), Port { egress, max_frame, vlan, segment }));
        if is_ingress {
            let key = AccessKey { ifindex, vlan, reserved: 0 };
            let own = self.limit(seed, PolicerKey::source(Target::port(index)));
            let hears = if seed.percent(80) { Access::NEIGHBOURS } else { 0 };
            let guarded = if seed.percent(15) { Access::GUARDED } else { 0 };
            let flags = self.policed_segment(segment) | hears | guarded;
            let flags = flags | if own { Policed::PORT } else { 0 };
            self.actions.push(Action::PutAccess(key, Access { port: index, segment, flags }));
        }
        self.ports.push(PortPlan { ifindex, vlan, segment });
    }

    fn peer(&mut self, seed: &mut Seed, index: u32) {
        let last = index as u8 + 1;
        let ends = if seed.percent(60) {
            Ends::V4(LOCAL_VTEP, [192, 0, 2, last])
        } else {
            let mut to = LOCAL_VTEP6;
            to[15] = last;
            Ends::V6(LOCAL_VTEP6, to)
        };
        let encap = seed.pick(&[Encap::Vxlan, Encap::Geneve]);
        let port = match encap {
            Encap::Vxlan => self.tunnel_ports.vxlan,
            Encap::Geneve => self.tunnel_ports.geneve,
        };
        let next_hop = next_hop(index as u8);
        let mut peer = Peer::new(&Template { next_hop, uplink: UPLINK_MAC, ends, encap, port });
        peer.max_frame = seed.pick(&[1514, 1514, 1514, 300, 65_535]);
        let (ifindex, flags) = match seed.below(40) {
            // Nowhere, which XDP would know of.
            0 => (u32::MAX, 0),
            1..10 => (self.uplinks[1], 0),
            _ => (self.uplinks[0], Egress::XDP),
        };
        peer.egress = Egress { ifindex, flags };
        peer.flags |= if seed.percent(88) { Peer::READY } else { 0 };
        peer.flags |= if seed.percent(70) { Peer::CLAMP } else { 0 };
        peer.flags |= if seed.percent(20) { Peer::COPY_DSCP } else { 0 };
        peer = peer.with_dscp(seed.pick(&[0, 0, 0, 46, 63]));
        if seed.percent(15) {
            self.ways(seed, index, &mut peer);
        }
        self.actions.push(Action::PutPeer(PeerId(index), peer));
        let vtep = Vtep::new(index, encap, index);
        let is_limited = self.limit(seed, PolicerKey::source(Target::peer(index)));
        let vtep = if is_limited { vtep.policed() } else { vtep };
        self.actions.push(match ends {
            Ends::V4(_, to) => Action::PutVtep(VtepKey(to), vtep),
            Ends::V6(_, to) => Action::PutVtep6(Vtep6Key(to), vtep),
        });
        let segments = (1..=self.segments()).filter(|_| seed.percent(70)).collect();
        self.peers.push(PeerPlan { ends, encap, segments });
    }

    /// Two ways to a peer.
    fn ways(&mut self, seed: &mut Seed, index: u32, peer: &mut Peer) {
        let base = index * Way::BUCKETS;
        let one = seed.below(2);
        for bucket in 0..Way::BUCKETS {
            let uplink = self.uplinks[one ^ (bucket as usize & 1)];
            let egress = Egress { ifindex: uplink, ..peer.egress };
            let next_hop = next_hop(index as u8 + (bucket % 2) as u8 * 16);
            let way = Way { egress, next_hop, uplink: UPLINK_MAC, reserved: 0 };
            self.actions.push(Action::PutWay(base + bucket, way));
        }
        peer.egress.ifindex = base;
        peer.flags |= Peer::MULTIPATH;
    }

    fn permits(&mut self, seed: &mut Seed) {
        for (segment, vni) in (1..).zip(self.vnis.clone()) {
            let flags = if seed.percent(70) { Permit::LEARN } else { 0 };
            let hears = if seed.percent(80) { Permit::NEIGHBOURS } else { 0 };
            let flags = flags | hears | self.policed_segment(segment) & !Policed::FILTER_IN;
            let permit = Permit { segment, flags, reserved: 0 };
            let mut put = |profile| {
                self.actions.push(Action::PutPermit(PermitKey { profile, vni }, permit));
            };
            put(PermitKey::ANY);
            for (profile, peer) in (1..).zip(&self.peers) {
                if peer.segments.contains(&segment) {
                    put(profile);
                }
            }
        }
    }

    fn segment(&mut self, seed: &mut Seed, segment: u16) {
        let family = seed.pick(&[Family::V4, Family::V6]);
        let ports = (1..).zip(&self.ports).filter(|(_, port)| port.segment == segment);
        let mut ports: Vec<Target> = ports.map(|(index, _)| Target::port(index)).collect();
        let peers = (1..).zip(&self.peers).filter(|(_, peer)| peer.segments.contains(&segment));
        let (ours, rest): (Vec<_>, Vec<_>) = peers.partition(|(_, p)| p.ends.family() == family);
        let [mut ours, rest] =
            [ours, rest].map(|list| list.iter().map(|(i, _)| Target::peer(*i)).collect::<Vec<_>>());
        match seed.below(12) {
            0 => ports.push(Target::port(NOWHERE)),
            1 => ours.push(Target::peer(NOWHERE)),
            2 => ports.clear(),
            3 => ours.clear(),
            // One of the other family, as when a peer has just changed it.
            4 => ours.extend(rest.first()),
            _ => {}
        }
        let generation = seed.word() as u16;
        for (slot, target) in (0..).zip(ports.iter().chain(&ours).chain(&rest)) {
            if seed.percent(98) {
                let key = FloodKey { segment, generation, slot };
                self.actions.push(Action::PutFlood(key, *target));
            }
        }
        let [ports, ours, rest] = [ports.len(), ours.len(), rest.len()].map(|len| len as u16);
        let flood = FloodList::new(generation, ports, family, ours, rest);
        let vni = self.vnis[usize::from(segment) - 1];
        let flags = u32::from(self.policed_segment(segment) & Policed::FILTER_OUT);
        self.actions.push(Action::PutSegment(SegmentId(segment), Segment { flood, vni, flags }));
    }

    /// The ingress port of a segment has the segment's index. Where it is guarded, a station may
    /// use the addresses of its number behind it.
    fn guard(&mut self, mac: Mac, segment: u16, number: u8) {
        let own = GuardKey::station(segment.into(), mac);
        let v4 = NeighbourKey::v4(ipv4_of(number), 0).map_or([0; 2], |key| key.address);
        let addresses = [[0; 2], v4, address_words(&ipv6_of(number))];
        let keys = addresses.map(|address| GuardKey { address, ..own });
        self.actions.extend(keys.map(Action::PutGuard));
    }

    /// A station has the addresses of its number, or of another's.
    fn neighbour(&mut self, seed: &mut Seed, mac: Mac, segment: u16, number: u8) {
        let number = if seed.percent(90) { number } else { seed.below(32) as u8 };
        let neighbour = Neighbour::new(mac).with_router(seed.percent(30));
        let neighbour = if seed.percent(20) { neighbour.fixed() } else { neighbour };
        let v4 = NeighbourKey::v4(ipv4_of(number), segment);
        let v6 = NeighbourKey::v6(address_words(&ipv6_of(number)), segment);
        let keys = v4.into_iter().chain(v6);
        self.actions.extend(keys.map(|key| Action::PutNeighbour(key, neighbour)));
    }

    /// Routers of most segments, in two VRFs.
    fn routing(&mut self, seed: &mut Seed) {
        self.vrfs = self.vnis.iter().map(|_| seed.pick(&[0, 1, 1, 2])).collect();
        for (segment, vrf) in (1..).zip(self.vrfs.clone()) {
            if vrf == 0 {
                continue;
            }
            let has_address = seed.percent(90);
            let router = Router {
                v4: if has_address { ipv4_of(ROUTER_ADDRESS) } else { [0; 4] },
                v6: if has_address { address_words(&ipv6_of(ROUTER_ADDRESS)) } else { [0; 2] },
                vrf: if seed.percent(97) { vrf } else { 0 },
                mac: ROUTER_MAC,
                ..Router::default()
            };
            self.actions.push(Action::PutRouter(SegmentId(segment), router));
            let flags = FdbEntry::STATIC;
            let entry = FdbEntry { target: Target::ROUTER, flags, ..FdbEntry::default() };
            self.actions.push(Action::PutFdb(FdbKey::new(ROUTER_MAC, segment), entry));
            let own = Neighbour::new(ROUTER_MAC).with_router(true).fixed();
            let v4 = NeighbourKey::v4(ipv4_of(ROUTER_ADDRESS), segment);
            let v6 = NeighbourKey::v6(address_words(&ipv6_of(ROUTER_ADDRESS)), segment);
            let keys = v4.into_iter().chain(v6);
            self.actions.extend(keys.map(|key| Action::PutNeighbour(key, own)));
        }
        (1..=2).for_each(|vrf| self.routes(seed, vrf));
    }

    /// Both families have the same routes, but for their lengths.
    fn routes(&mut self, seed: &mut Seed, vrf: u16) {
        let segments: Vec<u16> =
            (1..).zip(&self.vrfs).filter(|(_, of)| **of == vrf).map(|(s, _)| s).collect();
        if segments.is_empty() {
            return;
        }
        for (number, len) in [(1, 24), (2, 16), (3, 16), (4, 16), (5, 16), (6, 16), (0, 0)] {
            if seed.percent(15) {
                continue;
            }
            let segment = seed.pick(&segments);
            for is_v4 in [true, false] {
                let route = self.route(seed, segment, number, is_v4);
                let (prefix, len) = routed_network(is_v4, number, len);
                let key = RouteKey::prefix(vrf, prefix, len);
                self.actions.push(Action::PutRoute(key, route));
            }
        }
        for own in [IpAddr::from(ipv4_of(ROUTER_ADDRESS)), ipv6_of(ROUTER_ADDRESS).into()] {
            let route = Route { kind: Route::LOCAL, segment: segments[0], ..Route::default() };
            let len = if own.is_ipv4() { 32 } else { 128 };
            self.actions.push(Action::PutRoute(RouteKey::prefix(vrf, own, len), route));
        }
    }

    fn route(&self, seed: &mut Seed, segment: u16, number: u8, is_v4: bool) -> Route {
        let kind = match number {
            1 => Route::CONNECTED,
            2 | 6 => Route::GATEWAY,
            3 | 0 => Route::PEER,
            4 => Route::BLACKHOLE,
            _ => Route::UNREACHABLE,
        };
        let station = seed.below(32) as u8;
        let next_hop = match is_v4 {
            true => NeighbourKey::v4(ipv4_of(station), segment),
            false => NeighbourKey::v6(address_words(&ipv6_of(station)), segment),
        };
        let may = |peer: &&(u32, &PeerPlan)| peer.1.segments.contains(&segment);
        let peers: Vec<_> = (1..).zip(&self.peers).collect();
        let peers: Vec<u32> = peers.iter().filter(may).map(|(index, _)| *index).collect();
        let peer = if peers.is_empty() || seed.percent(3) { NOWHERE } else { seed.pick(&peers) };
        Route {
            gateway: next_hop.map_or([0; 2], |key| key.address),
            station: Neighbour::new(PEER_ROUTER_MAC),
            target: Target::peer(peer),
            segment,
            kind,
        }
    }

    fn fdb(&mut self, seed: &mut Seed) {
        let ports: Vec<_> = (1..)
            .zip(&self.ports)
            .map(|(index, port)| (Target::port(index), port.segment))
            .collect();
        let behind_peers = (1..).zip(&self.peers).flat_map(|(index, peer)| {
            peer.segments.iter().map(move |segment| (Target::peer(index), *segment))
        });
        let mut places: Vec<(Target, u16)> = behind_peers.chain(ports).collect();
        if seed.percent(30) {
            places.push((Target::port(NOWHERE), 1));
            places.push((Target::peer(NOWHERE), 1));
        }
        for (number, (target, segment)) in (0_u8..).zip(places) {
            // The same address may be in several segments.
            let mac = Mac([2, 0, 0, 0, segment as u8 & seed.word() as u8, number]);
            let flags = if seed.percent(10) { FdbEntry::STATIC } else { 0 };
            let entry = FdbEntry { target, flags, seen: EPOCH - 1, reserved: 0 };
            self.actions.push(Action::PutFdb(FdbKey { mac: mac.0, segment }, entry));
            self.stations.push((mac, segment, target.is_peer()));
            if seed.percent(60) {
                self.neighbour(seed, mac, segment, number);
            }
            if seed.percent(50) {
                self.guard(mac, segment, number);
            }
        }
    }
}
