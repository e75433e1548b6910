//! What the controller believes, for people to look at.

use std::net::IpAddr;

use overlay_common::id::{PeerId, PortId, SegmentId};
use overlay_common::wire::Mac;

use super::fdb::Origin;
use crate::config::{Encap, Mode, Place};

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Faces the underlay.
    Uplink,
    /// Faces a segment.
    Access,
}

impl Role {
    /// The name in commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uplink => "uplink",
            Self::Access => "access",
        }
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
    pub vlan: Option<u16>,
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
    /// Whether frames can be sent to it.
    pub state: PeerState,
    /// What is missing where it is unresolved.
    pub why: Option<String>,
    /// The uplink towards it.
    pub interface: Option<String>,
    /// The next hop.
    pub next_hop: Option<IpAddr>,
    /// The next hop's MAC.
    pub mac: Option<Mac>,
    /// The longest IP packet that fits the tunnel, in bytes, where there is a way.
    pub mtu: Option<u32>,
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
    /// Addresses not learnt because the FDB was full.
    pub refused: u64,
}
