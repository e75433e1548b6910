//! The host's run of a frame: as XDP would, as tc would, and as user space does.

use std::collections::BTreeMap;

use overlay_common::abi::{Counters, Egress, FdbEntry, FdbKey, Hook, Punt, PuntReason};
use overlay_common::packet::Packet;
use overlay_common::path::{Ingress, from_access, from_underlay, one_armed};
use overlay_common::tables::Tables as _;
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::Tag;
use overlay_control::action::Action;
use overlay_control::frame::{Frame, HostFrame};
use overlay_control::sample;
use overlay_control::tables::{PUNT_QUEUE, TableSet};

use crate::home::{Home, INDEXES};
use crate::vector::{Direction, Given, Outcome, Vector};

/// What `BPF_PROG_TEST_RUN` has in an XDP frame's first buffer: a page without the room in
/// front and behind (`struct skb_shared_info`).
pub const FIRST_BUFFER: usize = 4096 - 256 - 320;

/// What left through each device, oldest first.
pub type Copies = BTreeMap<u32, Vec<Vec<u8>>>;

/// What became of a frame, and what its run left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What became of it.
    pub outcome: Outcome,
    /// Everything else.
    pub left: Left,
}

/// What runs leave behind beside the frames themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Drops, by reason and interface.
    pub drops: BTreeMap<(u8, u32), u64>,
    /// What the ports of [`INDEXES`] counted.
    pub ports: Vec<Counters>,
    /// What the peers of [`INDEXES`] counted.
    pub peers: Vec<Counters>,
    /// The FDB.
    pub fdb: BTreeMap<FdbKey, (u32, u32, u32)>,
    /// The copies.
    pub copies: Copies,
    /// The punts, in their order.
    pub punts: Vec<PuntSeen>,
}

/// A punt, in a form that compares: the record's fields that both sides fill, and
/// the frame.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PuntSeen {
    /// [`PuntReason`] as a number.
    pub reason: u8,
    /// [`Hook`] as a number.
    pub hook: u8,
    /// Index of the segment.
    pub segment: u16,
    /// The port or peer, with a bit for which of the two.
    pub source: u32,
    /// The source address.
    pub mac: [u8; 6],
    /// The address that a neighbour has.
    pub address: [u8; 16],
    /// Whether it is a router.
    pub router: bool,
    /// What the sender of a router's packet is to be told.
    pub told: u16,
    /// The frame.
    pub frame: Vec<u8>,
}

impl PuntSeen {
    /// Of a record and the frame behind it.
    pub fn new(punt: &Punt, frame: &[u8]) -> Self {
        let source = punt.source.index() | u32::from(punt.source.is_peer()) << 31;
        let (reason, hook, segment, mac) = (punt.reason, punt.hook, punt.segment, punt.mac);
        // Of another punt, this is something else.
        let router = reason == PuntReason::Neighbour as u8 && punt.is_router();
        Self {
            reason,
            hook,
            segment,
            source,
            mac,
            address: punt.address,
            router,
            told: if reason == PuntReason::Router as u8 { punt.generation } else { 0 },
            frame: frame.to_vec(),
        }
    }
}

/// An entry without what does not compare.
pub fn place(entry: FdbEntry) -> (u32, u32, u32) {
    (entry.target.index() | u32::from(entry.target.is_peer()) << 31, entry.flags, entry.seen)
}

/// Runs a vector as a hook would.
pub fn run(vector: &Vector, hook: Hook, home: &Home) -> Observed {
    let mut actions = sample::actions(&home.devices);
    actions.extend(&vector.given.tables);
    let mut host = Host::new(hook, home.devices.ingress);
    host.apply(&actions);
    let ahead = if vector.given.nobody_reads { host.fill_queue() } else { 0 };
    let outcome = host.run(vector);
    let mut left = host.left();
    left.punts.drain(..ahead);
    Observed { outcome, left }
}

/// The packet path on the host, in place of a hook.
pub struct Host {
    hook: Hook,
    ingress: u32,
    tables: TableSet,
    before: Left,
    copies: Copies,
    /// What left by the last run: the device, and the bytes as on a wire.
    sent: Vec<(u32, Vec<u8>)>,
}

impl Host {
    /// With empty tables.
    pub fn new(hook: Hook, ingress: u32) -> Self {
        let (tables, before) = (TableSet::new(hook), Left::default());
        Self { hook, ingress, tables, before, copies: Copies::new(), sent: Vec::new() }
    }

    /// Changes the tables.
    pub fn apply(&mut self, actions: &[Action]) {
        actions.iter().for_each(|action| self.tables.apply(action));
    }

    /// Leaves no room for punts, and returns how many now wait.
    fn fill_queue(&mut self) -> usize {
        let punt = Punt { reason: PuntReason::Learn as u8, ..Punt::default() };
        let mut nothing = Frame::new(&[]);
        while self.tables.punt(&mut nothing, punt).is_ok() {}
        PUNT_QUEUE
    }

