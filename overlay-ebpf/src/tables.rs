//! [`Tables`] on maps.

use core::ffi::c_void;
use core::marker::PhantomData;

use aya_ebpf::bindings::{__sk_buff, BPF_ANY, BPF_F_CURRENT_CPU};
use aya_ebpf::helpers::generated::{
    bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_loop, bpf_perf_event_output,
};
use aya_ebpf::maps::Array;
use aya_ebpf::maps::lpm_trie::Key;
use overlay_common::abi::{
    Access, AccessKey, Arrival, BOUNDED_COPIES, Charge, Count, Direction, DropKey, FdbEntry,
    FdbKey, FloodKey, GuardKey, MAX_PEERS, MAX_PORTS, Masks, Neighbour, NeighbourKey, Node, Peer,
    Permit, PermitKey, PolicerKey, Port, Punt, PuntBucket, PuntReason, Route, RouteKey, Router,
    Segment, Target, Vtep, Vtep6Key, VtepKey, Way,
};
use overlay_common::hash::Key as _;
use overlay_common::packet::Packet;
use overlay_common::path::Ingress;
use overlay_common::tables::{Fields, Tables, Turns};
use overlay_common::verdict::DropReason;
use overlay_common::wire::Family;

use crate::{filter, hash, maps};

/// The maps, as a packet from one ingress sees them.
pub struct KernelTables<R> {
    node: Option<&'static Node>,
    ingress: Ingress,
    cpu: u32,
    context: *mut c_void,
    repeats: PhantomData<R>,
}

/// What [`Tables::hand_on`] has left.
#[inline(always)]
pub fn arrival(skb: *const __sk_buff) -> Arrival {
    // SAFETY: the context is valid while the program runs.
    let [source, place, len, tunnel] =
        unsafe { [(*skb).cb[0], (*skb).cb[1], (*skb).cb[2], (*skb).cb[3]] };
    Arrival {
        source: Target::from_word(source),
        segment: place as u16,
        limits: (place >> 16) as u16,
        len,
        outer_len: tunnel as u16,
        ecn: (tunnel >> 16) as u8,
        flags: (tunnel >> 24) as u8,
    }
}

/// How a program is put together.
pub trait Form {
    /// Whether what few packets need is in functions of its own. Without, verifiers before
    /// Linux 6.2 are three times faster. One function ([`hash::stamp`]) stays in any form:
    /// where there is none, they track which known numbers matter (with functions, since
    /// commit be2ef8161572), and go back through all turns of a loop for that.
    const OUTLINED: bool;

    /// Takes the turns 0, 1, … `count` − 1, and returns how many were left out.
    fn repeat<R: Turns>(count: u32, turns: &mut R) -> u32;
}

/// With `bpf_loop` (Linux 5.17): a loop's body is verified once, whatever the count.
pub struct Looping;

/// With loops of at most [`BOUNDED_COPIES`] turns, each of which is verified.
pub struct Bounded;

impl Form for Looping {
    const OUTLINED: bool = true;

    #[inline(always)]
    fn repeat<R: Turns>(count: u32, turns: &mut R) -> u32 {
        let context = core::ptr::from_mut(turns).cast::<c_void>();
        // SAFETY: the callback is called synchronously, with what lives on the caller's
        // stack frame.
        unsafe { bpf_loop(count, step::<R> as *mut c_void, context, 0) };
        0
    }
}

impl Form for Bounded {
    const OUTLINED: bool = false;

    #[inline(always)]
    fn repeat<R: Turns>(count: u32, turns: &mut R) -> u32 {
        let mut index = 0;
        while index < BOUNDED_COPIES {
            if index >= count {
                return 0;
            }
            turns.turn(index);
            index = next(index as u64) as u32;
        }
        count.saturating_sub(BOUNDED_COPIES)
    }
}

/// The next number, of which the compiler knows nothing, so that it does not unroll the
/// loop; the verifier knows it.
#[inline(always)]
pub fn next(mut word: u64) -> u64 {
    // SAFETY: arithmetic on a register.
    unsafe {
        core::arch::asm!("{word} += 1", word = inout(reg) word, options(pure, nomem, nostack));
    }
    word
}

impl<R> KernelTables<R> {
    /// For a packet that came in at `ingress`; `context` is the running program's.
    #[inline(always)]
    pub fn new(ingress: Ingress, context: *mut c_void) -> Self {
        // SAFETY: the helper only tells where the program runs.
        let cpu = unsafe { bpf_get_smp_processor_id() };
        Self { node: maps::NODE.get(0), ingress, cpu, context, repeats: PhantomData }
    }
}

impl<R> KernelTables<R> {
    /// Has [`is_back`](Tables::is_back) say so of this frame, to the program that goes on.
    #[inline(always)]
    pub fn was_apart(&self) {
        if let Some(back) = maps::BACK.get_ptr_mut(0) {
            // SAFETY: this CPU's own word.
            unsafe { *back = 1 };
        }
    }
}

impl<R: Form> Tables for KernelTables<R> {
    const SHORT: bool = !R::OUTLINED;
    const APART: bool = true;

