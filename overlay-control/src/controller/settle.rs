//! From what the controller believes to table actions.
//!
//! Wanted entries are compared with those that were put before. What others
//! point to is put first and removed last: limits, ports and peers, then flood lists,
//! permits, VTEPs, static addresses and neighbours, access; and back again. What a packet on its
//! way may still come upon is removed a moment later ([`GRACE`]).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use overlay_common::abi::{
    Access, AccessKey, Egress, FdbKey, GuardKey, Meter, Peer, Permit, PermitKey, Policed, Policer,
    PolicerKey, Port, Route, RouteKey, Router, Segment, Target, Vtep, Vtep6Key, VtepKey,
};
use overlay_common::id::{PeerId, PortId, SegmentId};

use super::fdb::Origin;
use super::flood::Receivers;
use super::groups::{GroupKey, key_of};
use super::topology::{self, Topology};
use super::way::{self, Tunnel};
use super::{Controller, NextHop};
use crate::action::Action;
use crate::config::Limits;

/// How long a packet may be on its way between two look-ups: far longer than any
/// program runs, and not noticed by people.
pub const GRACE: Duration = Duration::from_millis(100);

/// An action is a system call or two.
const ACTIONS_A_MILLISECOND: usize = 100;

/// An Ethernet header's length: what a frame is longer than its IP packet.
const ETHERNET_LEN: u32 = 14;

/// What has been put into the tables, except for flood slots and the FDB.
#[derive(Debug, Default)]
pub struct Installed {
    access: BTreeMap<AccessKey, Access>,
    pub ports: BTreeMap<PortId, Port>,
    pub segments: BTreeMap<SegmentId, Segment>,
    pub peers: BTreeMap<PeerId, Peer>,
    vteps: BTreeMap<IpAddr, Vtep>,
    pub permits: BTreeMap<PermitKey, Permit>,
    pub policers: BTreeMap<PolicerKey, Policer>,
    pub guards: BTreeMap<GuardKey, ()>,
    routers: BTreeMap<SegmentId, Router>,
    pub routes: BTreeMap<RouteKey, Route>,
    vrfs: BTreeMap<u16, String>,
}

/// What has to be compared again.
#[derive(Debug, Default)]
pub struct Dirty {
    /// Everything, and what is gone has to be removed.
    pub config: bool,
    /// Ports and access.
    pub ports: bool,
    /// Flood lists.
    pub segments: BTreeSet<SegmentId>,
    pub peers: BTreeSet<PeerId>,
    /// Groups of ways, before the peers.
    pub groups: bool,
}

/// What is removed a moment after it went out of use.
#[derive(Clone, Copy, Debug)]
pub enum Retired {
    /// The flood list before the one in force.
    FloodList(SegmentId),
    Segment(SegmentId),
    Port(PortId),
    Peer(PeerId),
    Vrf(u16),
    /// The place of an access list.
    Filter(u64),
    /// A group of ways.
    Group(u32),
}

