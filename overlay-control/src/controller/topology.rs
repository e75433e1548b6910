//! The configuration in terms of table indices.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use overlay_common::abi::{
    FdbKey, FilterKey, GuardKey, MAX_PEERS, MAX_PORTS, MAX_SEGMENTS, MAX_VRFS, Neighbour,
    NeighbourKey, Target,
};
use overlay_common::id::{PeerId, PortId, SegmentId, Vlan};

use super::fdb::Bounds;
use super::indices::Indices;
use super::profiles::Profiles;
use super::routing::{Routing, link_local, transit};
use crate::acl::List;
use crate::config::{self, Config, Dscp, Encap, Limits, Place};

/// Who owns which index. A port that changes its segment is another port: no
/// entry of the old segment may lead to it.
#[derive(Debug)]
pub struct Ids {
    pub ports: Indices<PortKey>,
    pub segments: Indices<String>,
    pub peers: Indices<String>,
    pub vrfs: Indices<String>,
    pub profiles: Profiles,
}

/// A port by its configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortKey {
    pub interface: String,
    /// [`Vlan::word`]; 0 for untagged, and for an uplink.
    pub vlan: u16,
    /// `None`: an uplink.
    pub segment: Option<String>,
}

#[derive(Debug)]
pub struct Port {
    pub interface: String,
    pub vlan: u16,
    pub segment: Option<SegmentId>,
    pub sticky: bool,
    pub limits: Limits,
    /// What its hosts may use; empty where they may use anything.
    pub guards: BTreeSet<GuardKey>,
}

#[derive(Debug)]
pub struct Segment {
    pub name: String,
    pub vni: u32,
    pub learning: bool,
    pub limits: Limits,
    pub suppression: bool,
    /// Bits of [`Policed`](overlay_common::abi::Policed): which lists there are.
    pub filters: u16,
    pub ports: Vec<PortId>,
    pub peers: Vec<PeerId>,
    /// Its place in the configuration.
    pub position: usize,
}

#[derive(Debug)]
pub struct Peer {
    pub name: String,
    pub vtep: IpAddr,
    pub encap: Encap,
    /// The UDP port that it takes tunnels at.
    pub port: u16,
    /// The longest packet of the underlay that arrives there, where the file says so.
    pub mtu: Option<u16>,
    /// Whether TCP is told what fits.
    pub clamps: bool,
    pub dscp: Dscp,
    pub segments: BTreeSet<SegmentId>,
    pub profile: u32,
    pub limits: Limits,
}

/// Everything that has an index.
#[derive(Debug, Default)]
pub struct Topology {
    pub ports: BTreeMap<PortId, Port>,
    pub segments: BTreeMap<SegmentId, Segment>,
    pub peers: BTreeMap<PeerId, Peer>,
    pub statics: BTreeMap<FdbKey, Target>,
    pub neighbours: BTreeMap<NeighbourKey, Neighbour>,
    /// The ports of each interface.
    pub interfaces: BTreeMap<String, Vec<PortId>>,
    pub vteps: BTreeMap<IpAddr, PeerId>,
    pub routing: Routing,
    pub filters: BTreeMap<FilterKey, Arc<List>>,
    /// Something waits for an index to be freed.
    pub waiting: bool,
}

impl Ids {
    pub fn new() -> Self {
        Self {
            ports: Indices::below(MAX_PORTS),
            segments: Indices::below(MAX_SEGMENTS),
            peers: Indices::below(MAX_PEERS),
            vrfs: Indices::below(MAX_VRFS),
            profiles: Profiles::default(),
        }
    }

    pub fn port(&self, key: &PortKey) -> Option<PortId> {
        self.ports.of(key).map(PortId)
    }

    pub fn segment(&self, name: &String) -> Option<SegmentId> {
        // The indices are below MAX_SEGMENTS, which is 2¹⁶.
        self.segments.of(name).map(|index| SegmentId(index as u16))
    }

    pub fn peer(&self, name: &String) -> Option<PeerId> {
        self.peers.of(name).map(PeerId)
    }

    pub fn vrf(&self, name: &String) -> Option<u16> {
        // The indices are below MAX_VRFS.
        self.vrfs.of(name).map(|index| index as u16)
    }

