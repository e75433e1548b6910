//! The ends of a benchmark's chain, and the limit that data planes are compared
//! with.
//!
//! - `generate_*` runs under `BPF_PROG_TEST_RUN` with live frames: it writes a
//!   frame and redirects it into the chain.
//! - `redirect` is the cheapest gateway there can be; `pass` lets one without
//!   XDP have the generator's frames.
//! - `sink` and `sink_tc` count and drop.
#![no_std]
#![no_main]
#![allow(
    missing_docs,
    reason = "the entry points are documented; what the macros make of them is not"
)]

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::{Array, DevMap, PerCpuArray};
use aya_ebpf::programs::{TcContext, XdpContext};

/// 64-bit words of the longest template.
const WORDS: usize = 16;
/// A plain frame: 64 bytes.
const PLAIN_WORDS: usize = 8;
/// The same behind 50 bytes of tunnel: 114 bytes, in units of 16 bits.
const TUNNEL_HALVES: usize = 57;
/// The UDP source port of a plain frame, and of a tunnel.
const SOURCE_PORT: usize = 34;
/// The UDP source port of a tunnel's inner frame.
const INNER_SOURCE_PORT: usize = 84;
const ETHERTYPE: usize = 12;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
/// Flows that a generator goes round.
const FLOWS: u64 = 256;

/// The frame to generate.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Template {
    words: [u64; WORDS],
    /// Frames generated so far, which chooses the flow.
    count: u64,
}

#[map]
static TEMPLATE: Array<Template> = Array::with_max_entries(1, 0);
/// Index 0: the device that `generate_*` and `redirect` send to.
#[map]
static OUT: DevMap = DevMap::with_max_entries(1, 0);
/// Index 0: the length of the frames that sinks count.
#[map]
static EXPECTED: Array<u32> = Array::with_max_entries(1, 0);
/// Index 0: frames of that length that reached a sink.
#[map]
static RECEIVED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Generates a plain frame of 64 bytes.
#[xdp]
pub fn generate_plain(ctx: XdpContext) -> u32 {
    generate::<u64, PLAIN_WORDS>(&ctx, &[SOURCE_PORT])
}

/// Generates the same frame in a tunnel, 114 bytes.
#[xdp]
pub fn generate_tunnel(ctx: XdpContext) -> u32 {
    generate::<u16, TUNNEL_HALVES>(&ctx, &[SOURCE_PORT, INNER_SOURCE_PORT])
}

/// Sends frames on, untouched.
#[xdp]
pub fn redirect(_ctx: XdpContext) -> u32 {
    OUT.redirect(0, 0).unwrap_or(xdp_action::XDP_ABORTED)
}

/// Makes a veth take redirected frames, and nothing else.
#[xdp]
pub fn pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Drops IPv4, and counts what has the length that a gateway should have given
/// it; leaves the rest, ARP first of all, to the host.
#[xdp]
pub fn sink(ctx: XdpContext) -> u32 {
    let Some(ethertype) = at::<[u8; 2]>(&ctx, ETHERTYPE) else { return xdp_action::XDP_PASS };
    // SAFETY: `at` checked the bounds.
    if unsafe { *ethertype } != ETHERTYPE_IPV4 {
        return xdp_action::XDP_PASS;
    }
    count(ctx.data_end() - ctx.data());
    xdp_action::XDP_DROP
}

/// The same for socket buffers, which XDP on a veth would have to convert.
#[classifier]
pub fn sink_tc(ctx: TcContext) -> i32 {
    match ctx.load::<[u8; 2]>(ETHERTYPE) {
        Ok(ETHERTYPE_IPV4) => {
            count(ctx.len() as usize);
            TC_ACT_SHOT
        }
        _ => TC_ACT_UNSPEC,
    }
}

#[inline(always)]
fn count(len: usize) {
    if EXPECTED.get(0) != Some(&(len as u32)) {
        return;
    }
    if let Some(received) = RECEIVED.get_ptr_mut(0) {
        // SAFETY: the value is this CPU's own, and the sinks do not interrupt each
        // other.
        unsafe { *received += 1 };
    }
}

/// Writes `N` units of the template, and the flow's port at each of `ports`.
/// Every byte is written each time: live frames' pages come back as the chain
/// left them.
#[inline(always)]
fn generate<T: Copy, const N: usize>(ctx: &XdpContext, ports: &[usize]) -> u32 {
    let (Some(template), Some(frame)) = (TEMPLATE.get_ptr_mut(0), at::<[T; N]>(ctx, 0)) else {
        return xdp_action::XDP_ABORTED;
    };
    // SAFETY: the map's value is larger than `[T; N]`, and `at` checked that the
    // frame is not smaller. One generator runs at a time.
    let flow = unsafe {
        // Of constant length and without overlap, so that it is inlined.
        core::ptr::copy_nonoverlapping(template.cast::<[T; N]>(), frame, 1);
        let count = (*template).count;
        (*template).count = count.wrapping_add(1);
        (count % FLOWS) as u8
    };
    for port in ports {
        if let Some(low_byte) = at::<u8>(ctx, port + 1) {
            // SAFETY: `at` checked the bounds.
            unsafe { *low_byte = flow };
        }
    }
    OUT.redirect(0, 0).unwrap_or(xdp_action::XDP_ABORTED)
}

/// The bytes at `offset`, if the frame holds them all. The result is as aligned
/// as packet data is, which the kernel's x86 and arm64 JITs accept.
#[inline(always)]
fn at<T>(ctx: &XdpContext, offset: usize) -> Option<*mut T> {
    let start = ctx.data() + offset;
    (start + size_of::<T>() <= ctx.data_end()).then_some(start as *mut T)
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: the verifier rejects any program in which this could be reached.
    unsafe { core::hint::unreachable_unchecked() }
}

/// The licence under which the kernel lends its GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