/// What stands in the way to a peer, and the next hops in use, for people.
fn told(
    hops: &[NextHop],
    found: &Result<Vec<(usize, way::Way<'_>)>, way::Obstacle>,
) -> (Option<String>, String) {
    match found {
        Ok(ways) => {
            let hop = |(at, way): &(usize, way::Way<'_>)| {
                Some(format!("{} dev {}", hops.get(*at)?.gateway, way.uplink.name))
            };
            (None, ways.iter().filter_map(hop).collect::<Vec<_>>().join(", "))
        }
        Err(obstacle) => (Some(obstacle.to_string()), String::new()),
    }
}

impl Controller {
    /// Emits what is needed to bring the tables in line.
    pub(super) fn settle(&mut self) {
        self.settle_groups();
        let dirty = std::mem::take(&mut self.dirty);
        if dirty.config {
            self.put_node();
            self.put_policers();
            self.put_filters();
            self.put_ports();
            self.put_peers(self.topology.peers.keys().copied().collect());
            self.put_segments(self.topology.segments.keys().copied().collect());
            self.put_admission();
            self.put_routing();
            self.put_guards();
            let (statics, epoch) = (&self.topology.statics, self.epoch());
            self.fdb.put_configured(statics, epoch, &mut self.actions);
            self.neighbours.put_configured(&self.topology.neighbours, &mut self.actions);
            self.sync_access();
            self.remove_gone();
            return;
        }
        if dirty.ports {
            self.put_ports();
        }
        self.put_peers(dirty.peers);
        self.put_segments(dirty.segments);
        if dirty.ports {
            self.sync_access();
        }
    }

    /// Removes what has been out of use long enough.
    pub(super) fn remove_retired(&mut self) {
        while let Some((_, retired)) = self.retired.pop_front_if(|(due, _)| *due <= self.now) {
            self.remove(retired);
        }
    }

    fn remove(&mut self, retired: Retired) {
        match retired {
            Retired::FloodList(segment) => {
                self.flood.drop_due(segment, self.now, &mut self.actions);
            }
            Retired::Segment(id) => {
                self.flood.remove(id, &mut self.actions);
                self.ids.segments.free(u32::from(id.0));
            }
            Retired::Port(id) => {
                self.actions.push_back(Action::DelPort(id));
                self.ids.ports.free(id.0);
            }
            Retired::Filter(number) => self.filters.free(number, &mut self.actions),
            Retired::Vrf(index) => self.ids.vrfs.free(u32::from(index)),
            Retired::Group(id) => self.groups.free(id),
            Retired::Peer(id) => {
                self.actions.push_back(Action::DelPeer(id));
                self.peer_news.forget(id);
                self.ids.peers.free(id.0);
            }
        }
    }

    fn put_ports(&mut self) {
        let ports = &self.topology.ports;
        let wanted: BTreeMap<PortId, Port> = ports.keys().map(|id| (*id, self.port(*id))).collect();
        put(&mut self.installed.ports, &wanted, &mut self.actions, Action::PutPort);
    }

    /// A device that is down takes no frames: its index is left out, so that they
    /// are counted as dropped.
    fn port(&self, id: PortId) -> Port {
        let spec = &self.topology.ports[&id];
        let (vlan, segment) = (spec.vlan, spec.segment.map_or(0, |id| id.0));
        match self.links.up(&spec.interface) {
            Some(link) => {
                let flags = self.links.attached(&spec.interface).unwrap_or(0);
                let egress = Egress { ifindex: link.ifindex, flags };
                Port { egress, max_frame: link.mtu.saturating_add(ETHERNET_LEN), vlan, segment }
            }
            None => Port { egress: Egress::default(), max_frame: 0, vlan, segment },
        }
    }

    /// What a link that went down takes from thousands of peers is first put right where they
    /// have it in common.
    pub(super) fn settle_groups(&mut self) {
        if !std::mem::take(&mut self.dirty.groups) || self.groups.is_empty() {
            return;
        }
        let is_uplink = |name: &str| self.config.uplinks.iter().any(|u| u.interface == name);
        let usable = |hops: &[NextHop]| match hops.first() {
            Some(hop) => way::usable(hop.gateway, hops, &self.links, is_uplink),
            None => Vec::new(),
        };
        self.groups.refresh(usable, &mut self.actions);
    }

    fn put_peers(&mut self, dirty: BTreeSet<PeerId>) {
        let mut groups: BTreeMap<GroupKey, Option<u32>> = BTreeMap::new();
        for id in dirty {
            let Some(spec) = self.topology.peers.get(&id) else { continue };
            let Some(tunnel) = Tunnel::new(self.config.node.vtep, spec) else { continue };
            let hops = self.ways.next_hops(spec.vtep);
            let is_uplink = |name: &str| self.config.uplinks.iter().any(|u| u.interface == name);
            let found = self.ways.find(spec.vtep, &self.links, is_uplink);
            let (obstacle, via) = told(hops, &found);
            self.peer_news.note(id, &spec.name, obstacle, via);
            let peer = match found {
                Ok(ways) if hops.len() > 1 => {
                    let put = || self.groups.put(hops, &ways, &mut self.actions);
                    match *groups.entry(key_of(hops)).or_insert_with(put) {
                        Some(first) => tunnel.over_all(&ways, first),
                        None => tunnel.over(&ways[0].1),
                    }
                }
                Ok(ways) => tunnel.over(&ways[0].1),
                Err(_) => tunnel.unresolved(),
            };
            if self.installed.peers.insert(id, peer) != Some(peer) {
                self.actions.push_back(Action::PutPeer(id, peer));
            }
        }
        self.retire_groups();
    }

    /// Gives up the groups that no peer's route makes up any more.
    fn retire_groups(&mut self) {
        if self.groups.is_empty() {
            return;
        }
        let vteps = self.topology.vteps.keys();
        let several = vteps.map(|vtep| self.ways.next_hops(*vtep)).filter(|hops| hops.len() > 1);
        let used: BTreeSet<GroupKey> = several.map(key_of).collect();
        for id in self.groups.retain(&used) {
            self.retire(Retired::Group(id));
        }
    }

    fn put_segments(&mut self, dirty: BTreeSet<SegmentId>) {
        let due = self.now + GRACE;
        for id in dirty {
            let Some(spec) = self.topology.segments.get(&id) else { continue };
            let up =
                |port: &&PortId| self.links.up(&self.topology.ports[*port].interface).is_some();
            let target = |id: &PeerId| Target::peer(id.0);
            let is_v4 = |id: &&PeerId| self.topology.peers[*id].vtep.is_ipv4();
            let receivers = Receivers {
                ports: spec.ports.iter().filter(up).map(|id| Target::port(id.0)).collect(),
                v4: spec.peers.iter().filter(is_v4).map(target).collect(),
                v6: spec.peers.iter().filter(|id| !is_v4(id)).map(target).collect(),
            };
            let flood = self.flood.put(id, &receivers, due, &mut self.actions);
            let segment = Segment {
                flood,
                vni: spec.vni,
                flags: u32::from(spec.filters & Policed::FILTER_OUT),
            };
            let before = self.installed.segments.insert(id, segment);
            if before != Some(segment) {
                self.actions.push_back(Action::PutSegment(id, segment));
            }
            if before.is_some_and(|s| s.flood != flood) {
                self.retire(Retired::FloodList(id));
            }
        }
    }

    /// Permits first: a VTEP entry names a profile.
    fn put_admission(&mut self) {
        let (permits, vteps) = (self.permits(), self.vteps());
        put(&mut self.installed.permits, &permits, &mut self.actions, Action::PutPermit);
        put(&mut self.installed.vteps, &vteps, &mut self.actions, put_vtep);
    }

    /// Before the frames of their segments are held against them.
    fn put_filters(&mut self) {
        let wanted = &self.topology.filters;
        let (retired, has_room) = self.filters.put(wanted, &mut self.actions);
        self.filters_wait = !has_room;
        retired.into_iter().for_each(|number| self.retire(Retired::Filter(number)));
    }

    /// Before the ports' frames are held against them.
    fn put_guards(&mut self) {
        let guards = self.topology.ports.values().flat_map(|port| &port.guards);
        let wanted = guards.map(|key| (*key, ())).collect();
        let action = |key, ()| Action::PutGuard(key);
        put(&mut self.installed.guards, &wanted, &mut self.actions, action);
    }

    /// Routes first: the FDB leads to routers, and those to routes.
    fn put_routing(&mut self) {
        let (wanted, out) = (&self.topology.routing, &mut self.actions);
        put(&mut self.installed.routes, &wanted.routes, out, Action::PutRoute);
        put(&mut self.installed.routers, &wanted.routers, out, Action::PutRouter);
        self.installed.vrfs.extend(wanted.vrfs.clone());
    }

    fn permits(&self) -> BTreeMap<PermitKey, Permit> {
        let segments = &self.topology.segments;
        let any = segments.keys().map(|id| (PermitKey::ANY, *id));
        let profiles = self.ids.profiles.iter();
        let permitted =
            profiles.flat_map(|(profile, set)| set.iter().map(move |id| (profile, *id)));
        let entry = |(profile, id): (u32, SegmentId)| {
            let spec = segments.get(&id)?;
            let learn = if spec.learning { Permit::LEARN } else { 0 };
            let neighbours = if spec.suppression { Permit::NEIGHBOURS } else { 0 };
            let filters = spec.filters & Policed::FILTER_OUT;
            let flags = learn | neighbours | filters | limited(spec.limits, Policed::SEGMENT);
            let permit = Permit { segment: id.0, flags, reserved: 0 };
            Some((PermitKey { profile, vni: spec.vni }, permit))
        };
        any.chain(permitted).filter_map(entry).collect()
    }

    fn vteps(&self) -> BTreeMap<IpAddr, Vtep> {
        let peers = self.topology.peers.iter();
        let entry = |(id, spec): (&PeerId, &topology::Peer)| {
            let vtep = Vtep::new(id.0, spec.encap, spec.profile);
            (spec.vtep, if policer(spec.limits).is_some() { vtep.policed() } else { vtep })
        };
        peers.map(entry).collect()
    }

    /// A limit that stays the same is not written again, so that what was used up of it stays
    /// used up.
    fn put_policers(&mut self) {
        let wanted = policers(&self.topology);
        put(&mut self.installed.policers, &wanted, &mut self.actions, Action::PutPolicer);
    }

    fn sync_access(&mut self) {
        let mut wanted = BTreeMap::new();
        for (id, spec) in &self.topology.ports {
            let (Some(segment), Some(link)) = (spec.segment, self.links.named(&spec.interface))
            else {
                continue;
            };
            let key = AccessKey { ifindex: link.ifindex, vlan: spec.vlan, reserved: 0 };
            let of_segment =
                self.topology.segments.get(&segment).map(|spec| spec.limits).unwrap_or_default();
            let limits =
                limited(spec.limits, Policed::PORT) | limited(of_segment, Policed::SEGMENT);
            let neighbours = if self.topology.suppresses(segment) { Access::NEIGHBOURS } else { 0 };
            let guarded = if spec.guards.is_empty() { 0 } else { Access::GUARDED };
            let flags = limits | neighbours | guarded | self.filters_of(segment);
            wanted.insert(key, Access { port: id.0, segment: segment.0, flags });
        }
        put(&mut self.installed.access, &wanted, &mut self.actions, Action::PutAccess);
        let gone = gone(&mut self.installed.access, |key| wanted.contains_key(key));
        self.actions.extend(gone.into_iter().map(Action::DelAccess));
    }

    fn filters_of(&self, segment: SegmentId) -> u16 {
        self.topology.segments.get(&segment).map_or(0, |spec| spec.filters)
    }

    /// Removes what the configuration does not have any more.
    fn remove_gone(&mut self) {
        let (vteps, permits) = (self.vteps(), self.permits());
        let topology = &self.topology;
        let installed = &mut self.installed;
        let out = &mut self.actions;
        let vteps = gone(&mut installed.vteps, |key| vteps.contains_key(key));
        out.extend(vteps.into_iter().map(del_vtep));
        let permits = gone(&mut installed.permits, |key| permits.contains_key(key));
        out.extend(permits.into_iter().map(Action::DelPermit));

        let policers = policers(topology);
        let policers = gone(&mut installed.policers, |key| policers.contains_key(key));
        out.extend(policers.into_iter().map(Action::DelPolicer));

        self.fdb.drop_configured(&topology.statics, out);
        let admitted = |key: FdbKey, target, origin: Origin| {
            topology.admits(SegmentId(key.segment), target, origin.is_static())
        };
        self.fdb.retain(admitted, out);
        let listens = |segment| topology.suppresses(SegmentId(segment));
        self.neighbours.drop_others(&topology.neighbours, listens, out);

        let is_bound = |key: &GuardKey| {
            let port = topology.ports.get(&PortId(key.port.into()));
            port.is_some_and(|port| port.guards.contains(key))
        };
        let guards = gone(&mut installed.guards, is_bound);
        out.extend(guards.into_iter().map(Action::DelGuard));
        let routing = &topology.routing;
        let routers = gone(&mut installed.routers, |id| routing.routers.contains_key(id));
        out.extend(routers.into_iter().map(Action::DelRouter));
        let routes = gone(&mut installed.routes, |key| routing.routes.contains_key(key));
        out.extend(routes.into_iter().map(Action::DelRoute));
        let vrfs = gone(&mut installed.vrfs, |id| routing.vrfs.contains_key(id));

        let segments = gone(&mut installed.segments, |id| topology.segments.contains_key(id));
        out.extend(segments.iter().copied().map(Action::DelSegment));
        let ports = gone(&mut installed.ports, |id| topology.ports.contains_key(id));
        let peers = gone(&mut installed.peers, |id| topology.peers.contains_key(id));
        let filters = self.filters.remove_gone(&topology.filters);
        filters.into_iter().for_each(|number| self.retire(Retired::Filter(number)));
        vrfs.into_iter().for_each(|id| self.retire(Retired::Vrf(id)));
        segments.into_iter().for_each(|id| self.retire(Retired::Segment(id)));
        ports.into_iter().for_each(|id| self.retire(Retired::Port(id)));
        peers.into_iter().for_each(|id| self.retire(Retired::Peer(id)));
    }

    /// The moment begins when what was emitted is done, which takes its time, too.
    fn retire(&mut self, retired: Retired) {
        let pending = (self.actions.len() / ACTIONS_A_MILLISECOND) as u64;
        let pending = Duration::from_millis(pending);
        self.retired.push_back((self.now + GRACE + pending, retired));
    }
}

fn policers(topology: &Topology) -> BTreeMap<PolicerKey, Policer> {
    let of_source = |target, limits| (PolicerKey::source(target), limits);
    let ports = topology.ports.iter().map(|(id, spec)| of_source(Target::port(id.0), spec.limits));
    let peers = topology.peers.iter().map(|(id, spec)| of_source(Target::peer(id.0), spec.limits));
    let segments =
        topology.segments.iter().map(|(id, spec)| (PolicerKey::segment(id.0), spec.limits));
    let all = ports.chain(peers).chain(segments);
    all.filter_map(|(key, limits)| Some((key, policer(limits)?))).collect()
}

/// `None` where there is no limit on what may be sent.
fn policer(limits: Limits) -> Option<Policer> {
    let meter = |rate: Option<u64>| rate.map_or(Meter::OPEN, Meter::per_second);
    let policer = Policer {
        packets: meter(limits.packets),
        bytes: meter(limits.bits.map(|bits| bits / 8)),
        floods: meter(limits.floods),
    };
    (policer != Policer::default()).then_some(policer)
}

/// The bit where there is a limit, else 0.
fn limited(limits: Limits, bit: u16) -> u16 {
    if policer(limits).is_some() { bit } else { 0 }
}

fn put_vtep(vtep: IpAddr, entry: Vtep) -> Action {
    match vtep {
        IpAddr::V4(v4) => Action::PutVtep(VtepKey(v4.octets()), entry),
        IpAddr::V6(v6) => Action::PutVtep6(Vtep6Key(v6.octets()), entry),
    }
}

fn del_vtep(vtep: IpAddr) -> Action {
    match vtep {
        IpAddr::V4(v4) => Action::DelVtep(VtepKey(v4.octets())),
        IpAddr::V6(v6) => Action::DelVtep6(Vtep6Key(v6.octets())),
    }
}

/// Puts what is wanted and not yet there.
fn put<K: Ord + Copy, V: Copy + PartialEq>(
    installed: &mut BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
    out: &mut VecDeque<Action>,
    action: impl Fn(K, V) -> Action,
) {
    for (key, value) in wanted {
        if installed.insert(*key, *value) != Some(*value) {
            out.push_back(action(*key, *value));
        }
    }
}

/// Takes the entries out that are not wanted.
fn gone<K: Ord + Copy, V>(installed: &mut BTreeMap<K, V>, wanted: impl Fn(&K) -> bool) -> Vec<K> {
    let gone: Vec<K> = installed.keys().filter(|key| !wanted(key)).copied().collect();
    for key in &gone {
        installed.remove(key);
    }
    gone
}
