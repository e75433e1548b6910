//! A node with two segments, four access ports on two devices, and two peers, of
//! which one has no next hop yet.

use overlay_common::abi::{
    ABI_VERSION, Access, AccessKey, Egress, FdbEntry, FdbKey, FloodKey, FloodList, Node, Peer,
    Permit, PermitKey, Port, PuntLimit, PuntReason, Segment, Target, Vtep, VtepKey,
};
use overlay_common::id::{PeerId, PortId, SegmentId};
use overlay_common::wire::{Mac, Outer};
use overlay_control::action::Action;
use overlay_control::tables::TableSet;

/// The node's own VTEP.
pub const LOCAL_VTEP: [u8; 4] = [192, 0, 2, 1];
/// The peer in both segments.
pub const REMOTE_VTEP: [u8; 4] = [192, 0, 2, 2];
/// The peer in the first segment, not resolved.
pub const SILENT_VTEP: [u8; 4] = [192, 0, 2, 3];
/// No peer's address.
pub const NOBODY_VTEP: [u8; 4] = [192, 0, 2, 99];
/// The VNIs of segments 1 and 2.
pub const VNIS: [u32; 2] = [100, 0x00ab_cdef];
/// The devices of the access ports; XDP reaches the second one.
pub const ACCESS_DEVICES: [u32; 2] = [11, 12];
/// The way to the peers.
pub const PEER_EGRESS: Egress = Egress { ifindex: 2, flags: Egress::XDP };
/// Device, VLAN and segment of ports 1 to 4.
pub const PORTS: [(u32, u16, u16); 4] = [(11, 0, 1), (11, 10, 2), (12, 0, 1), (12, 20, 2)];

const MAX_FRAME: u32 = 9014;
const EPOCH: u32 = 7;

/// A station's address: stations 1 to 4 are behind the ports, 5 and 6 behind the
/// peers, the others unknown.
pub fn mac(station: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, station]
}

/// The node.
pub fn node() -> TableSet {
    let mut tables = empty(LOCAL_VTEP);
    for (index, vni) in (1..).zip(VNIS) {
        segment(&mut tables, index, vni, [index.into(), u32::from(index) + 2], &[1, 2]);
    }
    for (index, (device, vlan, segment)) in (1..).zip(PORTS) {
        port(&mut tables, index, device, vlan, segment);
        station(&mut tables, index as u8, segment, Target::port(index));
    }
    peer(&mut tables, 1, REMOTE_VTEP, &[1, 2]);
    peer(&mut tables, 2, SILENT_VTEP, &[1]);
    for segment in [1, 2] {
        station(&mut tables, 5, segment, Target::peer(1));
        station(&mut tables, 6, segment, Target::peer(2));
    }
    let silent = Peer { egress: PEER_EGRESS, ..Peer::default() };
    tables.apply(&Action::PutPeer(PeerId(2), silent));
    tables
}

/// The peer's side of the same segments: one port in each, an empty FDB.
pub fn remote_node() -> TableSet {
    let mut tables = empty(REMOTE_VTEP);
    for (index, vni) in (1..).zip(VNIS) {
        segment(&mut tables, index, vni, [index.into()], &[1]);
        port(&mut tables, index.into(), 20 + u32::from(index), 0, index);
    }
    peer(&mut tables, 1, LOCAL_VTEP, &[1, 2]);
    tables
}

fn empty(vtep: [u8; 4]) -> TableSet {
    let mut tables = TableSet::default();
    let node = Node { abi_version: ABI_VERSION, vtep, epoch: EPOCH, ..Node::default() };
    tables.apply(&Action::PutNode(node));
    for reason in PuntReason::ALL {
        let limit = PuntLimit { per_second: 1000, burst: 100 };
        tables.apply(&Action::PutPuntLimit(reason, limit));
    }
    tables
}

fn segment<const N: usize>(
    tables: &mut TableSet,
    index: u16,
    vni: u32,
    ports: [u32; N],
    peers: &[u32],
) {
    const GENERATION: u16 = 3;
    let targets =
        ports.map(Target::port).into_iter().chain(peers.iter().copied().map(Target::peer));
    for (slot, target) in (0..).zip(targets) {
        let key = FloodKey { segment: index, generation: GENERATION, slot };
        tables.apply(&Action::PutFlood(key, target));
    }
    let flood = FloodList::new(GENERATION, N as u16, peers.len() as u32);
    tables.apply(&Action::PutSegment(SegmentId(index), Segment { flood, vni, reserved: 0 }));
    permit(tables, PermitKey::ANY, index, vni);
}

fn port(tables: &mut TableSet, index: u32, ifindex: u32, vlan: u16, segment: u16) {
    let flags = if ifindex == ACCESS_DEVICES[1] { Egress::XDP } else { Egress::PEER };
    let port = Port { egress: Egress { ifindex, flags }, max_frame: MAX_FRAME, vlan, segment };
    tables.apply(&Action::PutPort(PortId(index), port));
    let key = AccessKey { ifindex, vlan, reserved: 0 };
    tables.apply(&Action::PutAccess(key, Access { port: index, segment, reserved: 0 }));
}

fn peer(tables: &mut TableSet, index: u32, vtep: [u8; 4], segments: &[u16]) {
    let local = tables_vtep(tables);
    let outer = Outer::template(Mac(mac(0xb0)), Mac(mac(0xa0)), local, vtep);
    let template = outer.to_bytes();
    let max_frame = MAX_FRAME as u16;
    let peer = Peer { template, egress: PEER_EGRESS, max_frame, flags: Peer::READY };
    tables.apply(&Action::PutPeer(PeerId(index), peer));
    tables.apply(&Action::PutVtep(VtepKey(vtep), Vtep { peer: index, profile: index }));
    for segment in segments {
        permit(tables, index, *segment, VNIS[usize::from(*segment) - 1]);
    }
}

fn permit(tables: &mut TableSet, profile: u32, segment: u16, vni: u32) {
    let permit = Permit { segment, flags: Permit::LEARN, reserved: 0 };
    tables.apply(&Action::PutPermit(PermitKey { profile, vni }, permit));
}

fn station(tables: &mut TableSet, number: u8, segment: u16, target: Target) {
    let key = FdbKey { mac: mac(number), segment };
    let entry = FdbEntry { target, flags: 0, seen: EPOCH - 1, reserved: 0 };
    tables.apply(&Action::PutFdb(key, entry));
}

fn tables_vtep(tables: &TableSet) -> [u8; 4] {
    use overlay_common::tables::Tables;
    tables.node().expect("a node was put").vtep
}
