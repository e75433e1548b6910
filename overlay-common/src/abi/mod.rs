//! Table keys, values and records shared by the kernel programs and user space.
//!
//! Every struct is `repr(C)` with its padding spelled out, and its size is
//! asserted here, so that the two sides cannot drift apart. Integers are in host
//! order unless a field is a byte array, which is as on the wire.

mod admission;
mod carried;
mod counters;
mod egress;
mod fdb;
mod filter;
mod guard;
mod neighbour;
mod node;
mod policer;
mod punt;
mod queue;
mod route;
mod segment;
mod watch;

pub use admission::{Access, AccessKey, Permit, PermitKey, Policed, Vtep, Vtep6Key, VtepKey};
pub use carried::{Carried, CarriedKey};
pub use counters::{Count, Counters, Direction, DropKey, Hook};
pub use egress::{Egress, Peer, Port, Stations, Way};
pub use fdb::{FdbEntry, FdbKey, Target};
pub use filter::{Branch, Comparisons, Filter, FilterKey, FilterNode, FlowKey, RuleCount, walk};
pub use guard::{Bound, FirstGuard, GuardKey};
pub use neighbour::{Neighbour, NeighbourKey, neighbours_beside};
pub use node::{Masks, Node, TunnelPorts};
pub use policer::{Charge, Meter, Policer, PolicerKey};
pub use punt::{Punt, PuntBucket, PuntLimit, PuntReason};
pub use queue::Queue;
pub use route::{Arrival, Route, RouteKey, Router};
pub use segment::{FloodKey, FloodList, Segment};
pub use watch::{Outcome, Sample, Sampler, Stage, Watch, WatchFilter};

/// The version of everything in this module. A daemon that finds another
/// version pinned replaces the programs and their maps together.
pub const ABI_VERSION: u32 = if cfg!(feature = "layout-next") { 9 } else { 8 };

/// A plain record: `repr(C)`, no hidden padding, every bit pattern valid.
///
/// # Safety
///
/// The implementer must be `repr(C)` or `repr(transparent)`, have no padding
/// bytes, and accept every bit pattern.
pub unsafe trait Record: Copy + 'static {}

/// Asserts a record's size and marks it as a [`Record`].
macro_rules! record {
    ($name:ty, $size:expr) => {
        const _: () = assert!(core::mem::size_of::<$name>() == $size);
        // SAFETY: the type is `repr(C)`, made of integers and byte arrays, and
        // the size assertion above leaves no room for hidden padding.
        unsafe impl $crate::abi::Record for $name {}
    };
}
pub(crate) use record;

