//! The kernel's shell around the packet path.
//!
//! Three programs a hook: for devices that face the underlay, for those that face
//! segments, and for those that do both. A port with an XDP program also has the tc program: what
//! XDP cannot finish it leaves untouched to tc ([`Verdict::Defer`]). Most have a
//! form for older kernels. A port that user space carries has none of them, but a guard on tc
//! and, over AF_XDP, a program that hands frames over.
//!
//! No protocol decision is made in this crate.
//!
//! [`Verdict::Defer`]: overlay_common::verdict::Verdict::Defer
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(
    missing_docs,
    reason = "the entry points are documented; what the macros make of them is not"
)]

mod abilities;
mod filter;
mod hash;
mod maps;
mod outcome;
mod packet;
mod tables;
mod watch;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::{TcContext, XdpContext};
use overlay_common::abi::{Hook, Queue, sides};
use overlay_common::packet::Packet as _;
use overlay_common::path::one_armed::Side;
use overlay_common::path::{Ingress, from_access, from_underlay, one_armed, router};
use overlay_common::verdict::Verdict;

use overlay_common::tables::Tables as _;
use overlay_common::verdict::DropReason;
use packet::{TcPacket, XdpPacket};
use tables::{Bounded, Form, KernelTables, Looping};

/// XDP on an uplink.
#[xdp(frags)]
#[inline(always)]
pub fn xdp_uplink(ctx: XdpContext) -> u32 {
    xdp_uplink_with::<true>(&ctx)
}

/// XDP on an access port.
#[xdp(frags)]
#[inline(always)]
pub fn xdp_access(ctx: XdpContext) -> u32 {
    xdp_access_with::<true>(&ctx)
}

/// XDP on a device that is both.
#[xdp(frags)]
#[inline(always)]
pub fn xdp_one_armed(ctx: XdpContext) -> u32 {
    xdp_one_armed_with::<true>(&ctx, &maps::XDP_SIDES)
}

/// [`xdp_uplink`] for one buffer: on kernels whose XDP has no more, and in the network stack.
#[xdp]
#[inline(always)]
pub fn xdp_uplink_single(ctx: XdpContext) -> u32 {
    xdp_uplink_with::<false>(&ctx)
}

/// [`xdp_access`] for kernels whose XDP has no frames of several buffers.
#[xdp]
#[inline(always)]
pub fn xdp_access_single(ctx: XdpContext) -> u32 {
    xdp_access_with::<false>(&ctx)
}

/// [`xdp_one_armed`] for kernels whose XDP has no frames of several buffers.
#[xdp]
#[inline(always)]
pub fn xdp_one_armed_single(ctx: XdpContext) -> u32 {
    xdp_one_armed_with::<false>(&ctx, &maps::XDP_SIDES_ONE)
}

/// tc ingress on an uplink.
#[classifier]
#[inline(always)]
pub fn tc_uplink(ctx: TcContext) -> i32 {
    tc_uplink_with::<Looping>(&ctx)
}

/// tc ingress on an access port.
#[classifier]
#[inline(always)]
pub fn tc_access(ctx: TcContext) -> i32 {
    tc_access_with::<Looping>(&ctx)
}

/// tc ingress on a device that is both: goes on with the program of the side that a frame is
/// of. Put together, the two would want more than a stack's 512 bytes.
#[classifier]
#[inline(always)]
pub fn tc_one_armed(ctx: TcContext) -> i32 {
    let (packet, tables, ingress) = tc_parts::<Bounded>(&ctx);
    let side = match one_armed::side(&packet, &tables, ingress) {
        Side::Underlay => sides::UPLINK,
        Side::Access => sides::ACCESS,
        Side::Host => return TC_ACT_UNSPEC,
    };
    go_on(&ctx, &tables, ingress, side)
}

/// Does what few of a peer's frames need, and leads back to the program of uplinks.
#[classifier]
#[inline(always)]
pub fn tc_apart_uplink(ctx: TcContext) -> i32 {
    let (mut packet, tables, ingress) = tc_parts::<Bounded>(&ctx);
    packet.pull(packet::UPLINK_HEADERS);
    from_underlay::apart(&mut packet, &tables, ingress);
    tables.was_apart();
    go_on(&ctx, &tables, ingress, sides::UPLINK)
}

/// Does what few frames from an access port need: it answers them, or leads back.
#[classifier]
#[inline(always)]
pub fn tc_apart_access(ctx: TcContext) -> i32 {
    let (mut packet, tables, ingress) = tc_parts::<Bounded>(&ctx);
    packet.pull(packet::ACCESS_HEADERS);
    match from_access::apart(&mut packet, &tables, ingress) {
        Some(result) => outcome::tc(&ctx, &mut packet, &tables, ingress, result),
        None => {
            tables.was_apart();
            go_on(&ctx, &tables, ingress, sides::ACCESS)
        }
    }
}

