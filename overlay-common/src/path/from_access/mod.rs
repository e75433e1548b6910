//! From an access port: into the overlay.
//!
//! classify → admit → resolve, then one of three ways out: transmit to a peer (police → encap),
//! deliver to a local port, flood; and learn at last. What few frames need is done apart: what
//! neighbours ask is answered, and so is what is too big, and TCP is told what fits; and what is
//! sent to the segment's router is routed.

mod admit;
mod classify;
mod deliver;
pub(super) mod flood;
mod guard;
mod neighbours;
mod resolve;
pub(super) mod strip;
mod too_big;
mod transmit;

use crate::abi::{Policed, Punt, Target};
use crate::packet::Packet;
use crate::path::learn::{self, Sighting};
use crate::path::neighbours::said;
use crate::path::{Ingress, forget, local, mss, router, unknown};
use crate::tables::Tables;
use crate::verdict::{Answer, DropReason, Verdict};
use crate::wire::{Ethernet, Tag, ethertype};

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
    if is_rare(packet) {
        if !P::COPIES || T::APART && !tables.is_back() {
            return Ok(Verdict::Defer);
        }
        if !T::APART
            && let Some(answer) = apart(packet, tables, ingress)
        {
            return answer;
        }
    }
    forget();
    let frame = admitted(packet, tables, ingress)?;
    let result = match resolve::run(tables, &frame) {
        Ok(Destination::Router) => return to_router(packet, tables, &frame),
        Ok(Destination::Flood) if T::APART => return Ok(Verdict::Flood),
        Ok(destination) => forward(packet, tables, &frame, destination),
        Err(why) => Err(why),
    };
    if let Ok(Verdict::Defer) = result {
        // It is too big for its way out; a hook that makes no copies makes no answers either.
        if P::COPIES
            && !T::APART
            && let Some(answer) = apart(packet, tables, ingress)
        {
            return answer;
        }
        return result;
    }
    let answer = Answer::of(result);
    learn(packet, tables, &frame);
    answer.result()
}

/// Floods a frame that was left to another program.
///
/// # Errors
///
/// As for [`run`].
#[inline(always)]
pub fn flood<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
) -> Result<Verdict, DropReason> {
    let frame = admitted(packet, tables, ingress)?;
    let answer = Answer::of(flood::run(packet, tables, &frame)).map(unknown);
    learn(packet, tables, &frame);
    answer.result()
}

/// Leaves a frame to its router; apart from the other ways, so that a verifier does not walk
/// through what they have in common once more.
#[inline(always)]
fn to_router<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
) -> Result<Verdict, DropReason> {
    if !P::COPIES {
        return Ok(Verdict::Defer);
    }
    learn(packet, tables, frame);
    router::enter(packet, tables, frame.ingress, frame.arrival())
}

/// Whether a frame may need what is done apart, as far as its headers tell.
#[inline(always)]
fn is_rare<P: Packet>(packet: &P) -> bool {
    let Some((kind, at)) = place(packet) else { return false };
    said(packet, kind, at).is_some() || mss::syn(packet, kind, at).is_some()
}

/// The EtherType of what a frame carries, and where that begins, with a VLAN tag among its bytes
/// or none.
#[inline(always)]
fn place<P: Packet>(packet: &P) -> Option<(u16, usize)> {
    match packet.at::<Ethernet>(0)?.ethertype() {
        ethertype::VLAN | ethertype::SERVICE_VLAN if packet.stripped_vlan() == 0 => {
            let kind = u16::from_be_bytes(*packet.at::<[u8; 2]>(Ethernet::LEN + 2)?);
            Some((kind, Ethernet::LEN + Tag::LEN))
        }
        kind => Some((kind, Ethernet::LEN)),
    }
}

#[inline(always)]
fn admitted<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
) -> Result<Frame, DropReason> {
    let frame = classify::run(packet, tables, ingress)?;
    admit::run(&frame)?;
    guard::run(packet, tables, &frame)?;
    Ok(frame)
}

/// Does what few frames need. `None` where the frame goes its way from the start, perhaps with
/// another largest segment in it, or is to be dropped there.
#[inline(always)]
pub fn apart<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
) -> Option<Result<Verdict, DropReason>> {
    let frame = admitted(packet, tables, ingress).ok()?;
    let (kind, at) = place(packet)?;
    let answered = match said(packet, kind, at) {
        Some(said) if frame.neighbours => neighbours::run(packet, tables, &frame, (said, at)),
        _ => None,
    };
    let answered = match answered {
        Some(answered) => answered,
        None => fit(packet, tables, &frame, (kind, at))?,
    };
    learn(packet, tables, &frame);
    Some(answered)
}

/// Answers what is too big for its one way out, or has TCP send no more than fits.
#[inline(always)]
fn fit<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    (kind, at): (u16, usize),
) -> Option<Result<Verdict, DropReason>> {
    let (max_frame, clamps, to_port) = match resolve::run(tables, frame).ok()? {
        Destination::Peer(index) => {
            let peer = tables.peer(index).filter(|peer| peer.is_ready())?;
            (peer.max_frame as u32, peer.clamps(), false)
        }
        Destination::Port(index) => (local::port(tables, index).ok()?.max_frame, false, true),
        Destination::Router | Destination::Flood => return None,
    };
    if too_big::is_so(packet, max_frame) {
        return Some(too_big::run(packet, tables, frame, max_frame, to_port));
    }
    if clamps && let Some(tcp) = mss::syn(packet, kind, at) {
        let most = max_frame.saturating_add(too_big::tag_len(packet));
        mss::clamp(packet, tcp, most);
    }
    None
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
    let mut frame = classify::again(packet, tables, ingress, punt)?;
    // The whole was held against access lists, and had the ports that most parts lack; not against
    // that for what hosts here get, if it was for a peer then.
    frame.limits &= !Policed::FILTER_IN;
    if punt.holder() == Some(frame.segment) {
        frame.limits &= !Policed::FILTER_OUT;
    }
    let destination = resolve::run(tables, &frame)?;
    match forward(packet, tables, &frame, destination) {
        Ok(Verdict::Defer) => Err(DropReason::TooBig),
        result => result,
    }
}

#[inline(always)]
fn forward<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    destination: Destination,
) -> Result<Verdict, DropReason> {
    match destination {
        Destination::Peer(peer) => transmit::run(packet, tables, frame, peer),
        Destination::Port(port) => deliver::run(packet, tables, frame, port),
        Destination::Router => router::enter(packet, tables, frame.ingress, frame.arrival()),
        Destination::Flood => flood::run(packet, tables, frame),
    }
}
