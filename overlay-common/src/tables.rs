//! What the path asks of the node's tables.
//!
//! The kernel programs implement this on maps, the host on a mirror of them.

use crate::abi::{
    Access, AccessKey, Arrival, Charge, Direction, FdbEntry, FdbKey, FloodKey, FlowKey, GuardKey,
    Neighbour, NeighbourKey, Node, Peer, Permit, PermitKey, PolicerKey, Port, Punt, Route,
    RouteKey, Router, Segment, Target, Vtep, Vtep6Key, VtepKey, Way,
};
use crate::packet::Packet;
use crate::verdict::DropReason;
use crate::wire::Family;

/// What an access list looks at in a packet.
pub trait Fields {
    /// Writes all fields; `None` where the packet does not have them, and nothing is to be asked.
    fn write(&self, flow: &mut FlowKey) -> Option<()>;
}

/// The node's tables. Look-ups return `None` where there is no entry.
pub trait Tables {
    /// Whether the path is to be short rather than quick: an old kernel's verifier walks
    /// through every part of it, and through both of what is there twice.
    const SHORT: bool = false;

    /// Whether what few frames need is done by another program, to which they are left
    /// ([`Verdict::Defer`](crate::verdict::Verdict::Defer)): a verifier then meets it there alone.
    const APART: bool = false;

    /// Whether this frame comes from that other program; to be asked once.
    fn is_back(&self) -> bool {
        false
    }

    /// Tells the program that routes what there is to know of a frame
    /// ([`Verdict::Route`](crate::verdict::Verdict::Route)), where that is another one.
    fn hand_on(&self, _arrival: Arrival) {}

    /// The node.
    fn node(&self) -> Option<&Node>;
    /// The segment and port of an access frame.
    fn access(&self, key: &AccessKey) -> Option<Access>;
    /// A port by its index.
    fn port(&self, index: u32) -> Option<&Port>;
    /// A segment by its index.
    fn segment(&self, index: u16) -> Option<&Segment>;
    /// A peer by its index.
    fn peer(&self, index: u32) -> Option<&Peer>;
    /// A way by its index.
    fn way(&self, index: u32) -> Option<&Way>;
    /// The peer behind a VTEP address.
    fn vtep(&self, key: &VtepKey) -> Option<Vtep>;
    /// The peer behind a VTEP address of IPv6.
    fn vtep6(&self, key: &Vtep6Key) -> Option<Vtep>;
    /// The segment of a VNI, for a permission profile.
    fn permit(&self, key: &PermitKey) -> Option<Permit>;
    /// Where a MAC address is.
    fn fdb(&self, key: &FdbKey) -> Option<FdbEntry>;
    /// Marks an FDB entry as seen in `epoch`; at most once an epoch and entry.
    fn refresh(&self, key: &FdbKey, epoch: u32);
    /// Whose an IP address is.
    fn neighbour(&self, key: &NeighbourKey) -> Option<Neighbour>;
    /// Holds a packet against access lists of a segment ([`Policed::FILTER_IN`] and
    /// [`Policed::FILTER_OUT`]); one that is not there denies everything.
    ///
    /// [`Policed::FILTER_IN`]: crate::abi::Policed::FILTER_IN
    /// [`Policed::FILTER_OUT`]: crate::abi::Policed::FILTER_OUT
    fn filter(
        &self,
        segment: u16,
        lists: u16,
        family: Family,
        charge: Charge,
        fields: impl Fields,
    ) -> Result<(), DropReason>;
    /// Whether a host behind a guarded port may use an address.
    fn is_bound(&self, key: &GuardKey) -> bool;
    /// The router of a segment.
    fn router(&self, segment: u16) -> Option<&Router>;
    /// The route with the longest prefix.
    fn route(&self, key: &RouteKey) -> Option<Route>;
    /// A slot of a flood list.
    fn flood(&self, key: &FloodKey) -> Option<Target>;
    /// Holds a frame against the limits of a port, a peer or a segment; none are there where
    /// there is no entry.
    fn police(&self, key: &PolicerKey, charge: Charge) -> Result<(), DropReason>;
    /// Takes the turns 0, 1, … `count` − 1. This is a table operation because
    /// the kernel bounds loops in a way of its own.
    fn repeat<R: Turns>(&self, count: u32, turns: &mut R);

    /// Counts `packets` and `bytes` at a port.
    fn count_port(&self, index: u32, direction: Direction, packets: u32, bytes: u32);
    /// Counts `packets` and `bytes` at a peer.
    fn count_peer(&self, index: u32, direction: Direction, packets: u32, bytes: u32);
    /// Counts `packets` dropped copies of a frame whose other copies were sent.
    /// (A dropped frame itself is an error of the path, counted by its caller.)
    fn count_drop(&self, ifindex: u32, reason: DropReason, packets: u32);

    /// Whether a station behind this port may be told now that a packet of it was too big. Each
    /// port has so many answers a second ([`Node::ptb_limit`]).
    fn may_tell(&self, port: u32) -> bool;

    /// Hands a record, and the frame where its reason says so, to user space.
    /// `Err` tells that it was over its rate, or that nobody took it.
    fn punt<P: Packet>(&self, packet: &mut P, punt: Punt) -> Result<(), DropReason>;
}

/// What is done in a loop. A trait where a closure would do, since of this the compiler can
/// be told that it is to be a part of the loop, and not a function.
pub trait Turns {
    /// One turn.
    fn turn(&mut self, index: u32);
}
