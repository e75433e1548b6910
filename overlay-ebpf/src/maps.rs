//! The maps, by the names in [`overlay_common::abi::maps`].

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{
    Array, DevMapHash, HashMap, LpmTrie, PerCpuArray, PerCpuHashMap, PerfEventArray, ProgramArray,
    XskMap,
};
use overlay_common::abi::sides;
use overlay_common::abi::{
    ACCESS_BUCKETS, Bound, Carried, CarriedKey, Count, DropKey, FILTER_BLOCKS, FilterNode,
    FirstGuard, FloodKey, FlowKey, GuardKey, MAX_CARRIED, MAX_FILTER_NODES, MAX_FILTERS,
    MAX_FLOOD_SLOTS, MAX_GUARDS, MAX_PEERS, MAX_POLICERS, MAX_PORTS, MAX_ROUTES, MAX_RULES,
    MAX_SEGMENTS, MAX_WAYS, MAX_XSKS, Neighbour, NeighbourKey, Node, PERMIT_BUCKETS, Peer, Policer,
    PolicerKey, Port, Punt, PuntBucket, PuntLimit, PuntReason, Queue, Route, RouteKey, Router,
    RuleCount, Sample, Sampler, Segment, Target, VTEP_BUCKETS, Vtep, Vtep6Key, Watch, Way,
};
use overlay_common::hash::{Bucket, MIN_BUCKETS};
use overlay_common::word::Word;

#[map]
pub static NODE: Array<Node> = Array::with_max_entries(1, 0);
#[map]
pub static ACCESS: Array<Bucket> = buckets(ACCESS_BUCKETS);
#[map]
pub static PORTS: Array<Port> = Array::with_max_entries(MAX_PORTS, 0);
#[map]
pub static SEGMENTS: Array<Segment> = Array::with_max_entries(MAX_SEGMENTS, 0);
/// `BPF_F_MMAPABLE` is for the page that the entries then begin with: each is a
/// cache line.
#[map]
pub static PEERS: Array<Peer> = Array::with_max_entries(MAX_PEERS, BPF_F_MMAPABLE);
#[map]
pub static WAYS: Array<Way> = Array::with_max_entries(MAX_WAYS, 0);
#[map]
pub static VTEPS: Array<Bucket> = buckets(VTEP_BUCKETS);
#[map]
pub static VTEPS6: HashMap<Vtep6Key, Vtep> =
    HashMap::with_max_entries(2 * MAX_PEERS, BPF_F_NO_PREALLOC);
#[map]
pub static PERMITS: Array<Bucket> = buckets(PERMIT_BUCKETS);
/// The size is the loader's: it follows the configuration.
#[map]
pub static FDB: Array<Bucket> = buckets(MIN_BUCKETS);
#[map]
pub static FLOOD: HashMap<FloodKey, Target> =
    HashMap::with_max_entries(MAX_FLOOD_SLOTS, BPF_F_NO_PREALLOC);
/// The size is the loader's, as that of the FDB.
#[map]
pub static NEIGHBOURS: HashMap<NeighbourKey, Neighbour> =
    HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
pub static POLICERS: HashMap<PolicerKey, Policer> =
    HashMap::with_max_entries(MAX_POLICERS, BPF_F_NO_PREALLOC);
#[map]
pub static DEVICES: DevMapHash = DevMapHash::with_max_entries(MAX_PORTS, 0);
#[map]
pub static DROPS: PerCpuHashMap<DropKey, u64> =
    PerCpuHashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);
#[map]
pub static PORT_COUNTERS: Array<Count> = counts(MAX_PORTS);
#[map]
pub static PEER_COUNTERS: Array<Count> = counts(MAX_PEERS);
/// No program looks into it.
#[map]
pub static CARRIED: HashMap<CarriedKey, Carried> =
    HashMap::with_max_entries(MAX_CARRIED, BPF_F_NO_PREALLOC);
