//! The run of a frame on a port that user space carries (`mode = "user"`): its gate, buffers
//! and tables, as its threads have them, between a packet socket's frame and what would be sent.

use overlay_common::abi::Hook;
use overlay_common::verdict::Verdict;
use overlay_common::wire::Tag;
use overlay_control::action::Action;
use overlay_control::controller::Role;
use overlay_control::sample;
use overlay_control::tables::TableSet;
use overlay_user::forwarder::{Learnt, Queues, Work};
use overlay_user::user_ports::buffer::{Buffer, HEADROOM};
use overlay_user::user_ports::gateway::Gate;
use overlay_user::user_ports::offload::Offload;
use overlay_user::user_ports::outbox::Outbox;
use overlay_user::user_ports::tables::{Buckets, PortTables};
use overlay_user::user_ports::tally::Tally;

use crate::home::{Home, INDEXES};
use crate::host::{Copies, Left, Observed, PuntSeen, place};
use crate::vector::{Direction, Outcome, Vector};

/// Long after the start: every bucket is full.
const LONG_AFTER: u64 = 1_000_000_000_000;
/// Between two frames, so that a punt has filled up again.
const APART: u64 = 10_000_000;

/// A gateway's ports in user space.
pub struct UserSpace {
    ingress: u32,
    set: TableSet,
    tally: Tally,
    buckets: Buckets,
    outbox: Outbox,
    queues: Queues,
    learnt: Learnt,
    work: Work,
    now: u64,
    before: Left,
    copies: Copies,
}

/// Runs a vector on the sample node's tables.
pub fn run(vector: &Vector, home: &Home) -> Observed {
    let mut port = UserSpace::new(home.devices.ingress);
    port.apply(&sample::actions(&home.devices));
    port.apply(&vector.given.tables);
    let outcome = port.run(vector);
    Observed { outcome, left: port.left() }
}

/// The same with the frame's tag beside its bytes; `None` where it has none.
pub fn run_stripped(vector: &Vector, home: &Home) -> Option<Observed> {
    let frame = &vector.frame;
    let (stations, rest) = frame.split_at_checked(Tag::OFFSET)?;
    let tag: &Tag = overlay_common::wire::view(frame, Tag::OFFSET)?;
    if tag.kind().is_none() || frame.len() < 18 || vector.given.stripped_vlan.is_some() {
        return None;
    }
    let mut stripped = vector.clone();
    stripped.frame = [stations, &rest[Tag::LEN..]].concat();
    stripped.given.stripped_vlan = Some(*tag);
    Some(run(&stripped, home))
}

impl UserSpace {
    /// With empty tables.
    pub fn new(ingress: u32) -> Self {
        let (queues, learnt, work) = Queues::new();
        Self {
            ingress,
            set: TableSet::new(Hook::User),
            tally: Tally::default(),
            buckets: Buckets::default(),
            outbox: Outbox::new(None),
            queues,
            learnt,
            work,
            now: LONG_AFTER,
            before: Left::default(),
            copies: Copies::new(),
        }
    }

    /// The device that frames come in by.
    pub fn ingress(&self) -> u32 {
        self.ingress
    }

    /// Changes the tables.
    pub fn apply(&mut self, actions: &[Action]) {
        actions.iter().for_each(|action| self.set.apply(action));
    }

    /// Runs a frame.
    pub fn run(&mut self, vector: &Vector) -> Outcome {
        self.now += APART;
        let tables = PortTables {
            set: &self.set,
            tally: &self.tally,
            queues: &self.queues,
            buckets: &self.buckets,
            now: self.now,
        };
        let gate = Gate { ifindex: self.ingress, role: role(vector.direction) };
        let mut room = vec![0xa5; HEADROOM];
        room.extend_from_slice(&vector.frame);
        let range = (HEADROOM, room.len());
        let tag = vector.given.stripped_vlan;
        let mut frame = Buffer::new(&mut room, range, tag, Offload::default(), &mut self.outbox);
        let outcome = match gate.run(&mut frame, &tables) {
            Ok(Verdict::Pass | Verdict::Defer) => {
                assert!(frame.bytes() == vector.frame, "it was passed on, but touched");
                Outcome::Untouched
            }
            Ok(Verdict::Transmit(_) | Verdict::Deliver(_)) => Outcome::Sent(frame.bytes().to_vec()),
            Ok(Verdict::Consumed) => Outcome::Ended,
            Ok(Verdict::Route | Verdict::Flood) => unreachable!("user space does all by itself"),
            Err(reason) => {
                self.tally.count_drop(reason, 1);
                Outcome::Ended
            }
        };
        for (ifindex, _, bytes) in self.outbox.frames() {
            self.copies.entry(ifindex).or_default().push(bytes.to_vec());
        }
        self.outbox.flush();
        outcome
    }

    /// What the runs since the last call left behind; punts are sorted.
    pub fn left(&mut self) -> Left {
        let drops = self.tally.drops();
        let now = Left {
            drops: drops.map(|(reason, n)| ((reason as u8, self.ingress), n)).collect(),
            ports: INDEXES.map(|index| self.tally.ports().get(index)).collect(),
            peers: INDEXES.map(|index| self.tally.peers().get(index)).collect(),
            ..Left::default()
        };
        let mut left = now.since(&self.before);
        self.before = now;
        // As the host's.
        self.set.take_refreshed();
        left.fdb = self.set.fdb_entries().map(|(key, entry)| (key, place(entry))).collect();
        left.copies = std::mem::take(&mut self.copies);
        let learnt = self.learnt.take(usize::MAX).map(|punt| PuntSeen::new(&punt, &[]));
        let Work { frames, floods, fragments, routed, .. } = &self.work;
        let frames = frames.try_iter().chain(floods.try_iter()).chain(fragments.try_iter());
        let frames = frames.chain(routed.try_iter());
        let frames = frames.map(|(punt, frame)| PuntSeen::new(&punt, &frame));
        left.punts = learnt.chain(frames).collect();
        left.punts.sort();
        left
    }
}

fn role(direction: Direction) -> Role {
    match direction {
        Direction::FromAccess => Role::Access,
        Direction::FromUnderlay => Role::Uplink,
        Direction::OneArmed => Role::OneArmed,
    }
}
