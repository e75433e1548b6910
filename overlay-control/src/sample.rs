//! One small node with something of everything, for tests, fuzzing and
//! benchmarks that need tables to run the packet path on.
//!
//! | | |
//! | --- | --- |
//! | segments | 1: VNI 100, learns from peers, and hears no neighbours from them; 2: VNI 200, the reverse; 3: VNI 300, with one port and no peer; 4: VNI 400, floods to peers over IPv6, and in user space to two over IPv4; 5: VNI 500, whose limit lets nothing pass |
//! | ports | see the constants |
//! | access lists | of segment 6, VNI 600; see [`RULES`] |
//! | routers | of segments 1, 2, 5 and 6 in VRF 1, and of segment 4, without an address, in VRF 2; see [`ROUTES`] |
//! | peers | see [`PEERS`]; 2 is not reachable by XDP and lets TCP be, 3 is not resolved, the floods of 6 are over its limit, 7 has two ways: to its next hop and to that of an eighth |

use overlay_common::abi::{
    ABI_VERSION, Access, AccessKey, Egress, FdbEntry, FdbKey, FilterKey, FloodKey, FloodList,
    GuardKey, Meter, Neighbour, NeighbourKey, Node, Peer, Permit, PermitKey, Policed, Policer,
    PolicerKey, Port, PuntLimit, PuntReason, Route, RouteKey, Router, Segment, Target, TunnelPorts,
    Vtep, Vtep6Key, VtepKey, Way,
};
use overlay_common::id::{PeerId, PortId, SegmentId, Vlan};
use overlay_common::wire::{Encap, Ends, Family, Mac, Template, address_words};

use crate::acl::{Entry, List};
use crate::action::Action;
use crate::config::Prefix;

/// The node's VTEP.
pub const LOCAL_VTEP: [u8; 4] = [192, 0, 2, 1];
/// The node's VTEP over IPv6.
pub const LOCAL_VTEP6: [u8; 16] = vtep6(1);
/// The VTEPs of the peers over IPv4, by their index from 1.
pub const PEER_VTEPS: [[u8; 4]; 4] =
    [[192, 0, 2, 2], [192, 0, 2, 3], [192, 0, 2, 4], [192, 0, 2, 5]];