    /// Runs a frame.
    pub fn run(&mut self, vector: &Vector) -> Outcome {
        match self.hook {
            Hook::Xdp => self.run_as::<false>(vector.direction, &vector.frame, &vector.given),
            _ => self.run_as::<true>(vector.direction, &vector.frame, &vector.given),
        }
    }

    fn run_as<const COPIES: bool>(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        given: &Given,
    ) -> Outcome {
        let mut frame = HostFrame::<COPIES>::new(bytes);
        frame.vlan_offload = self.hook == Hook::Tc || given.stripped_vlan.is_some();
        frame.as_kernel = self.hook != Hook::User;
        frame.several_buffers = !COPIES && bytes.len() > FIRST_BUFFER;
        frame.gso_size = given.gso_size;
        frame.stripped_vlan = given.stripped_vlan;
        let ingress = Ingress { ifindex: self.ingress, hook: self.hook };
        let result = match direction {
            Direction::FromAccess => from_access::run(&mut frame, &self.tables, ingress),
            Direction::FromUnderlay => from_underlay::run(&mut frame, &self.tables, ingress),
            Direction::OneArmed => one_armed::run(&mut frame, &self.tables, ingress),
        };
        if let Err(reason) = result {
            self.tables.record_drop(ingress.ifindex, reason);
        }
        self.sent.clear();
        for copy in &frame.copies {
            let bytes = on_wire::<COPIES>(&copy.bytes, copy.vlan);
            self.sent.push((copy.egress.ifindex, bytes.clone()));
            self.copies.entry(copy.egress.ifindex).or_default().push(bytes);
        }
        if let Some(egress) = way_out(result) {
            let bytes = on_wire::<COPIES>(frame.bytes(), frame.stripped_vlan);
            self.sent.push((egress.ifindex, bytes));
        }
        outcome(result, &frame, ingress)
    }

    /// What left by the last run: the device, and the bytes as on a wire.
    pub fn sent(&self) -> &[(u32, Vec<u8>)] {
        &self.sent
    }

    /// What the runs since the last call left behind.
    pub fn left(&mut self) -> Left {
        let tables = &self.tables;
        let drops = tables.drops().into_iter();
        let now = Left {
            drops: drops.map(|(key, n)| ((key.reason, key.ifindex), n)).collect(),
            ports: INDEXES.map(|index| tables.port_counters(index)).collect(),
            peers: INDEXES.map(|index| tables.peer_counters(index)).collect(),
            ..Left::default()
        };
        let mut left = now.since(&self.before);
        self.before = now;
        // Nobody asks for those: they are in the entries. Without room for more, none is stamped.
        tables.take_refreshed();
        left.fdb = tables.fdb_entries().map(|(key, entry)| (key, place(entry))).collect();
        left.copies = std::mem::take(&mut self.copies);
        let punts = tables.take_punts();
        left.punts = punts.iter().map(|p| PuntSeen::new(&p.punt, &p.frame)).collect();
        left
    }
}

impl Left {
    /// Counters less what they were.
    pub fn since(&self, before: &Self) -> Self {
        let news = |(key, count): (&(u8, u32), &u64)| {
            let news = count - before.drops.get(key).copied().unwrap_or(0);
            (news != 0).then_some((*key, news))
        };
        Self {
            drops: self.drops.iter().filter_map(news).collect(),
            ports: difference(&self.ports, &before.ports),
            peers: difference(&self.peers, &before.peers),
            ..Self::default()
        }
    }
}

fn difference(now: &[Counters], before: &[Counters]) -> Vec<Counters> {
    let before = before.iter().copied().chain(std::iter::repeat(Counters::default()));
    now.iter().zip(before).map(|(now, before)| now.since(before)).collect()
}

fn on_wire<const COPIES: bool>(bytes: &[u8], vlan: Option<Tag>) -> Vec<u8> {
    let mut sent = HostFrame::<COPIES>::new(bytes);
    sent.stripped_vlan = vlan;
    sent.to_wire()
}

fn way_out(result: Result<Verdict, DropReason>) -> Option<Egress> {
    match result {
        Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) => Some(egress),
        _ => None,
    }
}

fn outcome<const COPIES: bool>(
    result: Result<Verdict, DropReason>,
    frame: &HostFrame<COPIES>,
    ingress: Ingress,
) -> Outcome {
    assert!(frame.len() as usize == frame.bytes().len());
    match result {
        Ok(Verdict::Pass | Verdict::Defer) => Outcome::Untouched,
        Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) => {
            let bytes = frame.bytes().to_vec();
            let is_same = egress.ifindex == ingress.ifindex;
            let is_back = !COPIES && is_same && egress.flags & Egress::TX != 0;
            if is_back { Outcome::SentBack(bytes) } else { Outcome::Sent(bytes) }
        }
        Ok(Verdict::Consumed) | Err(_) => Outcome::Ended,
        Ok(Verdict::Route | Verdict::Flood) => unreachable!("the host does all by itself"),
    }
}
