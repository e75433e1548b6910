//! The controller's beliefs as lists for people.

use core::time::Duration;
use std::sync::Arc;

use overlay_common::abi::{FdbEntry, FdbKey};
use overlay_common::id::{PeerId, PortId};
use overlay_common::wire::Ethernet;

use super::topology::{self, PortKey};
use super::way::Tunnel;
use super::{
    Controller, FdbTotals, Names, Origin, PeerState, PeerView, PortView, Role, SegmentView,
};
use crate::config::{AccessPort, Config, Peer, Segment, Uplink};

impl Controller {
    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Uplinks, then access ports, in the configuration's order.
    pub fn ports(&self) -> Vec<PortView> {
        let uplinks = self.config.uplinks.iter().map(|uplink| self.uplink_view(uplink));
        let segments = self.config.segments.iter();
        let access =
            segments.flat_map(|s| s.ports.iter().map(move |port| self.access_view(s, port)));
        uplinks.chain(access).collect()
    }

    /// The segments, in the configuration's order.
    pub fn segments(&self) -> Vec<SegmentView> {
        let view = |segment: &Segment| {
            let id = self.ids.segment(&segment.name);
            let peers = id.and_then(|id| Some(self.topology.segments.get(&id)?.peers.len()));
            SegmentView {
                id,
                name: segment.name.clone(),
                vni: segment.vni.value(),
                learning: segment.learning,
                ports: segment.ports.len(),
                peers: peers.unwrap_or(0),
                fdb: id.map_or(0, |id| self.fdb.of_segment(id.0)),
            }
        };
        self.config.segments.iter().map(view).collect()
    }

    /// The peers, in the configuration's order.
    pub fn peers(&self) -> Vec<PeerView> {
        self.config.peers.iter().map(|peer| self.peer_view(peer)).collect()
    }

    /// The access ports on a device.
    pub fn ports_on(&self, interface: &str) -> impl Iterator<Item = PortId> {
        let ports = self.topology.interfaces.get(interface).into_iter().flatten();
        ports.filter(|id| self.topology.ports[*id].segment.is_some()).copied()
    }

    /// The peers whose next hop is behind a device.
    pub fn peers_over(&self, interface: &str) -> impl Iterator<Item = PeerId> {
        let device = self.links.named(interface).map(|link| link.ifindex);
        let is_over = move |peer: &topology::Peer| {
            let next_hop = self.ways.next_hop(peer.vtep);
            device.is_some() && next_hop.map(|hop| hop.ifindex) == device
        };
        let peers = self.topology.peers.iter().filter(move |(_, peer)| is_over(peer));
        peers.map(|(id, _)| *id)
    }

    /// What the indices in the tables mean now.
    pub fn names(&self, now: Duration) -> Names {
        Names::new(Arc::clone(&self.topology), self.epoch_at(now), self.fdb.capacity())
    }

    /// What the kernel's FDB should hold, in no particular order.
    pub fn fdb(&self) -> impl Iterator<Item = (FdbKey, FdbEntry)> {
        self.fdb.iter(self.epoch())
    }

    /// How many addresses the FDB holds for this reason.
    pub fn fdb_len(&self, origin: Origin) -> usize {
        self.fdb.of_origin(origin)
    }

    /// What happened to the FDB so far.
    pub fn fdb_totals(&self) -> FdbTotals {
        self.fdb.totals
    }

    fn uplink_view(&self, uplink: &Uplink) -> PortView {
        let id = self.ids.port(&PortKey::uplink(uplink));
        let view = self.port_view(id, &uplink.interface, Role::Uplink);
        PortView { mode: uplink.mode, ..view }
    }

    fn access_view(&self, segment: &Segment, port: &AccessPort) -> PortView {
        let id = self.ids.port(&PortKey::access(segment, port));
        PortView {
            vlan: port.vlan,
            segment: Some(segment.name.clone()),
            mode: port.mode,
            ..self.port_view(id, &port.interface, Role::Access)
        }
    }

    fn port_view(&self, id: Option<PortId>, interface: &str, role: Role) -> PortView {
        let link = self.links.named(interface);
        PortView {
            id,
            interface: interface.to_owned(),
            vlan: None,
            role,
            segment: None,
            mode: Default::default(),
            ifindex: link.map(|link| link.ifindex),
            up: link.is_some_and(|link| link.up),
            mtu: link.map(|link| link.mtu),
            attached: self.links.attached(interface).is_some(),
        }
    }

    fn peer_view(&self, peer: &Peer) -> PeerView {
        let next_hop = self.ways.next_hop(peer.vtep);
        let way = self.way(peer.vtep);
        let mtu = way.as_ref().ok().and_then(|way| {
            let spec = self.topology.peers.get(&self.ids.peer(&peer.name)?)?;
            let room = Tunnel::new(self.config.node.vtep, spec)?.room(way);
            Some(u32::from(room).saturating_sub(Ethernet::LEN as u32))
        });
        let device = next_hop.and_then(|hop| self.links.indexed(hop.ifindex));
        PeerView {
            id: self.ids.peer(&peer.name),
            name: peer.name.clone(),
            vtep: peer.vtep,
            encap: peer.encap,
            segments: peer.segments.clone(),
            state: if way.is_ok() { PeerState::Ready } else { PeerState::Unresolved },
            why: way.err().map(|obstacle| obstacle.to_string()),
            interface: device.map(|link| link.name.clone()),
            next_hop: next_hop.map(|hop| hop.gateway),
            mac: next_hop.and_then(|hop| hop.mac),
            mtu,
        }
    }
}
