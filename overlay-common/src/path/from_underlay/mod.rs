//! From the underlay: out of the tunnel.
//!
//! classify → admit → resolve, then deliver to one local port or flood to all;
//! both decapsulate on their way; and learn at last.

mod admit;
mod classify;
mod decap;
mod deliver;
mod flood;
mod resolve;

use crate::abi::Target;
use crate::packet::Packet;
use crate::path::Ingress;
use crate::path::learn::{self, Sighting};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};

use admit::Frame;
use resolve::Destination;

/// Carries one frame from an uplink.
///
/// # Errors
///
/// The reason for which the frame is to be dropped. What is not the overlay's is
/// [`Verdict::Pass`].
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
) -> Result<Verdict, DropReason> {
    let Some(tunnel) = classify::run(packet, tables)? else {
        return Ok(Verdict::Pass);
    };
    let frame = admit::run(packet, tables, ingress, &tunnel)?;
    let result = forward(packet, tables, &frame);
    let (source, learning) = (Target::peer(frame.peer), frame.learning);
    learn::run(packet, tables, Sighting { key: frame.source, source, learning, ingress });
    result
}

#[inline(always)]
fn forward<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
) -> Result<Verdict, DropReason> {
    match resolve::run(tables, frame)? {
        Destination::Port(port) => deliver::run(packet, tables, frame, port),
        Destination::Flood => flood::run(packet, tables, frame),
    }
}
