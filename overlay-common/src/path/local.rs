//! Delivery of inner frames to this node's own ports, shared by both directions.
//!
//! Assumes a plain inner frame: outer headers and VLAN tag are gone.

use crate::abi::{Direction, FloodKey, FloodList, Port};
use crate::packet::Packet;
use crate::path::flow::{counted, wire_len};
use crate::path::unknown;
use crate::tables::{Tables, Turns};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Tag;

/// A port by its index, if frames can leave through it now.
#[inline(always)]
pub fn port<T: Tables>(tables: &T, index: u32) -> Result<&Port, DropReason> {
    let port = tables.port(index).ok_or(DropReason::TableInconsistent)?;
    if port.egress.ifindex == 0 { Err(DropReason::PortDown) } else { Ok(port) }
}

/// Tags the frame as its port wants it, and counts it as so many packets and bytes.
#[inline(always)]
pub fn deliver<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    index: u32,
    port: &Port,
    (packets, bytes): (u32, u32),
) -> Result<Verdict, DropReason> {
    if port.vlan != 0 {
        packet.push_vlan(Tag::of(port.vlan)).map_err(|_| DropReason::ResizeFailed)?;
    }
    tables.count_port(index, Direction::Tx, packets, bytes);
    Ok(Verdict::Deliver(port.egress))
}

/// Sends a copy to every port of the segment except `from`, and returns whether there
/// were any. A copy that cannot be sent is counted as dropped.
#[inline(always)]
pub fn flood<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    list: FloodList,
    segment: u16,
    from: Option<u32>,
    ifindex: u32,
) -> bool {
    let wire_len = unknown(wire_len(packet));
    let mut copies =
        Copies { packet, tables, list, segment, from, ifindex, wire_len, has_receiver: false };
    tables.repeat(list.ports(), &mut copies);
    copies.has_receiver
}

/// A turn sends a copy to one port.
struct Copies<'a, P, T> {
    packet: &'a mut P,
    tables: &'a T,
    list: FloodList,
    segment: u16,
    from: Option<u32>,
    ifindex: u32,
    wire_len: u32,
    /// Not their number: for each one, a verifier would go through the loop again.
    has_receiver: bool,
}

impl<P: Packet, T: Tables> Turns for Copies<'_, P, T> {
    #[inline(always)]
    fn turn(&mut self, slot: u32) {
        let generation = self.list.generation();
        let key = FloodKey { segment: self.segment, generation, slot };
        let Some(target) = self.tables.flood(&key) else { return };
        if target.is_peer() || Some(target.index()) == self.from {
            return;
        }
        self.has_receiver = true;
        if let Err(reason) = copy(self.packet, self.tables, target.index(), self.wire_len) {
            self.tables.count_drop(self.ifindex, reason, 1);
        }
    }
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
    let (packets, bytes) = counted(packet, wire_len);
    if port.vlan != 0 {
        packet.push_vlan(Tag::of(port.vlan)).map_err(|_| DropReason::ResizeFailed)?;
    }
    let sent = packet.copy_to(port.egress);
    if port.vlan != 0 {
        packet.pop_vlan().map_err(|_| DropReason::ResizeFailed)?;
    }
    sent.map_err(|_| DropReason::CopyFailed)?;
    tables.count_port(index, Direction::Tx, packets, bytes);
    Ok(())
}
