//! A node with two segments, four access ports on two devices, and five peers: one for each
//! kind of tunnel, and one that has no next hop yet.

use std::net::IpAddr;

use overlay_common::abi::{
    ABI_VERSION, Access, AccessKey, Egress, FdbEntry, FdbKey, FloodKey, FloodList, Neighbour,
    NeighbourKey, Node, Peer, Permit, PermitKey, Port, PuntLimit, PuntReason, Segment, Target,
    TunnelPorts, Vtep, Vtep6Key, VtepKey,
};
use overlay_common::id::{PeerId, PortId, SegmentId, Vlan};
use overlay_common::wire::{Encap, Ends, Family, Mac, Template, address_words};
use overlay_control::action::Action;
use overlay_control::tables::TableSet;

/// The node's own VTEP.
pub const LOCAL_VTEP: [u8; 4] = [192, 0, 2, 1];
/// The peer with VXLAN over IPv4, in both segments.
pub const REMOTE_VTEP: [u8; 4] = [192, 0, 2, 2];
/// The peer with VXLAN in the first segment, not resolved.
pub const SILENT_VTEP: [u8; 4] = [192, 0, 2, 3];
/// The peer with Geneve over IPv4, in both segments.
pub const GENEVE_VTEP: [u8; 4] = [192, 0, 2, 4];
/// The node's own VTEP over IPv6.
pub const LOCAL_VTEP6: [u8; 16] = [0x20; 16];
/// The peers with VXLAN and Geneve over IPv6, in both segments.
pub const VTEPS6: [[u8; 16]; 2] = [[0x21; 16], [0x22; 16]];
/// No peer's address.
pub const NOBODY_VTEP: [u8; 4] = [192, 0, 2, 99];
/// The VNIs of segments 1 and 2.
pub const VNIS: [u32; 2] = [100, 0x00ab_cdef];
/// The devices of the access ports; XDP reaches the second one.
pub const ACCESS_DEVICES: [u32; 2] = [11, 12];
/// The way to the peers.
pub const PEER_EGRESS: Egress = Egress { ifindex: 2, flags: Egress::XDP };
/// Device, VLAN (as table entries have it) and segment of ports 1 to 4.
pub const PORTS: [(u32, u16, u16); 4] =
    [(11, 0, 1), (11, 10, 2), (12, 0, 1), (12, Vlan::SERVICE | 10, 2)];

const MAX_FRAME: u32 = 9014;
const EPOCH: u32 = 7;

/// A station's address: stations 1 to 4 are behind the ports, 5 to 9 behind the
/// peers, the others unknown.
pub fn mac(station: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, station]
}

/// The node.
pub fn node() -> TableSet {
    let mut tables = empty(LOCAL_VTEP, LOCAL_VTEP6);
    for (index, vni) in (1..).zip(VNIS) {
        let ports = [index.into(), u32::from(index) + 2];
        segment(&mut tables, index, vni, ports, &[1, 2, 3], &[4, 5]);
    }
    for (index, (device, vlan, segment)) in (1..).zip(PORTS) {
        port(&mut tables, index, device, vlan, segment);
        station(&mut tables, index as u8, segment, Target::port(index));
    }
    let over_v4 = |to| Ends::V4(LOCAL_VTEP, to);
    let over_v6 = |to| Ends::V6(LOCAL_VTEP6, to);
    peer(&mut tables, 1, over_v4(REMOTE_VTEP), Encap::Vxlan, true);
    peer(&mut tables, 2, over_v4(SILENT_VTEP), Encap::Vxlan, false);
    peer(&mut tables, 3, over_v4(GENEVE_VTEP), Encap::Geneve, true);
    peer(&mut tables, 4, over_v6(VTEPS6[0]), Encap::Vxlan, true);
    peer(&mut tables, 5, over_v6(VTEPS6[1]), Encap::Geneve, true);
    for number in 1..=5 {
        for segment in [1, 2] {
            station(&mut tables, number as u8 + 4, segment, Target::peer(number));
        }
    }
    for segment in [1, 2] {
        (1..=12).for_each(|number| neighbour(&mut tables, number, segment));
    }
    tables
}

