//! Telling user space of frames that somebody watches. Programs that nobody watches are loaded with
//! [`WATCHED`] at 0, and verifiers then leave all of this out.

use core::ffi::c_void;
use core::ptr::{from_ref, read_volatile};

use aya_ebpf::bindings::{__sk_buff, BPF_F_CURRENT_CPU, xdp_md};
use aya_ebpf::helpers::generated::{
    bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_perf_event_output,
};
use overlay_common::abi::{Hook, Outcome, Sample, Sampler, Stage, Watch};
use overlay_common::packet::Packet;
use overlay_common::watch::Clock;

use crate::maps;
use crate::packet::{TcPacket, XdpPacket};

/// Filled in by the loader, and constant then.
#[unsafe(no_mangle)]
static WATCHED: u32 = 0;

/// On how many CPUs a frame is on its way that is told of: mostly on none, and who sees that needs
/// to ask no further. Only the programs write it, which no [`Sampler`] can say of itself.
static mut ON_THEIR_WAY: u64 = 0;

#[inline(always)]
fn some_on_their_way() -> bool {
    // SAFETY: a word that is read at once.
    unsafe { read_volatile(&raw const ON_THEIR_WAY) != 0 }
}

#[inline(always)]
fn count_on_their_way(by: i64) {
    // SAFETY: an addition to a static; Rust has no such instruction of this target.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({at} + 0) += {by}",
            at = in(reg) &raw mut ON_THEIR_WAY,
            by = in(reg) by,
            options(nostack),
        );
    }
}

#[inline(always)]
fn watched() -> bool {
    // SAFETY: as for `ABILITIES`.
    unsafe { read_volatile(&raw const WATCHED) != 0 }
}

/// A hook's context.
pub trait Watchable {
    /// Looks at a frame that has come in, unless one of the programs before did.
    ///
    /// # Safety
    ///
    /// Must be a running program's.
    unsafe fn came_in(self);

    /// Tells what became of it: [`Outcome`], reason and device as [`word`] has them.
    ///
    /// # Safety
    ///
    /// Must be a running program's.
    unsafe fn went_out(self, word: u64);
}

/// A frame has come in.
#[inline(always)]
pub fn before(context: impl Watchable) {
    if watched() {
        // SAFETY: callers have no other contexts.
        unsafe { context.came_in() };
    }
}

/// A frame goes on, or does not. Of most nothing was told, and nothing is.
#[inline(always)]
pub fn after(context: impl Watchable, outcome: Outcome, egress: u32) {
    if watched() && some_on_their_way() {
        // SAFETY: callers have no other contexts.
        unsafe { context.went_out(word(outcome, 0, egress)) };
    }
}

/// A frame is dropped for a reason (a `DropReason` as a number).
#[inline(always)]
pub fn dropped(context: impl Watchable, reason: u8) {
    if watched() {
        // SAFETY: callers have no other contexts.
        unsafe { context.went_out(word(Outcome::Drop, reason, 0)) };
    }
}

#[inline(always)]
const fn word(outcome: Outcome, reason: u8, egress: u32) -> u64 {
    (outcome as u64) << 40 | (reason as u64) << 32 | egress as u64
}

impl Watchable for *mut xdp_md {
    #[inline(always)]
    unsafe fn came_in(self) {
        if let Some(sampler) = sampler()
            && sampler.is_due()
        {
            // SAFETY: the context is the running program's.
            unsafe { xdp_came_in(self) };
        }
    }

    #[inline(always)]
    unsafe fn went_out(self, word: u64) {
        // SAFETY: the context is the running program's.
        unsafe { xdp_went_out(self, word) };
    }
}

impl Watchable for *mut __sk_buff {
    #[inline(always)]
    unsafe fn came_in(self) {
        if let Some(sampler) = sampler()
            && sampler.is_due()
        {
            // SAFETY: the context is the running program's.
            unsafe { tc_came_in(self) };
        }
    }

    #[inline(always)]
    unsafe fn went_out(self, word: u64) {
        // SAFETY: the context is the running program's.
        unsafe { tc_went_out(self, word) };
    }
}

#[inline(always)]
fn sampler() -> Option<&'static mut Sampler> {
    // SAFETY: this CPU's own. On a real-time kernel another frame may come meanwhile, and be told
    // in the place of this one.
    maps::SAMPLERS.get_ptr_mut(0).map(|sampler| unsafe { &mut *sampler })
}