/// The names of the maps, as the BPF object declares and user space opens them.
pub mod maps {
    /// Array(1): index 0 → [`Node`](super::Node).
    pub const NODE: &str = "NODE";
    /// Buckets ([`hash`](crate::hash)): [`AccessKey`](super::AccessKey) →
    /// [`Access`](super::Access).
    pub const ACCESS: &str = "ACCESS";
    /// Array: port index → [`Port`](super::Port).
    pub const PORTS: &str = "PORTS";
    /// Array: segment index → [`Segment`](super::Segment).
    pub const SEGMENTS: &str = "SEGMENTS";
    /// Array: peer index → [`Peer`](super::Peer).
    pub const PEERS: &str = "PEERS";
    /// Array: group, bucket → [`Way`](super::Way).
    pub const WAYS: &str = "WAYS";
    /// Buckets: [`VtepKey`](super::VtepKey) → [`Vtep`](super::Vtep).
    pub const VTEPS: &str = "VTEPS";
    /// Hash: [`Vtep6Key`](super::Vtep6Key) → [`Vtep`](super::Vtep).
    pub const VTEPS6: &str = "VTEPS6";
    /// Buckets: [`PermitKey`](super::PermitKey) → [`Permit`](super::Permit).
    pub const PERMITS: &str = "PERMITS";
    /// Buckets: [`FdbKey`](super::FdbKey) → [`FdbEntry`](super::FdbEntry).
    pub const FDB: &str = "FDB";
    /// Hash: [`FloodKey`](super::FloodKey) → [`Target`](super::Target).
    pub const FLOOD: &str = "FLOOD";
    /// Hash: [`PolicerKey`](super::PolicerKey) → [`Policer`](super::Policer).
    pub const POLICERS: &str = "POLICERS";
    /// Hash: [`NeighbourKey`](super::NeighbourKey) → [`Neighbour`](super::Neighbour).
    pub const NEIGHBOURS: &str = "NEIGHBOURS";
    /// Array: [`FilterKey::index`](super::FilterKey::index) → [`Filter`](super::Filter), as a word.
    pub const FILTERS: &str = "FILTERS";
    /// Array of blocks of [`FilterNode`](super::FilterNode)s, one after the other by their index.
    pub const FILTER_NODES: &str = "FILTER_NODES";
    /// Per-CPU array: rule index → [`RuleCount`](super::RuleCount).
    pub const RULES: &str = "RULES";
    /// Hash: [`GuardKey`](super::GuardKey) → [`Bound`](super::Bound).
    pub const GUARDS: &str = "GUARDS";
    /// Array: port index → [`FirstGuard`](super::FirstGuard).
    pub const FIRST_GUARDS: &str = "FIRST_GUARDS";
    /// Array: segment index → [`Router`](super::Router).
    pub const ROUTERS: &str = "ROUTERS";
    /// Longest prefix match: [`RouteKey`](super::RouteKey) → [`Route`](super::Route).
    pub const ROUTES: &str = "ROUTES";
    /// Program array: [`sides`](super::sides) → the tc program of each.
    pub const TC_SIDES: &str = "TC_SIDES";
    /// The same for XDP.
    pub const XDP_SIDES: &str = "XDP_SIDES";
    /// The same for XDP whose frames have one buffer.
    pub const XDP_SIDES_ONE: &str = "XDP_SIDES_ONE";
    /// Device hash: ifindex → ifindex, the devices that XDP may redirect to.
    pub const DEVICES: &str = "DEVICES";
    /// Hash: [`Queue`](super::Queue) → where in [`XSKS`] its socket is (`u32`).
    pub const XSK_SLOTS: &str = "XSK_SLOTS";
    /// AF_XDP sockets.
    pub const XSKS: &str = "XSKS";
    /// Per-CPU hash: [`DropKey`](super::DropKey) → packets (`u64`).
    pub const DROPS: &str = "DROPS";
    /// Array: CPU, direction, port index → [`Count`](super::Count), at
    /// [`Count::position`](super::Count::position) among [`MAX_PORTS`](super::MAX_PORTS).
    pub const PORT_COUNTERS: &str = "PORT_COUNTERS";
    /// Array: CPU, direction, peer index → [`Count`](super::Count), at
    /// [`Count::position`](super::Count::position) among [`MAX_PEERS`](super::MAX_PEERS).
    pub const PEER_COUNTERS: &str = "PEER_COUNTERS";
    /// Hash, of user space alone: [`CarriedKey`](super::CarriedKey) → [`Carried`](super::Carried).
    pub const CARRIED: &str = "CARRIED";
    /// Perf event array: [`Punt`](super::Punt) followed by the frame's bytes.
    pub const PUNTS: &str = "PUNTS";
    /// Array: punt reason → [`PuntLimit`](super::PuntLimit).
    pub const PUNT_LIMITS: &str = "PUNT_LIMITS";
    /// Per-CPU array: punt reason and share → [`PuntBucket`](super::PuntBucket), at
    /// [`PuntBucket::position`](super::PuntBucket::position).
    pub const PUNT_BUCKETS: &str = "PUNT_BUCKETS";
    /// Per-CPU array: port index → [`PuntBucket`](super::PuntBucket) of
    /// [`Node::ptb_limit`](super::Node::ptb_limit).
    pub const PTB_BUCKETS: &str = "PTB_BUCKETS";
    /// Array(1): index 0 → [`Watch`](super::Watch).
    pub const WATCH: &str = "WATCH";
    /// Per-CPU array(1): index 0 → [`Sampler`](super::Sampler).
    pub const SAMPLERS: &str = "SAMPLERS";
    /// Per-CPU array(1): index 0 → the number (u32) of the frame that is on its way through the
    /// programs, where it is told of; or 0.
    pub const TOLD: &str = "TOLD";
    /// Perf event array: [`Sample`](super::Sample) followed by the frame's bytes.
    pub const SAMPLES: &str = "SAMPLES";
}

/// The programs that others go on with: those of either side for a device that is uplink and
/// access port; at tc, those that do what few frames need, which go on with their side's.
pub mod sides {
    /// On uplinks.
    pub const UPLINK: u32 = 0;
    /// On access ports.
    pub const ACCESS: u32 = 1;
    /// What few frames need, on uplinks.
    pub const APART_UPLINK: u32 = 2;
    /// What few frames need, on access ports.
    pub const APART_ACCESS: u32 = 3;
    /// What is sent to a router, from either side.
    pub const ROUTE: u32 = 4;
    /// Floods from access ports.
    pub const FLOOD: u32 = 5;
    /// How many there are.
    pub const COUNT: u32 = 6;
}