#[map]
pub static PUNTS: PerfEventArray<Punt> = PerfEventArray::new(0);
#[map]
pub static PUNT_LIMITS: Array<PuntLimit> = Array::with_max_entries(PuntReason::COUNT as u32, 0);
#[map]
pub static PUNT_BUCKETS: PerCpuArray<PuntBucket> =
    PerCpuArray::with_max_entries(PuntBucket::COUNT, 0);

/// Not zero while a frame is on its way back from the program that does what few need. On a
/// real-time kernel another frame may come between the two: for that one it is not done.
#[map]
pub static BACK: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);
/// The packet that is held against a list.
#[map]
pub static FLOW: PerCpuArray<FlowKey> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static FILTERS: Array<Word> = Array::with_max_entries(MAX_FILTERS, BPF_F_MMAPABLE);
#[map]
pub static FILTER_NODES: Array<Block> = Array::with_max_entries(FILTER_BLOCKS, BPF_F_MMAPABLE);
#[map]
pub static RULES: PerCpuArray<RuleCount> = PerCpuArray::with_max_entries(MAX_RULES, 0);
#[map]
pub static GUARDS: HashMap<GuardKey, Bound> =
    HashMap::with_max_entries(MAX_GUARDS, BPF_F_NO_PREALLOC);
#[map]
pub static FIRST_GUARDS: Array<FirstGuard> = Array::with_max_entries(MAX_PORTS, BPF_F_MMAPABLE);
#[map]
pub static ROUTERS: Array<Router> = Array::with_max_entries(MAX_SEGMENTS, 0);
#[map]
pub static ROUTES: LpmTrie<Asked, Route> = LpmTrie::with_max_entries(MAX_ROUTES, BPF_F_NO_PREALLOC);
#[map]
pub static TC_SIDES: ProgramArray = ProgramArray::with_max_entries(sides::COUNT, 0);
#[map]
pub static XDP_SIDES: ProgramArray = ProgramArray::with_max_entries(sides::COUNT, 0);
#[map]
pub static XDP_SIDES_ONE: ProgramArray = ProgramArray::with_max_entries(sides::COUNT, 0);

#[map]
pub static XSK_SLOTS: HashMap<Queue, u32> = HashMap::with_max_entries(MAX_XSKS, BPF_F_NO_PREALLOC);
#[map]
pub static XSKS: XskMap = XskMap::with_max_entries(MAX_XSKS, 0);

#[map]
pub static PTB_BUCKETS: PerCpuArray<PuntBucket> = PerCpuArray::with_max_entries(MAX_PORTS, 0);

/// Comparisons one after the other: as many as an entry may hold.
pub type Block = [FilterNode; (MAX_FILTER_NODES / FILTER_BLOCKS) as usize];

/// What is watched, by programs that were loaded for that alone.
#[map]
pub static WATCH: Array<Watch> = Array::with_max_entries(1, 0);
#[map]
pub static SAMPLERS: PerCpuArray<Sampler> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static TOLD: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static SAMPLES: PerfEventArray<Sample> = PerfEventArray::new(0);

/// What stands behind the length in a [`RouteKey`].
#[repr(C, align(4))]
pub struct Asked {
    table: u32,
    address: [u32; 4],
}
const _: () = assert!(size_of::<Key<Asked>>() == size_of::<RouteKey>());

/// A hash table's buckets. User space maps them into its memory, which also puts
/// each bucket on a cache line of its own.
const fn buckets(count: u32) -> Array<Bucket> {
    Array::with_max_entries(count, BPF_F_MMAPABLE)
}

/// The counts of `len` ports or peers; the loader gives it rows for every CPU. Not a
/// per-CPU array: the pointer which that reads first is one more random cache line.
const fn counts(len: u32) -> Array<Count> {
    Array::with_max_entries(Count::entries(len, 1), BPF_F_MMAPABLE)
}
