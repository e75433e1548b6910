//! The tables as the actions make them, and what must hold at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use overlay_common::abi::{
    Access, AccessKey, Branch, FdbEntry, FdbKey, Filter, FilterKey, FilterNode, FloodKey, GuardKey,
    Neighbour, NeighbourKey, Node, Peer, Permit, PermitKey, Policed, Policer, PolicerKey, Port,
    PuntLimit, PuntReason, Route, RouteKey, Router, Segment, Target, Vtep, Vtep6Key, VtepKey, Way,
};
use overlay_common::id::{PeerId, PortId, SegmentId};
use overlay_control::action::Action;

#[derive(Debug, Default)]
pub struct Mirror {
    pub node: Option<Node>,
    pub access: BTreeMap<AccessKey, Access>,
    pub ports: BTreeMap<PortId, Port>,
    pub segments: BTreeMap<SegmentId, Segment>,
    pub peers: BTreeMap<PeerId, Peer>,
    pub ways: BTreeMap<u32, Way>,
    pub vteps: BTreeMap<IpAddr, Vtep>,
    pub permits: BTreeMap<PermitKey, Permit>,
    pub flood: BTreeMap<FloodKey, Target>,
    pub fdb: BTreeMap<FdbKey, FdbEntry>,
    pub neighbours: BTreeMap<NeighbourKey, Neighbour>,
    pub limits: BTreeMap<PuntReason, PuntLimit>,
    pub policers: BTreeMap<PolicerKey, Policer>,
    pub routers: BTreeMap<SegmentId, Router>,
    pub routes: BTreeMap<RouteKey, Route>,
    pub guards: BTreeSet<GuardKey>,
    pub filters: BTreeMap<FilterKey, Filter>,
    pub filter_nodes: BTreeMap<u32, FilterNode>,
}

impl Mirror {
    pub fn apply(&mut self, action: &Action) {
        match *action {
            Action::PutNode(node) => self.node = Some(node),
            Action::PutAccess(k, v) => drop(self.access.insert(k, v)),
            Action::DelAccess(k) => drop(self.access.remove(&k)),
            Action::PutPort(k, v) => drop(self.ports.insert(k, v)),
            Action::DelPort(k) => drop(self.ports.remove(&k)),
            Action::PutSegment(k, v) => drop(self.segments.insert(k, v)),
            Action::DelSegment(k) => drop(self.segments.remove(&k)),
            Action::PutPeer(k, v) => drop(self.peers.insert(k, v)),
            Action::PutWay(k, v) => drop(self.ways.insert(k, v)),
            Action::DelPeer(k) => drop(self.peers.remove(&k)),
            Action::PutVtep(VtepKey(k), v) => drop(self.vteps.insert(k.into(), v)),
            Action::DelVtep(VtepKey(k)) => drop(self.vteps.remove(&k.into())),
            Action::PutVtep6(Vtep6Key(k), v) => drop(self.vteps.insert(k.into(), v)),
            Action::DelVtep6(Vtep6Key(k)) => drop(self.vteps.remove(&k.into())),
            Action::PutPermit(k, v) => drop(self.permits.insert(k, v)),
            Action::DelPermit(k) => drop(self.permits.remove(&k)),
            Action::PutFlood(k, v) => drop(self.flood.insert(k, v)),
            Action::DelFlood(k) => drop(self.flood.remove(&k)),
            Action::PutFdb(k, v) => drop(self.fdb.insert(k, v)),
            Action::DelFdb(k) => drop(self.fdb.remove(&k)),
            Action::PutPolicer(k, v) => drop(self.policers.insert(k, v)),
            Action::DelPolicer(k) => drop(self.policers.remove(&k)),
            Action::PutNeighbour(k, v) => drop(self.neighbours.insert(k, v)),
            Action::DelNeighbour(k) => drop(self.neighbours.remove(&k)),
            Action::PutRouter(k, v) => drop(self.routers.insert(k, v)),
            Action::DelRouter(k) => drop(self.routers.remove(&k)),
            Action::PutRoute(k, v) => drop(self.routes.insert(k, v)),
            Action::DelRoute(k) => drop(self.routes.remove(&k)),
            Action::PutFilter(k, v) => drop(self.filters.insert(k, v)),
            Action::DelFilter(k) => drop(self.filters.remove(&k)),
            Action::PutFilterNode(k, v) => drop(self.filter_nodes.insert(k, v)),
            Action::CarryRule { .. } | Action::DelRule(_) => {}
            Action::PutGuard(k) => drop(self.guards.insert(k)),
            Action::DelGuard(k) => drop(self.guards.remove(&k)),
            Action::PutPuntLimit(k, v) => drop(self.limits.insert(k, v)),
        }
    }

