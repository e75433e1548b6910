//! One small node with something of everything, for tests, fuzzing and
//! benchmarks that need tables to run the packet path on.
//!
//! | | |
//! | --- | --- |
//! | segments | 1: VNI 100, learns from peers; 2: VNI 200, does not; 3: VNI 300, with one port and no peer; 4: VNI 400, floods to peers over IPv6, and in user space to two over IPv4 |
//! | ports | see the constants |
//! | peers | see [`PEERS`]; 2 is not reachable by XDP and lets TCP be, 3 is not resolved |

use overlay_common::abi::{
    ABI_VERSION, Access, AccessKey, Egress, FdbEntry, FdbKey, FloodKey, FloodList, Node, Peer,
    Permit, PermitKey, Port, PuntLimit, PuntReason, Segment, Target, TunnelPorts, Vtep, Vtep6Key,
    VtepKey,
};
use overlay_common::id::{PeerId, PortId, SegmentId};
use overlay_common::wire::{Encap, Ends, Family, Mac, Template, address_words};

use crate::action::Action;

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
    /// Its permission profile: 1 may use VNI 100, 200 and 400, 2 VNI 100.
    pub profile: u32,
}

const fn v4(to: [u8; 4], encap: Encap, profile: u32) -> SamplePeer {
    SamplePeer { ends: Ends::V4(LOCAL_VTEP, to), encap, profile }
}

const fn v6(last: u8, encap: Encap) -> SamplePeer {
    SamplePeer { ends: Ends::V6(LOCAL_VTEP6, vtep6(last)), encap, profile: 1 }
}

/// The peers, by their index from 1.
pub const PEERS: [SamplePeer; 6] = [
    v4(PEER_VTEPS[0], Encap::Vxlan, 1),
    v4(PEER_VTEPS[1], Encap::Vxlan, 2),
    v4(PEER_VTEPS[2], Encap::Vxlan, 1),
    v4(PEER_VTEPS[3], Encap::Geneve, 1),
    v6(5, Encap::Vxlan),
    v6(6, Encap::Geneve),
];
/// The MAC address of the node's uplink.
pub const UPLINK_MAC: Mac = Mac([0x02, 0, 0, 0, 0xff, 0x01]);
/// The current epoch.
pub const EPOCH: u32 = 7;

/// Port 1: untagged frames of the ingress device, segment 1.
pub const INGRESS_PORT: u32 = 1;
/// Port 2: plain, segment 1.
pub const PLAIN_PORT: u32 = 2;
/// Port 3: tags with VLAN 30, segment 1.
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
    actions.extend(ports(devices));
    actions.extend(peers(devices));
    actions.extend(floods());
    actions.extend(stations());
    actions
}

fn ports(devices: &Devices) -> Vec<Action> {
    let access = |vlan, port, segment| {
        let key = AccessKey { ifindex: devices.ingress, vlan, reserved: 0 };
        Action::PutAccess(key, Access { port, segment, reserved: 0 })
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
        port(INGRESS_PORT, devices.ingress, Egress::XDP, 1514, 0, 1),
        port(PLAIN_PORT, plain, Egress::XDP, 1514, 0, 1),
        port(TAGGED_PORT, tagged, Egress::XDP, 1514, 30, 1),
        port(SMALL_PORT, small, 0, 1014, 0, 1),
        port(SECOND_PORT, devices.ingress, Egress::XDP, 1514, 20, 2),
        port(LONELY_PORT, devices.ingress, Egress::XDP, 1514, 40, 3),
        port(DOWN_PORT, 0, 0, 1514, 0, 1),
        port(OVER_IPV6_PORT, devices.ingress, Egress::XDP, 1514, 50, 4),
    ]
}

fn peers(devices: &Devices) -> Vec<Action> {
    let mut actions = Vec::new();
    for (index, peer) in (1u32..).zip(PEERS) {
        let (next_hop, port) = (next_hop(index as u8), peer.encap.port());
        let template =
            Template { next_hop, uplink: UPLINK_MAC, ends: peer.ends, encap: peer.encap, port };
        let mut entry = Peer::new(&template);
        entry.max_frame = 1514;
        entry.egress = match index {
            2 => Egress { ifindex: devices.uplinks[1], flags: 0 },
            3 => Egress::default(),
            _ => Egress { ifindex: devices.uplinks[0], flags: Egress::XDP },
        };
        entry.flags |= if index == 3 { 0 } else { Peer::READY };
        entry.flags |= if index == 2 { 0 } else { Peer::CLAMP };
        actions.push(Action::PutPeer(PeerId(index), entry));
        let vtep = Vtep::new(index, peer.encap, peer.profile);
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
        permit(PermitKey::ANY, 200, 2, 0),
        permit(PermitKey::ANY, 300, 3, Permit::LEARN),
        permit(PermitKey::ANY, 400, 4, Permit::LEARN),
        permit(1, 100, 1, Permit::LEARN),
        permit(1, 200, 2, 0),
        permit(1, 400, 4, Permit::LEARN),
        permit(2, 100, 1, Permit::LEARN),
    ]);
    actions
}

fn floods() -> Vec<Action> {
    let ports = [INGRESS_PORT, PLAIN_PORT, TAGGED_PORT, SMALL_PORT].map(Target::port);
    let peer = Target::peer;
    // Local ports, the peers that the kernel sends to, and those that user space does.
    type Receivers<'a> = (u16, &'a [Target], Family, &'a [Target], &'a [Target]);
    let lists: [Receivers<'_>; 4] = [
        (1, &ports, Family::V4, &[peer(1), peer(2)], &[]),
        (2, &[Target::port(SECOND_PORT)], Family::V4, &[peer(1), peer(4)], &[]),
        (3, &[Target::port(LONELY_PORT)], Family::V4, &[], &[]),
        (4, &[Target::port(OVER_IPV6_PORT)], Family::V6, &[peer(5), peer(6)], &[peer(1), peer(4)]),
    ];
    let mut actions = Vec::new();
    for (segment, ports, family, peers, rest) in lists {
        for (slot, target) in (0..).zip(ports.iter().chain(peers).chain(rest)) {
            actions.push(Action::PutFlood(FloodKey { segment, generation: 1, slot }, *target));
        }
        let [ports, peers, rest] = [ports, peers, rest].map(|list| list.len() as u16);
        let flood = FloodList::new(1, ports, family, peers, rest);
        let vni = u32::from(segment) * 100;
        actions.push(Action::PutSegment(SegmentId(segment), Segment { flood, vni, reserved: 0 }));
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
    let mut actions =
        [INGRESS_PORT, PLAIN_PORT, TAGGED_PORT, SMALL_PORT, DOWN_PORT].map(port).to_vec();
    actions.extend([1, 2, 3, 4, 5, 6].map(peer));
    actions.extend([
        entry(station(SECOND_PORT as u8), 2, Target::port(SECOND_PORT), 0),
        entry(station(0x11), 2, Target::peer(1), 0),
        entry(STATIC_STATION, 1, Target::peer(1), FdbEntry::STATIC),
        entry(DANGLING_STATION, 1, Target::port(1 << 20), 0),
    ]);
    actions
}