/// The names of the constants that the loader fills in.
pub mod constants {
    /// The seed of every [`Spread`](crate::hash::Spread), `u64`.
    pub const HASH_SEED: &str = "HASH_SEED";
    /// What the kernel can do of [`abilities`](super::abilities), `u32`.
    pub const ABILITIES: &str = "ABILITIES";
    /// Whether frames are watched, `u32`: 1 in programs that are loaded for that, else 0.
    pub const WATCHED: &str = "WATCHED";
}

/// Marks the two instructions that XDP programs leave open for a look at whether a frame goes on in
/// further buffers: this number in a register, and that register into itself. It is odd, which
/// means that it may.
pub const FURTHER_BUFFERS: i32 = 0x6f76_6c79;

/// What a program does differently where the kernel cannot do it: bits of
/// [`constants::ABILITIES`]. The verifier knows the constant, so what is not taken
/// costs nothing.
pub mod abilities {
    /// `bpf_skb_adjust_room` can be told that the inner frame has an Ethernet header
    /// (Linux 5.13, commit d01b59c9ae94).
    pub const ENCAP_L2_ETH: u32 = 1;
    /// `bpf_skb_adjust_room` can be told that IPv6 comes out of IPv4 (Linux 6.3, commit
    /// d219df60a70e).
    pub const DECAP_L3: u32 = 1 << 1;
}

/// The names of the programs in the BPF object.
pub mod programs {
    /// XDP on an uplink.
    pub const XDP_UPLINK: &str = "xdp_uplink";
    /// XDP on an access port.
    pub const XDP_ACCESS: &str = "xdp_access";
    /// XDP on a device that is uplink and access port.
    pub const XDP_ONE_ARMED: &str = "xdp_one_armed";
    /// [`XDP_UPLINK`] for kernels whose XDP has no frames of several buffers, and for generic
    /// XDP.
    pub const XDP_UPLINK_SINGLE: &str = "xdp_uplink_single";
    /// [`XDP_ACCESS`] for kernels whose XDP has no frames of several buffers.
    pub const XDP_ACCESS_SINGLE: &str = "xdp_access_single";
    /// [`XDP_ONE_ARMED`] for kernels whose XDP has no frames of several buffers.
    pub const XDP_ONE_ARMED_SINGLE: &str = "xdp_one_armed_single";
    /// XDP on an uplink that user space carries over AF_XDP: hands it what is the overlay's.
    pub const XDP_USER_UPLINK: &str = "xdp_user_uplink";
    /// XDP on such an access port: hands over everything.
    pub const XDP_USER_ACCESS: &str = "xdp_user_access";
    /// XDP on such a device that is both: hands over what is the overlay's, and what is of its
    /// VLANs.
    pub const XDP_USER_ONE_ARMED: &str = "xdp_user_one_armed";
    /// tc ingress on an uplink.
    pub const TC_UPLINK: &str = "tc_uplink";
    /// tc ingress on an access port.
    pub const TC_ACCESS: &str = "tc_access";
    /// tc ingress on a device that is uplink and access port.
    pub const TC_ONE_ARMED: &str = "tc_one_armed";
    /// [`TC_UPLINK`] for kernels without `bpf_loop`.
    pub const TC_UPLINK_BOUNDED: &str = "tc_uplink_bounded";
    /// [`TC_ACCESS`] for kernels without `bpf_loop`.
    pub const TC_ACCESS_BOUNDED: &str = "tc_access_bounded";
    /// tc ingress on an uplink that user space carries: discards what is the overlay's.
    pub const TC_GUARD_UPLINK: &str = "tc_guard_uplink";
    /// tc ingress on an access port that user space carries: discards everything.
    pub const TC_GUARD_ACCESS: &str = "tc_guard_access";
    /// tc ingress on a device that is both and that user space carries: discards what is the
    /// overlay's, and what is of its VLANs.
    pub const TC_GUARD_ONE_ARMED: &str = "tc_guard_one_armed";
    /// tc, never attached: does what few frames need on an uplink, and goes on with
    /// [`TC_UPLINK`] or its other form.
    pub const TC_APART_UPLINK: &str = "tc_apart_uplink";
    /// The same on an access port, where it answers some.
    pub const TC_APART_ACCESS: &str = "tc_apart_access";
    /// tc, never attached: floods from access ports.
    pub const TC_FLOOD: &str = "tc_flood";
    /// The same for kernels without `bpf_loop`.
    pub const TC_FLOOD_BOUNDED: &str = "tc_flood_bounded";
    /// tc, never attached: routes what was sent to a router.
    pub const TC_ROUTE: &str = "tc_route";
    /// All that are attached at tc ingress.
    pub const TC: [&str; 8] = [
        TC_UPLINK,
        TC_ACCESS,
        TC_ONE_ARMED,
        TC_UPLINK_BOUNDED,
        TC_ACCESS_BOUNDED,
        TC_GUARD_UPLINK,
        TC_GUARD_ACCESS,
        TC_GUARD_ONE_ARMED,
    ];
    /// XDP, never attached: redirects a [`Probe`](crate::wire::Probe) to the device
    /// that it names, to find out whether redirected frames arrive there.
    pub const XDP_PROBE: &str = "xdp_probe";
}

