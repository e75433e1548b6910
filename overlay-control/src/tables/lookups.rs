//! What the packet path asks of the tables.

use std::sync::atomic::Ordering::Relaxed;

use overlay_common::abi::{
    Access, AccessKey, Branch, Charge, Comparisons, Direction, DropKey, FdbEntry, FdbKey, Filter,
    FilterKey, FilterNode, FloodKey, FlowKey, GuardKey, MAX_PEERS, MAX_PORTS, MAX_WAYS, Neighbour,
    NeighbourKey, Node, Peer, Permit, PermitKey, Policer, PolicerKey, Port, Punt, PuntReason,
    Route, RouteKey, Router, RuleCount, Segment, Target, Vtep, Vtep6Key, VtepKey, Way, walk,
};
use overlay_common::packet::Packet;
use overlay_common::tables::{Fields, Tables, Turns};
use overlay_common::verdict::DropReason;
use overlay_common::wire::{Family, Mac};

use super::{PUNT_QUEUE, Place, Punted, REFRESHED, TableSet, bytes_of, count, lock};

static NO_PORT: Port = Port {
    egress: overlay_common::abi::Egress { ifindex: 0, flags: 0 },
    max_frame: 0,
    vlan: 0,
    segment: 0,
};
static NO_WAY: Way =
    Way { egress: NO_PORT.egress, next_hop: Mac([0; 6]), uplink: Mac([0; 6]), reserved: 0 };
static NO_PEER: std::sync::LazyLock<Peer> = std::sync::LazyLock::new(Peer::default);
static NO_SEGMENT: std::sync::LazyLock<Segment> = std::sync::LazyLock::new(Segment::default);

static NO_ROUTER: Router =
    Router { v6: [0; 2], v4: [0; 4], vrf: 0, mac: Mac([0; 6]), own: Mac([0; 6]), reserved: [0; 3] };

impl Tables for TableSet {
    fn node(&self) -> Option<&Node> {
        Some(&self.node)
    }

    fn access(&self, key: &AccessKey) -> Option<Access> {
        self.access.get(key).copied()
    }

    fn port(&self, index: u32) -> Option<&Port> {
        (index < MAX_PORTS).then(|| self.ports.get(&index).unwrap_or(&NO_PORT))
    }

    fn segment(&self, index: u16) -> Option<&Segment> {
        Some(self.segments.get(&index).unwrap_or(&NO_SEGMENT))
    }

    fn peer(&self, index: u32) -> Option<&Peer> {
        (index < MAX_PEERS).then(|| self.peers.get(&index).unwrap_or(&NO_PEER))
    }

    fn way(&self, index: u32) -> Option<&Way> {
        (index < MAX_WAYS).then(|| self.ways.get(&index).unwrap_or(&NO_WAY))
    }

    fn vtep(&self, key: &VtepKey) -> Option<Vtep> {
        self.vteps.get(key).copied()
    }

    fn vtep6(&self, key: &Vtep6Key) -> Option<Vtep> {
        self.vteps6.get(key).copied()
    }

    fn permit(&self, key: &PermitKey) -> Option<Permit> {
        self.permits.get(key).copied()
    }

    fn fdb(&self, key: &FdbKey) -> Option<FdbEntry> {
        self.fdb.get(key).map(Place::entry)
    }

    fn refresh(&self, key: &FdbKey, epoch: u32) {
        let Some(place) = self.fdb.get(key) else { return };
        let mut refreshed = lock(&self.refreshed);
        // One that finds no room is refreshed by the station's next frame.
        if refreshed.len() < REFRESHED {
            refreshed.push((*key, epoch));
            place.seen.store(epoch, Relaxed);
        }
    }

    fn neighbour(&self, key: &NeighbourKey) -> Option<Neighbour> {
        self.neighbours.get(key).copied()
    }

    fn filter(
        &self,
        segment: u16,
        lists: u16,
        family: Family,
        charge: Charge,
        fields: impl Fields,
    ) -> Result<(), DropReason> {
        let mut flow = FlowKey::default();
        fields.write(&mut flow).ok_or(DropReason::AclDenied)?;
        let directions = FilterKey::DIRECTIONS.into_iter().filter(|(bit, _)| lists & bit != 0);
        for (_, direction) in directions {
            let filter = self.filters.get(&FilterKey { segment, direction });
            let root = filter.and_then(|filter| Filter::root(filter.to_word(), family));
            self.walk(root.ok_or(DropReason::AclDenied)?, &flow, charge)?;
        }
        Ok(())
    }

