//! The host's run of a vector.

use overlay_common::abi::{Counters, Egress, FdbEntry, FdbKey, Hook, Punt};
use overlay_common::packet::Packet;
use overlay_common::path::{Ingress, from_access, from_underlay, one_armed};
use overlay_common::verdict::{DropReason, Verdict};
use overlay_control::frame::HostFrame;
use overlay_control::sample;
use overlay_control::tables::TableSet;
use std::collections::BTreeMap;

use crate::home::{Home, INDEXES};
use crate::vector::{Direction, Outcome, Vector};

/// What `BPF_PROG_TEST_RUN` has in an XDP frame's first buffer: a page without the room in
/// front and behind (`struct skb_shared_info`).
pub const FIRST_BUFFER: usize = 4096 - 256 - 320;

/// Everything that a run leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub outcome: Outcome,
    pub drops: BTreeMap<(u8, u32), u64>,
    pub ports: Vec<Counters>,
    pub peers: Vec<Counters>,
    pub fdb: BTreeMap<FdbKey, (u32, u32, u32)>,
    pub copies: BTreeMap<u32, Vec<Vec<u8>>>,
    pub punts: Vec<PuntSeen>,
}

/// A punt, in a form that compares: the record's fields that both sides fill, and
/// the frame.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PuntSeen {
    pub reason: u8,
    pub hook: u8,
    pub segment: u16,
    pub source: u32,
    pub mac: [u8; 6],
    pub address: [u8; 16],
    pub router: bool,
    pub frame: Vec<u8>,
}

impl PuntSeen {
    /// Of a record and the frame behind it.
    pub fn new(punt: &Punt, frame: &[u8]) -> Self {
        let source = punt.source.index() | u32::from(punt.source.is_peer()) << 31;
        let (reason, hook, segment, mac) = (punt.reason, punt.hook, punt.segment, punt.mac);
        let (address, router) = (punt.address, punt.is_router());
        Self { reason, hook, segment, source, mac, address, router, frame: frame.to_vec() }
    }
}

/// An entry without what does not compare.
pub fn place(entry: FdbEntry) -> (u32, u32, u32) {
    (entry.target.index() | u32::from(entry.target.is_peer()) << 31, entry.flags, entry.seen)
}

/// Runs a vector as a hook would.
pub fn run(vector: &Vector, hook: Hook, home: &Home) -> Observed {
    match hook {
        Hook::Xdp => run_as::<false>(vector, hook, home),
        _ => run_as::<true>(vector, hook, home),
    }
}

fn run_as<const COPIES: bool>(vector: &Vector, hook: Hook, home: &Home) -> Observed {
    let mut tables = TableSet::new(hook);
    sample::actions(&home.devices).iter().for_each(|action| tables.apply(action));
    let mut frame = HostFrame::<COPIES>::new(&vector.frame);
    frame.vlan_offload = COPIES;
    frame.several_buffers = !COPIES && vector.frame.len() > FIRST_BUFFER;
    let ingress = Ingress { ifindex: home.devices.ingress, hook };
    let result = match vector.direction {
        Direction::FromAccess => from_access::run(&mut frame, &tables, ingress),
        Direction::FromUnderlay => from_underlay::run(&mut frame, &tables, ingress),
        Direction::OneArmed => one_armed::run(&mut frame, &tables, ingress),
    };
    if let Err(reason) = result {
        tables.record_drop(ingress.ifindex, reason);
    }
    let mut copies = BTreeMap::<u32, Vec<Vec<u8>>>::new();
    for copy in &frame.copies {
        let mut sent = HostFrame::<COPIES>::new(&copy.bytes);
        sent.stripped_vlan = copy.vlan;
        copies.entry(copy.egress.ifindex).or_default().push(sent.to_wire());
    }
    let drops = tables.drops().into_iter();
    let punts = tables.take_punts();
    Observed {
        outcome: outcome(result, &frame, ingress),
        drops: drops.map(|(key, n)| ((key.reason, key.ifindex), n)).collect(),
        ports: INDEXES.map(|index| tables.port_counters(index)).collect(),
        peers: INDEXES.map(|index| tables.peer_counters(index)).collect(),
        fdb: tables.fdb_entries().map(|(key, entry)| (key, place(entry))).collect(),
        copies,
        punts: punts.iter().map(|p| PuntSeen::new(&p.punt, &p.frame)).collect(),
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
    }
}