/// How many peers the kernel sends a flooded frame to; user space sends to the rest.
pub const KERNEL_COPIES: u32 = 64;
/// How many local ports, and how many peers, the programs for kernels without
/// `bpf_loop` (before Linux 5.17, commit e6f2dd0f8067) can send copies of a frame to.
/// Their verifier walks through every turn of a loop.
pub const BOUNDED_COPIES: u32 = 64;
const _: () = assert!(KERNEL_COPIES <= BOUNDED_COPIES);

/// Entries in [`maps::PORTS`]: uplinks and access ports of one node.
pub const MAX_PORTS: u32 = 4096;
/// Entries in [`maps::SEGMENTS`]; index 0 is unused.
pub const MAX_SEGMENTS: u32 = 65_536;
/// Groups of ways: the sets of next hops that routes to peers have; group 0 is unused.
pub const MAX_GROUPS: u32 = 1024;
/// Entries in [`maps::WAYS`].
pub const MAX_WAYS: u32 = MAX_GROUPS * Way::BUCKETS;
/// Entries in [`maps::PEERS`].
pub const MAX_PEERS: u32 = 16_384;
/// Entries in [`maps::PERMITS`]. A change puts new profiles beside the old, so a
/// configuration may use half of them.
pub const MAX_PERMITS: u32 = 15 << 16;
/// Buckets of [`maps::ACCESS`]: half full at most, also while a change puts new ports
/// beside the old.
pub const ACCESS_BUCKETS: u32 = MAX_PORTS;
/// Buckets of [`maps::VTEPS`]: half full at most, also while a change puts new peers
/// beside the old.
pub const VTEP_BUCKETS: u32 = MAX_PEERS;
const _: () = assert!(2 * MAX_PORTS * 2 <= ACCESS_BUCKETS * crate::hash::SLOTS as u32);
const _: () = assert!(2 * MAX_PEERS * 2 <= VTEP_BUCKETS * crate::hash::SLOTS as u32);
/// Buckets of [`maps::PERMITS`]: fifteen sixteenths full at most, for as long as a
/// change takes.
pub const PERMIT_BUCKETS: u32 = 1 << 18;
const _: () = assert!(MAX_PERMITS / 15 * 16 == PERMIT_BUCKETS * crate::hash::SLOTS as u32);
/// Entries in [`maps::CARRIED`]: one a port, peer and rule, and of drop counters, devices and
/// segments those that have counted.
pub const MAX_CARRIED: u32 = 1 << 18;
const _: () = assert!(MAX_CARRIED - (1 << 16) >= MAX_PORTS + MAX_PEERS + MAX_SEGMENTS + MAX_RULES);
/// Entries in [`maps::XSKS`]: queues that user space has frames of over AF_XDP.
pub const MAX_XSKS: u32 = MAX_PORTS;
/// Entries in [`maps::POLICERS`]: one a port, peer and segment.
pub const MAX_POLICERS: u32 = MAX_PORTS + MAX_PEERS + MAX_SEGMENTS;
/// Entries in [`maps::GUARDS`]. A change puts new ones beside the old, so a configuration may use
/// half of them.
pub const MAX_GUARDS: u32 = 1 << 19;
/// Entries in [`maps::FILTERS`]: two for each segment.
pub const MAX_FILTERS: u32 = 2 * MAX_SEGMENTS;
/// Entries in [`maps::FILTER_NODES`]. A change puts new lists beside the old, so a configuration
/// may use half of them.
pub const MAX_FILTER_NODES: u32 = 1 << 19;
/// Entries that these are in: none has more than 4 MiB, the most that Linux 5.10 lets it have.
pub const FILTER_BLOCKS: u32 = (MAX_FILTER_NODES * 32) >> 22;
/// Entries in [`maps::RULES`], likewise.
pub const MAX_RULES: u32 = 1 << 16;
/// VRFs of a node.
pub const MAX_VRFS: u32 = 4096;
/// Entries in [`maps::ROUTES`]. A change puts new ones beside the old, so a configuration may
/// use half of them.
pub const MAX_ROUTES: u32 = 1 << 20;
/// Entries in [`maps::FLOOD`]. A list that changes is there twice for a moment,
/// so a configuration may use half of them.
pub const MAX_FLOOD_SLOTS: u32 = 1 << 20;
