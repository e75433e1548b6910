//! Arbitrary frames from an access port, on XDP and on tc.
//!
//! Whatever leaves towards the peer is sound outer headers around the untouched
//! inner frame, and the peer's own path gives that frame back; nothing returns to
//! where it came from; what is deferred is untouched.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_common::abi::{Hook, PuntReason};
use overlay_common::path::{Ingress, from_access, from_underlay};
use overlay_common::verdict::Verdict;
use overlay_common::wire::{
    Encap, Ethernet, Ipv4, Outer4, Outer6, Shim, Tag, Udp, checksum, ethertype, view,
};
use overlay_control::frame::{Frame, HostFrame};
use overlay_fuzz::{
    ACCESS_DEVICES, GENEVE_VTEP, Input, LOCAL_VTEP, LOCAL_VTEP6, PEER_EGRESS, PORTS, REMOTE_VTEP,
    Sent, VNIS, VTEPS6, mac, node, remote_node, sent,
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
        Ok(Verdict::Route | Verdict::Flood) => panic!("there is no other program"),
        Ok(Verdict::Consumed) | Err(_) => None,
    };
    // What user space sends of a flooded frame, which the kernel left as it was.
    let rest = tables.take_punts().into_iter().filter(|p| p.punt.reason == PuntReason::Flood as u8);
    let mut all = sent(&frame, out);
    for punted in rest {
        let mut plain = Frame::new(&punted.frame);
        plain.gso_size = before.gso_size;
        let verdict = from_access::run_rest(&mut plain, &tables, &punted.punt);
        assert_eq!(verdict, Ok(Verdict::Consumed));
        all.extend(sent(&plain, None));
    }
    once_each(&all);
    for one in all {
        if one.egress == PEER_EGRESS {
            encapsulated(&one, &plain, input, before.gso_size != 0);
        } else if COPIES && (one.egress.ifindex, one.vlan) == (ifindex, plain.vlan) {
            answered(&one, &plain);
        } else {
            assert_ne!((one.egress.ifindex, one.vlan), (ifindex, plain.vlan), "sent back");
            assert!(same_segment(&one, ifindex, plain.vlan), "{one:?} left its segment");
            assert_eq!(one.bytes, untagged(&plain), "a switched frame is untouched");
        }
    }
}

/// What goes back to where it came from is the answer to what it asked, and no other byte of it
/// is changed.
fn answered(one: &Sent, plain: &Sent) {
    let asked = untagged(plain);
    assert_eq!(one.bytes.len(), asked.len());
    assert_eq!(one.bytes[..6], asked[6..12], "to who asked");
    assert!(asked[0] & 1 != 0, "everybody was asked");
    let number = one.bytes[11];
    assert_eq!(one.bytes[6..12], mac(number), "from a station");
    match view::<Ethernet>(&one.bytes, 0).expect("a frame").ethertype() {
        ethertype::ARP => {
            assert_eq!(one.bytes[28..32], [10, 0, 0, number]);
            assert_eq!((&one.bytes[22..28], one.bytes[21]), (&mac(number)[..], 2));
            assert_eq!(one.bytes[32..42], asked[22..32]);
            assert_eq!(one.bytes[42..], asked[42..]);
        }
        ethertype::IPV6 => {
            let pseudo = [&one.bytes[22..54], &[0, 0, 0, 32, 0, 0, 0, 58]].concat();
            let whole = [&pseudo, &one.bytes[54..86]].concat();
            assert_eq!(checksum::full(&whole), 0, "a right checksum");
            assert_eq!((one.bytes[54], one.bytes[22], one.bytes[37]), (136, 0xfd, number));
            assert_eq!(one.bytes[38..54], asked[22..38], "to who asked");
            assert_eq!(one.bytes[86..], asked[86..]);
        }
        other => panic!("an answer of type {other:04x}"),
    }
}

/// No peer gets two copies, whoever sends them.
fn once_each(all: &[Sent]) {
    let tunnels = all.iter().filter(|one| one.egress == PEER_EGRESS);
    let mut ends: Vec<&[u8]> = tunnels.map(|one| &one.bytes[Ethernet::LEN + 12..54]).collect();
    let count = ends.len();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(ends.len(), count, "a peer got two copies");
}

/// Checks the outer headers, and that the peer gets the inner frame back.
fn encapsulated(one: &Sent, plain: &Sent, input: &Input, is_super_frame: bool) {
    let inner = untagged(plain);
    let is_v6 = view::<Ethernet>(&one.bytes, 0).expect("a frame").ethertype() == ethertype::IPV6;
    let (len, udp, shim, peer) = if is_v6 { over_ipv6(one) } else { over_ipv4(one) };
    assert_eq!(&one.bytes[one.bytes.len() - inner.len()..], inner, "the inner frame is untouched");
    assert!(VNIS.contains(&shim.vni()));
    let encap = [Encap::Vxlan, Encap::Geneve][usize::from(peer == 3 || peer == 5)];
    assert_eq!(shim, Shim::new(encap, shim.vni()));
    assert!(udp.source() >= 49152 && udp.destination() == encap.port());
    if is_super_frame {
        return;
    }
    assert_eq!(usize::from(len), inner.len() + Udp::LEN + Shim::LEN);
    assert_eq!(udp.len(), len);
    if ends_in_tag(&inner) {
        return;
    }
    let mut frame = Frame::new(&one.bytes);
    let ingress = Ingress { ifindex: 2, hook: Hook::User };
    let verdict = from_underlay::run(&mut frame, &remote_node(peer), ingress);
    assert_eq!(verdict, Ok(Verdict::Consumed), "the peer refused {input:?}");
    assert_eq!(frame.copies.len(), 1);
    assert_eq!(frame.copies[0].bytes, inner, "decapsulation inverts encapsulation");
}

/// The UDP length that IP has room for, the headers behind IP, and the peer's number.
fn over_ipv4(one: &Sent) -> (u16, Udp, Shim, u8) {
    let outer: &Outer4 = view(&one.bytes, 0).expect("outer headers");
    assert!(outer.ip.checksum_holds() && outer.ip.dont_fragment() && outer.ip.ttl == 64);
    assert_eq!(outer.ip.source, LOCAL_VTEP);
    let peer = match outer.ip.destination {
        REMOTE_VTEP => 1,
        GENEVE_VTEP => 3,
        other => panic!("sent to {other:?}"),
    };
    (outer.ip.total_len().wrapping_sub(Ipv4::LEN as u16), outer.udp, outer.shim, peer)
}

fn over_ipv6(one: &Sent) -> (u16, Udp, Shim, u8) {
    let outer: &Outer6 = view(&one.bytes, 0).expect("outer headers");
    assert_eq!((outer.ip.version(), outer.ip.hop_limit), (6, 64));
    assert_eq!(outer.ip.source, LOCAL_VTEP6);
    let peer = VTEPS6.iter().position(|vtep| *vtep == outer.ip.destination).expect("a peer");
    (outer.ip.payload_len(), outer.udp, outer.shim, peer as u8 + 4)
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
    while frame.vlan().is_some_and(|tag| tag.vlan() == 0) && frame.pop_vlan().is_ok() {}
    frame.bytes().to_vec()
}
