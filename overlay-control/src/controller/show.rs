//! The controller's beliefs as lists for people.

use core::time::Duration;
use std::collections::BTreeMap;

use overlay_common::abi::Target;
use overlay_common::id::{PeerId, PortId, SegmentId};
use overlay_common::wire::Mac;

use super::topology::PortKey;
use super::{Controller, FdbTotals, FdbView, PeerState, PeerView, PortView, Role, SegmentView};
use crate::config::{AccessPort, Config, Peer, Place, Segment, Uplink};

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
        let mut addresses: BTreeMap<u16, usize> = BTreeMap::new();
        for known in self.fdb.iter(self.clock()) {
            *addresses.entry(known.key.segment).or_default() += 1;
        }
        let view = |segment: &Segment| {
            let id = self.ids.segment(&segment.name);
            let count = id.and_then(|id| addresses.get(&id.0));
            let peers = id.and_then(|id| Some(self.topology.segments.get(&id)?.peers.len()));
            SegmentView {
                id,
                name: segment.name.clone(),
                vni: segment.vni.value(),
                learning: segment.learning,
                ports: segment.ports.len(),
                peers: peers.unwrap_or(0),
                fdb: count.copied().unwrap_or(0),
            }
        };
        self.config.segments.iter().map(view).collect()
    }

    /// The peers, in the configuration's order.
    pub fn peers(&self) -> Vec<PeerView> {
        self.config.peers.iter().map(|peer| self.peer_view(peer)).collect()
    }

    /// The FDB, ordered by segment (in the configuration's order) and address.
    pub fn fdb(&self, now: Duration) -> Vec<FdbView> {
        let known = self.fdb.iter(self.clock_at(now));
        let mut views: Vec<(SegmentId, FdbView)> = known
            .filter_map(|known| {
                let id = SegmentId(known.key.segment);
                let segment = self.topology.segments.get(&id)?;
                let view = FdbView {
                    segment: segment.name.clone(),
                    vni: segment.vni,
                    mac: Mac(known.key.mac),
                    place: self.place(known.target)?,
                    is_static: known.is_static,
                    age: known.age,
                };
                Some((id, view))
            })
            .collect();
        let names = self.config.segments.iter().map(|segment| &segment.name);
        let order: BTreeMap<SegmentId, usize> =
            names.enumerate().filter_map(|(i, name)| Some((self.ids.segment(name)?, i))).collect();
        views.sort_by_key(|(id, view)| (order.get(id).copied(), view.mac));
        views.into_iter().map(|(_, view)| view).collect()
    }

    /// What happened to the FDB so far.
    pub fn fdb_totals(&self) -> FdbTotals {
        self.fdb.totals
    }

    /// Where a target is, in the configuration's words; `None` where its index is
    /// in use no more. An uplink is a port without VLAN.
    pub fn place(&self, target: Target) -> Option<Place> {
        if target.is_peer() {
            let peer = self.topology.peers.get(&PeerId(target.index()))?;
            return Some(Place::Peer(peer.name.clone()));
        }
        let port = self.topology.ports.get(&PortId(target.index()))?;
        let vlan = (port.vlan != 0).then_some(port.vlan);
        Some(Place::Port { interface: port.interface.clone(), vlan })
    }

    /// The name of a segment by its index.
    pub fn segment_name(&self, id: SegmentId) -> Option<&str> {
        self.topology.segments.get(&id).map(|segment| segment.name.as_str())
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
        }
    }
}