const fn vtep6(last: u8) -> [u8; 16] {
    [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

/// A peer of the sample node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplePeer {
    /// From this node to the peer.
    pub ends: Ends,
    /// How it wraps its frames.
    pub encap: Encap,
    /// Its permission profile: 1 may use VNI 100, 200, 400, 500 and 600, 2 VNI 100.
    pub profile: u32,
}

const fn v4(to: [u8; 4], encap: Encap, profile: u32) -> SamplePeer {
    SamplePeer { ends: Ends::V4(LOCAL_VTEP, to), encap, profile }
}

const fn v6(last: u8, encap: Encap) -> SamplePeer {
    SamplePeer { ends: Ends::V6(LOCAL_VTEP6, vtep6(last)), encap, profile: 1 }
}

/// The peers, by their index from 1.
pub const PEERS: [SamplePeer; 7] = [
    v4(PEER_VTEPS[0], Encap::Vxlan, 1),
    v4(PEER_VTEPS[1], Encap::Vxlan, 2),
    v4(PEER_VTEPS[2], Encap::Vxlan, 1),
    v4(PEER_VTEPS[3], Encap::Geneve, 1),
    v6(5, Encap::Vxlan),
    v6(6, Encap::Geneve),
    v4([192, 0, 2, 8], Encap::Vxlan, 1),
];
/// The MAC address of the node's uplink.
pub const UPLINK_MAC: Mac = Mac([0x02, 0, 0, 0, 0xff, 0x01]);
/// The current epoch.
pub const EPOCH: u32 = 7;

/// Port 1: untagged frames of the ingress device, segment 1.
pub const INGRESS_PORT: u32 = 1;
/// Port 2: plain, jumbo frames, segment 1.
pub const PLAIN_PORT: u32 = 2;
/// Port 3: tags with VLAN 30, jumbo frames, segment 1.
pub const TAGGED_PORT: u32 = 3;
/// Port 4: not reachable by XDP, frames up to 1014 bytes, segment 1.
pub const SMALL_PORT: u32 = 4;
/// Port 5: VLAN 20 of the ingress device, segment 2.
pub const SECOND_PORT: u32 = 5;
/// Port 6: VLAN 40 of the ingress device, segment 3.
pub const LONELY_PORT: u32 = 6;
/// Port 7: has no device now, segment 1.
pub const DOWN_PORT: u32 = 7;
/// Port 8: VLAN 50 of the ingress device, segment 4.
pub const OVER_IPV6_PORT: u32 = 8;
/// Port 9: VLAN 20 of the ingress device in service tags, jumbo frames, segment 1; nothing is
/// flooded to it.
pub const SERVICE_PORT: u32 = 9;
/// Its VLAN, as table entries have it.
const SERVICE_VLAN: u16 = Vlan::SERVICE | 20;

/// The longest frame of the ports that take jumbo frames and of peers 4 and 6. Beyond one
/// buffer, XDP reaches these, but not port 3.
const LONG: u32 = 9014;

/// Port 10: VLAN 60 of the ingress device, segment 1; floods are over its limit, the rest is not.
pub const CALM_PORT: u32 = 10;
/// Port 11: VLAN 70 of the ingress device, segment 5.
pub const SHUT_PORT: u32 = 11;

/// Port 12: VLAN 80 of the ingress device, segment 1; its hosts are bound to their addresses.
pub const GUARDED_PORT: u32 = 12;
/// The station there beside that with the port's number.
pub const SECOND_GUARDED: u8 = 100;

/// Port 13: VLAN 90 of the ingress device, segment 6.
pub const FILTERED_PORT: u32 = 13;
/// Port 14: the second port, plain, segment 6.
pub const FILTERED_FAR_PORT: u32 = 14;
/// The segment with access lists.
pub const FILTERED_SEGMENT: u16 = 6;

/// The station behind a port, by the port's index, or behind a peer, by 0x10 + the
/// peer's index.
pub const fn station(index: u8) -> Mac {
    Mac([0x02, 0, 0, 0, 0, index])
}

/// The next hop towards a peer, by the peer's index from 1.
pub const fn next_hop(peer: u8) -> Mac {
    Mac([0x02, 0, 0, 0, 0xfe, peer])
}

/// The devices of the sample node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Devices {
    /// Where test frames come in, as uplink and as access port.
    pub ingress: u32,
    /// Ports 2, 3 and 4.
    pub ports: [u32; 3],
    /// The uplinks towards peers 1 and 2.
    pub uplinks: [u32; 2],
}

impl Default for Devices {
    fn default() -> Self {
        Self { ingress: 1, ports: [2, 3, 4], uplinks: [5, 6] }
    }
}

/// The node's tables, as the actions that fill them.
pub fn actions(devices: &Devices) -> Vec<Action> {
    let open = PuntLimit { per_second: 1_000_000, burst: 1_000_000 };
    let mut actions = vec![Action::PutNode(Node {
        abi_version: ABI_VERSION,
        vtep: LOCAL_VTEP,
        vtep6: address_words(&LOCAL_VTEP6),
        epoch: EPOCH,
        ports: TunnelPorts { vxlan: Encap::Vxlan.port(), geneve: Encap::Geneve.port() },
        ptb_limit: open,
        ..Node::default()
    })];
    actions.extend(PuntReason::ALL.map(|reason| Action::PutPuntLimit(reason, open)));
    actions.extend(policers());
    actions.extend(ports(devices));
    actions.extend(peers(devices));
    actions.extend(floods());
    actions.extend(stations());
    actions.extend(neighbours());
    actions.extend(routing());
    actions.extend(lists());
    for station in [GUARDED_PORT as u8, SECOND_GUARDED] {
        actions.extend(guards(GUARDED_PORT, station).map(Action::PutGuard));
    }
    actions
}

