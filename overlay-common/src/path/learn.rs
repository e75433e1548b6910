//! Learning: a frame's source address shows where its station is.
//!
//! The path itself never writes a location. It reports what it has not seen
//! before to user space, at a limited rate, and stamps what it has.
//!
//! This is the last stage, whatever became of the frame that was admitted: nothing
//! waits for the source's FDB entry, and where it is far away in memory, the
//! processor goes on with the next frame meanwhile.

use crate::abi::{FdbEntry, FdbKey, Punt, PuntReason, Target};
use crate::packet::Packet;
use crate::path::Ingress;
use crate::tables::Tables;

/// A station and where a frame of it came from.
pub struct Sighting {
    /// The station's address and segment.
    pub key: FdbKey,
    /// The port or peer.
    pub source: Target,
    /// Whether unknown stations are reported.
    pub learning: bool,
    /// Where the frame came in.
    pub ingress: Ingress,
}

/// Takes note of a sighting.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(packet: &mut P, tables: &T, sight: Sighting) {
    match tables.fdb(&sight.key) {
        Some(entry) if entry.is_static() => {}
        Some(entry) if entry.target == sight.source => refresh(tables, &entry, &sight.key),
        _ if sight.learning => report(packet, tables, &sight),
        _ => {}
    }
}

/// Stamps an entry that ages, once an epoch.
#[inline(always)]
fn refresh<T: Tables>(tables: &T, entry: &FdbEntry, key: &FdbKey) {
    if let Some(node) = tables.node()
        && entry.seen != node.epoch
    {
        tables.refresh(key, node.epoch);
    }
}

/// A report over its rate is no loss: the frame goes its way, and the next one
/// of this station reports again.
#[inline(always)]
fn report<P: Packet, T: Tables>(packet: &mut P, tables: &T, sight: &Sighting) {
    let punt = Punt {
        reason: PuntReason::Learn as u8,
        hook: sight.ingress.hook as u8,
        segment: sight.key.segment,
        ifindex: sight.ingress.ifindex,
        source: sight.source,
        frame_len: 0,
        captured: 0,
        mac: sight.key.mac,
        vlan: 0,
        gso_size: 0,
        generation: 0,
        ..Punt::default()
    };
    let _ = tables.punt(packet, punt);
}
