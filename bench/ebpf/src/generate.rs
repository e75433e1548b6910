//! The generator, which runs under `BPF_PROG_TEST_RUN` with live frames.
//!
//! A frame comes back from the chain with its length restored, but its bytes as
//! the chain left them. So everything up to the stamp is written each time, for
//! frames of every length; what follows is never looked at.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_adjust_tail};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, DevMap};
use aya_ebpf::programs::XdpContext;

use crate::abi::{
    CLOCK, FLOWS, Generator, LANES, Lane, MAGIC, PATIENCE, Stamp, TEMPLATES, Template,
};
use crate::at;

#[map]
static GENERATOR: Array<Generator> = Array::with_max_entries(1, 0);
#[map]
static LANE: Array<Lane> = Array::with_max_entries(LANES, 0);
/// Those of a lane follow one another.
#[map]
static HEADERS: Array<Template> = Array::with_max_entries(LANES * TEMPLATES, 0);
/// The device of each lane. They may be in different namespaces.
#[map]
static EXIT: DevMap = DevMap::with_max_entries(LANES, 0);

/// Where things are in a frame of an access port.
const PLAIN_IP: usize = 14;
/// And where the port faces several segments.
const TAGGED_IP: usize = 18;
/// An inner frame in a tunnel.
const INNER: usize = 50;
/// The first of a tunnel's UDP source ports.
const ENTROPY: u16 = 0xc000;
/// From an inner IPv4 header: the UDP source port.
const SOURCE_PORT: usize = 20;
/// From an inner IPv4 header: the stamp.
const STAMP: usize = 28;

/// What one frame is to be.
struct Choice {
    lane: u32,
    template: u32,
    entry: u32,
    host: u32,
    segment: u32,
    peer: u32,
    stamp: Stamp,
}

/// Generates a frame and sends it out of its lane's device. Between two frames of
/// a paced generator, the kernel's frame goes unused.
///
/// The time is taken here: a test run takes tens of milliseconds to begin and end.
#[xdp]
pub fn generate(ctx: XdpContext) -> u32 {
    let Some(generator) = GENERATOR.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: one program at a time runs on a generator.
    let generator = unsafe { &mut *generator };
    if generator.interval != 0 {
        if !is_due(generator) {
            return xdp_action::XDP_DROP;
        }
    } else if generator.count % CLOCK == 0 {
        look_at_clock(generator);
    }
    send(&ctx, generator).unwrap_or(xdp_action::XDP_ABORTED)
}

#[inline(always)]
fn is_due(generator: &mut Generator) -> bool {
    let now = look_at_clock(generator);
    generator.due = generator.due.max(now.saturating_sub(PATIENCE));
    let due = now >= generator.due;
    if due {
        generator.due += generator.interval;
    }
    due
}

#[inline(always)]
fn look_at_clock(generator: &mut Generator) -> u64 {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    if generator.first == 0 {
        generator.first = now;
    }
    generator.last = now;
    now
}

#[inline(always)]
fn send(ctx: &XdpContext, generator: &mut Generator) -> Option<u32> {
    let lane_index = (generator.lane + (generator.count as u32 & generator.alternate)) % LANES;
    // SAFETY: the maps are written while no generator runs.
    let lane = unsafe { &*LANE.get_ptr(lane_index)? };
    let choice = choose(generator, lane_index, lane);
    // SAFETY: as above.
    let template = unsafe { &*HEADERS.get_ptr(choice.template)? };
    resize(ctx, template.len)?;
    match lane.shape {
        Lane::PLAIN => from_local::<PLAIN_IP>(ctx, template, &choice)?,
        Lane::TAGGED => {
            from_local::<TAGGED_IP>(ctx, template, &choice)?;
            // VLANs begin with 1.
            put(ctx, PLAIN_IP, (choice.segment as u16 + 1).to_be())?;
        }
        Lane::TUNNEL => from_remote(ctx, template, lane, &choice)?,
        _ => return None,
    }
    generator.count += 1;
    EXIT.redirect(choice.lane, 0).ok()
}

