//! What the tables' indices mean under one configuration, as a value of its own:
//! a million addresses can be read or shown with it while the controller works
//! on.

use std::collections::HashMap;
use std::sync::Arc;

use overlay_common::abi::{FdbEntry, FdbKey, Target};
use overlay_common::id::{PeerId, PortId, SegmentId, Vlan};
use overlay_common::wire::Mac;

use super::FdbView;
use super::fdb::{Origin, age};
use super::topology::Topology;
use crate::config::Place;

/// Names and indices of one configuration, at one moment.
#[derive(Clone, Debug)]
pub struct Names {
    topology: Arc<Topology>,
    epoch: u32,
    room: usize,
}

impl Names {
    pub(super) fn new(topology: Arc<Topology>, epoch: u32, room: usize) -> Self {
        Self { topology, epoch, room }
    }

    pub(super) fn is_of(&self, topology: &Arc<Topology>) -> bool {
        Arc::ptr_eq(&self.topology, topology)
    }

    /// The most addresses that the FDB takes.
    pub fn room(&self) -> usize {
        self.room
    }

    /// A segment's name.
    pub fn segment(&self, id: SegmentId) -> Option<&str> {
        self.topology.segments.get(&id).map(|segment| segment.name.as_str())
    }

    /// Where a target is, in the configuration's words; `None` where its index is
    /// in use no more. An uplink is a port without VLAN.
    pub fn place(&self, target: Target) -> Option<Place<&str>> {
        if target.is_peer() {
            let peer = self.topology.peers.get(&PeerId(target.index()))?;
            return Some(Place::Peer(&peer.name));
        }
        let port = self.topology.ports.get(&PortId(target.index()))?;
        let vlan = Vlan::from_word(port.vlan);
        Some(Place::Port { interface: &port.interface, vlan })
    }

    /// An entry of the kernel's table, for people; `None` where it leads to what is
    /// not there any more.
    pub fn view(&self, key: FdbKey, entry: &FdbEntry) -> Option<FdbView<'_>> {
        let segment = self.topology.segments.get(&SegmentId(key.segment))?;
        let origin = Origin::of(entry);
        Some(FdbView {
            segment: &segment.name,
            vni: segment.vni,
            mac: Mac(key.mac),
            place: self.place(entry.target)?,
            origin,
            age: if origin.is_static() { 0 } else { age(entry.seen, self.epoch) },
        })
    }

    /// Orders entries by segment, as the configuration has them, and address.
    pub fn sort(&self, entries: &mut [(FdbKey, FdbEntry)]) {
        let segments = self.topology.segments.iter();
        let positions: HashMap<u16, usize> =
            segments.map(|(id, segment)| (id.0, segment.position)).collect();
        entries.sort_unstable_by_key(|(key, _)| (positions.get(&key.segment).copied(), key.mac));
    }

    /// Every segment by its name.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (&str, SegmentId)> {
        self.topology.segments.iter().map(|(id, segment)| (segment.name.as_str(), *id))
    }

    /// Every peer by its name.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (&str, PeerId)> {
        self.topology.peers.iter().map(|(id, peer)| (peer.name.as_str(), *id))
    }

    /// A segment's port.
    pub(crate) fn port(
        &self,
        segment: SegmentId,
        interface: &str,
        vlan: Option<Vlan>,
    ) -> Option<PortId> {
        let ports = self.topology.interfaces.get(interface)?;
        let fits = |id: &&PortId| {
            let port = &self.topology.ports[*id];
            port.vlan == Vlan::word(vlan) && port.segment == Some(segment)
        };
        ports.iter().find(fits).copied()
    }

    /// Whether a static address of this segment may be behind this target.
    pub(crate) fn admits(&self, segment: SegmentId, target: Target) -> bool {
        self.topology.admits(segment, target, true)
    }
}
