//! From the underlay: out of the tunnel.
//!
//! classify → unwrap → admit → resolve, then deliver to one local port or flood to all; both
//! decapsulate on their way; and learn at last. What few frames need is done apart.

mod admit;
mod classify;
pub(super) mod decap;
mod deliver;
mod flood;
mod resolve;
mod unwrap;

use crate::abi::{Punt, PuntReason, Target};
use crate::packet::Packet;
use crate::path::learn::{self, Sighting};
use crate::path::neighbours::{self, Origin};
use crate::path::{Ingress, forget, mss, router};
use crate::tables::Tables;
use crate::verdict::{Answer, DropReason, Verdict};
use crate::wire::{Ethernet, Family};

use admit::Frame;
use classify::Datagram;
use resolve::Destination;
use unwrap::Tunnel;

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
    let Some(datagram) = classify::run(packet, tables)? else {
        return Ok(Verdict::Pass);
    };
    let tunnel = unwrap::run(packet, &datagram)?;
    if tunnel.is_control {
        return control(packet, tables, ingress, &datagram);
    }
    // Nearly all tunnels are of this length. Where the compiler knows it, it knows the place of
    // everything behind, too.
    match tunnel.inner {
        PLAIN_V4 if !T::SHORT => {
            open(packet, tables, ingress, &datagram, &Tunnel { inner: PLAIN_V4, ..tunnel })
        }
        _ => open(packet, tables, ingress, &datagram, &tunnel),
    }
}

/// Whether [`run`] takes a frame for the overlay's, whatever becomes of it then. What
/// it takes for anything else is the host's.
#[inline(always)]
pub fn is_for_overlay<P: Packet, T: Tables>(packet: &mut P, tables: &T) -> bool {
    !matches!(classify::run(packet, tables), Ok(None))
}

/// The bytes of a tunnel over IPv4 without options.
const PLAIN_V4: u32 = Family::V4.tunnel_len() as u32;

/// Takes the frame out of its tunnel.
#[inline(always)]
fn open<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
    datagram: &Datagram,
    tunnel: &Tunnel,
) -> Result<Verdict, DropReason> {
    let frame = admit::run(packet, tables, ingress, datagram, tunnel)?;
    if is_rare(packet, frame.outer_len as usize) {
        if !P::COPIES || T::APART && !tables.is_back() {
            return Ok(Verdict::Defer);
        }
        if !T::APART {
            treat(packet, tables, ingress, &frame);
        }
    }
    forget();
    let result = match resolve::run(tables, &frame) {
        Ok(Destination::Router) => return to_router(packet, tables, &frame),
        Ok(Destination::Port(port)) => deliver::run(packet, tables, &frame, port),
        Ok(Destination::Flood) => flood::run(packet, tables, &frame),
        Err(why) => Err(why),
    };
    let answer = Answer::of(result);
    learn(packet, tables, &frame);
    answer.result()
}

#[inline(always)]
fn learn<P: Packet, T: Tables>(packet: &mut P, tables: &T, frame: &Frame) {
    let (key, source, ingress) = (frame.source, Target::peer(frame.peer), frame.ingress);
    learn::run(packet, tables, Sighting { key, source, learning: frame.learning, ingress });
}

/// Leaves a frame to its router, as from an access port.
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

/// Whether a frame that begins at `at` may need what is done apart, as far as its headers tell.
#[inline(always)]
fn is_rare<P: Packet>(packet: &P, at: usize) -> bool {
    let Some(kind) = packet.at::<Ethernet>(at).map(Ethernet::ethertype) else { return false };
    let at = at + Ethernet::LEN;
    neighbours::said(packet, kind, at).is_some() || mss::syn(packet, kind, at).is_some()
}

/// Does what few of a peer's frames need: what they say of neighbours is heard, and TCP is told
/// what fits. The frame goes its way then, from the start, or is dropped there.
#[inline(always)]
pub fn apart<P: Packet, T: Tables>(packet: &mut P, tables: &T, ingress: Ingress) {
    let Ok(Some(datagram)) = classify::run(packet, tables) else { return };
    let Ok(tunnel) = unwrap::run(packet, &datagram) else { return };
    if let Ok(frame) = admit::run(packet, tables, ingress, &datagram, &tunnel) {
        treat(packet, tables, ingress, &frame);
    }
}

#[inline(always)]
fn treat<P: Packet, T: Tables>(packet: &mut P, tables: &T, ingress: Ingress, frame: &Frame) {
    let at = frame.outer_len as usize;
    if frame.neighbours {
        let (station, segment) = (frame.source.station(), frame.segment);
        let origin = Origin { station, segment, source: Target::peer(frame.peer), ingress };
        neighbours::hear(packet, tables, at, &origin);
    }
    if let Some(kind) = packet.at::<Ethernet>(at).map(Ethernet::ethertype)
        && let Some(tcp) = mss::syn(packet, kind, at + Ethernet::LEN)
        && let Some(peer) = tables.peer(frame.peer)
        && peer.clamps()
    {
        let room = (peer.max_frame as u32).saturating_add(frame.outer_len);
        mss::clamp(packet, tcp, room);
    }
}

/// Hands a control packet to user space, outer headers and all (RFC 8926, 3.4).
#[inline(always)]
fn control<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: Ingress,
    datagram: &Datagram,
) -> Result<Verdict, DropReason> {
    if datagram.len > Punt::LONGEST {
        return Err(DropReason::TooBig);
    }
    let punt = Punt {
        reason: PuntReason::Control as u8,
        hook: ingress.hook as u8,
        ifindex: ingress.ifindex,
        source: Target::peer(datagram.vtep.peer()),
        frame_len: datagram.len,
        captured: datagram.len,
        ..Punt::default()
    };
    tables.punt(packet, punt)?;
    Ok(Verdict::Consumed)
}
