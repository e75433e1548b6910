//! A vector on a port that user space carries: the same path on a packet socket's frames.

use std::cell::RefCell;
use std::collections::BTreeMap;

use overlay_common::verdict::Verdict;
use overlay_control::controller::Role;
use overlay_control::sample;
use overlay_control::tables::TableSet;
use overlay_user::forwarder::Queues;
use overlay_user::user_ports::buffer::{Buffer, HEADROOM};
use overlay_user::user_ports::gateway::Gate;
use overlay_user::user_ports::offload::Offload;
use overlay_user::user_ports::outbox::Outbox;
use overlay_user::user_ports::tables::PortTables;
use overlay_user::user_ports::tally::Tally;

use crate::home::{Home, INDEXES};
use crate::host::{Observed, PuntSeen, place};
use crate::vector::{Direction, Outcome, Vector};

/// Long after the start: every bucket is full.
const NOW: u64 = 1_000_000_000_000;

/// Runs a vector with its tag, if it has one, among the bytes.
pub fn run(vector: &Vector, home: &Home) -> Observed {
    run_with(vector.direction, &vector.frame, None, home)
}

/// Runs a vector that has a tag with that beside the bytes; `None` where there is none.
pub fn run_stripped(vector: &Vector, home: &Home) -> Option<Observed> {
    let frame = &vector.frame;
    let (Some([0x81, 0x00, a, b]), true) = (frame.get(12..16), frame.len() >= 18) else {
        return None;
    };
    let bytes = [&frame[..12], &frame[16..]].concat();
    let vlan = u16::from_be_bytes([*a, *b]);
    Some(run_with(vector.direction, &bytes, Some(vlan), home))
}

fn run_with(direction: Direction, frame: &[u8], vlan: Option<u16>, home: &Home) -> Observed {
    let mut set = TableSet::default();
    sample::actions(&home.devices).iter().for_each(|action| set.apply(action));
    let (tally, buckets, mut outbox) = (Tally::default(), RefCell::default(), Outbox::new(None));
    let (queues, learnt, work) = Queues::new();
    let tables =
        PortTables { set: &set, tally: &tally, queues: &queues, buckets: &buckets, now: NOW };
    let role = match direction {
        Direction::FromAccess => Role::Access,
        Direction::FromUnderlay => Role::Uplink,
    };
    let gate = Gate { ifindex: home.devices.ingress, role };
    let mut room = vec![0xa5; HEADROOM];
    room.extend_from_slice(frame);
    let range = (HEADROOM, room.len());
    let mut buffer = Buffer::new(&mut room, range, vlan, Offload::default(), &mut outbox);
    let outcome = match gate.run(&mut buffer, &tables) {
        Ok(Verdict::Pass | Verdict::Defer) => {
            assert!(buffer.bytes() == frame, "it was touched");
            Outcome::Untouched
        }
        Ok(Verdict::Transmit(_) | Verdict::Deliver(_)) => Outcome::Sent(buffer.bytes().to_vec()),
        Ok(Verdict::Consumed) => Outcome::Ended,
        Err(reason) => {
            tally.count_drop(reason, 1);
            Outcome::Ended
        }
    };
    let mut copies = BTreeMap::<u32, Vec<Vec<u8>>>::new();
    for (ifindex, _, bytes) in outbox.frames() {
        copies.entry(ifindex).or_default().push(bytes.to_vec());
    }
    let learnt = learnt.take(usize::MAX).map(|punt| PuntSeen::new(&punt, &[]));
    let frames = work.frames.try_iter().chain(work.floods.try_iter());
    let mut punts: Vec<_> =
        learnt.chain(frames.map(|(punt, frame)| PuntSeen::new(&punt, &frame))).collect();
    punts.sort();
    let ingress = home.devices.ingress;
    Observed {
        outcome,
        drops: tally.drops().map(|(reason, n)| ((reason as u8, ingress), n)).collect(),
        ports: INDEXES.map(|index| tally.ports().get(index)).collect(),
        peers: INDEXES.map(|index| tally.peers().get(index)).collect(),
        fdb: set.fdb_entries().map(|(key, entry)| (key, place(entry))).collect(),
        copies,
        punts,
    }
}