    #[inline(always)]
    fn is_back(&self) -> bool {
        let Some(back) = maps::BACK.get_ptr_mut(0) else { return true };
        // SAFETY: this CPU's own word.
        unsafe { core::mem::take(&mut *back) != 0 }
    }

    /// Beside the socket buffer, in words that are the program's own and outlive a tail call.
    #[inline(always)]
    fn hand_on(&self, arrival: Arrival) {
        let skb = self.context.cast::<__sk_buff>();
        let Arrival { source, segment, limits, len, outer_len, ecn, flags } = arrival;
        // SAFETY: XDP hands nothing on, so the context is tc's, and valid while the program runs.
        unsafe {
            (*skb).cb[0] = source.word();
            (*skb).cb[1] = (limits as u32) << 16 | segment as u32;
            (*skb).cb[2] = len;
            (*skb).cb[3] = (flags as u32) << 24 | (ecn as u32) << 16 | outer_len as u32;
        }
    }

    #[inline(always)]
    fn node(&self) -> Option<&Node> {
        self.node
    }

    #[inline(always)]
    fn access(&self, key: &AccessKey) -> Option<Access> {
        hash::get::<hash::Accesses, R>(&self.node?.masks, *key)
    }

    #[inline(always)]
    fn port(&self, index: u32) -> Option<&Port> {
        maps::PORTS.get(index)
    }

    #[inline(always)]
    fn segment(&self, index: u16) -> Option<&Segment> {
        maps::SEGMENTS.get(index as u32)
    }

    #[inline(always)]
    fn peer(&self, index: u32) -> Option<&Peer> {
        maps::PEERS.get(index)
    }

    #[inline(always)]
    fn way(&self, index: u32) -> Option<&Way> {
        maps::WAYS.get(index)
    }

    #[inline(always)]
    fn vtep(&self, key: &VtepKey) -> Option<Vtep> {
        hash::get::<hash::Vteps, R>(&self.node?.masks, *key)
    }

    #[inline(always)]
    fn vtep6(&self, key: &Vtep6Key) -> Option<Vtep> {
        // SAFETY: a record of two words; an entry is replaced, not changed.
        unsafe { maps::VTEPS6.get(key).copied() }
    }

    #[inline(always)]
    fn permit(&self, key: &PermitKey) -> Option<Permit> {
        hash::get::<hash::Permits, R>(&self.node?.masks, *key)
    }

    #[inline(always)]
    fn fdb(&self, key: &FdbKey) -> Option<FdbEntry> {
        let masks = self.node.map_or(Masks::default(), |node| node.masks);
        hash::get::<hash::Fdb, R>(&masks, *key)
    }

    #[inline(always)]
    fn refresh(&self, key: &FdbKey, epoch: u32) {
        let Some(node) = self.node else { return };
        hash::stamp(key.to_word(), node.masks.fdb, epoch);
    }

    #[inline(always)]
    fn neighbour(&self, key: &NeighbourKey) -> Option<Neighbour> {
        // SAFETY: a record of one word.
        unsafe { maps::NEIGHBOURS.get(key).copied() }
    }

    /// On a real-time kernel another packet may come meanwhile, and this one be judged as that one.
    #[inline(always)]
    fn filter(
        &self,
        segment: u16,
        lists: u16,
        family: Family,
        charge: Charge,
        fields: impl Fields,
    ) -> Result<(), DropReason> {
        let Some(flow) = maps::FLOW.get_ptr_mut(0) else { return Err(DropReason::AclDenied) };
        // SAFETY: this CPU's own.
        fields.write(unsafe { &mut *flow }).ok_or(DropReason::AclDenied)?;
        match filter::denied(segment, lists, family, charge) {
            true => Err(DropReason::AclDenied),
            false => Ok(()),
        }
    }

