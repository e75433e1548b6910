//! From an access port: into the overlay.
//!
//! (neighbours →) classify → admit → resolve, then one of three ways out: transmit to a peer
//! (police → encap), deliver to a local port, flood; and learn at last. A question that
//! neighbours answers goes back at once.

mod admit;
mod classify;
mod deliver;
mod encap;
mod flood;
mod neighbours;
mod resolve;
mod strip;
mod transmit;

use crate::abi::{Punt, Target};
use crate::packet::Packet;
use crate::path::Ingress;
use crate::path::learn::{self, Sighting};
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
    if neighbours::place(packet).is_some() {
        if !P::COPIES || T::APART && !tables.is_back() {
            return Ok(Verdict::Defer);
        }
        if !T::APART
            && let Some(answer) = hear(packet, tables, ingress)
        {
            return answer;
        }
    }
    let frame = admitted(packet, tables, ingress)?;
    let result = forward(packet, tables, &frame);
    learn(packet, tables, &frame);
    result
}

#[inline(always)]
fn admitted<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    ingress: Ingress,
) -> Result<Frame, DropReason> {
    let frame = classify::run(packet, tables, ingress)?;
    admit::run(&frame)?;
    Ok(frame)
}

/// Hears what a frame says of neighbours, and answers it. `None` where it goes its way, or is
/// to be dropped there.
#[inline(always)]
pub fn hear<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
) -> Option<Result<Verdict, DropReason>> {
    let place = neighbours::place(packet)?;
    let frame = admitted(packet, tables, ingress).ok().filter(|frame| frame.neighbours)?;
    let answered = neighbours::run(packet, tables, &frame, place)?;
    learn(packet, tables, &frame);
    Some(answered)
}

#[inline(always)]
fn learn<P: Packet, T: Tables>(packet: &mut P, tables: &T, frame: &Frame) {
    let (key, source, ingress) = (frame.source, Target::port(frame.port), frame.ingress);
    learn::run(packet, tables, Sighting { key, source, learning: true, ingress });
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

#[inline(always)]
fn forward<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
) -> Result<Verdict, DropReason> {
    match resolve::run(tables, frame)? {
        Destination::Peer(peer) => transmit::run(packet, tables, frame, peer),
        Destination::Port(port) => deliver::run(packet, tables, frame, port),
        Destination::Flood => flood::run(packet, tables, frame),
    }
}