/// The number of this CPU's frame that is on its way, where it is told of; or 0.
#[inline(always)]
fn told() -> Option<&'static mut u32> {
    // SAFETY: as for the sampler.
    maps::TOLD.get_ptr_mut(0).map(|number| unsafe { &mut *number })
}

struct KernelClock;

impl Clock for KernelClock {
    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper only reads a clock.
        unsafe { bpf_ktime_get_ns() }
    }
}

#[inline(never)]
unsafe extern "C" fn xdp_came_in(ctx: *mut xdp_md) {
    if let Some(packet) = XdpPacket::<false>::new(ctx) {
        // SAFETY: the context is the running program's.
        let ifindex = unsafe { (*ctx).ingress_ifindex };
        came_in(ctx.cast(), &packet, ifindex, Hook::Xdp);
    }
}

#[inline(never)]
unsafe extern "C" fn tc_came_in(skb: *mut __sk_buff) {
    let packet = TcPacket::new(skb);
    came_in(skb.cast(), &packet, packet.ifindex(), Hook::Tc);
}

#[inline(never)]
unsafe extern "C" fn xdp_went_out(ctx: *mut xdp_md, word: u64) {
    if let Some(packet) = XdpPacket::<false>::new(ctx) {
        // SAFETY: the context is the running program's.
        let ifindex = unsafe { (*ctx).ingress_ifindex };
        went_out(ctx.cast(), &packet, ifindex, Hook::Xdp, word);
    }
}

#[inline(never)]
unsafe extern "C" fn tc_went_out(skb: *mut __sk_buff, word: u64) {
    let packet = TcPacket::new(skb);
    went_out(skb.cast(), &packet, packet.ifindex(), Hook::Tc, word);
}

#[inline(always)]
fn came_in<P: Packet>(context: *mut c_void, packet: &P, ifindex: u32, hook: Hook) {
    let (Some(what), Some(sampler), Some(told)) = (maps::WATCH.get(0), sampler(), told()) else {
        return;
    };
    // One that is on its way already has been looked at.
    if *told == 0 && sampler.begin(what, packet, &KernelClock) {
        *told = sampler.last;
        count_on_their_way(1);
        let sample = Sample { stage: Stage::Before as u8, ..sample(sampler.last, ifindex, hook) };
        tell(context, packet, what, sample);
    }
}

#[inline(always)]
fn went_out<P: Packet>(context: *mut c_void, packet: &P, ifindex: u32, hook: Hook, word: u64) {
    let (Some(sampler), Some(told)) = (sampler(), told()) else { return };
    let (outcome, reason) = ((word >> 40) as u8, (word >> 32) as u8);
    let number = core::mem::take(told);
    if number != 0 {
        count_on_their_way(-1);
    }
    if number == 0 && outcome != Outcome::Drop as u8 {
        return;
    }
    let Some(what) = maps::WATCH.get(0) else { return };
    let (stage, number) = if number != 0 {
        (Stage::After, number)
    } else if sampler.drops(what, packet, reason, &KernelClock) {
        (Stage::Dropped, sampler.last)
    } else {
        return;
    };
    let (stage, egress) = (stage as u8, word as u32);
    let sample = Sample { stage, outcome, reason, egress, ..sample(number, ifindex, hook) };
    tell(context, packet, what, sample);
}

#[inline(always)]
fn sample(number: u32, ifindex: u32, hook: Hook) -> Sample {
    // SAFETY: the helpers only tell when and where the program runs.
    let (time, cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id()) };
    Sample { time, number, cpu, ifindex, hook: hook as u8, ..Sample::default() }
}

/// Sends the record, and as much of the frame as is wanted.
#[inline(always)]
fn tell<P: Packet>(context: *mut c_void, packet: &P, what: &Watch, sample: Sample) {
    let len = packet.len();
    let captured = if len < what.captured { len } else { what.captured };
    let sample = Sample {
        len,
        captured,
        gso_size: packet.gso_size() as u16,
        vlan: packet.stripped_vlan(),
        ..sample
    };
    let flags = BPF_F_CURRENT_CPU | (captured as u64) << 32;
    // SAFETY: the context is the running program's, the record is on the stack.
    unsafe {
        bpf_perf_event_output(
            context,
            from_ref(&maps::SAMPLES).cast_mut().cast(),
            flags,
            from_ref(&sample).cast_mut().cast(),
            size_of::<Sample>() as u64,
        )
    };
}
