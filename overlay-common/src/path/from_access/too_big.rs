//! Too long for its way out: its sender is told, or user space cuts it up.

use super::classify::Frame;
use super::strip;
use crate::abi::{Punt, PuntReason};
use crate::packet::Packet;
use crate::path::flow::wire_len;
use crate::path::ptb::{self, Remedy};
use crate::path::{forget, local, police};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};
use crate::wire::{Ethernet, Tag};

/// Whether a frame, which is untouched yet, is longer than what a way out takes. A tag among its
/// bytes does not count. (Of a super-frame with such a tag, the headers are not known here.)
#[inline(always)]
pub fn is_so<P: Packet>(packet: &P, max_frame: u32) -> bool {
    let len = wire_len(packet);
    let is_so = len > max_frame && len > max_frame.saturating_add(tag_len(packet));
    forget();
    is_so
}

/// The bytes of a tag among a frame's bytes.
#[inline(always)]
pub fn tag_len<P: Packet>(packet: &P) -> u32 {
    let is_tagged = packet.at::<Ethernet>(0).is_some_and(Ethernet::is_tagged);
    if is_tagged { Tag::LEN as u32 } else { 0 }
}

/// Answers a frame that access lists let pass, whose way out takes `max_frame` bytes, where its
/// sender may be told, or hands it over where it may be cut up. Whatever was answered counts as
/// dropped all the same, and the answer as sent to the port.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: &Frame,
    max_frame: u32,
    to_port: bool,
) -> Result<Verdict, DropReason> {
    strip::run(packet, frame)?;
    let charge = police::charge(packet, wire_len(packet));
    police::filter(packet, tables, frame.sender(), charge, to_port)?;
    match ptb::remedy(packet, max_frame) {
        Remedy::Nothing => Err(DropReason::TooBig),
        Remedy::Fragment => {
            let held = Punt::held_by(if to_port { Some(frame.segment) } else { None });
            frame.punt(packet, tables, PuntReason::Fragment, max_frame as u16, held)?;
            Ok(Verdict::Consumed)
        }
        Remedy::Tell(family) => {
            let port = local::port(tables, frame.port)?;
            if !tables.may_tell(frame.port) {
                return Err(DropReason::TooBig);
            }
            ptb::turn(packet, family, max_frame, None).map_err(|_| DropReason::ResizeFailed)?;
            tables.count_drop(frame.ingress.ifindex, DropReason::TooBig, 1);
            let len = packet.len();
            local::deliver(packet, tables, frame.port, port, (1, len))
        }
    }
}
