//! What the controller believes, for people to look at.

use std::net::IpAddr;

use overlay_common::id::{PeerId, PortId, SegmentId, Vlan};
use overlay_common::wire::Mac;

use super::fdb::Origin;
use crate::acl::Line;
use crate::config::{Encap, Mode, Place, Prefix};

/// What a port, or a device, is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Faces the underlay.
    Uplink,
    /// Faces a segment.
    Access,
    /// Both, which a device may be and a port is not: the underlay's frames are untagged
    /// there, those of segments tagged.
    OneArmed,
}

impl Role {
    /// The name in commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uplink => "uplink",
            Self::Access => "access",
            Self::OneArmed => "one-armed",
        }
    }

    /// Whether segments are behind it.
    pub const fn has_access(self) -> bool {
        !matches!(self, Self::Uplink)
    }

    /// Whether the underlay is.
    pub const fn has_uplink(self) -> bool {
        !matches!(self, Self::Access)
    }
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortView {
    /// Its index in the tables; `None` while it waits for a free one.
    pub id: Option<PortId>,
    /// Its device.
    pub interface: String,
    /// The VLAN of its frames; `None`: untagged.
    pub vlan: Option<Vlan>,
    /// What it is for.
    pub role: Role,
    /// The segment of an access port.
    pub segment: Option<String>,
    /// The hook asked for.
    pub mode: Mode,
    /// The device's index; `None` while it does not exist.
    pub ifindex: Option<u32>,
    /// Whether the device exists, is up and has a carrier.
    pub up: bool,
    /// The device's MTU.
    pub mtu: Option<u32>,
    /// Whether the caller has attached a program to it.
    pub attached: bool,
    /// How many addresses were learnt from it.
    pub fdb: usize,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentView {
    /// Its index in the tables; `None` while it waits for a free one.
    pub id: Option<SegmentId>,
    /// Its name.
    pub name: String,
    /// Its VNI.
    pub vni: u32,
    /// Whether MACs behind peers are learnt.
    pub learning: bool,
    /// Whether ARP and neighbour discovery are heard and answered.
    pub suppression: bool,
    /// The VRF that its router routes for.
    pub vrf: Option<String>,
    /// Its router's addresses.
    pub router: Vec<Prefix>,
    /// How many access ports it has.
    pub ports: usize,
    /// How many peers may use it.
    pub peers: usize,
    /// How many addresses the FDB has in it.
    pub fdb: usize,
}

/// Whether frames can be sent to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// Route and next hop are known.
    Ready,
    /// They are not; [`PeerView::why`] says what is missing.
    Unresolved,
}

impl PeerState {
    /// The name in commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unresolved => "unresolved",
        }
    }
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Its index in the tables; `None` while it waits for a free one.
    pub id: Option<PeerId>,
    /// Its name.
    pub name: String,
    /// Its VTEP.
    pub vtep: IpAddr,
    /// Its encapsulation.
    pub encap: Encap,
    /// The segments that it may use.
    pub segments: Vec<String>,
    /// The VRFs that it may use.
    pub vrfs: Vec<String>,
    /// Whether frames can be sent to it.
    pub state: PeerState,
    /// What is missing where it is unresolved.
    pub why: Option<String>,
    /// The next hops of the route to it.
    pub ways: Vec<WayView>,
    /// How many addresses were learnt from it.
    pub fdb: usize,
    /// The longest IP packet that fits the tunnel on every way, in bytes, where there is one.
    pub mtu: Option<u32>,
}

/// A next hop of the route to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayView {
    /// The device, where it exists.
    pub interface: Option<String>,
    /// The next hop.
    pub next_hop: IpAddr,
    /// Its MAC.
    pub mac: Option<Mac>,
    /// Whether frames are sent that way.
    pub ready: bool,
}

/// An address in the FDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FdbView<'a> {
    /// Its segment.
    pub segment: &'a str,
    /// The segment's VNI.
    pub vni: u32,
    /// The address.
    pub mac: Mac,
    /// Where it is.
    pub place: Place<&'a str>,
    /// Why it is there.
    pub origin: Origin,
    /// Seconds since a frame from it was last seen.
    pub age: u32,
}

/// An address in the neighbour table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourView<'a> {
    /// Its segment.
    pub segment: &'a str,
    /// The address.
    pub ip: IpAddr,
    /// Whose it is.
    pub mac: Mac,
    /// Whether the configuration says so.
    pub is_static: bool,
    /// Whether the station is a router.
    pub router: bool,
}

/// A rule of an access list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclView<'a> {
    /// Its segment.
    pub segment: &'a str,
    /// `in` or `out`.
    pub direction: &'static str,
    /// What it says.
    pub line: Line,
    /// The indices in the tables that count for it; none while the list waits for room.
    pub indices: Vec<u32>,
}

/// A route of a VRF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView<'a> {
    /// Its VRF.
    pub vrf: &'a str,
    /// What it is for.
    pub prefix: Prefix,
    /// What it is: `local`, `connected`, `static`, `unreachable` or `blackhole`.
    pub kind: &'static str,
    /// The segment that it leads to or through.
    pub segment: Option<&'a str>,
    /// The next hop's address.
    pub via: Option<IpAddr>,
    /// The peer that it leads to.
    pub peer: Option<&'a str>,
    /// The MAC address of the next hop, where it is known.
    pub mac: Option<Mac>,
}

/// What happened to the neighbour table since the controller was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighbourTotals {
    /// Addresses heard of that were not known.
    pub learned: u64,
    /// Addresses that another station has now.
    pub moved: u64,
    /// Addresses not taken in because the table was full, or the station has too many.
    pub refused: u64,
}

/// What happened to the FDB since the controller was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdbTotals {
    /// Addresses learnt that were not known.
    pub learned: u64,
    /// Addresses that turned up elsewhere.
    pub moved: u64,
    /// Addresses forgotten because they were silent.
    pub aged: u64,
    /// Addresses forgotten because their port or peer went away.
    pub flushed: u64,
    /// Addresses not learnt because the FDB was full, or so nearly full that what is left is
    /// for sources that have fewer.
    pub refused: u64,
    /// Addresses not learnt because their port, peer or segment has as many as it may have.
    pub limited: u64,
    /// Frames from elsewhere with an address that its port holds.
    pub held: u64,
}
