//! Learning: a frame's source address shows where its station is.
//!
//! The path itself never writes a location. It reports what it has not seen
//! before to user space, at a limited rate, and stamps what it has.

use crate::abi::{FdbEntry, FdbKey, Node, Punt, PuntReason, Target};
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
pub fn observe<P: Packet, T: Tables>(packet: &mut P, tables: &T, node: &Node, sight: Sighting) {
    match tables.fdb(&sight.key) {
        Some(entry) if entry.is_static() => {}
        Some(entry) if entry.target == sight.source => refresh(tables, node, &entry, &sight.key),
        _ if sight.learning => report(packet, tables, &sight),
        _ => {}
    }
}

/// Stamps an entry that ages, once an epoch.
#[inline(always)]
fn refresh<T: Tables>(tables: &T, node: &Node, entry: &FdbEntry, key: &FdbKey) {
    if entry.seen != node.epoch {
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
        frame_len: packet.len(),
        captured: 0,
        mac: sight.key.mac,
        vlan: 0,
    };
    let _ = tables.punt(packet, punt);
}
