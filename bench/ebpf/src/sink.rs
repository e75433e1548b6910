//! The sinks, which count the generator's frames and drop everything but ARP.

use aya_ebpf::Global;
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::{TcContext, XdpContext};

use crate::abi::{FLOWS, MAGIC, Seen, Stamp, counts};
use crate::at;

/// Where the stamp is in a frame that a gateway has treated as it should.
#[unsafe(no_mangle)]
static STAMP: Global<u32> = Global::new(0);
/// Whether sequence numbers are looked at.
#[unsafe(no_mangle)]
static ORDER: Global<u32> = Global::new(0);

#[map]
static COUNTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counts::LEN, 0);
/// What was seen of each flow, by sinks on one core.
#[map]
static SEEN: Array<Seen> = Array::with_max_entries(FLOWS as u32, 0);

const ETHERTYPE: usize = 12;
const ARP: [u8; 2] = [0x08, 0x06];
const TAG_LEN: usize = 4;

/// Counts what an XDP redirect brings.
#[xdp]
pub fn receive(ctx: XdpContext) -> u32 {
    // SAFETY: `at` checks the bounds.
    let is_arp = at::<[u8; 2]>(&ctx, ETHERTYPE).is_some_and(|kind| unsafe { *kind } == ARP);
    if is_arp {
        return xdp_action::XDP_PASS;
    }
    if let Some(stamp) = at::<Stamp>(&ctx, STAMP.load() as usize) {
        // SAFETY: `at` checked the bounds.
        count(unsafe { &*stamp });
    }
    xdp_action::XDP_DROP
}

/// Counts socket buffers, which XDP on a veth would have to convert. Their VLAN
/// tag may be beside the frame.
#[classifier]
pub fn receive_tc(ctx: TcContext) -> i32 {
    if matches!(ctx.load::<[u8; 2]>(ETHERTYPE), Ok(ARP)) {
        return TC_ACT_UNSPEC;
    }
    // SAFETY: the context is this program's own.
    let beside = unsafe { (*ctx.skb.skb).vlan_present } != 0;
    let offset = STAMP.load() as usize - if beside { TAG_LEN } else { 0 };
    if let Ok(stamp) = ctx.load::<Stamp>(offset) {
        count(&stamp);
    }
    TC_ACT_SHOT
}

#[inline(always)]
fn count(stamp: &Stamp) {
    if stamp.magic != MAGIC {
        return;
    }
    add(counts::RECEIVED);
    if ORDER.load() != 0 {
        order(stamp);
    }
}

/// Sees whether the frame is its flow's next, a late one, or one that came before.
#[inline(always)]
fn order(stamp: &Stamp) {
    let Some(seen) = SEEN.get_ptr_mut(stamp.flow) else { return };
    // SAFETY: the chain keeps to one core, and sinks do not interrupt each other.
    let seen = unsafe { &mut *seen };
    if stamp.sequence > seen.highest {
        let ahead = stamp.sequence - seen.highest;
        let window = if ahead < 64 { seen.window << ahead } else { 0 };
        *seen = Seen { highest: stamp.sequence, window: window | 1 };
        return;
    }
    let behind = seen.highest - stamp.sequence;
    let bit = if behind < 64 { 1 << behind } else { 0 };
    if seen.window & bit != 0 {
        add(counts::DUPLICATED);
    } else {
        seen.window |= bit;
        add(counts::REORDERED);
    }
}

#[inline(always)]
fn add(index: u32) {
    if let Some(counter) = COUNTS.get_ptr_mut(index) {
        // SAFETY: the value is this CPU's own, and sinks do not interrupt each
        // other.
        unsafe { *counter += 1 };
    }
}
