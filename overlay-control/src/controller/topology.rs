//! The configuration in terms of table indices.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use overlay_common::abi::{FdbKey, MAX_PEERS, MAX_PORTS, MAX_SEGMENTS, Target};
use overlay_common::id::{PeerId, PortId, SegmentId};

use super::indices::Indices;
use super::profiles::Profiles;
use crate::config::{self, Config, Encap, Place};

/// Who owns which index. A port that changes its segment is another port: no
/// entry of the old segment may lead to it.
#[derive(Debug)]
pub struct Ids {
    pub ports: Indices<PortKey>,
    pub segments: Indices<String>,
    pub peers: Indices<String>,
    pub profiles: Profiles,
}

/// A port by its configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortKey {
    pub interface: String,
    /// 0 for untagged, and for an uplink.
    pub vlan: u16,
    /// `None`: an uplink.
    pub segment: Option<String>,
}

#[derive(Debug)]
pub struct Port {
    pub interface: String,
    pub vlan: u16,
    pub segment: Option<SegmentId>,
}

#[derive(Debug)]
pub struct Segment {
    pub name: String,
    pub vni: u32,
    pub learning: bool,
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
    pub segments: BTreeSet<SegmentId>,
    pub profile: u32,
}

/// Everything that has an index.
#[derive(Debug, Default)]
pub struct Topology {
    pub ports: BTreeMap<PortId, Port>,
    pub segments: BTreeMap<SegmentId, Segment>,
    pub peers: BTreeMap<PeerId, Peer>,
    pub statics: BTreeMap<FdbKey, Target>,
    /// The ports of each interface.
    pub interfaces: BTreeMap<String, Vec<PortId>>,
    pub vteps: BTreeMap<IpAddr, PeerId>,
    /// Something waits for an index to be freed.
    pub waiting: bool,
}

impl Ids {
    pub fn new() -> Self {
        Self {
            ports: Indices::below(MAX_PORTS),
            segments: Indices::below(MAX_SEGMENTS),
            peers: Indices::below(MAX_PEERS),
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

    /// Takes the indices away from what the configuration no longer has.
    fn retain(&mut self, config: &Config) {
        let ports: BTreeSet<PortKey> = port_keys(config).collect();
        self.ports.retain(|key| ports.contains(key));
        let segments: BTreeSet<&String> = config.segments.iter().map(|s| &s.name).collect();
        self.segments.retain(|name| segments.contains(name));
        let peers: BTreeSet<&String> = config.peers.iter().map(|p| &p.name).collect();
        self.peers.retain(|name| peers.contains(name));
    }
}

impl PortKey {
    pub fn uplink(uplink: &config::Uplink) -> Self {
        Self { interface: uplink.interface.clone(), vlan: 0, segment: None }
    }

    pub fn access(segment: &config::Segment, port: &config::AccessPort) -> Self {
        Self {
            interface: port.interface.clone(),
            vlan: port.vlan.unwrap_or(0),
            segment: Some(segment.name.clone()),
        }
    }
}

fn port_keys(config: &Config) -> impl Iterator<Item = PortKey> {
    let uplinks = config.uplinks.iter().map(PortKey::uplink);
    let access = |segment: &config::Segment| {
        segment.ports.iter().map(|port| PortKey::access(segment, port)).collect::<Vec<_>>()
    };
    uplinks.chain(config.segments.iter().flat_map(access))
}

impl Topology {
    /// Gives everything in the configuration an index, and takes the indices of
    /// what is not in it any more.
    pub fn build(config: &Config, ids: &mut Ids) -> Self {
        ids.retain(config);
        let mut topology = Self::default();
        topology.add_segments(config, ids);
        topology.add_ports(config, ids);
        topology.add_peers(config, ids);
        topology.add_statics(config, ids);
        topology
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
                ports: Vec::new(),
                peers: Vec::new(),
                position,
            };
            self.segments.insert(id, spec);
        }
    }

    fn add_ports(&mut self, config: &Config, ids: &mut Ids) {
        for key in port_keys(config) {
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
            self.ports.insert(id, Port { interface: key.interface, vlan: key.vlan, segment });
        }
    }

    fn add_peers(&mut self, config: &Config, ids: &mut Ids) {
        for peer in &config.peers {
            let Some(index) = ids.peers.take(&peer.name) else {
                self.waiting = true;
                continue;
            };
            let id = PeerId(index);
            let segments: BTreeSet<SegmentId> =
                peer.segments.iter().filter_map(|name| ids.segment(name)).collect();
            for segment in &segments {
                if let Some(spec) = self.segments.get_mut(segment) {
                    spec.peers.push(id);
                }
            }
            let profile = ids.profiles.take(&segments);
            self.vteps.insert(peer.vtep, id);
            let port = peer.port.unwrap_or_else(|| config.node.ports.of(peer.encap));
            let (name, vtep, encap) = (peer.name.clone(), peer.vtep, peer.encap);
            let (mtu, clamps) = (peer.mtu, config.node.mss_clamp);
            let spec = Peer { name, vtep, encap, port, mtu, clamps, segments, profile };
            self.peers.insert(id, spec);
        }
        let used = self.peers.values().map(|peer| peer.profile).collect();
        ids.profiles.retain(&used);
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
                            vlan: vlan.unwrap_or(0),
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
