//! One thing by its index in the tables, for people.

use std::net::IpAddr;

use overlay_common::abi::{FdbKey, FilterKey, PolicerKey, Target};
use overlay_common::id::{PeerId, PortId, SegmentId, Vlan};
use overlay_common::wire::Mac;

use super::fdb::Refused;
use super::{Controller, LinkInfo, Origin, PeerView, PortView, Role};
use crate::acl::Line;
use crate::config::{AccessPort, Limits, Segment};

/// A rule of an access list, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleAt {
    /// Index of its segment.
    pub segment: u16,
    /// `in` or `out`.
    pub direction: &'static str,
    /// What it says.
    pub line: Line,
}

impl Controller {
    /// The port with this index.
    pub fn port_by(&self, id: PortId) -> Option<PortView> {
        let port = self.topology.ports.get(&id)?;
        let role = if port.segment.is_some() { Role::Access } else { Role::Uplink };
        let segment = port.segment.and_then(|id| self.topology.segments.get(&id));
        Some(PortView {
            vlan: Vlan::from_word(port.vlan),
            segment: segment.map(|segment| segment.name.clone()),
            ..self.port_view(Some(id), &port.interface, role)
        })
    }

    /// The peer with this index.
    pub fn peer_by(&self, id: PeerId) -> Option<PeerView> {
        let name = &self.topology.peers.get(&id)?.name;
        let peer = self.config.peers.iter().find(|peer| peer.name == *name)?;
        Some(self.peer_view(peer))
    }

    /// The longest packet of the underlay that the configuration says arrives at a peer.
    pub fn peer_mtu(&self, id: PeerId) -> Option<u16> {
        self.topology.peers.get(&id)?.mtu
    }

    /// Name and VNI of the segment with this index.
    pub fn segment_by(&self, id: SegmentId) -> Option<(&str, u32)> {
        let segment = self.topology.segments.get(&id)?;
        Some((&segment.name, segment.vni))
    }

    /// What the configuration says of the segment with this index.
    pub fn segment_config(&self, id: SegmentId) -> Option<&Segment> {
        let name = &self.topology.segments.get(&id)?.name;
        self.config.segments.iter().find(|segment| segment.name == *name)
    }

    /// What the configuration says of the access port with this index.
    pub fn port_config(&self, id: PortId) -> Option<&AccessPort> {
        let port = self.topology.ports.get(&id)?;
        let ports = self.segment_config(port.segment?)?.ports.iter();
        let vlan = Vlan::from_word(port.vlan);
        ports.into_iter().find(|spec| spec.interface == port.interface && spec.vlan == vlan)
    }

    /// The rule with this index in `RULES`.
    pub fn rule_by(&self, index: u32) -> Option<RuleAt> {
        let (key, place, list) = self.filters.place_of(index)?;
        let direction = if key.direction == FilterKey::IN { "in" } else { "out" };
        Some(RuleAt { segment: key.segment, direction, line: list.lines().nth(place)? })
    }

    /// The VRF with this index.
    pub fn vrf_by(&self, index: u16) -> Option<&str> {
        self.topology.routing.vrfs.get(&index).map(String::as_str)
    }

    /// The device with this index.
    pub fn link_by(&self, ifindex: u32) -> Option<&LinkInfo> {
        self.links.indexed(ifindex)
    }

    /// The device of this name.
    pub fn link_named(&self, name: &str) -> Option<&LinkInfo> {
        self.links.named(name)
    }

    /// The peer with this VTEP.
    pub fn peer_at(&self, vtep: IpAddr) -> Option<PeerView> {
        self.peer_by(*self.topology.vteps.get(&vtep)?)
    }

    /// The limits of a port, a peer or a segment.
    pub fn limits_of(&self, key: &PolicerKey) -> Option<Limits> {
        let (source, topology) = (key.source, &self.topology);
        if key.segment != 0 {
            let id = SegmentId(u16::try_from(key.segment).ok()?);
            return Some(topology.segments.get(&id)?.limits);
        }
        if source.is_peer() {
            return Some(topology.peers.get(&PeerId(source.index()))?.limits);
        }
        Some(topology.ports.get(&PortId(source.index()))?.limits)
    }

    /// Why a station that turns up there would not be learnt, in a sentence, and what would let it
    /// be; `None` where it would.
    pub fn unlearnable(&self, station: Mac, segment: u16, source: Target) -> Option<[String; 2]> {
        let key = FdbKey::new(station, segment);
        if self.fdb.origin(key).is_some() {
            return None;
        }
        let bounds = self.topology.bounds(SegmentId(segment), source);
        let refused = self.fdb.may_add(key, source, bounds).err()?;
        Some(match refused {
            Refused::Full => self.full_up(),
            Refused::Limited => self.limit_that_refused(segment, source),
        })
    }

    fn full_up(&self) -> [String; 2] {
        let (held, room) = (self.fdb.len(), self.fdb.capacity());
        let learnt = self.fdb.of_origin(Origin::Learned);
        [
            format!("the FDB is full: it holds {held} addresses ({learnt} learnt) of {room}"),
            format!(
                "raise node.fdb_entries = {} in the configuration and restart the gateway (the \
                 table keeps its size until then), or find out with `overlay show fdb` who fills it",
                self.config.node.fdb_entries
            ),
        ]
    }

    fn limit_that_refused(&self, segment: u16, source: Target) -> [String; 2] {
        let of_source = self.limits_of(&PolicerKey::source(source)).and_then(|own| own.macs);
        let held = self.fdb.learned_from(source);
        let names = |place: &str, held: usize, macs: u32| {
            [
                format!("{place} has {held} learnt addresses, and its limit.macs is {macs}"),
                format!("raise limit.macs = {macs} of {place}, and `overlay reload`"),
            ]
        };
        match of_source.filter(|macs| held >= *macs as usize) {
            Some(macs) if source.is_peer() => {
                let peer = self.topology.peers.get(&PeerId(source.index()));
                let name = peer.map_or("it", |peer| peer.name.as_str());
                names(&format!("peer {name}"), held, macs)
            }
            Some(macs) => {
                let port = self.topology.ports.get(&PortId(source.index()));
                let name = port.map_or("it", |port| port.interface.as_str());
                names(&format!("port {name}"), held, macs)
            }
            None => {
                let of_segment = self.topology.segments.get(&SegmentId(segment));
                let name = of_segment.map_or("it", |spec| spec.name.as_str());
                let macs = of_segment.and_then(|spec| spec.limits.macs).unwrap_or(0);
                names(&format!("segment {name}"), self.fdb.learned_in(segment), macs)
            }
        }
    }
}
