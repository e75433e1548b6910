//! Delivery of inner frames to this node's own ports, shared by both directions.
//!
//! Assumes a plain inner frame: outer headers and VLAN tag are gone.

use crate::abi::{Direction, FloodKey, FloodList, Port};
use crate::packet::Packet;
use crate::path::flow::wire_len;
use crate::tables::Tables;
use crate::verdict::{DropReason, Verdict};

/// A port by its index, if frames can leave through it now.
#[inline(always)]
pub fn port<T: Tables>(tables: &T, index: u32) -> Result<&Port, DropReason> {
    let port = tables.port(index).ok_or(DropReason::TableInconsistent)?;
    if port.egress.ifindex == 0 { Err(DropReason::PortDown) } else { Ok(port) }
}

/// Tags the frame as its port wants it, and counts it.
#[inline(always)]
pub fn deliver<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    index: u32,
    port: &Port,
) -> Result<Verdict, DropReason> {
    let (packets, bytes) = (packet.segments(), packet.len());
    if port.vlan != 0 {
        packet.push_vlan(port.vlan).map_err(|_| DropReason::ResizeFailed)?;
    }
    tables.count_port(index, Direction::Tx, packets, bytes);
    Ok(Verdict::Deliver(port.egress))
}

/// Sends a copy to every port of the segment except `from`, and returns how many
/// ports there were. A copy that cannot be sent is counted as dropped.
#[inline(always)]
pub fn flood<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    list: FloodList,
    segment: u16,
    from: Option<u32>,
    ifindex: u32,
) -> u32 {
    let mut receivers = 0;
    let wire_len = wire_len(packet);
    tables.repeat(list.ports(), |slot| {
        let key = FloodKey { segment, generation: list.generation(), slot };
        let Some(target) = tables.flood(&key) else { return };
        if target.is_peer() || Some(target.index()) == from {
            return;
        }
        receivers = crate::tables::one_more(receivers);
        if let Err(reason) = copy(packet, tables, target.index(), wire_len) {
            tables.count_drop(ifindex, reason, 1);
        }
    });
    receivers
}

/// Sends one copy, tagged as its port wants it.
#[inline(always)]
fn copy<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    index: u32,
    wire_len: u32,
) -> Result<(), DropReason> {
    let port = port(tables, index)?;
    if wire_len > port.max_frame {
        return Err(DropReason::TooBig);
    }
    let (packets, bytes) = (packet.segments(), packet.len());
    if port.vlan != 0 {
        packet.push_vlan(port.vlan).map_err(|_| DropReason::ResizeFailed)?;
    }
    let sent = packet.copy_to(port.egress);
    if port.vlan != 0 {
        packet.pop_vlan().map_err(|_| DropReason::ResizeFailed)?;
    }
    sent.map_err(|_| DropReason::CopyFailed)?;
    tables.count_port(index, Direction::Tx, packets, bytes);
    Ok(())
}