    /// Takes the indices away from what the configuration no longer has.
    fn retain(&mut self, config: &Config) {
        let ports: BTreeSet<PortKey> = port_keys(config).collect();
        self.ports.retain(|key| ports.contains(key));
        let transits = config.vrfs.iter().filter(|vrf| vrf.vni.is_some());
        let segments: BTreeSet<String> = config
            .segments
            .iter()
            .map(|segment| segment.name.clone())
            .chain(transits.map(|vrf| transit(&vrf.name)))
            .collect();
        self.segments.retain(|name| segments.contains(name));
        let vrfs: BTreeSet<&String> = config.vrfs.iter().map(|vrf| &vrf.name).collect();
        self.vrfs.retain(|name| vrfs.contains(name));
        let peers: BTreeSet<&String> = config.peers.iter().map(|p| &p.name).collect();
        self.peers.retain(|name| peers.contains(name));
    }
}

impl PortKey {
    pub fn uplink(uplink: &config::Uplink) -> Self {
        Self { interface: uplink.interface.clone(), vlan: 0, segment: None }
    }

    pub fn access(segment: &str, port: &config::AccessPort) -> Self {
        Self {
            interface: port.interface.clone(),
            vlan: Vlan::word(port.vlan),
            segment: Some(segment.to_owned()),
        }
    }
}

fn port_keys(config: &Config) -> impl Iterator<Item = PortKey> {
    ports(config).map(|(key, _)| key)
}

/// Uplinks, then access ports with what the configuration says of them.
fn ports(config: &Config) -> impl Iterator<Item = (PortKey, Option<&config::AccessPort>)> {
    let uplinks = config.uplinks.iter().map(|uplink| (PortKey::uplink(uplink), None));
    let access = config.segments.iter().flat_map(|segment| {
        segment.ports.iter().map(|port| (PortKey::access(&segment.name, port), Some(port)))
    });
    uplinks.chain(access)
}

/// The bits of the lists that there are.
fn filters(acls: &[Option<Arc<List>>; 2]) -> u16 {
    let own = acls.iter().zip(FilterKey::DIRECTIONS).filter(|(list, _)| list.is_some());
    own.map(|(_, (bit, _))| bit).sum()
}

/// What hosts behind a port may use: their addresses, the link-local one that is made of the MAC
/// address (RFC 4291, appendix A), and that MAC address by itself.
fn guards(id: PortId, hosts: &[config::Host]) -> BTreeSet<GuardKey> {
    let of = |host: &config::Host| {
        let station = GuardKey::station(id.0, host.mac);
        let own = IpAddr::V6(link_local(host.mac));
        let keys = host.ips.iter().copied().chain([own]).filter_map(|ip| NeighbourKey::of(ip, 0));
        let addresses = keys.map(|key| GuardKey { address: key.address, ..station });
        addresses.chain([station]).collect::<Vec<_>>()
    };
    hosts.iter().flat_map(of).collect()
}

impl Topology {
    /// Gives everything in the configuration an index, and takes the indices of
    /// what is not in it any more.
    pub fn build(config: &Config, ids: &mut Ids) -> Self {
        ids.retain(config);
        let mut topology = Self::default();
        topology.add_segments(config, ids);
        topology.add_vrfs(config, ids);
        topology.add_ports(config, ids);
        topology.add_peers(config, ids);
        topology.add_statics(config, ids);
        topology.add_neighbours(config, ids);
        topology.add_routing(config, ids);
        topology
    }

    /// Whether a segment's gateways hear and answer ARP and neighbour discovery.
    pub fn suppresses(&self, segment: SegmentId) -> bool {
        self.segments.get(&segment).is_some_and(|spec| spec.suppression)
    }

    /// The segments by their VNIs.
    pub fn by_vni(&self) -> BTreeMap<u32, SegmentId> {
        self.segments.iter().map(|(id, segment)| (segment.vni, *id)).collect()
    }

    /// Whether an address of this segment may be behind this target.
    pub fn admits(&self, segment: SegmentId, target: Target, is_static: bool) -> bool {
        let Some(spec) = self.segments.get(&segment) else { return false };
        if target.is_peer() {
            let peer = self.peers.get(&PeerId(target.index()));
            (spec.learning || is_static) && peer.is_some_and(|p| p.segments.contains(&segment))
        } else {
            let port = self.ports.get(&PortId(target.index()));
            port.is_some_and(|p| p.segment == Some(segment))
        }
    }

    /// How many addresses may be learnt in a segment, and from where.
    pub fn bounds(&self, segment: SegmentId, source: Target) -> Bounds {
        let limits = if source.is_peer() {
            self.peers.get(&PeerId(source.index())).map(|spec| spec.limits)
        } else {
            self.ports.get(&PortId(source.index())).map(|spec| spec.limits)
        };
        Bounds {
            source: limits.and_then(|limits| limits.macs),
            segment: self.segments.get(&segment).and_then(|spec| spec.limits.macs),
        }
    }

