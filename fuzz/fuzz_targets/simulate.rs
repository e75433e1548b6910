//! Arbitrary frames, explained: at every hook and in every role, whole or cut off, and with whatever
//! the kernel may have said of them.
//!
//! The explanation is that of the path itself, says why a frame is dropped and what to do, and
//! changes nothing in the tables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_common::abi::{Egress, Hook, PolicerKey};
use overlay_common::path::{Ingress, from_access, from_underlay, one_armed};
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::{Tag, TagKind};
use overlay_control::controller::Role;
use overlay_control::explain::{Capture, Live, carry, explain};
use overlay_control::frame::HostFrame;
use overlay_fuzz::{ACCESS_DEVICES, node};

fuzz_target!(|data: &[u8]| {
    let Some(([choices, said, t1, t2, more], frame)) = data.split_first_chunk() else { return };
    let tables = node();
    let live = Live { tables: &tables, controller: None, now: 1, levels: &|_: &PolicerKey| None };
    let role = [Role::Access, Role::Uplink, Role::OneArmed][usize::from(choices & 3) % 3];
    let hook = [Hook::Xdp, Hook::Tc, Hook::User][usize::from(choices >> 2 & 3) % 3];
    let ifindex = ACCESS_DEVICES[usize::from(choices >> 4 & 1)];
    let tag = Tag::new(TagKind::Customer, u16::from_be_bytes([*t1, *t2]));
    let capture = Capture {
        len: frame.len() as u32 + if choices & 0x20 != 0 { u32::from(*more) * 8 } else { 0 },
        stripped_vlan: (choices & 0x40 != 0 && hook == Hook::Tc).then_some(tag),
        said: (choices & 0x80 != 0).then(|| kernels(*said)),
        ..Capture::new(frame, ifindex, role, hook)
    };
    let before = format!("{tables:?}");
    let ran = carry(&capture, &live);
    let told = explain(&capture, &live);
    assert_eq!(format!("{tables:?}"), before, "explaining changed the tables");
    assert!(!told.cause.is_empty() && told.cause.len() < 2000);
    assert!(told.reason.is_none() || told.fix.is_some_and(|fix| fix.len() > 10));
    if let Some(Err(reason)) = capture.said {
        assert_eq!(told.reason, Some(reason), "what the kernel said stands");
    }
    let first = ran.passes.first().expect("a run");
    let expected = if hook == Hook::Xdp {
        path::<false>(&capture, &tables)
    } else {
        path::<true>(&capture, &tables)
    };
    assert_eq!(first.result, expected, "the path says otherwise");
});

/// What the kernel may have said.
fn kernels(word: u8) -> Result<Verdict, DropReason> {
    let egress = Egress { ifindex: 2, flags: 0 };
    match DropReason::from_u8(word) {
        Some(reason) => Err(reason),
        None => Ok(match word % 5 {
            0 => Verdict::Pass,
            1 => Verdict::Defer,
            2 => Verdict::Transmit(egress),
            3 => Verdict::Deliver(egress),
            _ => Verdict::Consumed,
        }),
    }
}

/// The path by itself.
fn path<const COPIES: bool>(
    capture: &Capture<'_>,
    tables: &overlay_control::tables::TableSet,
) -> Result<Verdict, DropReason> {
    let mut bytes = capture.frame.to_vec();
    bytes.resize(capture.len as usize, 0);
    let mut frame = HostFrame::<COPIES>::new(&bytes);
    frame.stripped_vlan = capture.stripped_vlan;
    frame.vlan_offload = capture.hook == Hook::Tc;
    frame.as_kernel = capture.hook != Hook::User;
    let ingress = Ingress { ifindex: capture.ifindex, hook: capture.hook };
    match capture.role {
        Role::Access => from_access::run(&mut frame, tables, ingress),
        Role::Uplink => from_underlay::run(&mut frame, tables, ingress),
        Role::OneArmed => one_armed::run(&mut frame, tables, ingress),
    }
}
