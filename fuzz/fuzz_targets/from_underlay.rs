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
    Encap, Ends, Ethernet, Family, Geneve, Ipv4, Mac, Outer, Outer4, Outer6, Patch, Shim, Template,
    Udp, Vxlan, Words, ethertype, view, view_mut,
};
use overlay_control::frame::HostFrame;
use overlay_fuzz::{
    GENEVE_VTEP, Input, LOCAL_VTEP, LOCAL_VTEP6, NOBODY_VTEP, PORTS, REMOTE_VTEP, SILENT_VTEP,
    Sent, VNIS, VTEPS6, mac, node, sent,
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
    const SENDERS: [[u8; 4]; 4] = [REMOTE_VTEP, REMOTE_VTEP, SILENT_VTEP, NOBODY_VTEP];
    let from_v4 = |source| Ends::V4(source, LOCAL_VTEP);
    let (ends, encap) = match input.tunnel(8) {
        0..3 => (from_v4(SENDERS[input.sender()]), Encap::Vxlan),
        3 | 4 => (from_v4(GENEVE_VTEP), Encap::Geneve),
        5 => (Ends::V6(VTEPS6[0], LOCAL_VTEP6), Encap::Vxlan),
        6 => (Ends::V6(VTEPS6[1], LOCAL_VTEP6), Encap::Geneve),
        // Not as that peer is wont to.
        _ => (Ends::V6(VTEPS6[input.sender() % 2], LOCAL_VTEP6), Encap::Geneve),
    };
    let (next_hop, uplink) = (Mac(mac(0xa0)), Mac(mac(0xb0)));
    let words = Template { next_hop, uplink, ends, encap, port: encap.port() }.words();
    let options = match encap {
        Encap::Vxlan => 0,
        Encap::Geneve => input.option_words(),
    };
    let inner_len = (input.bytes.len() + usize::from(options) * 4) as u32;
    let vni = VNIS[usize::from(input.second_device())];
    let patch = Patch { inner_len, tos: 0, source_port: 50_000, vni };
    let mut bytes = match ends.family() {
        Family::V4 => headers::<Outer4>(&words, &patch),
        Family::V6 => headers::<Outer6>(&words, &patch),
    };
    if encap == Encap::Geneve {
        let shim = bytes.len() - Shim::LEN;
        bytes[shim] = options;
        bytes.resize(bytes.len() + usize::from(options) * 4, 0x5a);
    }
    input.patch(&mut bytes);
    if input.wants_checksum()
        && ends.family() == Family::V4
        && let Some(ip) = view_mut::<Ipv4>(&mut bytes, Ethernet::LEN)
    {
        ip.seal();
    }
    bytes.extend_from_slice(input.bytes);
    bytes.resize(bytes.len() + usize::from(input.padding), 0);
    bytes
}

fn headers<O: Outer>(words: &Words, patch: &Patch) -> Vec<u8> {
    let mut bytes = vec![0; size_of::<O>()];
    let outer: &mut O = view_mut(&mut bytes, 0).expect("as many bytes");
    outer.copy_words(words);
    outer.fill(patch);
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
        Ok(Verdict::Route | Verdict::Flood) => panic!("there is no other program"),
        Ok(Verdict::Consumed) | Err(_) => None,
    };
    for one in sent(&frame, out) {
        delivered(&one, &before);
    }
}

/// What the outer headers of a sound tunnel say: its peer's number, where the inner frame
/// begins, and where it ends on the wire.
fn unwrapped(bytes: &[u8]) -> (u32, u32, usize, usize) {
    let ethernet: &Ethernet = view(bytes, 0).expect("an Ethernet header");
    let (udp, peer, encap, end) = if ethernet.ethertype() == ethertype::IPV4 {
        let outer: &Outer4 = view(bytes, 0).expect("outer headers");
        assert_eq!(outer.ip.destination, LOCAL_VTEP);
        assert!(outer.ip.is_plain() && !outer.ip.is_fragment() && outer.ip.checksum_holds());
        let (peer, encap) = match outer.ip.source {
            REMOTE_VTEP => (1, Encap::Vxlan),
            SILENT_VTEP => (2, Encap::Vxlan),
            GENEVE_VTEP => (3, Encap::Geneve),
            other => panic!("{other:?} is no peer"),
        };
        (34, peer, encap, Ethernet::LEN + usize::from(outer.ip.total_len()))
    } else {
        let outer: &Outer6 = view(bytes, 0).expect("outer headers");
        assert_eq!((outer.ip.version(), outer.ip.destination), (6, LOCAL_VTEP6));
        let peer = VTEPS6.iter().position(|vtep| *vtep == outer.ip.source).expect("a peer");
        let encap = [Encap::Vxlan, Encap::Geneve][peer];
        (54, peer as u32 + 4, encap, 54 + usize::from(outer.ip.payload_len()))
    };
    let port = view::<Udp>(bytes, udp).expect("a UDP header").destination();
    assert_eq!(port, encap.port());
    let shim = udp + Udp::LEN;
    match encap {
        Encap::Vxlan => {
            let vxlan: &Vxlan = view(bytes, shim).expect("a VXLAN header");
            assert_ne!(vxlan.flags & Vxlan::VNI_FLAG, 0);
            (peer, vxlan.vni(), shim + Vxlan::LEN, end)
        }
        Encap::Geneve => {
            let geneve: &Geneve = view(bytes, shim).expect("a Geneve header");
            assert!(geneve.version() == 0 && !geneve.is_critical() && !geneve.is_control());
            assert_eq!(geneve.protocol(), Geneve::ETHERNET);
            (peer, geneve.vni(), shim + Geneve::LEN + geneve.options_len() as usize, end)
        }
    }
}

/// Checks that a frame that was delivered had every right to be.
fn delivered<const COPIES: bool>(one: &Sent, before: &HostFrame<COPIES>) {
    assert_eq!(before.stripped_vlan, None, "a tagged frame is not the overlay's");
    let (peer, vni, start, end) = unwrapped(before.bytes());
    let segment = VNIS.iter().position(|known| *known == vni).expect("a known VNI") + 1;
    assert!(peer != 2 || segment == 1, "the second peer may use the first segment alone");
    let port = (one.egress.ifindex, one.vlan, segment as u16);
    assert!(PORTS.contains(&port), "{port:?} is not a port of the segment");
    assert_ne!(one.egress, Egress { ifindex: UPLINK, ..one.egress });

    // The inner frame, without padding, and with no more than ECN changed.
    let end = if before.gso_size == 0 { end } else { before.bytes().len() };
    let inner = &before.bytes()[start..end];
    assert_eq!(one.bytes.len(), inner.len());
    let is_ip = view::<Ethernet>(inner, 0)
        .is_some_and(|header| matches!(header.ethertype(), ethertype::IPV4 | ethertype::IPV6));
    // Version to header checksum: where ECN and what covers it are.
    let may_change = if is_ip { Ethernet::LEN..Ethernet::LEN + 12 } else { 0..0 };
    for (index, (now, was)) in one.bytes.iter().zip(inner).enumerate() {
        assert!(now == was || may_change.contains(&index), "byte {index} changed");
    }
}
