//! The tables as a thread sees them: those that all threads share, and counts and rates of
//! its own.

use std::cell::RefCell;

use bytes::Bytes;
use overlay_common::abi::{
    Access, AccessKey, Charge, Direction, FdbEntry, FdbKey, FloodKey, GuardKey, MAX_PORTS,
    Neighbour, NeighbourKey, Node, Peer, Permit, PermitKey, PolicerKey, Port, Punt, PuntBucket,
    PuntLimit, PuntReason, Route, RouteKey, Router, Segment, Target, Vtep, Vtep6Key, VtepKey, Way,
};
use overlay_common::packet::Packet;
use overlay_common::tables::{Fields, Tables, Turns};
use overlay_common::verdict::DropReason;
use overlay_common::wire::Family;
use overlay_control::tables::{TableSet, bytes_of};

use super::tally::Tally;
use crate::dataplane::punts::Punted;
use crate::forwarder::Queues;

/// The token buckets of one thread, as each CPU has its own in the kernel.
pub struct Buckets {
    punts: RefCell<Box<[PuntBucket]>>,
    /// Of each port, for answers to what is too big.
    told: RefCell<Box<[PuntBucket]>>,
}

impl Default for Buckets {
    fn default() -> Self {
        let full = |count: u32| vec![PuntBucket::default(); count as usize].into_boxed_slice();
        Self { punts: full(PuntBucket::COUNT).into(), told: full(MAX_PORTS).into() }
    }
}

impl Buckets {
    fn take(&self, reason: PuntReason, source: Target, limit: PuntLimit, now: u64) -> bool {
        let position = PuntBucket::position(reason, source) as usize;
        let mut punts = self.punts.borrow_mut();
        punts.get_mut(position).is_some_and(|bucket| bucket.take(limit, now))
    }

    fn tell(&self, port: u32, limit: PuntLimit, now: u64) -> bool {
        let mut told = self.told.borrow_mut();
        told.get_mut(port as usize).is_some_and(|bucket| bucket.take(limit, now))
    }
}

/// What a thread sees, for as long as it keeps others from changing it.
pub struct PortTables<'a> {
    /// The tables.
    pub set: &'a TableSet,
    /// The thread's counts.
    pub tally: &'a Tally,
    /// Where punts go.
    pub queues: &'a Queues,
    /// How many may.
    pub buckets: &'a Buckets,
    /// The time, in ns of the monotonic clock.
    pub now: u64,
}

impl Tables for PortTables<'_> {
    #[inline(always)]
    fn node(&self) -> Option<&Node> {
        self.set.node()
    }

    #[inline(always)]
    fn access(&self, key: &AccessKey) -> Option<Access> {
        self.set.access(key)
    }

    #[inline(always)]
    fn port(&self, index: u32) -> Option<&Port> {
        self.set.port(index)
    }

    #[inline(always)]
    fn segment(&self, index: u16) -> Option<&Segment> {
        self.set.segment(index)
    }

    #[inline(always)]
    fn peer(&self, index: u32) -> Option<&Peer> {
        self.set.peer(index)
    }

    #[inline(always)]
    fn way(&self, index: u32) -> Option<&Way> {
        self.set.way(index)
    }

    #[inline(always)]
    fn vtep(&self, key: &VtepKey) -> Option<Vtep> {
        self.set.vtep(key)
    }

    #[inline(always)]
    fn vtep6(&self, key: &Vtep6Key) -> Option<Vtep> {
        self.set.vtep6(key)
    }

    #[inline(always)]
    fn permit(&self, key: &PermitKey) -> Option<Permit> {
        self.set.permit(key)
    }

    #[inline(always)]
    fn fdb(&self, key: &FdbKey) -> Option<FdbEntry> {
        self.set.fdb(key)
    }

    fn refresh(&self, key: &FdbKey, epoch: u32) {
        self.set.refresh(key, epoch);
    }

    fn neighbour(&self, key: &NeighbourKey) -> Option<Neighbour> {
        self.set.neighbour(key)
    }

    fn filter(
        &self,
        segment: u16,
        lists: u16,
        family: Family,
        charge: Charge,
        fields: impl Fields,
    ) -> Result<(), DropReason> {
        self.set.filter(segment, lists, family, charge, fields)
    }

    fn is_bound(&self, key: &GuardKey) -> bool {
        self.set.is_bound(key)
    }

    fn router(&self, segment: u16) -> Option<&Router> {
        self.set.router(segment)
    }

    fn route(&self, key: &RouteKey) -> Option<Route> {
        self.set.route(key)
    }

    fn flood(&self, key: &FloodKey) -> Option<Target> {
        self.set.flood(key)
    }

    #[inline(always)]
    fn police(&self, key: &PolicerKey, charge: Charge) -> Result<(), DropReason> {
        self.set.police_at(key, charge, self.now)
    }

    fn repeat<R: Turns>(&self, count: u32, turns: &mut R) {
        self.set.repeat(count, turns);
    }

    #[inline(always)]
    fn count_port(&self, index: u32, direction: Direction, packets: u32, bytes: u32) {
        self.tally.ports().add(index, direction, packets, bytes);
    }

    #[inline(always)]
    fn count_peer(&self, index: u32, direction: Direction, packets: u32, bytes: u32) {
        self.tally.peers().add(index, direction, packets, bytes);
    }

    /// A thread has one device, so the reason is enough.
    fn count_drop(&self, _ifindex: u32, reason: DropReason, packets: u32) {
        self.tally.count_drop(reason, packets);
    }

    fn may_tell(&self, port: u32) -> bool {
        self.set.node().is_some_and(|node| self.buckets.tell(port, node.ptb_limit, self.now))
    }

    fn punt<P: Packet>(&self, packet: &mut P, mut punt: Punt) -> Result<(), DropReason> {
        let reason = PuntReason::from_u8(punt.reason).ok_or(DropReason::TableInconsistent)?;
        let limit = self.set.punt_limit(reason);
        if !self.buckets.take(reason, punt.source, limit, self.now) {
            return Err(DropReason::PuntLimited);
        }
        let frame = bytes_of(packet, punt.captured);
        punt.captured = frame.len() as u32;
        // A queue that is full counts it itself.
        self.queues.put(Punted::Frame(punt, Bytes::from(frame)));
        Ok(())
    }
}