    #[inline(always)]
    fn is_bound(&self, key: &GuardKey) -> bool {
        let first = maps::FIRST_GUARDS.get(key.port as u32);
        first.is_some_and(|first| first.holds(key)) || maps::GUARDS.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn router(&self, segment: u16) -> Option<&Router> {
        maps::ROUTERS.get(segment as u32)
    }

    #[inline(always)]
    fn route(&self, key: &RouteKey) -> Option<Route> {
        // SAFETY: of the same size and contents, and of less alignment.
        let key = unsafe { &*core::ptr::from_ref(key).cast::<Key<maps::Asked>>() };
        maps::ROUTES.get(key).copied()
    }

    #[inline(always)]
    fn flood(&self, key: &FloodKey) -> Option<Target> {
        // SAFETY: a record of one word.
        unsafe { maps::FLOOD.get(key).copied() }
    }

    #[inline(always)]
    fn police(&self, key: &PolicerKey, charge: Charge) -> Result<(), DropReason> {
        if R::OUTLINED { policed(*key, charge) } else { policed_here(*key, charge) }
    }

    /// Copies that could not be sent for want of turns are counted.
    #[inline(always)]
    fn repeat<T: Turns>(&self, count: u32, turns: &mut T) {
        let left_out = R::repeat(count, turns);
        if left_out != 0 {
            self.count_drop(self.ingress.ifindex, DropReason::CopyFailed, left_out);
        }
    }

    #[inline(always)]
    fn count_port(&self, index: u32, direction: Direction, packets: u32, bytes: u32) {
        let at = Count::position(MAX_PORTS, self.cpu, direction, index);
        count(&maps::PORT_COUNTERS, at, packets, bytes);
    }

    #[inline(always)]
    fn count_peer(&self, index: u32, direction: Direction, packets: u32, bytes: u32) {
        let at = Count::position(MAX_PEERS, self.cpu, direction, index);
        count(&maps::PEER_COUNTERS, at, packets, bytes);
    }

    #[inline(always)]
    fn count_drop(&self, ifindex: u32, reason: DropReason, packets: u32) {
        let key = DropKey::new(ifindex, reason, self.ingress.hook);
        if R::OUTLINED {
            drop_counted(key, packets);
        } else {
            drop_counted_here(key, packets);
        }
    }

    #[inline(always)]
    fn may_tell(&self, port: u32) -> bool {
        let (Some(node), Some(bucket)) = (self.node, maps::PTB_BUCKETS.get_ptr_mut(port)) else {
            return false;
        };
        // SAFETY: this CPU's own slot; the helper only reads a clock.
        unsafe { (*bucket).take(node.ptb_limit, bpf_ktime_get_ns()) }
    }

    #[inline(always)]
    fn punt<P: Packet>(&self, _packet: &mut P, punt: Punt) -> Result<(), DropReason> {
        if R::OUTLINED { handed_over(self.context, &punt) } else { hand_over(self.context, &punt) }
    }
}

/// One turn of [`Tables::repeat`].
#[inline(never)]
unsafe extern "C" fn step<R: Turns>(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: `repeat` passed a pointer to its turns, which outlive the loop.
    let turns = unsafe { &mut *context.cast::<R>() };
    turns.turn(index as u32);
    0
}

/// Counts for this CPU. In soft interrupts, where XDP and tc ingress run, programs on
/// one CPU do not interrupt each other; where a real-time kernel lets them, a count in a
/// thousand million may be lost, as in any per-CPU map.
#[inline(always)]
fn count(map: &Array<Count>, at: Option<u32>, packets: u32, bytes: u32) {
    if let Some(count) = at.and_then(|at| map.get(at)) {
        count.add(packets, bytes);
    }
}

/// Not inlined: every drop comes here, and no packet that is forwarded does.
#[inline(never)]
fn drop_counted(key: DropKey, packets: u32) {
    drop_counted_here(key, packets);
}

#[inline(always)]
fn drop_counted_here(key: DropKey, packets: u32) {
    if let Some(counter) = maps::DROPS.get_ptr_mut(key) {
        // SAFETY: this CPU's own slot.
        unsafe { *counter += packets as u64 };
    } else {
        let _ = maps::DROPS.insert(key, packets as u64, BPF_ANY as u64);
    }
}

/// Not inlined: most have no limits.
#[inline(never)]
fn policed(key: PolicerKey, charge: Charge) -> Result<(), DropReason> {
    policed_here(key, charge)
}

#[inline(always)]
fn policed_here(key: PolicerKey, charge: Charge) -> Result<(), DropReason> {
    match maps::POLICERS.get_ptr_mut(key) {
        // SAFETY: an entry of plain words, which other CPUs may write at the same time: a
        // word is written whole. The helper only reads a clock.
        Some(policer) => unsafe { (*policer).take(charge, bpf_ktime_get_ns()) },
        None => Ok(()),
    }
}

/// Not inlined: few packets are handed over.
#[inline(never)]
fn handed_over(context: *mut c_void, punt: &Punt) -> Result<(), DropReason> {
    hand_over(context, punt)
}

/// Sends the record, and behind it as much of the frame as it announces.
#[inline(always)]
fn hand_over(context: *mut c_void, punt: &Punt) -> Result<(), DropReason> {
    if !allowed(punt.reason, punt.source) {
        return Err(DropReason::PuntLimited);
    }
    let flags = BPF_F_CURRENT_CPU | (punt.captured as u64) << 32;
    // SAFETY: the context is the running program's, the record is on the stack.
    let code = unsafe {
        bpf_perf_event_output(
            context,
            core::ptr::from_ref(&maps::PUNTS).cast_mut().cast(),
            flags,
            core::ptr::from_ref(punt).cast_mut().cast(),
            size_of::<Punt>() as u64,
        )
    };
    if code == 0 { Ok(()) } else { Err(DropReason::PuntQueueFull) }
}

/// Takes a token for a reason, and a source where each has a share, on this CPU.
#[inline(always)]
fn allowed(reason: u8, source: Target) -> bool {
    let Some(known) = PuntReason::from_u8(reason) else { return false };
    let position = PuntBucket::position(known, source);
    let (Some(limit), Some(bucket)) =
        (maps::PUNT_LIMITS.get(reason as u32), maps::PUNT_BUCKETS.get_ptr_mut(position))
    else {
        return false;
    };
    // SAFETY: this CPU's own slot; the helper only reads a clock.
    unsafe { (*bucket).take(*limit, bpf_ktime_get_ns()) }
}