/// A rule of the sample node.
type SampleRule = (u16, bool, Option<u8>, Option<&'static str>, Option<u16>);

/// The rules of the lists of segment 6: direction, whether it permits, protocol, source and
/// destination port or ICMP type. Both deny what no rule is for.
pub const RULES: [SampleRule; 8] = [
    (FilterKey::IN, false, Some(6), None, Some(22)),
    (FilterKey::IN, true, Some(6), Some("10.1.0.0/24"), None),
    (FilterKey::IN, true, Some(17), Some("10.1.0.13/32"), Some(53)),
    (FilterKey::IN, true, None, Some("fd00::/64"), None),
    (FilterKey::IN, true, Some(1), None, Some(8)),
    (FilterKey::OUT, false, None, Some("10.1.0.17/32"), None),
    (FilterKey::OUT, true, None, Some("10.0.0.0/8"), None),
    (FilterKey::OUT, true, Some(58), None, Some(128)),
];

/// The lists of segment 6, at any place of the tables.
fn lists() -> Vec<Action> {
    let mut actions = Vec::new();
    let mut next = (100, 50);
    for direction in [FilterKey::IN, FilterKey::OUT] {
        let own = RULES.iter().filter(|(of, ..)| *of == direction);
        let is_icmp = |protocol: Option<u8>| matches!(protocol, Some(1 | 58));
        let entry = |rule: &SampleRule| {
            let (_, permits, protocol, source, number) = *rule;
            Entry {
                permits,
                protocol,
                source: source.and_then(Prefix::parse),
                destination_port: number.filter(|_| !is_icmp(protocol)).map(|port| (port, port)),
                icmp_type: number.filter(|_| is_icmp(protocol)).map(|kind| kind as u8),
                ..Entry::default()
            }
        };
        let Ok(list) = List::new(own.map(entry).collect(), false) else { continue };
        let nodes: Vec<u32> = (next.0..).take(list.nodes()).collect();
        let rules: Vec<u32> = (next.1..).take(list.rules()).collect();
        let (filter, placed) = list.placed(&nodes, &rules);
        actions.extend(placed.map(|(index, node)| Action::PutFilterNode(index, node)));
        let key = FilterKey { segment: FILTERED_SEGMENT, direction };
        actions.push(Action::PutFilter(key, filter));
        next = (next.0 + nodes.len() as u32, next.1 + rules.len() as u32);
    }
    actions
}

/// The addresses of a station, bound to it behind a port.
pub fn guards(port: u32, last: u8) -> [GuardKey; 3] {
    let own = GuardKey::station(port, station(last));
    let v4 = NeighbourKey::v4(ipv4_of(last), 0).map_or([0; 2], |key| key.address);
    let v6 = address_words(&ipv6_of(last));
    [own, GuardKey { address: v4, ..own }, GuardKey { address: v6, ..own }]
}

/// A limit is used up for good, or far from it.
fn policers() -> [Action; 3] {
    let (shut, wide) =
        (Meter::per_second(1).shut_until(u64::MAX), Meter::per_second(1_000_000_000_000));
    let calm = Policer { packets: wide, bytes: wide, floods: shut };
    [
        Action::PutPolicer(PolicerKey::source(Target::port(CALM_PORT)), calm),
        Action::PutPolicer(PolicerKey::source(Target::peer(6)), calm),
        Action::PutPolicer(PolicerKey::segment(5), Policer { bytes: shut, ..Policer::default() }),
    ]
}

fn ports(devices: &Devices) -> Vec<Action> {
    let access = |vlan, port, segment| {
        let key = AccessKey { ifindex: devices.ingress, vlan, reserved: 0 };
        let flags = match port {
            FILTERED_PORT | FILTERED_FAR_PORT => Policed::FILTER_IN | Policed::FILTER_OUT,
            CALM_PORT => Policed::PORT,
            SHUT_PORT => Policed::SEGMENT,
            GUARDED_PORT => Access::GUARDED,
            _ => 0,
        };
        Action::PutAccess(key, Access { port, segment, flags: flags | Access::NEIGHBOURS })
    };
    let port = |id, ifindex, flags, max_frame, vlan, segment| {
        let egress = Egress { ifindex, flags };
        Action::PutPort(PortId(id), Port { egress, max_frame, vlan, segment })
    };
    let [plain, tagged, small] = devices.ports;
    vec![
        access(0, INGRESS_PORT, 1),
        access(20, SECOND_PORT, 2),
        access(40, LONELY_PORT, 3),
        access(50, OVER_IPV6_PORT, 4),
        access(60, CALM_PORT, 1),
        access(70, SHUT_PORT, 5),
        access(80, GUARDED_PORT, 1),
        access(90, FILTERED_PORT, FILTERED_SEGMENT),
        access(SERVICE_VLAN, SERVICE_PORT, 1),
        port(INGRESS_PORT, devices.ingress, Egress::XDP, 1514, 0, 1),
        port(PLAIN_PORT, plain, Egress::XDP | Egress::FRAGS, LONG, 0, 1),
        port(TAGGED_PORT, tagged, Egress::XDP, LONG, 30, 1),
        port(SMALL_PORT, small, 0, 1014, 0, 1),
        port(SECOND_PORT, devices.ingress, Egress::XDP, 1514, 20, 2),
        port(LONELY_PORT, devices.ingress, Egress::XDP, 1514, 40, 3),
        port(DOWN_PORT, 0, 0, 1514, 0, 1),
        port(OVER_IPV6_PORT, devices.ingress, Egress::XDP, 1514, 50, 4),
        port(CALM_PORT, devices.ingress, Egress::XDP, 1514, 60, 1),
        port(SHUT_PORT, devices.ingress, Egress::XDP, 1514, 70, 5),
        port(GUARDED_PORT, devices.ingress, Egress::XDP, 1514, 80, 1),
        port(FILTERED_PORT, devices.ingress, Egress::XDP, 1514, 90, FILTERED_SEGMENT),
        port(FILTERED_FAR_PORT, plain, Egress::XDP | Egress::FRAGS, LONG, 91, FILTERED_SEGMENT),
        port(
            SERVICE_PORT,
            devices.ingress,
            Egress::XDP | Egress::FRAGS | Egress::TX,
            LONG,
            SERVICE_VLAN,
            1,
        ),
    ]
}

/// Where the ways to peer 7 begin.
const WAYS: u32 = Way::BUCKETS;

fn ways(devices: &Devices) -> impl Iterator<Item = Action> {
    let egress = Egress { ifindex: devices.uplinks[0], flags: Egress::XDP };
    (0..Way::BUCKETS).map(move |bucket| {
        let next_hop = next_hop(7 + (bucket % 2) as u8);
        Action::PutWay(WAYS + bucket, Way { egress, next_hop, uplink: UPLINK_MAC, reserved: 0 })
    })
}

fn peers(devices: &Devices) -> Vec<Action> {
    let mut actions: Vec<Action> = ways(devices).collect();
    for (index, peer) in (1u32..).zip(PEERS) {
        let (next_hop, port) = (next_hop(index as u8), peer.encap.port());
        let template =
            Template { next_hop, uplink: UPLINK_MAC, ends: peer.ends, encap: peer.encap, port };
        let mut entry = Peer::new(&template);
        let is_jumbo = matches!(index, 4 | 6);
        entry.max_frame = if is_jumbo { LONG as u16 } else { 1514 };
        let [first, second] = devices.uplinks;
        entry.egress = match index {
            2 => Egress { ifindex: second, flags: 0 },
            3 => Egress::default(),
            7 => Egress { ifindex: WAYS, flags: Egress::XDP },
            _ if is_jumbo => Egress { ifindex: first, flags: Egress::XDP | Egress::FRAGS },
            _ => Egress { ifindex: first, flags: Egress::XDP },
        };
        entry.flags |= match index {
            3 => 0,
            7 => Peer::READY | Peer::MULTIPATH,
            _ => Peer::READY,
        };
        entry.flags |= if index == 2 { 0 } else { Peer::CLAMP };
        actions.push(Action::PutPeer(PeerId(index), entry));
        let vtep = Vtep::new(index, peer.encap, peer.profile);
        let vtep = if index == 6 { vtep.policed() } else { vtep };
        actions.push(match peer.ends {
            Ends::V4(_, to) => Action::PutVtep(VtepKey(to), vtep),
            Ends::V6(_, to) => Action::PutVtep6(Vtep6Key(to), vtep),
        });
    }
    let permit = |profile, vni, segment, flags| {
        Action::PutPermit(PermitKey { profile, vni }, Permit { segment, flags, reserved: 0 })
    };
    actions.extend([
        permit(PermitKey::ANY, 100, 1, Permit::LEARN),
        permit(PermitKey::ANY, 200, 2, Permit::NEIGHBOURS),
        permit(PermitKey::ANY, 300, 3, Permit::LEARN),
        permit(PermitKey::ANY, 400, 4, Permit::LEARN | Permit::NEIGHBOURS),
        permit(PermitKey::ANY, 500, 5, Permit::LEARN | Policed::SEGMENT),
        permit(PermitKey::ANY, 600, FILTERED_SEGMENT, Policed::FILTER_OUT),
        permit(1, 600, FILTERED_SEGMENT, Policed::FILTER_OUT),
        permit(1, 100, 1, Permit::LEARN),
        permit(1, 200, 2, Permit::NEIGHBOURS),
        permit(1, 400, 4, Permit::LEARN | Permit::NEIGHBOURS),
        permit(1, 500, 5, Permit::LEARN | Policed::SEGMENT),
        permit(2, 100, 1, Permit::LEARN),
    ]);
    actions
}

fn floods() -> Vec<Action> {
    let ports = [INGRESS_PORT, PLAIN_PORT, TAGGED_PORT, SMALL_PORT].map(Target::port);
    let peer = Target::peer;
    // Local ports, the peers that the kernel sends to, and those that user space does.
    type Receivers<'a> = (u16, &'a [Target], Family, &'a [Target], &'a [Target]);
    let filtered = [FILTERED_PORT, FILTERED_FAR_PORT].map(Target::port);
    let lists: [Receivers<'_>; 6] = [
        (1, &ports, Family::V4, &[peer(1), peer(2)], &[]),
        (2, &[Target::port(SECOND_PORT)], Family::V4, &[peer(1), peer(4)], &[]),
        (3, &[Target::port(LONELY_PORT)], Family::V4, &[], &[]),
        (4, &[Target::port(OVER_IPV6_PORT)], Family::V6, &[peer(5), peer(6)], &[peer(1), peer(4)]),
        (5, &[Target::port(SHUT_PORT)], Family::V4, &[peer(1)], &[]),
        (6, &filtered, Family::V4, &[peer(1)], &[]),
    ];
    let mut actions = Vec::new();
    for (segment, ports, family, peers, rest) in lists {
        for (slot, target) in (0..).zip(ports.iter().chain(peers).chain(rest)) {
            actions.push(Action::PutFlood(FloodKey { segment, generation: 1, slot }, *target));
        }
        let [ports, peers, rest] = [ports, peers, rest].map(|list| list.len() as u16);
        let flood = FloodList::new(1, ports, family, peers, rest);
        let vni = u32::from(segment) * 100;
        let flags = if segment == FILTERED_SEGMENT { Policed::FILTER_OUT.into() } else { 0 };
        actions.push(Action::PutSegment(SegmentId(segment), Segment { flood, vni, flags }));
    }
    actions
}