/// Routes what was sent to a router, from either side.
#[classifier]
#[inline(always)]
pub fn tc_route(ctx: TcContext) -> i32 {
    let (mut packet, tables, ingress) = tc_parts::<Bounded>(&ctx);
    packet.pull(packet::UPLINK_HEADERS);
    let arrival = tables::arrival(ctx.skb.skb);
    let result = router::run(&mut packet, &tables, ingress, arrival);
    outcome::tc(&ctx, &mut packet, &tables, ingress, result)
}

/// Floods what came from an access port.
#[classifier]
#[inline(always)]
pub fn tc_flood(ctx: TcContext) -> i32 {
    tc_flood_with::<Looping>(&ctx)
}

/// Goes on with another program, from the start.
#[inline(always)]
fn go_on<F: Form>(ctx: &TcContext, tables: &KernelTables<F>, ingress: Ingress, side: u32) -> i32 {
    // SAFETY: the context is the running program's.
    unsafe { maps::TC_SIDES.tail_call(ctx, side) };
    // Only where the array is not filled, which the loader sees to.
    tables.count_drop(ingress.ifindex, DropReason::TableInconsistent, 1);
    TC_ACT_SHOT
}

/// [`tc_uplink`] for kernels without `bpf_loop`.
#[classifier]
#[inline(always)]
pub fn tc_uplink_bounded(ctx: TcContext) -> i32 {
    tc_uplink_with::<Bounded>(&ctx)
}

/// [`tc_access`] for kernels without `bpf_loop`.
#[classifier]
#[inline(always)]
pub fn tc_access_bounded(ctx: TcContext) -> i32 {
    tc_access_with::<Bounded>(&ctx)
}

/// [`tc_flood`] for kernels without `bpf_loop`.
#[classifier]
#[inline(always)]
pub fn tc_flood_bounded(ctx: TcContext) -> i32 {
    tc_flood_with::<Bounded>(&ctx)
}

/// tc ingress on an uplink that user space carries. Its socket has had the frame by now:
/// packet sockets come before tc. What the overlay took is kept from the host's stack,
/// which would forward it once more, or refuse it to its sender.
#[classifier]
#[inline(always)]
pub fn tc_guard_uplink(ctx: TcContext) -> i32 {
    let (mut packet, tables, _) = tc_parts::<Bounded>(&ctx);
    packet.pull(packet::UPLINK_HEADERS);
    if from_underlay::is_for_overlay(&mut packet, &tables) { TC_ACT_SHOT } else { TC_ACT_UNSPEC }
}

/// The same on a device that is uplink and access port: of the tagged frames, those of its
/// VLANs are kept from the stack as well.
#[classifier]
#[inline(always)]
pub fn tc_guard_one_armed(ctx: TcContext) -> i32 {
    let (mut packet, tables, ingress) = tc_parts::<Bounded>(&ctx);
    packet.pull(packet::UPLINK_HEADERS);
    match one_armed::side(&packet, &tables, ingress) {
        Side::Underlay if from_underlay::is_for_overlay(&mut packet, &tables) => TC_ACT_SHOT,
        Side::Access => TC_ACT_SHOT,
        Side::Underlay | Side::Host => TC_ACT_UNSPEC,
    }
}

/// tc ingress on an access port that user space carries, which has had every frame by now.
#[classifier]
#[inline(always)]
pub fn tc_guard_access(_ctx: TcContext) -> i32 {
    TC_ACT_SHOT
}

/// XDP on an uplink that user space carries over AF_XDP: hands over what is the overlay's, and
/// leaves the rest to the host. Where no socket takes frames, those go on to the guard on tc,
/// as where there is no such program.
#[xdp]
#[inline(always)]
pub fn xdp_user_uplink(ctx: XdpContext) -> u32 {
    let Some(mut packet) = XdpPacket::<false>::new(ctx.ctx) else {
        return xdp_action::XDP_PASS;
    };
    let (tables, _) = xdp_parts::<Bounded>(&ctx);
    if from_underlay::is_for_overlay(&mut packet, &tables) {
        outcome::hand_over(queue(&ctx))
    } else {
        xdp_action::XDP_PASS
    }
}

/// The same on a device that is uplink and access port: of the tagged frames, those of its
/// VLANs are handed over as well.
#[xdp]
#[inline(always)]
pub fn xdp_user_one_armed(ctx: XdpContext) -> u32 {
    let Some(mut packet) = XdpPacket::<false>::new(ctx.ctx) else {
        return xdp_action::XDP_PASS;
    };
    let (tables, ingress) = xdp_parts::<Bounded>(&ctx);
    match one_armed::side(&packet, &tables, ingress) {
        Side::Underlay if from_underlay::is_for_overlay(&mut packet, &tables) => {}
        Side::Access => {}
        Side::Underlay | Side::Host => return xdp_action::XDP_PASS,
    }
    outcome::hand_over(queue(&ctx))
}

/// The same on an access port, all of whose frames are the overlay's.
#[xdp]
#[inline(always)]
pub fn xdp_user_access(ctx: XdpContext) -> u32 {
    outcome::hand_over(queue(&ctx))
}

#[inline(always)]
fn queue(ctx: &XdpContext) -> Queue {
    Queue { ifindex: ctx.ingress_ifindex() as u32, number: ctx.rx_queue_index() }
}

