//! To one peer.

use super::classify::Frame;
use super::{encap, strip};
use crate::abi::{Direction, Punt, PuntReason, Target};
use crate::packet::Packet;
use crate::path::flow::{Flow, wire_len};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};

/// Encapsulates a frame towards a peer. One whose next hop is not known yet goes
/// to user space, which finds it out.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    index: u32,
) -> Result<Verdict, DropReason> {
    let peer = tables.peer(index).ok_or(DropReason::TableInconsistent)?;
    if !peer.is_ready() {
        return unresolved(packet, tables, frame);
    }
    if !packet.reaches(peer.egress) {
        return Ok(Verdict::Defer);
    }
    let segment = tables.segment(frame.segment).ok_or(DropReason::TableInconsistent)?;
    strip::run(packet, frame)?;
    let flow = Flow::of(packet).ok_or(DropReason::Truncated)?;
    if wire_len(packet) > peer.max_frame as u32 {
        return Err(DropReason::TooBig);
    }
    let (packets, bytes) = (packet.segments(), packet.len());
    packet.grow_head(flow.inner).map_err(|_| DropReason::ResizeFailed)?;
    encap::run(packet, peer, &flow, segment.vni, bytes)?;
    tables.count_port(frame.port, Direction::Rx, packets, bytes);
    tables.count_peer(index, Direction::Tx, packets, bytes);
    Ok(Verdict::Transmit(peer.egress))
}

/// Hands the untouched frame to user space.
#[inline(always)]
fn unresolved<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
) -> Result<Verdict, DropReason> {
    let len = packet.len();
    let punt = Punt {
        reason: PuntReason::PeerUnresolved as u8,
        hook: frame.ingress.hook as u8,
        segment: frame.segment,
        ifindex: frame.ingress.ifindex,
        source: Target::port(frame.port),
        frame_len: len,
        captured: len,
        mac: frame.source.mac,
        vlan: 0,
    };
    tables.punt(packet, punt)?;
    Ok(Verdict::Consumed)
}
