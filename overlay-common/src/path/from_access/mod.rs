//! From an access port: into the overlay.
//!
//! classify → admit → resolve, then one of three ways out: transmit to a peer
//! (police → encap), deliver to a local port, flood; what is too big for the first two is
//! answered; and learn at last.

mod admit;
mod classify;
mod deliver;
mod encap;
mod flood;
mod resolve;
mod strip;
mod too_big;
mod transmit;

use crate::abi::{Punt, Target};
use crate::packet::Packet;
use crate::path::learn::{self, Sighting};
use crate::path::{Ingress, Stop, in_full};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};

use classify::Frame;
use resolve::Destination;

/// Carries one frame from an access port.
///
/// # Errors
///
/// The reason for which the frame is to be dropped. An access port belongs to
/// the overlay: [`Verdict::Pass`] is never answered.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
) -> Result<Verdict, DropReason> {
    let frame = classify::run(packet, tables, ingress)?;
    admit::run(&frame)?;
    let result = match forward(packet, tables, &frame) {
        Ok(verdict) => Ok(verdict),
        Err(Stop::Drop(reason)) => Err(reason),
        Err(Stop::TooBig(max_frame)) => too_big::run(packet, tables, &frame, max_frame),
    };
    let result = if T::SHORT { in_full(result) } else { result };
    let source = Target::port(frame.port);
    learn::run(packet, tables, Sighting { key: frame.source, source, learning: true, ingress });
    result
}

/// Carries a frame that was handed to user space untouched
/// ([`PuntReason::PeerUnresolved`]), if it still belongs where it did then: the port may have
/// become another segment's, and a tag that was stripped is not told from none where it is zero.
///
/// # Errors
///
/// As for [`run`].
///
/// [`PuntReason::PeerUnresolved`]: crate::abi::PuntReason::PeerUnresolved
#[inline(always)]
pub fn run_again<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
    punt: &Punt,
) -> Result<Verdict, DropReason> {
    let frame = classify::run(packet, tables, ingress)?;
    if frame.segment != punt.segment || Target::port(frame.port) != punt.source {
        return Err(DropReason::UnknownVlan);
    }
    run(packet, tables, ingress)
}

/// Sends the copies of a flooded frame that the kernel left to user space
/// ([`PuntReason::Flood`]). The frame is plain; it was admitted, and learnt from, before.
///
/// # Errors
///
/// The reason for which none is sent.
///
/// [`PuntReason::Flood`]: crate::abi::PuntReason::Flood
#[inline(always)]
pub fn run_rest<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    punt: &Punt,
) -> Result<Verdict, DropReason> {
    flood::rest(packet, tables, punt.segment, punt.generation, punt.ifindex)
}

/// Carries a part of a frame that was handed to user space to be cut up
/// ([`PuntReason::Fragment`]). The part is plain; the whole was admitted, and learnt from, before.
///
/// # Errors
///
/// As for [`run`].
///
/// [`PuntReason::Fragment`]: crate::abi::PuntReason::Fragment
#[inline(always)]
pub fn run_part<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
    punt: &Punt,
) -> Result<Verdict, DropReason> {
    let frame = classify::again(packet, tables, ingress, punt)?;
    forward(packet, tables, &frame).map_err(|stop| match stop {
        Stop::Drop(reason) => reason,
        Stop::TooBig(_) => DropReason::TooBig,
    })
}

#[inline(always)]
fn forward<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
) -> Result<Verdict, Stop> {
    match resolve::run(tables, frame)? {
        Destination::Peer(peer) => transmit::run(packet, tables, frame, peer),
        Destination::Port(port) => deliver::run(packet, tables, frame, port),
        Destination::Flood => Ok(flood::run(packet, tables, frame)?),
    }
}