    /// Whether addresses that were learnt there stay there.
    pub fn is_sticky(&self, target: Target) -> bool {
        !target.is_peer() && self.ports.get(&PortId(target.index())).is_some_and(|p| p.sticky)
    }

    fn add_segments(&mut self, config: &Config, ids: &mut Ids) {
        for (position, segment) in config.segments.iter().enumerate() {
            if ids.segments.take(&segment.name).is_none() {
                self.waiting = true;
            }
            let Some(id) = ids.segment(&segment.name) else { continue };
            let spec = Segment {
                name: segment.name.clone(),
                vni: segment.vni.value(),
                learning: segment.learning,
                limits: segment.limits,
                suppression: segment.suppression,
                filters: filters(&segment.acls),
                ports: Vec::new(),
                peers: Vec::new(),
                position,
            };
            self.segments.insert(id, spec);
            for (list, (_, direction)) in segment.acls.iter().zip(FilterKey::DIRECTIONS) {
                let Some(list) = list else { continue };
                let key = FilterKey { segment: id.0, direction };
                self.filters.insert(key, Arc::clone(list));
            }
        }
    }

    fn add_ports(&mut self, config: &Config, ids: &mut Ids) {
        for (key, access) in ports(config) {
            let segment = match &key.segment {
                None => None,
                Some(name) => match ids.segment(name) {
                    None => continue,
                    segment => segment,
                },
            };
            let Some(index) = ids.ports.take(&key) else {
                self.waiting = true;
                continue;
            };
            let id = PortId(index);
            if let Some(spec) = segment.and_then(|id| self.segments.get_mut(&id)) {
                spec.ports.push(id);
            }
            self.interfaces.entry(key.interface.clone()).or_default().push(id);
            let spec = Port {
                interface: key.interface,
                vlan: key.vlan,
                segment,
                sticky: access.is_some_and(|port| port.sticky),
                limits: access.map(|port| port.limits).unwrap_or_default(),
                guards: access.map(|port| guards(id, &port.hosts)).unwrap_or_default(),
            };
            self.ports.insert(id, spec);
        }
    }

    fn add_peers(&mut self, config: &Config, ids: &mut Ids) {
        for peer in &config.peers {
            let Some(index) = ids.peers.take(&peer.name) else {
                self.waiting = true;
                continue;
            };
            let id = PeerId(index);
            let mut segments: BTreeSet<SegmentId> =
                peer.segments.iter().filter_map(|name| ids.segment(name)).collect();
            for segment in &segments {
                if let Some(spec) = self.segments.get_mut(segment) {
                    spec.peers.push(id);
                }
            }
            // Nothing is flooded there.
            segments.extend(peer.vrfs.iter().filter_map(|vrf| ids.segment(&transit(vrf))));
            let profile = ids.profiles.take(&segments);
            self.vteps.insert(peer.vtep, id);
            let port = peer.port.unwrap_or_else(|| config.node.ports.of(peer.encap));
            let (name, vtep, encap) = (peer.name.clone(), peer.vtep, peer.encap);
            let (mtu, clamps, limits) = (peer.mtu, config.node.mss_clamp, peer.limits);
            let dscp = peer.dscp;
            let spec =
                Peer { name, vtep, encap, port, mtu, clamps, dscp, segments, profile, limits };
            self.peers.insert(id, spec);
        }
        let used = self.peers.values().map(|peer| peer.profile).collect();
        ids.profiles.retain(&used);
    }

    fn add_neighbours(&mut self, config: &Config, ids: &Ids) {
        for segment in &config.segments {
            let Some(id) = ids.segment(&segment.name) else { continue };
            let entries = segment.neighbours.iter().filter_map(|entry| {
                let neighbour = Neighbour::new(entry.mac).with_router(entry.router).fixed();
                Some((NeighbourKey::of(entry.ip, id.0)?, neighbour))
            });
            self.neighbours.extend(entries);
        }
    }

    fn add_statics(&mut self, config: &Config, ids: &Ids) {
        for segment in &config.segments {
            let Some(id) = ids.segment(&segment.name) else { continue };
            for entry in &segment.fdb {
                let target = match &entry.place {
                    Place::Peer(name) => ids.peer(name).map(|id| Target::peer(id.0)),
                    Place::Port { interface, vlan } => {
                        let key = PortKey {
                            interface: interface.clone(),
                            vlan: Vlan::word(*vlan),
                            segment: Some(segment.name.clone()),
                        };
                        ids.port(&key).map(|id| Target::port(id.0))
                    }
                };
                if let Some(target) = target {
                    self.statics.insert(FdbKey { mac: entry.mac.0, segment: id.0 }, target);
                }
            }
        }
    }
}
