//! Arbitrary frames from an uplink, on XDP and on tc: raw bytes, and inner
//! frames behind outer headers of which at most one byte is wrong.
//!
//! Nothing is delivered that was not addressed to this VTEP, by a peer, in a
//! segment that it may use; what is delivered is the inner frame, to ports of
//! that segment alone; what passes or is deferred is untouched.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_common::abi::{Egress, Hook};
use overlay_common::path::{Ingress, from_underlay};
use overlay_common::verdict::Verdict;
use overlay_common::wire::{
    Ethernet, Ipv4, Mac, Outer, TUNNEL_LEN, Udp, Vxlan, bytes_of, ethertype, view, view_mut,
};
use overlay_control::frame::HostFrame;
use overlay_fuzz::{
    Input, LOCAL_VTEP, NOBODY_VTEP, PORTS, REMOTE_VTEP, SILENT_VTEP, Sent, VNIS, mac, node, sent,
};

/// The uplink.
const UPLINK: u32 = 2;

fuzz_target!(|data: &[u8]| {
    if let Some(input) = Input::new(data) {
        let bytes = if input.wants_outer() { wrap(&input) } else { input.bytes.to_vec() };
        if input.is_xdp() {
            cross::<false>(&input, &bytes);
        } else {
            cross::<true>(&input, &bytes);
        }
    }
});

/// Puts outer headers in front of the bytes, and spoils one of their bytes.
fn wrap(input: &Input) -> Vec<u8> {
    let senders = [REMOTE_VTEP, REMOTE_VTEP, SILENT_VTEP, NOBODY_VTEP];
    let source = senders[input.sender()];
    let mut outer = Outer::template(Mac(mac(0xa0)), Mac(mac(0xb0)), source, LOCAL_VTEP);
    let udp_len = (input.bytes.len() + Udp::LEN + Vxlan::LEN) as u16;
    outer.ip.fill(udp_len.wrapping_add(Ipv4::LEN as u16), 0);
    outer.udp.fill(50_000, udp_len);
    outer.vxlan = Vxlan::new(VNIS[usize::from(input.second_device())]);
    let mut bytes = bytes_of(&outer).to_vec();
    input.patch(&mut bytes);
    if input.wants_checksum()
        && let Some(ip) = view_mut::<Ipv4>(&mut bytes, Ethernet::LEN)
    {
        ip.seal();
    }
    bytes.extend_from_slice(input.bytes);
    bytes.resize(bytes.len() + usize::from(input.padding), 0);
    bytes
}

fn cross<const COPIES: bool>(input: &Input, bytes: &[u8]) {
    let tables = node();
    let ingress = Ingress { ifindex: UPLINK, hook: if COPIES { Hook::Tc } else { Hook::Xdp } };
    let before: HostFrame<COPIES> = input.frame(bytes);
    let mut frame = before.clone();
    let out = match from_underlay::run(&mut frame, &tables, ingress) {
        Ok(Verdict::Transmit(_)) => panic!("split horizon: nothing returns to the underlay"),
        Ok(verdict @ (Verdict::Pass | Verdict::Defer)) => {
            assert!(verdict == Verdict::Pass || !COPIES, "tc defers to nobody");
            assert_eq!(frame, before, "what passes is untouched");
            None
        }
        Ok(Verdict::Deliver(egress)) => Some(egress),
        Ok(Verdict::Consumed) | Err(_) => None,
    };
    for one in sent(&frame, out) {
        delivered(&one, &before);
    }
}

/// Checks that a frame that was delivered had every right to be.
fn delivered<const COPIES: bool>(one: &Sent, before: &HostFrame<COPIES>) {
    let outer: &Outer = view(before.bytes(), 0).expect("outer headers");
    assert_eq!(before.stripped_vlan, None, "a tagged frame is not the overlay's");
    assert_eq!(outer.ip.destination, LOCAL_VTEP);
    assert!(outer.ip.is_plain() && !outer.ip.is_fragment() && outer.ip.checksum_holds());
    assert_ne!(outer.vxlan.flags & Vxlan::VNI_FLAG, 0);
    let segment = VNIS.iter().position(|vni| *vni == outer.vxlan.vni()).expect("a known VNI") + 1;
    match outer.ip.source {
        REMOTE_VTEP => {}
        SILENT_VTEP => assert_eq!(segment, 1, "the second peer may use the first segment alone"),
        other => panic!("{other:?} is no peer"),
    }
    let port = (one.egress.ifindex, one.vlan, segment as u16);
    assert!(PORTS.contains(&port), "{port:?} is not a port of the segment");
    assert_ne!(one.egress, Egress { ifindex: UPLINK, ..one.egress });

    // The inner frame, without padding, and with no more than ECN changed.
    let mut inner = &before.bytes()[TUNNEL_LEN..];
    if before.gso_size == 0 {
        let len = usize::from(outer.ip.total_len()) + Ethernet::LEN - TUNNEL_LEN;
        inner = &inner[..len];
    }
    assert_eq!(one.bytes.len(), inner.len());
    let is_ip = view::<Ethernet>(inner, 0)
        .is_some_and(|header| matches!(header.ethertype(), ethertype::IPV4 | ethertype::IPV6));
    // Version to header checksum: where ECN and what covers it are.
    let may_change = if is_ip { Ethernet::LEN..Ethernet::LEN + 12 } else { 0..0 };
    for (index, (now, was)) in one.bytes.iter().zip(inner).enumerate() {
        assert!(now == was || may_change.contains(&index), "byte {index} changed");
    }
}
