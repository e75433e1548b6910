//! One small node with something of everything, for tests, fuzzing and
//! benchmarks that need tables to run the packet path on.
//!
//! | | |
//! | --- | --- |
//! | segments | 1: VNI 100, learns from peers; 2: VNI 200, does not; 3: VNI 300, with one port and no peer |
//! | ports | see the constants |
//! | peers | 1 (192.0.2.2) may use VNI 100 and 200; 2 (192.0.2.3, not reachable by XDP) VNI 100; 3 (192.0.2.4) is not resolved |

use overlay_common::abi::{
    ABI_VERSION, Access, AccessKey, Egress, FdbEntry, FdbKey, FloodKey, FloodList, Node, Peer,
    Permit, PermitKey, Port, PuntLimit, PuntReason, Segment, Target, Vtep, VtepKey,
};
use overlay_common::id::{PeerId, PortId, SegmentId};
use overlay_common::wire::{Mac, Outer};

use crate::action::Action;

/// The node's VTEP.
pub const LOCAL_VTEP: [u8; 4] = [192, 0, 2, 1];
/// The peers' VTEPs, by their index from 1.
pub const PEER_VTEPS: [[u8; 4]; 3] = [[192, 0, 2, 2], [192, 0, 2, 3], [192, 0, 2, 4]];
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
    let mut actions = vec![Action::PutNode(Node {
        abi_version: ABI_VERSION,
        vtep: LOCAL_VTEP,
        epoch: EPOCH,
        ..Node::default()
    })];
    let open = PuntLimit { per_second: 1_000_000, burst: 1_000_000 };
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
        port(INGRESS_PORT, devices.ingress, Egress::XDP, 1514, 0, 1),
        port(PLAIN_PORT, plain, Egress::XDP, 1514, 0, 1),
        port(TAGGED_PORT, tagged, Egress::XDP, 1514, 30, 1),
        port(SMALL_PORT, small, 0, 1014, 0, 1),
        port(SECOND_PORT, devices.ingress, Egress::XDP, 1514, 20, 2),
        port(LONELY_PORT, devices.ingress, Egress::XDP, 1514, 40, 3),
        port(DOWN_PORT, 0, 0, 1514, 0, 1),
    ]
}

fn peers(devices: &Devices) -> Vec<Action> {
    let uplinks = [(devices.uplinks[0], Egress::XDP), (devices.uplinks[1], 0), (0, 0)];
    let mut actions = Vec::new();
    for (index, ((ifindex, flags), vtep)) in (1u32..).zip(uplinks.into_iter().zip(PEER_VTEPS)) {
        let outer = Outer::template(next_hop(index as u8), UPLINK_MAC, LOCAL_VTEP, vtep);
        let ready = if ifindex == 0 { 0 } else { Peer::READY };
        let egress = Egress { ifindex, flags };
        actions.push(Action::PutPeer(
            PeerId(index),
            Peer { template: outer.to_bytes(), egress, max_frame: 1514, flags: ready },
        ));
        let profile = if index == 2 { 2 } else { 1 };
        actions.push(Action::PutVtep(VtepKey(vtep), Vtep { peer: index, profile }));
    }
    let permit = |profile, vni, segment, flags| {
        Action::PutPermit(PermitKey { profile, vni }, Permit { segment, flags, reserved: 0 })
    };
    actions.extend([
        permit(PermitKey::ANY, 100, 1, Permit::LEARN),
        permit(PermitKey::ANY, 200, 2, 0),
        permit(PermitKey::ANY, 300, 3, Permit::LEARN),
        permit(1, 100, 1, Permit::LEARN),
        permit(1, 200, 2, 0),
        permit(2, 100, 1, Permit::LEARN),
    ]);
    actions
}

fn floods() -> Vec<Action> {
    let ports = [INGRESS_PORT, PLAIN_PORT, TAGGED_PORT, SMALL_PORT].map(Target::port);
    let lists: [(u16, &[Target], &[Target]); 3] = [
        (1, &ports, &[Target::peer(1), Target::peer(2)]),
        (2, &[Target::port(SECOND_PORT)], &[Target::peer(1)]),
        (3, &[Target::port(LONELY_PORT)], &[]),
    ];
    let mut actions = Vec::new();
    for (segment, ports, peers) in lists {
        for (slot, target) in (0..).zip(ports.iter().chain(peers)) {
            actions.push(Action::PutFlood(FloodKey { segment, generation: 1, slot }, *target));
        }
        let flood = FloodList::new(1, ports.len() as u16, peers.len() as u32);
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
    actions.extend([1, 2, 3].map(peer));
    actions.extend([
        entry(station(SECOND_PORT as u8), 2, Target::port(SECOND_PORT), 0),
        entry(station(0x11), 2, Target::peer(1), 0),
        entry(STATIC_STATION, 1, Target::peer(1), FdbEntry::STATIC),
        entry(DANGLING_STATION, 1, Target::port(1 << 20), 0),
    ]);
    actions
}
