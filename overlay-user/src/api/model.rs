//! What is asked and answered on the control socket. The names of the fields
//! are the configuration's words where those exist, and part of the interface.

use std::borrow::Cow;

use overlay_control::addresses::Purpose;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The path of the FDB, a list of [`FdbRow`]s.
pub const FDB_PATH: &str = "/v1/fdb";

/// What may be asked of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// How the instance is.
    Status,
    /// Its ports.
    Ports,
    /// Its segments.
    Segments,
    /// Its peers.
    Peers,
    /// Whose the IP addresses are.
    Neighbours,
    /// Where packets are routed.
    Routes,
    /// The access lists and what their rules have held.
    Acls,
    /// What was dropped, where and why.
    Drops,
    /// To remove every address that was loaded.
    FdbFlush,
    /// To apply its configuration file again.
    Reload,
    /// To detach everything and end.
    Down,
}

impl Question {
    /// Every question.
    pub const ALL: [Self; 11] = [
        Self::Status,
        Self::Ports,
        Self::Segments,
        Self::Peers,
        Self::Neighbours,
        Self::Routes,
        Self::Acls,
        Self::Drops,
        Self::FdbFlush,
        Self::Reload,
        Self::Down,
    ];

    /// The path of its resource.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Status => "/v1/status",
            Self::Ports => "/v1/ports",
            Self::Segments => "/v1/segments",
            Self::Peers => "/v1/peers",
            Self::Neighbours => "/v1/neighbours",
            Self::Routes => "/v1/routes",
            Self::Acls => "/v1/acls",
            Self::Drops => "/v1/drops",
            Self::FdbFlush => "/v1/fdb/flush",
            Self::Reload => "/v1/reload",
            Self::Down => "/v1/down",
        }
    }

    /// Whether it changes something, and is therefore a POST.
    pub const fn is_order(self) -> bool {
        matches!(self, Self::FdbFlush | Self::Reload | Self::Down)
    }
}

/// What may be done with a list of addresses, one a line, which is the body of the
/// request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOrder {
    /// To put them into the FDB.
    Load,
    /// To remove them, which were loaded before.
    Unload,
}

impl ListOrder {
    /// Every order.
    pub const ALL: [Self; 2] = [Self::Load, Self::Unload];

    /// The path of its resource.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Load => "/v1/fdb/load",
            Self::Unload => "/v1/fdb/unload",
        }
    }

    /// What a list is read for.
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::Load => Purpose::Load,
            Self::Unload => Purpose::Unload,
        }
    }
}

/// What a daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To [`Question::Status`].
    Status(Box<Status>),
    /// To [`Question::Ports`].
    Ports(Vec<PortRow>),
    /// To [`Question::Segments`].
    Segments(Vec<SegmentRow>),
    /// To [`Question::Peers`].
    Peers(Vec<PeerRow>),
    /// To [`Question::Neighbours`].
    Neighbours(Vec<NeighbourRow>),
    /// To [`Question::Routes`].
    Routes(Vec<RouteRow>),
    /// To [`Question::Acls`].
    Acls(Vec<AclRow>),
    /// To [`Question::Drops`].
    Drops(Vec<DropRow>),
    /// To an order.
    Done(Done),
}

/// What an order has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// One line a change.
    pub changes: Vec<String>,
}

/// How an instance is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// `node.name`.
    pub name: String,
    /// `node.vtep`.
    pub vtep: String,
    /// The version of the daemon.
    pub version: String,
    /// The version of the tables' layout.
    pub abi_version: u32,
    /// The daemon's process.
    pub pid: u32,
    /// Seconds since the daemon started.
    pub uptime: u64,
    /// The configuration file.
    pub config: String,
    /// The network namespace of the instance.
    pub netns: String,
    /// Where its maps and links are pinned.
    pub pins: String,
    /// How many ports it has.
    pub ports: usize,
    /// How many of them have programs attached.
    pub ports_attached: usize,
    /// How many segments it has.
    pub segments: usize,
    /// How many peers it has.
    pub peers: usize,
    /// How many of them can be sent to.
    pub peers_ready: usize,
    /// How many addresses the FDB holds.
    pub fdb: usize,
    /// How many of them were loaded.
    pub fdb_loaded: usize,
    /// How many it has room for (`node.fdb_entries`).
    pub fdb_entries: u32,
    /// Addresses learnt that were not known.
    pub fdb_learned: u64,
    /// Addresses that turned up elsewhere.
    pub fdb_moved: u64,
    /// Addresses forgotten because they were silent for `node.ageing`.
    pub fdb_aged: u64,
    /// Addresses forgotten because their port or peer went away.
    pub fdb_flushed: u64,
    /// Addresses not learnt because the FDB was full, or so nearly full that what is left is
    /// for ports and peers that have fewer.
    pub fdb_refused: u64,
    /// Addresses not learnt because their port, peer or segment has `limit.macs` of them.
    pub fdb_limited: u64,
    /// Frames from elsewhere with an address that a sticky port holds.
    pub fdb_held: u64,
    /// How many IP addresses the neighbour table holds.
    pub neighbours: usize,
    /// Addresses not taken in because it was full, or their station has too many.
    pub neighbours_refused: u64,
    /// Packets dropped, for all reasons.
    pub drops: u64,
    /// Whether nothing is wrong; what is worth a note is not wrong.
    #[serde(default)]
    pub healthy: bool,
    /// What is wrong now, the worst first.
    #[serde(default)]
    pub problems: Vec<ProblemRow>,
    /// What was wrong in the last quarter of an hour, the latest first.
    #[serde(default)]
    pub recovered: Vec<ProblemRow>,
}