/// Remote hosts and a segment's local hosts are chosen at random. A remote host
/// has its segment and its peer. Flows follow one another in a fixed order that
/// visits each once a round, so that the round is the sequence number.
#[inline(always)]
fn choose(generator: &mut Generator, lane_index: u32, lane: &Lane) -> Choice {
    let random = next(&mut generator.random);
    let (low, high) = (random as u32, (random >> 32) as u32);
    let entry = below(lane.entries, low);
    let segment = share(lane.segments, entry);
    let nth = generator.count >> generator.alternate;
    Choice {
        lane: lane_index,
        template: lane_index * TEMPLATES + below(lane.templates, low.rotate_left(16)),
        entry,
        host: segment * lane.hosts + below(lane.hosts, high),
        segment,
        peer: share(lane.peers, entry),
        stamp: Stamp {
            magic: MAGIC,
            flow: (nth.wrapping_mul(0x4d) % FLOWS) as u32,
            sequence: nth / FLOWS + 1,
        },
    }
}

/// Xorshift (Marsaglia 2003).
#[inline(always)]
fn next(state: &mut u64) -> u64 {
    let mut x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    x
}

/// A number below `limit`.
#[inline(always)]
fn below(limit: u32, random: u32) -> u32 {
    ((u64::from(limit) * u64::from(random)) >> 32) as u32
}

/// The segment or peer of a remote host.
#[inline(always)]
fn share(for_each: u64, entry: u32) -> u32 {
    ((for_each * u64::from(entry)) >> 32) as u32
}

/// Gives the frame its template's length; it has that of the longest.
#[inline(always)]
fn resize(ctx: &XdpContext, len: u64) -> Option<()> {
    let now = (ctx.data_end() - ctx.data()) as u64;
    if now == len {
        return Some(());
    }
    // SAFETY: the context is this program's own.
    let failed = unsafe { bpf_xdp_adjust_tail(ctx.ctx, len.wrapping_sub(now) as i32) };
    (failed == 0).then_some(())
}

/// A frame of an access port, whose IPv4 header begins at `IP`.
#[inline(always)]
fn from_local<const IP: usize>(ctx: &XdpContext, from: &Template, choice: &Choice) -> Option<()> {
    copy::<8>(ctx, from)?;
    put(ctx, 2, choice.entry.to_be())?;
    put(ctx, 8, choice.host.to_be())?;
    put(ctx, IP + SOURCE_PORT, source_port(choice))?;
    put(ctx, IP + STAMP, choice.stamp)
}

/// A frame of an uplink.
#[inline(always)]
fn from_remote(ctx: &XdpContext, from: &Template, lane: &Lane, choice: &Choice) -> Option<()> {
    copy::<14>(ctx, from)?;
    put(ctx, 24, outer_checksum(from, choice.peer))?;
    put(ctx, 26, (lane.vtep + choice.peer).to_be())?;
    put(ctx, 34, (ENTROPY + choice.stamp.flow as u16).to_be())?;
    put(ctx, 46, ((lane.vni + choice.segment) << 8).to_be())?;
    put(ctx, INNER + 2, choice.host.to_be())?;
    put(ctx, INNER + 8, choice.entry.to_be())?;
    put(ctx, INNER + PLAIN_IP + SOURCE_PORT, source_port(choice))?;
    put(ctx, INNER + PLAIN_IP + STAMP, choice.stamp)
}

/// The template's checksum is that of the first peer; another's differs in the
/// lower half of the source address (RFC 1624).
#[inline(always)]
fn outer_checksum(template: &Template, peer: u32) -> u16 {
    let first = (template.words[3] as u16).swap_bytes();
    let sum = u32::from(!first) + peer;
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_be()
}

#[inline(always)]
fn source_port(choice: &Choice) -> u16 {
    (5000 + choice.stamp.flow as u16).to_be()
}

/// Copies `N` words of a template.
#[inline(always)]
fn copy<const N: usize>(ctx: &XdpContext, template: &Template) -> Option<()> {
    let frame = at::<[u64; N]>(ctx, 0)?;
    let words = template.words.as_ptr().cast::<[u64; N]>();
    // SAFETY: templates are not shorter, `at` checked that the frame is not
    // either, and the two are apart. A constant length, so that it is inlined.
    unsafe { core::ptr::copy_nonoverlapping(words, frame, 1) };
    Some(())
}

#[inline(always)]
fn put<T>(ctx: &XdpContext, offset: usize, value: T) -> Option<()> {
    let place = at::<T>(ctx, offset)?;
    // SAFETY: `at` checked the bounds.
    unsafe { *place = value };
    Some(())
}
