//! What the packet path asked of the tables, and what it was told.

use overlay_common::abi::{
    Access, AccessKey, Branch, Direction, FdbEntry, FdbKey, FloodKey, GuardKey, Neighbour,
    NeighbourKey, Peer, Permit, PermitKey, Policer, PolicerKey, Port, Punt, Route, RouteKey,
    Router, Segment, Target, Vtep, Way,
};
use overlay_common::verdict::DropReason;
use std::net::IpAddr;

/// One look-up or one report, in the order of the path.
#[derive(Clone, Debug)]
pub enum Event {
    /// The port of a device and VLAN.
    Access(AccessKey, Option<Access>),
    /// A port as a way out.
    Port(u32, Port),
    /// A segment.
    Segment(u16, Segment),
    /// A peer.
    Peer(u32, Peer),
    /// One of the ways to a peer.
    Way(Way),
    /// The peer behind an address.
    Vtep(IpAddr, Option<Vtep>),
    /// Whether a VNI is known, or permitted.
    Permit(PermitKey, Option<Permit>),
    /// Where a station is.
    Fdb(FdbKey, Option<FdbEntry>),
    /// Whose an address is.
    Neighbour(NeighbourKey, Option<Neighbour>),
    /// The rule of an access list that holds; of a list that is not there, none.
    Filter {
        /// Index of the segment.
        segment: u16,
        /// [`FilterKey::IN`](overlay_common::abi::FilterKey::IN) or `OUT`.
        direction: u16,
        /// The rule.
        rule: Option<Branch>,
    },
    /// Whether a host may use an address.
    Guard(GuardKey, bool),
    /// The router of a segment.
    Router(u16, Router),
    /// The way to an address, and the prefix that has it.
    Route(RouteKey, Option<(RouteKey, Route)>),
    /// A slot of a flood list.
    Flood(FloodKey, Option<Target>),
    /// A flood has so many receivers, more than are followed.
    Cut(u32),
    /// Limits, as they were before, and whether the frame passes them.
    Police(PolicerKey, Option<Policer>, Result<(), DropReason>),
    /// A frame, or a copy, is sent to a port or peer, or taken from it.
    Counted(Target, Direction),
    /// Copies that are not sent.
    CopyDropped(DropReason),
    /// Whether a station may be told that its packet is too big.
    MayTell(bool),
    /// Something is handed to user space, with the frame where it goes along.
    Punt(Punt, Vec<u8>),
}