/// Something that is wrong with the gateway, or was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemRow {
    /// What kind of thing; the manual lists them.
    pub code: String,
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// What it is about, such as `port eth1`; empty for the node itself.
    pub subject: String,
    /// What is wrong, in a sentence.
    pub what: String,
    /// Since when, as in RFC 3339.
    pub since: String,
    /// How many seconds ago that was.
    pub seconds: u64,
    /// What to do.
    pub fix: String,
    /// Since when it is right again, where it is.
    pub ended: Option<String>,
    /// How many seconds ago that was.
    pub ended_seconds: Option<u64>,
}

/// A port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PortRow {
    /// The device.
    pub interface: String,
    /// The VLAN of its frames; `None`: untagged.
    pub vlan: Option<u16>,
    /// The kind of the VLAN's tags: `802.1q` or `802.1ad`.
    #[serde(default)]
    pub protocol: Option<String>,
    /// `uplink` or `access`.
    pub role: String,
    /// The segment of an access port.
    pub segment: Option<String>,
    /// The hook asked for.
    pub mode: String,
    /// The hook in use; `None`: nothing is attached.
    pub hook: Option<String>,
    /// Why this hook, or why none.
    pub why: String,
    /// Whether the device is up and has a carrier.
    pub up: bool,
    /// The device's index.
    pub ifindex: Option<u32>,
    /// The device's MTU.
    pub mtu: Option<u32>,
    /// How many addresses were learnt from it.
    pub fdb: usize,
    /// Overlay packets taken in; on an uplink, those of the peers that are now
    /// reached through it.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Overlay packets sent.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
}

/// A segment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SegmentRow {
    /// Its name.
    pub name: String,
    /// Its VNI.
    pub vni: u32,
    /// Whether MACs behind peers are learnt.
    pub learning: bool,
    /// Whether ARP and neighbour discovery are heard and answered.
    pub suppression: bool,
    /// The VRF that its router routes for.
    #[serde(default)]
    pub vrf: Option<String>,
    /// Its router's addresses, each with the length of its prefix.
    #[serde(default)]
    pub router: Vec<String>,
    /// How many access ports it has.
    pub ports: usize,
    /// How many peers may use it.
    pub peers: usize,
    /// How many addresses the FDB has in it.
    pub fdb: usize,
    /// Packets taken in from its ports here, also from those that are gone.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets sent out of its ports here.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
}

/// A peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerRow {
    /// Its name.
    pub name: String,
    /// Its VTEP.
    pub vtep: String,
    /// Its encapsulation.
    pub encap: String,
    /// The segments that it may use.
    pub segments: Vec<String>,
    /// The VRFs that it may use.
    #[serde(default)]
    pub vrfs: Vec<String>,
    /// `ready` or `unresolved`.
    pub state: String,
    /// What is missing where it is unresolved.
    pub why: Option<String>,
    /// The uplink towards it; of several ways that are used each, with commas between them.
    pub interface: Option<String>,
    /// The next hop, or each.
    pub next_hop: Option<String>,
    /// The next hop's MAC, or each.
    pub mac: Option<String>,
    /// How many addresses were learnt from it.
    pub fdb: usize,
    /// The longest inner IP packet that fits, in bytes, where there is a way.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Packets from it, of inner frames.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets to it, of inner frames.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
}

/// An address in the FDB. These are answered one on each line: there may be
/// millions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FdbRow<'a> {
    /// Its segment.
    pub segment: Cow<'a, str>,
    /// The segment's VNI.
    pub vni: u32,
    /// The address.
    pub mac: Cow<'a, str>,
    /// The peer that it is behind.
    pub peer: Option<Cow<'a, str>>,
    /// The access port that it is behind.
    pub interface: Option<Cow<'a, str>>,
    /// That port's VLAN.
    pub vlan: Option<u16>,
    /// The kind of the VLAN's tags: `802.1q` or `802.1ad`.
    #[serde(default)]
    pub protocol: Option<Cow<'a, str>>,
    /// Whether it was configured or loaded, and neither ages nor moves.
    #[serde(rename = "static")]
    pub is_static: bool,
    /// Whether it was loaded.
    #[serde(rename = "loaded", default)]
    pub is_loaded: bool,
    /// Seconds since a frame from it was last seen.
    pub age: u32,
}

/// An IP address in the neighbour table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NeighbourRow {
    /// Its segment.
    pub segment: String,
    /// The address.
    pub ip: String,
    /// Whose it is.
    pub mac: String,
    /// `static` or `learned`.
    pub origin: String,
    /// Whether the station is an IPv6 router.
    pub router: bool,
}

/// A route of a VRF.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RouteRow {
    /// Its VRF.
    pub vrf: String,
    /// What it is for.
    pub prefix: String,
    /// `local`, `connected`, `static`, `unreachable` or `blackhole`.
    pub kind: String,
    /// The segment that it leads to or through.
    pub segment: Option<String>,
    /// The next hop.
    pub via: Option<String>,
    /// The peer that it leads to.
    pub peer: Option<String>,
    /// The next hop's MAC, where it is known.
    pub mac: Option<String>,
}

/// A rule of an access list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AclRow {
    /// Its segment.
    pub segment: String,
    /// `in` or `out`.
    pub direction: String,
    /// Its place in the list, from 1; `null` of neighbour discovery and the default.
    pub position: Option<usize>,
    /// `permit` or `deny`.
    pub action: String,
    /// What it is for, in the configuration's words.
    pub rule: String,
    /// Packets that it was the first rule for.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A drop counter that is not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DropRow {
    /// The reason's label.
    pub reason: String,
    /// The device that the packets came in on.
    #[serde(rename = "where")]
    pub place: String,
    /// How many packets.
    pub packets: u64,
    /// `xdp`, `tc` or `user`.
    pub hook: String,
}