    /// What must hold after every single action.
    pub fn check(&self) {
        for (id, segment) in &self.segments {
            self.check_flood_list(*id, segment);
        }
        for (key, access) in &self.access {
            let (port, segment) = (PortId(access.port), SegmentId(access.segment));
            assert!(
                self.ports.contains_key(&port),
                "{key:?} leads to {port:?}, which is not there"
            );
            assert!(self.segments.contains_key(&segment), "{key:?} leads to {segment:?}");
            if access.flags & Policed::PORT != 0 {
                self.check_policer(PolicerKey::source(Target::port(access.port)));
            }
            if access.flags & Policed::SEGMENT != 0 {
                self.check_policer(PolicerKey::segment(access.segment));
            }
        }
        for (key, access) in &self.access {
            let is_its = |guard: &GuardKey| u32::from(guard.port) == access.port;
            let is_guarded = access.flags & Access::GUARDED != 0;
            assert!(!is_guarded || self.guards.iter().any(is_its), "{key:?} lets nobody in");
        }
        for (key, access) in &self.access {
            for (bit, direction) in FilterKey::DIRECTIONS {
                let filter = FilterKey { segment: access.segment, direction };
                let has_list = access.flags & bit == 0 || self.filters.contains_key(&filter);
                assert!(has_list, "{key:?} is held against {filter:?}");
            }
        }
        for (key, filter) in &self.filters {
            let mut branches: Vec<Branch> = filter.roots.to_vec();
            while let Some(branch) = branches.pop() {
                if branch.is_leaf() {
                    continue;
                }
                let node = self.filter_nodes.get(&branch.index());
                let node = node.unwrap_or_else(|| panic!("{key:?}: {branch:?}"));
                match branch.is_forest() {
                    true => branches.extend((0..Filter::TREES as u64).map(|at| node.tree(at))),
                    false => branches.extend(node.branches()),
                }
            }
        }
        for (key, route) in &self.routes {
            let segment = SegmentId(route.segment);
            let has_segment = !matches!(route.kind, Route::UNREACHABLE | Route::BLACKHOLE);
            assert!(
                !has_segment || self.segments.contains_key(&segment),
                "{key:?}: no {segment:?}"
            );
            assert!(route.kind != Route::PEER || self.has(route.target), "{key:?}: no peer");
        }
        for id in self.routers.keys() {
            assert!(self.segments.contains_key(id), "the router of {id:?} is in no segment");
        }
        for (key, entry) in self.fdb.iter().filter(|(_, entry)| entry.target.is_router()) {
            let router = self.routers.get(&SegmentId(key.segment));
            assert!(router.is_some_and(|router| router.vrf != 0), "{key:?}: no router: {entry:?}");
        }
        for (key, entry) in &self.fdb {
            assert!(self.has(entry.target), "{key:?} leads to {:?}, not there", entry.target);
            let segment = SegmentId(key.segment);
            assert!(self.segments.contains_key(&segment), "{key:?} is in no segment");
        }
        for (id, peer) in self.peers.iter().filter(|(_, peer)| peer.is_multipath()) {
            let first = peer.egress.ifindex;
            for index in first..first + Way::BUCKETS {
                let way = self.ways.get(&index).copied().unwrap_or_default();
                assert!(way.egress.ifindex != 0, "{id:?} has no way {index}");
            }
        }
        for key in self.neighbours.keys() {
            assert!(self.segments.contains_key(&SegmentId(key.segment)), "{key:?}: no segment");
        }
        for (key, vtep) in &self.vteps {
            assert!(self.has(Target::peer(vtep.peer())), "{key:?} leads to peer {}", vtep.peer());
            if vtep.is_policed() {
                self.check_policer(PolicerKey::source(Target::peer(vtep.peer())));
            }
        }
        for (key, permit) in &self.permits {
            let segment = SegmentId(permit.segment);
            assert!(self.segments.contains_key(&segment), "{key:?} leads to {segment:?}");
            if permit.flags & Policed::SEGMENT != 0 {
                self.check_policer(PolicerKey::segment(permit.segment));
            }
        }
    }

