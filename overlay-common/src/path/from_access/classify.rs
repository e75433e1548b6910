//! Port and VLAN → segment.

use crate::abi::{Access, AccessKey, Arrival, FdbKey, Punt, PuntReason, Target};
use crate::packet::Packet;
use crate::path::Ingress;
use crate::path::police::Sender;
use crate::tables::Tables;
use crate::verdict::DropReason;
use crate::wire::Ethernet;

/// A frame whose port and segment are known.
pub struct Frame {
    /// Where it came in.
    pub ingress: Ingress,
    /// Index of its port.
    pub port: u32,
    /// Index of its segment.
    pub segment: u16,
    /// Whose limits it is held against.
    pub limits: u16,
    /// Whether ARP and neighbour discovery are heard and answered.
    pub neighbours: bool,
    /// Whether its source has to be one of the port's.
    pub guarded: bool,
    /// Whether it carries a VLAN tag.
    pub tagged: bool,
    /// Destination address, in its segment.
    pub destination: FdbKey,
    /// Source address, in its segment.
    pub source: FdbKey,
}

impl Frame {
    /// As the limits see it.
    #[inline(always)]
    pub const fn sender(&self) -> Sender {
        let source = Target::port(self.port);
        Sender { source, segment: self.segment, limits: self.limits }
    }

    /// As its router sees it.
    #[inline(always)]
    pub const fn arrival(&self) -> Arrival {
        let flags = if self.tagged { Arrival::TAGGED } else { 0 };
        let plain = Arrival::plain(Target::port(self.port), self.segment);
        Arrival { limits: self.limits, flags, ..plain }
    }

    /// Hands the frame to user space, as it is; `generation` is that of a flood list, `address` says
    /// more of what is to be cut up.
    #[inline(always)]
    pub fn punt<P: Packet, T: Tables>(
        &self,
        packet: &mut P,
        tables: &T,
        reason: PuntReason,
        generation: u16,
        address: [u8; 16],
    ) -> Result<(), DropReason> {
        let len = packet.len();
        if len > Punt::LONGEST {
            return Err(DropReason::TooBig);
        }
        let punt = Punt {
            reason: reason as u8,
            hook: self.ingress.hook as u8,
            segment: self.segment,
            ifindex: self.ingress.ifindex,
            source: Target::port(self.port),
            frame_len: len,
            mac: self.source.mac,
            vlan: packet.stripped_vlan(),
            gso_size: packet.gso_size() as u16,
            generation,
            address,
            captured: len,
        };
        tables.punt(packet, punt)
    }
}

/// The same of a plain frame that was handed to user space, if its port is still in the segment
/// that it was in.
#[inline(always)]
pub fn again<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    ingress: Ingress,
    punt: &Punt,
) -> Result<Frame, DropReason> {
    let ethernet = packet.at::<Ethernet>(0).ok_or(DropReason::Truncated)?;
    let (port, segment) = (punt.source.index(), punt.segment);
    let vlan = tables.port(port).map_or(0, |port| port.vlan);
    let access = tables.access(&AccessKey { ifindex: ingress.ifindex, vlan, reserved: 0 });
    let is_same = |access: &Access| access.port == port && access.segment == segment;
    let access = access.filter(is_same).ok_or(DropReason::UnknownVlan)?;
    Ok(Frame {
        ingress,
        port,
        segment,
        limits: access.flags,
        neighbours: false,
        guarded: false,
        tagged: false,
        destination: FdbKey::new(ethernet.destination, segment),
        source: FdbKey::new(ethernet.source, segment),
    })
}

/// Finds the port that an interface and a VLAN make up. Priority-tagged frames
/// (VLAN 0) count as untagged; a tag of the other kind is another VLAN.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    ingress: Ingress,
) -> Result<Frame, DropReason> {
    let [destination, source] = packet.at::<Ethernet>(0).ok_or(DropReason::Truncated)?.stations();
    let tag = packet.vlan();
    let vlan = tag.map_or(0, |tag| tag.vlan());
    let key = AccessKey { ifindex: ingress.ifindex, vlan, reserved: 0 };
    let access = tables.access(&key).ok_or(DropReason::UnknownVlan)?;
    Ok(Frame {
        ingress,
        port: access.port,
        segment: access.segment,
        limits: access.flags,
        neighbours: access.flags & Access::NEIGHBOURS != 0,
        guarded: access.flags & Access::GUARDED != 0,
        tagged: tag.is_some(),
        destination: FdbKey::new(destination, access.segment),
        source: FdbKey::new(source, access.segment),
    })
}
