//! The ends of a benchmark's chain, and the limit that data planes are compared
//! with.
//!
//! - `generate` makes frames and sends them into the chain.
//! - `redirect` is the cheapest gateway there can be; `pass` lets one without
//!   XDP have the generator's frames.
//! - `receive` and `receive_tc` count and drop.
#![no_std]
#![no_main]
#![allow(
    missing_docs,
    reason = "the entry points are documented; what the macros make of them is not"
)]

mod abi;
mod generate;
mod sink;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::DevMap;
use aya_ebpf::programs::XdpContext;

/// Index 0: the device that `redirect` sends to.
#[map]
static OUT: DevMap = DevMap::with_max_entries(1, 0);

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
