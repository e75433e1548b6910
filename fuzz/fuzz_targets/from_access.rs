//! Arbitrary frames from an access port, on XDP and on tc.
//!
//! Whatever leaves towards the peer is sound outer headers around the untouched
//! inner frame, and the peer's own path gives that frame back; nothing returns to
//! where it came from; what is deferred is untouched.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_common::abi::Hook;
use overlay_common::path::{Ingress, from_access, from_underlay};
use overlay_common::verdict::Verdict;
use overlay_common::wire::{Ethernet, Outer, TUNNEL_LEN, Tag, Udp, Vxlan, ethertype, view};
use overlay_control::frame::{Frame, HostFrame};
use overlay_fuzz::{
    ACCESS_DEVICES, Input, LOCAL_VTEP, PEER_EGRESS, PORTS, REMOTE_VTEP, Sent, VNIS, node,
    remote_node, sent,
};

fuzz_target!(|data: &[u8]| {
    if let Some(input) = Input::new(data) {
        if input.is_xdp() { cross::<false>(&input) } else { cross::<true>(&input) }
    }
});

fn cross<const COPIES: bool>(input: &Input) {
    let tables = node();
    let ifindex = ACCESS_DEVICES[usize::from(input.second_device())];
    let ingress = Ingress { ifindex, hook: if COPIES { Hook::Tc } else { Hook::Xdp } };
    let before: HostFrame<COPIES> = input.frame(input.bytes);
    let plain = sent(&before, Some(PEER_EGRESS)).remove(0);
    let mut frame = before.clone();
    let verdict = from_access::run(&mut frame, &tables, ingress);
    let out = match verdict {
        Ok(Verdict::Pass) => panic!("an access port's frames never reach the host"),
        Ok(Verdict::Defer) => {
            assert!(!COPIES, "tc defers to nobody");
            assert_eq!(frame, before, "a deferred frame is untouched");
            None
        }
        Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) => Some(egress),
        Ok(Verdict::Consumed) | Err(_) => None,
    };
    for one in sent(&frame, out) {
        if one.egress == PEER_EGRESS {
            encapsulated(&one, &plain, input, before.gso_size != 0);
        } else {
            assert_ne!((one.egress.ifindex, one.vlan), (ifindex, plain.vlan), "sent back");
            assert!(same_segment(&one, ifindex, plain.vlan), "{one:?} left its segment");
            assert_eq!(one.bytes, untagged(&plain), "a switched frame is untouched");
        }
    }
}

/// Checks the outer headers, and that the peer gets the inner frame back.
fn encapsulated(one: &Sent, plain: &Sent, input: &Input, is_super_frame: bool) {
    let inner = untagged(plain);
    assert_eq!(&one.bytes[TUNNEL_LEN..], inner, "the inner frame is untouched");
    let outer: &Outer = view(&one.bytes, 0).expect("outer headers");
    assert!(VNIS.contains(&outer.vxlan.vni()));
    assert_eq!(outer.vxlan.flags, Vxlan::VNI_FLAG);
    assert_eq!((outer.ip.source, outer.ip.destination), (LOCAL_VTEP, REMOTE_VTEP));
    assert!(outer.ip.checksum_holds() && outer.ip.dont_fragment() && outer.ip.ttl == 64);
    assert!(outer.udp.source() >= 49152 && outer.udp.destination() == Vxlan::PORT);
    if is_super_frame {
        return;
    }
    let after_ethernet = one.bytes.len() - Ethernet::LEN;
    assert_eq!(usize::from(outer.ip.total_len()), after_ethernet);
    assert_eq!(usize::from(outer.udp.len()), inner.len() + Udp::LEN + Vxlan::LEN);
    if ends_in_tag(&inner) {
        return;
    }
    let mut frame = Frame::new(&one.bytes);
    let ingress = Ingress { ifindex: 2, hook: Hook::User };
    let verdict = from_underlay::run(&mut frame, &remote_node(), ingress);
    assert_eq!(verdict, Ok(Verdict::Consumed), "the peer refused {input:?}");
    assert_eq!(frame.copies.len(), 1);
    assert_eq!(frame.copies[0].bytes, inner, "decapsulation inverts encapsulation");
}

/// A tag that the frame's end cuts off is no tag where the frame enters, and no
/// frame to the peer, which drops it.
fn ends_in_tag(inner: &[u8]) -> bool {
    let tagged = view::<Ethernet>(inner, 0)
        .is_some_and(|e| matches!(e.ethertype(), ethertype::VLAN | ethertype::SERVICE_VLAN));
    tagged && inner.len() < Tag::OFFSET + Tag::LEN
}

/// Whether the port that a frame left by is in the segment that it came from.
fn same_segment(one: &Sent, ifindex: u32, vlan: u16) -> bool {
    let segment_of = |device, vlan| {
        PORTS.iter().find(|port| (port.0, port.1) == (device, vlan)).map(|port| port.2)
    };
    segment_of(one.egress.ifindex, one.vlan) == segment_of(ifindex, vlan)
}

/// The frame without any tag: that of a priority tag is not told apart here.
fn untagged(plain: &Sent) -> Vec<u8> {
    use overlay_common::packet::Packet;
    let mut frame = Frame::new(&plain.bytes);
    while frame.vlan().is_some_and(|tci| tci & 0x0fff == 0) && frame.pop_vlan().is_ok() {}
    frame.bytes().to_vec()
}