/// The IPv4 address of a station.
pub const fn ipv4_of(last: u8) -> [u8; 4] {
    [10, 1, 0, last]
}

/// The IPv6 address of a station.
pub const fn ipv6_of(last: u8) -> [u8; 16] {
    [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

/// Another address of the station behind the ingress port, in its segment.
pub const OTHER_ADDRESS: [u8; 4] = [10, 0, 0, 1];
/// An address whose station the FDB does not have.
pub const LOST: u8 = 0x77;
/// An address that is static, and of the station behind peer 1.
pub const STATIC_ADDRESS: u8 = 0x5a;
/// The address of the router behind peer 2.
pub const ROUTER: u8 = 0x12;

/// The stations behind ports 1 and 2 and behind peers 1 and 2 have addresses in every
/// segment.
fn neighbours() -> Vec<Action> {
    let mut actions = Vec::new();
    let other = NeighbourKey::v4(OTHER_ADDRESS, 1).into_iter();
    let ingress = Neighbour::new(station(INGRESS_PORT as u8));
    actions.extend(other.map(|key| Action::PutNeighbour(key, ingress)));
    // Of the stations behind ports 3, 4 and 7, only the IPv4 address.
    let others = [TAGGED_PORT, SMALL_PORT, DOWN_PORT].map(|port| port as u8);
    actions.extend(others.into_iter().filter_map(|last| {
        let key = NeighbourKey::v4(ipv4_of(last), 1)?;
        Some(Action::PutNeighbour(key, Neighbour::new(station(last))))
    }));
    let far = NeighbourKey::v4(ipv4_of(FILTERED_FAR_PORT as u8), FILTERED_SEGMENT);
    actions.extend(
        far.map(|key| Action::PutNeighbour(key, Neighbour::new(station(FILTERED_FAR_PORT as u8)))),
    );
    for segment in [1, 2, 4] {
        let mut put = |last: u8, neighbour: Neighbour| {
            let v4 = NeighbourKey::v4(ipv4_of(last), segment);
            let v6 = NeighbourKey::v6(address_words(&ipv6_of(last)), segment);
            let keys = v4.into_iter().chain(v6);
            actions.extend(keys.map(|key| Action::PutNeighbour(key, neighbour)));
        };
        for last in [1, 2, SECOND_PORT as u8, 0x11, LOST] {
            put(last, Neighbour::new(station(last)));
        }
        put(ROUTER, Neighbour::new(station(ROUTER)).with_router(true));
        put(STATIC_ADDRESS, Neighbour::new(station(0x11)).fixed());
    }
    actions
}

/// The MAC address of the routers.
pub const ROUTER_MAC: Mac = station(0xf0);
/// The last byte of the routers' addresses of both families.
pub const ROUTER_ADDRESS: u8 = 0xf0;
/// The MAC address of the router of peer 5.
pub const PEER_ROUTER_MAC: Mac = station(0xf5);

/// The routes of VRF 1: prefix and length, kind, segment, and the last byte of a next hop's
/// address, or the index of a peer.
pub const ROUTES: [(&str, u8, u16, u16, u32); 15] = [
    ("10.1.0.0", 24, Route::CONNECTED, 1, 0),
    ("fd00::", 64, Route::CONNECTED, 1, 0),
    ("10.1.0.240", 32, Route::LOCAL, 1, 0),
    ("fd00::f0", 128, Route::LOCAL, 1, 0),
    ("10.2.0.0", 16, Route::GATEWAY, 2, 0x11),
    ("fd02::", 16, Route::GATEWAY, 2, 0x11),
    ("10.2.3.0", 24, Route::GATEWAY, 1, 2),
    ("10.3.0.0", 16, Route::PEER, 2, 5),
    ("fd03::", 16, Route::PEER, 2, 5),
    ("10.4.0.0", 16, Route::PEER, 2, 3),
    ("10.5.0.0", 16, Route::BLACKHOLE, 0, 0),
    ("10.6.0.0", 16, Route::UNREACHABLE, 0, 0),
    // Beyond every table.
    ("10.7.0.0", 16, Route::PEER, 2, 1 << 20),
    ("10.8.0.0", 16, Route::GATEWAY, 1, ROUTER_ADDRESS as u32),
    ("10.1.0.14", 32, Route::CONNECTED, FILTERED_SEGMENT, 0),
];

fn routing() -> Vec<Action> {
    let mut actions = Vec::new();
    for (prefix, len, kind, segment, to) in ROUTES {
        let Ok(prefix) = prefix.parse::<std::net::IpAddr>() else { continue };
        let next_hop = match prefix {
            std::net::IpAddr::V4(_) => NeighbourKey::v4(ipv4_of(to as u8), segment),
            std::net::IpAddr::V6(_) => NeighbourKey::v6(address_words(&ipv6_of(to as u8)), segment),
        };
        let (is_gateway, is_peer) = (kind == Route::GATEWAY, kind == Route::PEER);
        let route = Route {
            gateway: next_hop.filter(|_| is_gateway).map_or([0; 2], |key| key.address),
            station: Neighbour::new(if is_peer { PEER_ROUTER_MAC } else { Mac::default() }),
            target: if is_peer { Target::peer(to) } else { Target::default() },
            segment,
            kind,
        };
        actions.push(Action::PutRoute(RouteKey::prefix(1, prefix, len), route));
    }
    let by_peer =
        Route { target: Target::peer(4), segment: 4, kind: Route::PEER, ..Route::default() };
    let small = Route { segment: 1, kind: Route::CONNECTED, ..Route::default() };
    let all = |address: [u8; 4], len| RouteKey::prefix(2, address.into(), len);
    actions.push(Action::PutRoute(all([0; 4], 0), by_peer));
    actions.push(Action::PutRoute(all([10, 1, 0, 0], 24), small));
    for (segment, vrf) in [(1, 1), (2, 1), (5, 1), (6, 1), (4, 2)] {
        let has_address = vrf == 1;
        let router = Router {
            v4: if has_address { ipv4_of(ROUTER_ADDRESS) } else { [0; 4] },
            v6: if has_address { address_words(&ipv6_of(ROUTER_ADDRESS)) } else { [0; 2] },
            vrf,
            mac: ROUTER_MAC,
            own: station(0xf1),
            ..Router::default()
        };
        actions.push(Action::PutRouter(SegmentId(segment), router));
        let entry =
            FdbEntry { target: Target::ROUTER, flags: FdbEntry::STATIC, ..FdbEntry::default() };
        actions.push(Action::PutFdb(FdbKey::new(ROUTER_MAC, segment), entry));
        let v4 = NeighbourKey::v4(ipv4_of(ROUTER_ADDRESS), segment);
        let v6 = NeighbourKey::v6(address_words(&ipv6_of(ROUTER_ADDRESS)), segment);
        let own = Neighbour::new(ROUTER_MAC).with_router(true).fixed();
        actions.extend(v4.into_iter().chain(v6).map(|key| Action::PutNeighbour(key, own)));
    }
    actions
}

/// A static entry at peer 1.
pub const STATIC_STATION: Mac = station(0x5a);
/// An entry that points to a port beyond the table.
pub const DANGLING_STATION: Mac = station(0x66);

fn stations() -> Vec<Action> {
    let entry = |mac: Mac, segment, target, flags| {
        let entry = FdbEntry { target, flags, seen: EPOCH - 1, reserved: 0 };
        Action::PutFdb(FdbKey { mac: mac.0, segment }, entry)
    };
    let port = |index: u32| entry(station(index as u8), 1, Target::port(index), 0);
    let peer = |index: u32| entry(station(0x10 + index as u8), 1, Target::peer(index), 0);
    let mut actions = [INGRESS_PORT, PLAIN_PORT, TAGGED_PORT, SMALL_PORT, DOWN_PORT, SERVICE_PORT]
        .map(port)
        .to_vec();
    actions.extend([1, 2, 3, 4, 5, 6, 7].map(peer));
    actions.extend([
        entry(station(SECOND_PORT as u8), 2, Target::port(SECOND_PORT), 0),
        entry(station(0x11), 2, Target::peer(1), 0),
        entry(station(SHUT_PORT as u8), 5, Target::port(SHUT_PORT), 0),
        entry(station(0x11), 5, Target::peer(1), 0),
        entry(station(FILTERED_PORT as u8), 6, Target::port(FILTERED_PORT), 0),
        entry(station(FILTERED_FAR_PORT as u8), 6, Target::port(FILTERED_FAR_PORT), 0),
        entry(station(0x11), 6, Target::peer(1), 0),
        entry(STATIC_STATION, 1, Target::peer(1), FdbEntry::STATIC),
        entry(DANGLING_STATION, 1, Target::port(1 << 20), 0),
    ]);
    actions
}