    /// A peer's entry in words, its ways included, wherever they are in their table.
    pub fn ways_of(&self, peer: &Peer) -> String {
        if !peer.is_multipath() {
            return format!("{peer:?}");
        }
        let first = peer.egress.ifindex;
        let mut ways: Vec<String> =
            (first..first + Way::BUCKETS).map(|index| format!("{:?}", self.ways[&index])).collect();
        ways.sort();
        let mut peer = *peer;
        peer.egress.ifindex = 0;
        format!("{peer:?} {ways:?}")
    }

    /// Without its entry a limit would not hold.
    fn check_policer(&self, key: PolicerKey) {
        assert!(self.policers.contains_key(&key), "there is no {key:?}");
    }

    /// What must hold when all actions are carried out and the retired is gone.
    pub fn check_settled(&self) {
        let current = self.segments.iter().flat_map(|(id, segment)| {
            let list = segment.flood;
            (0..list.ports() + list.peers() + list.rest()).map(move |slot| FloodKey {
                segment: id.0,
                generation: list.generation(),
                slot,
            })
        });
        let current: BTreeSet<FloodKey> = current.collect();
        let all: BTreeSet<FloodKey> = self.flood.keys().copied().collect();
        assert_eq!(all, current, "flood slots of no list in force");

        let used: BTreeSet<u32> = self.vteps.values().map(|vtep| vtep.profile).collect();
        for key in self.permits.keys().filter(|key| key.profile != PermitKey::ANY) {
            assert!(used.contains(&key.profile), "{key:?} is nobody's");
        }
        let peers: BTreeSet<u32> = self.vteps.values().map(|vtep| vtep.peer()).collect();
        assert!(self.peers.keys().all(|id| peers.contains(&id.0)), "a peer without VTEP");
        for (key, neighbour) in self.neighbours.iter().filter(|(_, n)| !n.is_static()) {
            let station = FdbKey::new(neighbour.mac(), key.segment);
            assert!(self.fdb.contains_key(&station), "{key:?} of a station that is gone");
        }
        for (key, entry) in &self.fdb {
            if !entry.target.is_peer() && !entry.target.is_router() {
                let port = self.ports[&PortId(entry.target.index())];
                assert_eq!(port.segment, key.segment, "{key:?} leads into another segment");
            }
        }
    }

    pub fn has(&self, target: Target) -> bool {
        if target.is_peer() {
            self.peers.contains_key(&PeerId(target.index()))
        } else if target.is_router() {
            true
        } else {
            self.ports.contains_key(&PortId(target.index()))
        }
    }

    /// The targets of a segment's flood list, ports and peers, wherever they are sent from.
    pub fn flood_list(&self, id: SegmentId) -> (Vec<u32>, Vec<u32>) {
        let list = self.segments[&id].flood;
        let key = |slot| FloodKey { segment: id.0, generation: list.generation(), slot };
        let targets = |range: std::ops::Range<u32>| {
            range.map(|slot| self.flood[&key(slot)].index()).collect()
        };
        let all = list.ports() + list.peers() + list.rest();
        (targets(0..list.ports()), targets(list.ports()..all))
    }

    fn check_flood_list(&self, id: SegmentId, segment: &Segment) {
        let list = segment.flood;
        let mut seen = BTreeSet::new();
        for slot in 0..list.ports() + list.peers() + list.rest() {
            let key = FloodKey { segment: id.0, generation: list.generation(), slot };
            let target = self.flood.get(&key);
            let target = *target.unwrap_or_else(|| panic!("{key:?} of {list:?} is missing"));
            assert_eq!(target.is_peer(), slot >= list.ports(), "{key:?}: ports first");
            assert!(self.has(target), "{key:?} leads to {target:?}, which is not there");
            assert!(seen.insert(target), "{target:?} is twice in {list:?}");
        }
    }
}