#[inline(always)]
fn xdp_uplink_with<const FRAGS: bool>(ctx: &XdpContext) -> u32 {
    let Some(mut packet) = XdpPacket::<FRAGS>::new(ctx.ctx) else {
        return xdp_action::XDP_PASS;
    };
    watch::before(ctx.ctx);
    let (tables, ingress) = xdp_parts::<Looping>(ctx);
    let result = from_underlay::run(&mut packet, &tables, ingress);
    outcome::xdp(ctx, &tables, ingress, result)
}

#[inline(always)]
fn xdp_access_with<const FRAGS: bool>(ctx: &XdpContext) -> u32 {
    let Some(mut packet) = XdpPacket::<FRAGS>::new(ctx.ctx) else {
        return xdp_action::XDP_PASS;
    };
    watch::before(ctx.ctx);
    let (tables, ingress) = xdp_parts::<Looping>(ctx);
    let result = from_access::run(&mut packet, &tables, ingress);
    outcome::xdp(ctx, &tables, ingress, result)
}

#[inline(always)]
fn xdp_one_armed_with<const FRAGS: bool>(ctx: &XdpContext, sides: &ProgramArray) -> u32 {
    let Some(packet) = XdpPacket::<FRAGS>::new(ctx.ctx) else {
        return xdp_action::XDP_PASS;
    };
    let (tables, ingress) = xdp_parts::<Bounded>(ctx);
    let side = match one_armed::side(&packet, &tables, ingress) {
        Side::Underlay => sides::UPLINK,
        Side::Access => sides::ACCESS,
        Side::Host => return xdp_action::XDP_PASS,
    };
    // SAFETY: the context is the running program's.
    unsafe { sides.tail_call(ctx, side) };
    tables.count_drop(ingress.ifindex, DropReason::TableInconsistent, 1);
    xdp_action::XDP_DROP
}

#[inline(always)]
fn tc_uplink_with<R: Form>(ctx: &TcContext) -> i32 {
    let (mut packet, tables, ingress) = tc_parts::<R>(ctx);
    packet.pull(packet::UPLINK_HEADERS);
    watch::before(packet.skb());
    match from_underlay::run(&mut packet, &tables, ingress) {
        Ok(Verdict::Defer) => go_on(ctx, &tables, ingress, sides::APART_UPLINK),
        Ok(Verdict::Route) => go_on(ctx, &tables, ingress, sides::ROUTE),
        result => outcome::tc(ctx, &mut packet, &tables, ingress, result),
    }
}

#[inline(always)]
fn tc_access_with<R: Form>(ctx: &TcContext) -> i32 {
    let (mut packet, tables, ingress) = tc_parts::<R>(ctx);
    packet.pull(packet::ACCESS_HEADERS);
    watch::before(packet.skb());
    match from_access::run(&mut packet, &tables, ingress) {
        Ok(Verdict::Defer) => go_on(ctx, &tables, ingress, sides::APART_ACCESS),
        Ok(Verdict::Route) => go_on(ctx, &tables, ingress, sides::ROUTE),
        Ok(Verdict::Flood) => go_on(ctx, &tables, ingress, sides::FLOOD),
        result => outcome::tc(ctx, &mut packet, &tables, ingress, result),
    }
}

#[inline(always)]
fn tc_flood_with<R: Form>(ctx: &TcContext) -> i32 {
    let (mut packet, tables, ingress) = tc_parts::<R>(ctx);
    packet.pull(packet::ACCESS_HEADERS);
    let result = from_access::flood(&mut packet, &tables, ingress);
    outcome::tc(ctx, &mut packet, &tables, ingress, result)
}

/// Never attached. Redirects its frame to the device whose index stands behind
/// the frame's Ethernet header (32 bits, big-endian), so that user space can see
/// whether frames redirected there arrive.
#[xdp]
#[inline(always)]
pub fn xdp_probe(ctx: XdpContext) -> u32 {
    let packet = XdpPacket::<false>::new(ctx.ctx);
    match packet.as_ref().and_then(|packet| packet.at::<overlay_common::wire::Probe>(0)) {
        // SAFETY: a plain helper call; the kernel checks the index.
        Some(probe) => unsafe { bpf_redirect(probe.ifindex(), 0) as u32 },
        None => xdp_action::XDP_ABORTED,
    }
}

#[inline(always)]
fn xdp_parts<R: Form>(ctx: &XdpContext) -> (KernelTables<R>, Ingress) {
    let ingress = Ingress { ifindex: ctx.ingress_ifindex() as u32, hook: Hook::Xdp };
    (KernelTables::new(ingress, ctx.as_ptr()), ingress)
}

#[inline(always)]
fn tc_parts<R: Form>(ctx: &TcContext) -> (TcPacket, KernelTables<R>, Ingress) {
    let packet = TcPacket::new(ctx.skb.skb);
    let ingress = Ingress { ifindex: packet.ifindex(), hook: Hook::Tc };
    (packet, KernelTables::new(ingress, ctx.as_ptr()), ingress)
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