/// A peer's side of the same segments: one port in each, an empty FDB.
pub fn remote_node(number: u8) -> TableSet {
    let (vtep, vtep6, ends, encap) = match number {
        1 => (REMOTE_VTEP, [0; 16], Ends::V4(REMOTE_VTEP, LOCAL_VTEP), Encap::Vxlan),
        3 => (GENEVE_VTEP, [0; 16], Ends::V4(GENEVE_VTEP, LOCAL_VTEP), Encap::Geneve),
        4 => ([0; 4], VTEPS6[0], Ends::V6(VTEPS6[0], LOCAL_VTEP6), Encap::Vxlan),
        5 => ([0; 4], VTEPS6[1], Ends::V6(VTEPS6[1], LOCAL_VTEP6), Encap::Geneve),
        _ => panic!("peer {number} is sent nothing"),
    };
    let mut tables = empty(vtep, vtep6);
    for (index, vni) in (1..).zip(VNIS) {
        segment(&mut tables, index, vni, [index.into()], &[1], &[]);
        port(&mut tables, index.into(), 20 + u32::from(index), 0, index);
    }
    peer(&mut tables, 1, ends, encap, true);
    tables
}

fn empty(vtep: [u8; 4], vtep6: [u8; 16]) -> TableSet {
    let mut tables = TableSet::default();
    let node = Node {
        abi_version: ABI_VERSION,
        vtep,
        vtep6: address_words(&vtep6),
        epoch: EPOCH,
        ports: TunnelPorts { vxlan: Encap::Vxlan.port(), geneve: Encap::Geneve.port() },
        ..Node::default()
    };
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
    rest: &[u32],
) {
    const GENERATION: u16 = 3;
    let targets = ports
        .map(Target::port)
        .into_iter()
        .chain(peers.iter().chain(rest).copied().map(Target::peer));
    for (slot, target) in (0..).zip(targets) {
        let key = FloodKey { segment: index, generation: GENERATION, slot };
        tables.apply(&Action::PutFlood(key, target));
    }
    let flood =
        FloodList::new(GENERATION, N as u16, Family::V4, peers.len() as u16, rest.len() as u16);
    tables.apply(&Action::PutSegment(SegmentId(index), Segment { flood, vni, flags: 0 }));
    permit(tables, PermitKey::ANY, index, vni);
}

fn port(tables: &mut TableSet, index: u32, ifindex: u32, vlan: u16, segment: u16) {
    let flags = if ifindex == ACCESS_DEVICES[1] { Egress::XDP } else { Egress::PEER };
    let port = Port { egress: Egress { ifindex, flags }, max_frame: MAX_FRAME, vlan, segment };
    tables.apply(&Action::PutPort(PortId(index), port));
    let key = AccessKey { ifindex, vlan, reserved: 0 };
    tables
        .apply(&Action::PutAccess(key, Access { port: index, segment, flags: Access::NEIGHBOURS }));
}

/// A peer that is resolved may use both segments, and one that is not the first alone.
fn peer(tables: &mut TableSet, index: u32, ends: Ends, encap: Encap, is_ready: bool) {
    let (next_hop, uplink) = (Mac(mac(0xb0)), Mac(mac(0xa0)));
    let mut entry = Peer::new(&Template { next_hop, uplink, ends, encap, port: encap.port() });
    entry.egress = PEER_EGRESS;
    entry.max_frame = MAX_FRAME as u16;
    entry.flags |= if is_ready { Peer::READY } else { 0 };
    tables.apply(&Action::PutPeer(PeerId(index), entry));
    let vtep = Vtep::new(index, encap, index);
    tables.apply(&match ends {
        Ends::V4(_, to) => Action::PutVtep(VtepKey(to), vtep),
        Ends::V6(_, to) => Action::PutVtep6(Vtep6Key(to), vtep),
    });
    for segment in if is_ready { &[1, 2][..] } else { &[1] } {
        permit(tables, index, *segment, VNIS[usize::from(*segment) - 1]);
    }
}

fn permit(tables: &mut TableSet, profile: u32, segment: u16, vni: u32) {
    let permit = Permit { segment, flags: Permit::LEARN | Permit::NEIGHBOURS, reserved: 0 };
    tables.apply(&Action::PutPermit(PermitKey { profile, vni }, permit));
}

/// Stations have the addresses 10.0.0.x and fd00::x, in both segments. Those of stations that are
/// unknown are known all the same.
fn neighbour(tables: &mut TableSet, number: u8, segment: u16) {
    let neighbour = Neighbour::new(Mac(mac(number))).with_router(number == 5);
    let v6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number];
    for ip in [IpAddr::from([10, 0, 0, number]), IpAddr::from(v6)] {
        let key = NeighbourKey::of(ip, segment).expect("a host's address");
        tables.apply(&Action::PutNeighbour(key, neighbour));
    }
}

fn station(tables: &mut TableSet, number: u8, segment: u16, target: Target) {
    let key = FdbKey { mac: mac(number), segment };
    let entry = FdbEntry { target, flags: 0, seen: EPOCH - 1, reserved: 0 };
    tables.apply(&Action::PutFdb(key, entry));
}
