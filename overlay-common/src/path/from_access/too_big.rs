//! Too long for its way out: its sender is told, or user space cuts it up.

use super::classify::Frame;
use crate::abi::PuntReason;
use crate::packet::Packet;
use crate::path::local;
use crate::path::ptb::{self, Remedy};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};
use crate::wire::Tag;

/// Whether a frame, which is untouched yet, is too long and left to tc: a hook that makes no
/// copies makes no answers either. Such a hook has no super-frames, and tags among the bytes.
#[inline(always)]
pub fn is_deferred<P: Packet>(packet: &P, frame: &Frame, max_frame: u32) -> bool {
    let tag = if frame.tagged { Tag::LEN as u32 } else { 0 };
    !P::COPIES && packet.len() > max_frame.saturating_add(tag)
}

/// Answers a plain frame, whose way out takes `max_frame` bytes, where its sender may be told,
/// or hands it over where it may be cut up. Whatever was answered counts as dropped all the
/// same, and the answer as sent to the port.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    max_frame: u32,
) -> Result<Verdict, DropReason> {
    if !P::COPIES {
        return Err(DropReason::TooBig);
    }
    match ptb::remedy(packet, max_frame) {
        Remedy::Nothing => Err(DropReason::TooBig),
        Remedy::Fragment => {
            frame.punt(packet, tables, PuntReason::Fragment, max_frame as u16)?;
            Ok(Verdict::Consumed)
        }
        Remedy::Tell(family) => {
            let port = local::port(tables, frame.port)?;
            if !tables.may_tell(frame.port) {
                return Err(DropReason::TooBig);
            }
            ptb::turn(packet, family, max_frame).map_err(|_| DropReason::ResizeFailed)?;
            tables.count_drop(frame.ingress.ifindex, DropReason::TooBig, 1);
            let len = packet.len();
            local::deliver(packet, tables, frame.port, port, (1, len))
        }
    }
}
