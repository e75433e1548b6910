//! The one place where the path's answer becomes an action of the hook, and where
//! drops are counted.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action, xdp_md};
use aya_ebpf::helpers::generated::{bpf_redirect, bpf_redirect_peer, bpf_skb_change_type};
use aya_log_ebpf::warn;
use overlay_common::abi::{Egress, Outcome, Queue};
use overlay_common::path::Ingress;
use overlay_common::tables::Tables;
use overlay_common::verdict::{DropReason, Verdict};

use crate::maps;
use crate::packet::TcPacket;
use crate::tables::{Form, KernelTables};
use crate::watch;

/// `PACKET_HOST` of `<linux/if_packet.h>`: addressed to the receiver.
const PACKET_HOST: u32 = 0;

/// The XDP action for the path's answer.
#[inline(always)]
pub fn xdp<C: EbpfContext, F: Form>(
    ctx: &C,
    tables: &KernelTables<F>,
    ingress: Ingress,
    result: Result<Verdict, DropReason>,
) -> u32 {
    let context = ctx.as_ptr().cast::<xdp_md>();
    match result {
        Ok(Verdict::Pass) => {
            watch::after(context, Outcome::Pass, 0);
            xdp_action::XDP_PASS
        }
        Ok(Verdict::Defer | Verdict::Route | Verdict::Flood) => {
            watch::after(context, Outcome::Defer, 0);
            xdp_action::XDP_PASS
        }
        Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) => {
            if egress.ifindex == ingress.ifindex && egress.flags & Egress::TX != 0 {
                watch::after(context, leaving(&result), egress.ifindex);
                return xdp_action::XDP_TX;
            }
            match maps::DEVICES.redirect(egress.ifindex, 0) {
                Ok(action) => {
                    watch::after(context, leaving(&result), egress.ifindex);
                    action
                }
                Err(_) => {
                    watch::dropped(context, DropReason::PortDown as u8);
                    tables.count_drop(ingress.ifindex, DropReason::PortDown, 1);
                    xdp_action::XDP_DROP
                }
            }
        }
        Ok(Verdict::Consumed) => {
            watch::after(context, Outcome::Consumed, 0);
            xdp_action::XDP_DROP
        }
        Err(reason) => {
            watch::dropped(context, reason as u8);
            dropped(ctx, tables, ingress, reason);
            xdp_action::XDP_DROP
        }
    }
}

/// By which side a frame leaves.
#[inline(always)]
fn leaving(result: &Result<Verdict, DropReason>) -> Outcome {
    match result {
        Ok(Verdict::Deliver(_)) => Outcome::Deliver,
        _ => Outcome::Transmit,
    }
}

/// Hands a frame to the AF_XDP socket of the queue that it came through. Where there is none,
/// or no longer, it goes on to the kernel's stack.
#[inline(always)]
pub fn hand_over(queue: Queue) -> u32 {
    // SAFETY: a map without concurrent resizing; the value is read at once.
    let Some(slot) = (unsafe { maps::XSK_SLOTS.get(queue) }) else {
        return xdp_action::XDP_PASS;
    };
    // The flags are the action where the slot is empty (Linux 5.3, commit 43e74c0267a3).
    match maps::XSKS.redirect(*slot, u64::from(xdp_action::XDP_PASS)) {
        Ok(action) | Err(action) => action,
    }
}

/// The tc action for the path's answer. What passes goes on to the programs
/// behind this one.
#[inline(always)]
pub fn tc<C: EbpfContext, F: Form>(
    ctx: &C,
    packet: &mut TcPacket,
    tables: &KernelTables<F>,
    ingress: Ingress,
    result: Result<Verdict, DropReason>,
) -> i32 {
    let context = packet.skb();
    match result {
        Ok(Verdict::Pass) => {
            watch::after(context, Outcome::Pass, 0);
            TC_ACT_UNSPEC
        }
        Ok(Verdict::Defer | Verdict::Route | Verdict::Flood) => {
            watch::after(context, Outcome::Defer, 0);
            TC_ACT_UNSPEC
        }
        Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) => {
            watch::after(context, leaving(&result), egress.ifindex);
            send(packet, egress)
        }
        Ok(Verdict::Consumed) => {
            watch::after(context, Outcome::Consumed, 0);
            TC_ACT_SHOT
        }
        Err(reason) => {
            watch::dropped(context, reason as u8);
            dropped(ctx, tables, ingress, reason);
            TC_ACT_SHOT
        }
    }
}

/// The cheapest redirect that works. `bpf_redirect_peer` puts the frame straight
/// into the far namespace, past the device's queue, the segmentation that a tunnel
/// would be offered, and the backlog queue. It reads neither the frame's headers nor its
/// destination again: those must be known already, and the latter is set right here, since
/// table entries name who is behind the device: a station behind a port, the next hop
/// behind an uplink.
#[inline(always)]
fn send(packet: &mut TcPacket, egress: Egress) -> i32 {
    // Opaque, so that the compiler does not look at the flags before it knows that
    // there are any, which the verifier forbids.
    let flags = core::hint::black_box(egress.flags);
    if flags & Egress::PEER == 0 || !packet.is_known() {
        // SAFETY: a helper call without pointers.
        return unsafe { bpf_redirect(egress.ifindex, 0) as i32 };
    }
    // SAFETY: the context is valid while the program runs; helper calls on it.
    unsafe {
        // What came through a tunnel was addressed to this node, and mostly is so already.
        if (*packet.skb()).pkt_type != PACKET_HOST {
            bpf_skb_change_type(packet.skb(), PACKET_HOST);
        }
        bpf_redirect_peer(egress.ifindex, 0) as i32
    }
}

/// The log's macro makes a function, which not every form has; the count says the same.
#[inline(always)]
fn dropped<C: EbpfContext, F: Form>(
    ctx: &C,
    tables: &KernelTables<F>,
    ingress: Ingress,
    reason: DropReason,
) {
    tables.count_drop(ingress.ifindex, reason, 1);
    if F::OUTLINED && reason as u8 == DropReason::TableInconsistent as u8 {
        warn!(ctx, "tables are inconsistent for a frame from interface {}", ingress.ifindex);
    }
}
