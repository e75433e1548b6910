//! One change of one table: what the controller asks its caller to do.

use overlay_common::abi::{
    Access, AccessKey, FdbEntry, FdbKey, Filter, FilterKey, FilterNode, FloodKey, GuardKey,
    Neighbour, NeighbourKey, Node, Peer, Permit, PermitKey, Policer, PolicerKey, Port, PuntLimit,
    PuntReason, Route, RouteKey, Router, Segment, Target, Vtep, Vtep6Key, VtepKey, Way,
};
use overlay_common::id::{PeerId, PortId, SegmentId};

/// A table change. `Put` inserts or replaces; `Del` removes, and does nothing
/// where there is no such entry. In tables that are arrays (ports, segments,
/// peers) a removed entry is one of zeroes.
///
/// Actions are to be applied in the order in which they are given: an entry that
/// others point to comes before them and goes after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The node's entry, which also carries the ageing clock.
    PutNode(Node),
    /// An access port takes frames.
    PutAccess(AccessKey, Access),
    /// An access port takes no more frames.
    DelAccess(AccessKey),
    /// A port as a way out.
    PutPort(PortId, Port),
    /// The port is gone and its index free: its counters start again from zero.
    DelPort(PortId),
    /// A segment and its current flood list.
    PutSegment(SegmentId, Segment),
    /// The segment is gone and its index free.
    DelSegment(SegmentId),
    /// A peer's outer header and the way there.
    PutPeer(PeerId, Peer),
    /// A way to peers that have several, by its index.
    PutWay(u32, Way),
    /// The peer is gone and its index free: its counters start again from zero.
    DelPeer(PeerId),
    /// The peer behind a VTEP address.
    PutVtep(VtepKey, Vtep),
    /// Nobody is behind this VTEP address any more.
    DelVtep(VtepKey),
    /// The same over IPv6.
    PutVtep6(Vtep6Key, Vtep),
    /// The same over IPv6.
    DelVtep6(Vtep6Key),
    /// A permission profile may use a VNI.
    PutPermit(PermitKey, Permit),
    /// A permission profile may no longer use a VNI.
    DelPermit(PermitKey),
    /// A slot of a flood list.
    PutFlood(FloodKey, Target),
    /// A slot of a flood list that is no longer in use.
    DelFlood(FloodKey),
    /// Where a MAC address is.
    PutFdb(FdbKey, FdbEntry),
    /// A MAC address is forgotten.
    DelFdb(FdbKey),
    /// What a port, a peer or a segment may send.
    PutPolicer(PolicerKey, Policer),
    /// It may send anything.
    DelPolicer(PolicerKey),
    /// Whose an IP address is.
    PutNeighbour(NeighbourKey, Neighbour),
    /// It is not known any more whose an IP address is.
    DelNeighbour(NeighbourKey),
    /// A comparison of an access list, by its index.
    PutFilterNode(u32, FilterNode),
    /// The list of a segment and direction.
    PutFilter(FilterKey, Filter),
    /// The segment has no such list any more.
    DelFilter(FilterKey),
    /// What a rule has counted that is out of use goes to the one that stands in its place.
    CarryRule {
        /// The index of the former.
        from: u32,
        /// Of the latter.
        to: u32,
    },
    /// The rule is gone and its index free: its counters start again from zero.
    DelRule(u32),
    /// A host behind a guarded port may use an address.
    PutGuard(GuardKey),
    /// It may no longer.
    DelGuard(GuardKey),
    /// A segment's router.
    PutRouter(SegmentId, Router),
    /// The segment has no router any more.
    DelRouter(SegmentId),
    /// Where a prefix of a VRF leads.
    PutRoute(RouteKey, Route),
    /// The VRF has no such prefix any more.
    DelRoute(RouteKey),
    /// How often user space wants to hear of something.
    PutPuntLimit(PuntReason, PuntLimit),
}