    fn is_bound(&self, key: &GuardKey) -> bool {
        self.guards.contains(key)
    }

    fn router(&self, segment: u16) -> Option<&Router> {
        Some(self.routers.get(&segment).unwrap_or(&NO_ROUTER))
    }

    fn route(&self, key: &RouteKey) -> Option<Route> {
        self.routes.find(key)
    }

    fn flood(&self, key: &FloodKey) -> Option<Target> {
        self.flood.get(key).copied()
    }

    fn police(&self, key: &PolicerKey, charge: Charge) -> Result<(), DropReason> {
        self.police_at(key, charge, self.time.load(Relaxed))
    }

    fn repeat<R: Turns>(&self, count: u32, turns: &mut R) {
        (0..count).for_each(|index| turns.turn(index));
    }

    fn count_port(&self, index: u32, direction: Direction, packets: u32, bytes: u32) {
        if index < MAX_PORTS {
            let mut counted = lock(&self.counted);
            counted.times += 1;
            count(&mut counted.ports, index, direction, packets, bytes);
        }
    }

    fn count_peer(&self, index: u32, direction: Direction, packets: u32, bytes: u32) {
        if index < MAX_PEERS {
            let mut counted = lock(&self.counted);
            counted.times += 1;
            count(&mut counted.peers, index, direction, packets, bytes);
        }
    }

    fn count_drop(&self, ifindex: u32, reason: DropReason, packets: u32) {
        let key = DropKey::new(ifindex, reason, self.hook);
        *lock(&self.counted).drops.entry(key).or_default() += u64::from(packets);
    }

    fn may_tell(&self, port: u32) -> bool {
        let limit = self.node.ptb_limit;
        port < MAX_PORTS && limit.per_second != 0 && limit.burst != 0
    }

    /// There is no clock here, so a limit is either open or, at rate or burst 0
    /// as in a table that nobody filled, shut.
    fn punt<P: Packet>(&self, packet: &mut P, mut punt: Punt) -> Result<(), DropReason> {
        let reason = PuntReason::from_u8(punt.reason).ok_or(DropReason::TableInconsistent)?;
        let limit = self.punt_limit(reason);
        if limit.per_second == 0 || limit.burst == 0 {
            return Err(DropReason::PuntLimited);
        }
        let frame = bytes_of(packet, punt.captured);
        punt.captured = frame.len() as u32;
        let mut punts = lock(&self.punts);
        if punts.len() >= PUNT_QUEUE {
            return Err(DropReason::PuntQueueFull);
        }
        punts.push(Punted { punt, frame });
        Ok(())
    }
}

/// Look-ups that leave no trace, for who asks what would become of a packet.
impl TableSet {
    /// The rule that a list has for a packet; `None` where there is no such list.
    pub fn rule_for(
        &self,
        segment: u16,
        direction: u16,
        family: Family,
        flow: &FlowKey,
    ) -> Option<Branch> {
        let filter = self.filters.get(&FilterKey { segment, direction })?;
        walk(Filter::root(filter.to_word(), family)?, flow, self)
    }

    /// Limits, and how far they are used up here.
    pub fn policer(&self, key: &PolicerKey) -> Option<Policer> {
        self.policers.get(key).map(|policer| *lock(policer))
    }

    /// The route with the longest prefix, and that.
    pub fn route_to(&self, key: &RouteKey) -> Option<(RouteKey, Route)> {
        self.routes.find_prefix(key)
    }
}

impl TableSet {
    /// Walks a packet through a list, and has the rule count it.
    fn walk(&self, root: Branch, flow: &FlowKey, charge: Charge) -> Result<(), DropReason> {
        let rule = walk(root, flow, self).ok_or(DropReason::AclDenied)?;
        let mut rules = lock(&self.rules);
        let (packets, bytes) = (charge.packets.into(), charge.bytes.into());
        rules.entry(rule.rule()).or_default().add(RuleCount { packets, bytes });
        if rule.denies() { Err(DropReason::AclDenied) } else { Ok(()) }
    }
}

impl Comparisons for TableSet {
    fn at(&self, place: u32) -> Option<&FilterNode> {
        self.filter_nodes.get(place as usize / size_of::<FilterNode>())
    }
}
