//! Too long for its way on: its sender is told, or user space cuts it up.

use super::{Routed, next_hop};
use crate::abi::{Arrival, Punt, Router};
use crate::packet::Packet;
use crate::path::local;
use crate::path::ptb::{self, Remedy};
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};
use crate::wire::Family;

/// Answers a packet, whose way on takes `max_frame` bytes, to a port of segment `to` if to any,
/// where its sender is behind a port and may be told. User space does the rest: it tells those
/// behind peers, and cuts up what may be.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    routed: &Routed,
    router: &Router,
    (max_frame, to): (u32, Option<u16>),
) -> Result<Verdict, DropReason> {
    let (source, ifindex) = (routed.arrival.source, routed.ingress.ifindex);
    let family = match ptb::remedy(packet, max_frame) {
        Remedy::Nothing => return Err(DropReason::TooBig),
        Remedy::Fragment => {
            return routed.punt(packet, tables, DropReason::TooBig as u16, Punt::held_by(to));
        }
        Remedy::Tell(_) if source.is_peer() => {
            return routed.tell(packet, tables, DropReason::TooBig);
        }
        Remedy::Tell(family) => family,
    };
    let has_address = match family {
        Family::V4 => router.v4 != [0; 4],
        Family::V6 => router.v6 != [0; 2],
    };
    let port = local::port(tables, source.index())?;
    if !has_address || !tables.may_tell(source.index()) {
        return Err(DropReason::TooBig);
    }
    ptb::turn(packet, family, max_frame, Some(router)).map_err(|_| DropReason::ResizeFailed)?;
    tables.count_drop(ifindex, DropReason::TooBig, 1);
    let len = packet.len();
    local::deliver(packet, tables, source.index(), port, (1, len))
}

/// How long a plain frame may be on the way that its packet takes from here.
pub fn room<P: Packet, T: Tables>(packet: &P, tables: &T, arrival: Arrival) -> Option<u32> {
    let (head, route) = next_hop::route_of(packet, tables, arrival)?;
    let target = next_hop::of(tables, &route, &head)?.target;
    if target.is_peer() {
        let peer = tables.peer(target.index()).filter(|peer| peer.is_ready())?;
        Some(u32::from(peer.max_frame))
    } else {
        Some(local::port(tables, target.index()).ok()?.max_frame)
    }
}
