//! Frames that the kernel has had: what it did stands.

use overlay_common::abi::{Egress, Hook};
use overlay_common::verdict::{DropReason, Verdict};
use overlay_control::controller::Role;
use overlay_control::explain::Capture;

use crate::gateway::{AT_ETH2, AT_GW2, ETH0, ETH1, Gateway, USUAL, tells, tunnel, udp};

#[test]
fn what_the_tables_say_too_needs_no_note() {
    let gateway = Gateway::new(USUAL);
    let out = Ok(Verdict::Transmit(Egress { ifindex: ETH0, flags: 0 }));
    let told = gateway.said(&udp(AT_GW2, 53), ETH1, out);
    tells(&told, "transmit", None, &["gw2"]);
    assert_eq!(told.notes, Vec::<String>::new());
    let frame = tunnel([192, 0, 2, 9], 100, &udp(AT_ETH2, 53));
    let told = gateway.said(&frame, ETH0, Err(DropReason::UnknownVtep));
    tells(&told, "drop", Some(DropReason::UnknownVtep), &["192.0.2.9"]);
    assert_eq!(told.notes, Vec::<String>::new());
}

#[test]
fn where_the_tables_have_changed_the_kernels_verdict_is_the_fact() {
    let gateway = Gateway::new(USUAL);
    let told = gateway.said(&udp(AT_GW2, 53), ETH1, Err(DropReason::PortDown));
    tells(&told, "drop", Some(DropReason::PortDown), &[]);
    assert!(told.notes[0].contains("another end: transmit"), "{told:#?}");
    assert!(told.notes[0].contains("the tables have changed since"), "{told:#?}");
    assert!(told.outputs.is_empty(), "nothing left: {told:#?}");
    let told = gateway.said(&udp(AT_GW2, 53), ETH1, Err(DropReason::Policed));
    assert!(told.notes[0].contains("limits leave room again since"), "{told:#?}");
    let frame = tunnel([192, 0, 2, 9], 100, &udp(AT_ETH2, 53));
    let told = gateway.said(&frame, ETH0, Ok(Verdict::Consumed));
    tells(&told, "absorb", None, &["the kernel let it pass"]);
    assert!(told.notes[0].contains("drop (unknown-vtep)"), "{told:#?}");
}

#[test]
fn a_frame_of_which_only_the_head_was_captured_has_its_whole_length() {
    let gateway = Gateway::new(USUAL);
    let frame = udp(AT_GW2, 53);
    let head = &frame[..50];
    let mut capture = Capture::new(head, ETH1, Role::Access, Hook::Tc);
    capture.len = frame.len() as u32;
    let told = gateway.explain(&capture);
    tells(&told, "transmit", None, &["gw2"]);
    assert_eq!(told.outputs[0].bytes.len(), frame.len() + 50);
    let note = format!("only 50 of the frame's {} bytes", frame.len());
    assert!(told.notes[0].contains(&note), "{told:#?}");
}
