//! Access lists, and limits: of the port or peer that a frame comes from, and of its segment.
//!
//! Assumes a plain inner frame: outer headers and VLAN tag are gone. So this hook can finish
//! the packet, and no other one takes of the same limits for it.

use crate::abi::{Charge, Policed, PolicerKey, Target};
use crate::packet::Packet;
use crate::path::filter;
use crate::path::flow::counted;
use crate::tables::Tables;
use crate::verdict::DropReason;

/// Where a frame comes from, and which limits there are.
#[derive(Clone, Copy)]
pub struct Sender {
    /// The port or peer.
    pub source: Target,
    /// Index of its segment.
    pub segment: u16,
    /// [`Policed`] bits.
    pub limits: u16,
}

impl Sender {
    #[inline(always)]
    const fn has(&self, bit: u16) -> bool {
        self.limits & bit != 0
    }
}

/// What a plain frame that is for one takes of limits, and counts for a rule.
#[inline(always)]
pub fn charge<P: Packet>(packet: &P, wire_len: u32) -> Charge {
    let (packets, bytes) = counted(packet, wire_len);
    Charge { packets, bytes, is_flood: false }
}

/// Holds a plain frame to a port, or to a peer, against the lists of its segment, and takes it of
/// its limits.
#[inline(always)]
pub fn all<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    sender: Sender,
    charge: Charge,
    to_port: bool,
) -> Result<(), DropReason> {
    // Most have none of either, and are asked once.
    if sender.limits & Policed::ANY == 0 {
        return Ok(());
    }
    filter(packet, tables, sender, charge, to_port)?;
    run(tables, sender, charge)
}

/// Holds a plain frame to a port, or to a peer, against the lists of its segment.
#[inline(always)]
pub fn filter<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    sender: Sender,
    charge: Charge,
    to_port: bool,
) -> Result<(), DropReason> {
    let lists = Policed::FILTER_IN | if to_port { Policed::FILTER_OUT } else { 0 };
    match sender.limits & lists {
        0 => Ok(()),
        lists => filter::run(packet, tables, (sender.segment, lists), charge),
    }
}

/// Holds a plain frame against the list for what is sent to a segment's hosts.
#[inline(always)]
pub fn out<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    segment: u16,
    charge: Charge,
) -> Result<(), DropReason> {
    filter::run(packet, tables, (segment, Policed::FILTER_OUT), charge)
}

/// Takes a frame of its limits.
#[inline(always)]
pub fn run<T: Tables>(tables: &T, sender: Sender, charge: Charge) -> Result<(), DropReason> {
    // Most have none.
    if sender.has(Policed::PORT) {
        tables.police(&PolicerKey::source(sender.source), charge)?;
    }
    if sender.has(Policed::SEGMENT) {
        tables.police(&PolicerKey::segment(sender.segment), charge)?;
    }
    Ok(())
}
