//! The tables, watched: every look-up is written down, and nothing is changed.
//!
//! What the path would write is done on paper: limits are charged in copies of them, nothing is
//! counted, stamped or handed over.

use std::cell::RefCell;
use std::collections::BTreeMap;

use overlay_common::abi::{
    Access, AccessKey, Charge, Direction, FdbEntry, FdbKey, FilterKey, FloodKey, FlowKey, GuardKey,
    Neighbour, NeighbourKey, Node, Peer, Permit, PermitKey, Policer, PolicerKey, Port, Punt,
    PuntReason, Route, RouteKey, Router, Segment, Target, Vtep, Vtep6Key, VtepKey, Way,
};
use overlay_common::packet::Packet;
use overlay_common::tables::{Fields, Tables, Turns};
use overlay_common::verdict::DropReason;
use overlay_common::wire::Family;

use super::Live;
use super::event::Event;
use crate::tables::bytes_of;

/// The most receivers of a flooded frame that are followed, of ports, and of peers: the copies are
/// kept.
pub const MOST_COPIES: u32 = 256;

/// Tables that write down what they are asked.
pub struct Watched<'a> {
    live: &'a Live<'a>,
    /// Limits that this frame was held against, as it leaves them.
    charged: RefCell<BTreeMap<PolicerKey, Policer>>,
    events: RefCell<Vec<Event>>,
}

impl<'a> Watched<'a> {
    /// Of these tables.
    pub fn new(live: &'a Live<'a>) -> Self {
        Self { live, charged: RefCell::default(), events: RefCell::default() }
    }

    /// Takes what was asked since the last call.
    pub fn take(&self) -> Vec<Event> {
        self.events.take()
    }

    fn note(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }
}

impl Tables for Watched<'_> {
    fn node(&self) -> Option<&Node> {
        self.live.tables.node()
    }

    fn access(&self, key: &AccessKey) -> Option<Access> {
        let found = self.live.tables.access(key);
        self.note(Event::Access(*key, found));
        found
    }

    fn port(&self, index: u32) -> Option<&Port> {
        let found = self.live.tables.port(index);
        self.note(Event::Port(index, found.copied().unwrap_or_default()));
        found
    }

    fn segment(&self, index: u16) -> Option<&Segment> {
        let found = self.live.tables.segment(index);
        self.note(Event::Segment(index, found.copied().unwrap_or_default()));
        found
    }

    fn peer(&self, index: u32) -> Option<&Peer> {
        let found = self.live.tables.peer(index);
        self.note(Event::Peer(index, found.copied().unwrap_or_default()));
        found
    }

    fn way(&self, index: u32) -> Option<&Way> {
        let found = self.live.tables.way(index);
        self.note(Event::Way(found.copied().unwrap_or_default()));
        found
    }

    fn vtep(&self, key: &VtepKey) -> Option<Vtep> {
        let found = self.live.tables.vtep(key);
        self.note(Event::Vtep(key.0.into(), found));
        found
    }

    fn vtep6(&self, key: &Vtep6Key) -> Option<Vtep> {
        let found = self.live.tables.vtep6(key);
        self.note(Event::Vtep(key.0.into(), found));
        found
    }

    fn permit(&self, key: &PermitKey) -> Option<Permit> {
        let found = self.live.tables.permit(key);
        self.note(Event::Permit(*key, found));
        found
    }

    fn fdb(&self, key: &FdbKey) -> Option<FdbEntry> {
        let found = self.live.tables.fdb(key);
        self.note(Event::Fdb(*key, found));
        found
    }

    fn refresh(&self, _key: &FdbKey, _epoch: u32) {}

    fn neighbour(&self, key: &NeighbourKey) -> Option<Neighbour> {
        let found = self.live.tables.neighbour(key);
        self.note(Event::Neighbour(*key, found));
        found
    }

    fn filter(
        &self,
        segment: u16,
        lists: u16,
        family: Family,
        _charge: Charge,
        fields: impl Fields,
    ) -> Result<(), DropReason> {
        let mut flow = FlowKey::default();
        fields.write(&mut flow).ok_or(DropReason::AclDenied)?;
        for (_, direction) in FilterKey::DIRECTIONS.iter().filter(|(bit, _)| lists & bit != 0) {
            let direction = *direction;
            let rule = self.live.tables.rule_for(segment, direction, family, &flow);
            self.note(Event::Filter { segment, direction, rule });
            if rule.is_none_or(|rule| rule.denies()) {
                return Err(DropReason::AclDenied);
            }
        }
        Ok(())
    }

    fn is_bound(&self, key: &GuardKey) -> bool {
        let is_bound = self.live.tables.is_bound(key);
        self.note(Event::Guard(*key, is_bound));
        is_bound
    }

    fn router(&self, segment: u16) -> Option<&Router> {
        let found = self.live.tables.router(segment);
        self.note(Event::Router(segment, found.copied().unwrap_or_default()));
        found
    }

    fn route(&self, key: &RouteKey) -> Option<Route> {
        let found = self.live.tables.route_to(key);
        self.note(Event::Route(*key, found));
        found.map(|(_, route)| route)
    }

    fn flood(&self, key: &FloodKey) -> Option<Target> {
        let found = self.live.tables.flood(key);
        self.note(Event::Flood(*key, found));
        found
    }

    fn police(&self, key: &PolicerKey, charge: Charge) -> Result<(), DropReason> {
        let mut charged = self.charged.borrow_mut();
        let level = charged.get(key).copied().or_else(|| self.live.policer(key));
        let Some(before) = level else {
            self.note(Event::Police(*key, None, Ok(())));
            return Ok(());
        };
        let mut after = before;
        let result = after.take(charge, self.live.now);
        charged.insert(*key, after);
        self.note(Event::Police(*key, Some(before), result));
        result
    }

    fn repeat<R: Turns>(&self, count: u32, turns: &mut R) {
        if count > MOST_COPIES {
            self.note(Event::Cut(count));
        }
        self.live.tables.repeat(count.min(MOST_COPIES), turns);
    }

    fn count_port(&self, index: u32, direction: Direction, _packets: u32, _bytes: u32) {
        self.note(Event::Counted(Target::port(index), direction));
    }

    fn count_peer(&self, index: u32, direction: Direction, _packets: u32, _bytes: u32) {
        self.note(Event::Counted(Target::peer(index), direction));
    }

    fn count_drop(&self, _ifindex: u32, reason: DropReason, _packets: u32) {
        self.note(Event::CopyDropped(reason));
    }

    fn may_tell(&self, port: u32) -> bool {
        let may = self.live.tables.may_tell(port);
        self.note(Event::MayTell(may));
        may
    }

    /// As the mirror: a limit is either open or shut.
    fn punt<P: Packet>(&self, packet: &mut P, mut punt: Punt) -> Result<(), DropReason> {
        let reason = PuntReason::from_u8(punt.reason).ok_or(DropReason::TableInconsistent)?;
        let limit = self.live.tables.punt_limit(reason);
        if limit.per_second == 0 || limit.burst == 0 {
            return Err(DropReason::PuntLimited);
        }
        let frame = bytes_of(packet, punt.captured);
        punt.captured = frame.len() as u32;
        self.note(Event::Punt(punt, frame));
        Ok(())
    }
}
