//! Hand-picked vectors of what comes in from the underlay.

use overlay_common::abi::{Policer, PolicerKey, Target};
use overlay_common::verdict::DropReason as Why;
use overlay_common::wire::{Encap, Mac, Outer4, bytes_of};
use overlay_control::action::Action;
use overlay_control::sample::{PEER_VTEPS, STATIC_STATION, UPLINK_MAC, station};

use crate::outer::{Datagram, tunnel};
use crate::picked::{Expect, Picks, arp, from_peer, inner_to, ipv4, ipv6};
use crate::vector::{Given, ethernet, tagged};

pub fn add(picks: &mut Picks) {
    decapsulation(picks);
    outer_refusals(picks);
    inner_refusals(picks);
    foreign(picks);
    congestion(picks);
    other_tunnels(picks);
    geneve_refusals(picks);
}

fn decapsulation(picks: &mut Picks) {
    let inner = inner_to(station(2));
    picks.underlay("to a port", from_peer(100, &inner), Expect::Delivered(inner.clone(), None));
    let to_tagged = inner_to(station(3));
    picks.underlay(
        "to a port with a VLAN, from a peer",
        from_peer(100, &to_tagged),
        Expect::Delivered(to_tagged, Some(30)),
    );
    let to_service = inner_to(station(9));
    picks.underlay(
        "to a port with a service tag, from a peer",
        from_peer(100, &to_service),
        Expect::ServiceTagged(to_service, 20),
    );
    let small = inner_to(station(4));
    picks.underlay_by_tc(
        "to a port that XDP cannot reach, from a peer",
        from_peer(100, &small),
        Expect::Delivered(small, None),
    );
    let v6 = ethernet(station(2), station(0x11), 0x86dd, &ipv6(0, 6));
    picks.underlay("IPv6 in IPv4", from_peer(100, &v6), Expect::Delivered(v6, None));
    let arp_reply = ethernet(station(2), station(0x11), 0x88b5, &arp());
    picks.underlay("ARP", from_peer(100, &arp_reply), Expect::Delivered(arp_reply, None));
    let mut padded = from_peer(100, &inner);
    padded.extend([0; 9]);
    picks.underlay("link-layer padding is cut", padded, Expect::Delivered(inner.clone(), None));
    let mut reserved = from_peer(100, &inner);
    reserved[42] = 0xff;
    reserved[43] = 0xff;
    reserved[49] = 0xff;
    picks.underlay(
        "reserved VXLAN bits are ignored",
        reserved,
        Expect::Delivered(inner.clone(), None),
    );
    let mut summed = from_peer(100, &inner);
    summed[40..42].copy_from_slice(&[0xbe, 0xef]);
    picks.underlay(
        "an outer UDP checksum is not verified (RFC 7348, 5)",
        summed,
        Expect::Delivered(inner.clone(), None),
    );
    let moved = ethernet(station(2), station(1), 0x0800, &ipv4(0, 6, 40));
    picks.underlay(
        "a station that moved to a peer",
        from_peer(100, &moved),
        Expect::Delivered(moved, None),
    );
    let fixed = ethernet(station(2), STATIC_STATION, 0x0800, &ipv4(0, 6, 40));
    picks.underlay("a static station", from_peer(100, &fixed), Expect::Delivered(fixed, None));
    let broadcast = ethernet(Mac::BROADCAST, station(0x11), 0x88b5, &arp());
    picks.underlay_by_tc("broadcast from a peer", from_peer(100, &broadcast), Expect::Consumed);
    let unknown = inner_to(station(0x73));
    picks.underlay_by_tc("unknown unicast from a peer", from_peer(100, &unknown), Expect::Consumed);
}

fn outer_refusals(picks: &mut Picks) {
    let inner = inner_to(station(2));
    let good = tunnel(PEER_VTEPS[0], 100, inner.len());
    let with = |change: &dyn Fn(&mut Outer4)| {
        let mut outer = good;
        change(&mut outer);
        outer.ip.seal();
        [bytes_of::<Outer4>(&outer), &inner[..]].concat()
    };
    let mut refuse = |name: &str, frame, why| picks.underlay(name, frame, Expect::Dropped(why));
    let from =
        |vtep, vni| [bytes_of::<Outer4>(&tunnel(vtep, vni, inner.len())), &inner[..]].concat();
    refuse("unknown VTEP", from([192, 0, 2, 9], 100), Why::UnknownVtep);
    refuse("unknown VNI", from_peer(101, &inner), Why::UnknownVni);
    refuse("VNI 0", from_peer(0, &inner), Why::UnknownVni);
    refuse("VNI of another peer", from(PEER_VTEPS[1], 200), Why::VniNotPermitted);
    refuse("VNI of no peer", from_peer(300, &inner), Why::VniNotPermitted);
    let flags = |flags: u8| {
        let mut frame = from_peer(100, &inner);
        frame[42] = flags;
        frame
    };
    refuse("I flag clear", flags(0), Why::NoVniFlag);
    refuse("all flags but I", flags(0xf7), Why::NoVniFlag);
    let len = (inner.len() + 36) as u16;
    refuse("IP length beyond the frame", with(&|o| o.ip.set_total_len(len + 1)), Why::Truncated);
    refuse("IP length short of UDP's", with(&|o| o.ip.set_total_len(len - 1)), Why::BadLength);
    refuse("IP length of headers alone", with(&|o| o.ip.set_total_len(20)), Why::BadLength);
    refuse("UDP length too long", with(&|o| o.udp.fill(50_000, len - 19)), Why::BadLength);
    refuse("UDP length too short", with(&|o| o.udp.fill(50_000, len - 21)), Why::BadLength);
    refuse("UDP length 0", with(&|o| o.udp.fill(50_000, 0)), Why::BadLength);
    let mut wrong = with(&|_| {});
    wrong[24] ^= 1;
    refuse("wrong IP checksum", wrong, Why::BadChecksum);
    let whole = from_peer(100, &inner);
    for cut in [34, 41, 42, 43, 49, 50, 63, 64, whole.len() - 1] {
        refuse(&format!("cut to {cut} bytes"), whole[..cut].to_vec(), Why::Truncated);
    }
}

fn inner_refusals(picks: &mut Picks) {
    let mut refuse = |name: &str, inner: &[u8], why| {
        picks.underlay(name, from_peer(100, inner), Expect::Dropped(why));
    };
    refuse("nothing inside", &[], Why::InnerTruncated);
    refuse("half an inner header", &[2; 13], Why::InnerTruncated);
    let from = |source| ethernet(station(2), source, 0x0800, &ipv4(0, 6, 40));
    refuse("inner source broadcast", &from(Mac::BROADCAST), Why::InvalidSource);
    refuse("inner source zero", &from(Mac([0; 6])), Why::InvalidSource);
    let tag = tagged(&inner_to(station(2)), 10);
    refuse("inner VLAN tag", &tag, Why::InnerVlan);
    refuse("inner VLAN tag cut off", &tag[..15], Why::InnerTruncated);
    let mut service = tag.clone();
    service[12..14].copy_from_slice(&[0x88, 0xa8]);
    refuse("inner service tag", &service, Why::InnerVlan);
    let group = ethernet(Mac([1, 0x80, 0xc2, 0, 0, 0]), station(0x11), 39, &[0; 46]);
    refuse("inner spanning tree", &group, Why::LinkLocalGroup);
    refuse("to a station behind a peer", &inner_to(station(0x12)), Why::SplitHorizon);
    refuse("back to the peer it came from", &inner_to(station(0x11)), Why::SplitHorizon);
    refuse("to a port without a device, from a peer", &inner_to(station(7)), Why::PortDown);
    let long = ethernet(station(4), station(0x11), 0x0800, &ipv4(0, 6, 961));
    let frame = from_peer(100, &long);
    picks.underlay_by_tc("too long for the port, from a peer", frame, Expect::Dropped(Why::TooBig));
}

fn foreign(picks: &mut Picks) {
    let inner = inner_to(station(2));
    let whole = from_peer(100, &inner);
    let mut pass = |name: &str, frame: Vec<u8>| picks.underlay(name, frame, Expect::Untouched);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = whole.clone();
        change(&mut frame);
        frame
    };
    // The kernel's stack puts these together, for the daemon's socket.
    let good = tunnel(PEER_VTEPS[0], 100, inner.len());
    let header = |change: &dyn Fn(&mut Outer4)| {
        let mut outer = good;
        change(&mut outer);
        outer.ip.seal();
        outer
    };
    let ip = |change| [bytes_of::<Outer4>(&header(change)), &inner[..]].concat();
    let len = (inner.len() + 36) as u16;
    let options = header(&|o| {
        o.ip.set_version_ihl(0x46);
        o.ip.set_total_len(len + 4);
    });
    let bytes = bytes_of(&options);
    pass("IP options", [&bytes[..34], &[1; 4], &bytes[34..], &inner[..]].concat());
    pass("a first fragment", ip(&|o| o.ip.set_fragment(0x2000)));
    pass("IP header length 4", ip(&|o| o.ip.set_version_ihl(0x41)));
    pass("IP header length 16", ip(&|o| o.ip.set_version_ihl(0x44)));
    pass("IP header length 60", ip(&|o| o.ip.set_version_ihl(0x4f)));
    let over_v6 = Datagram::of(5).sent_to_node(&inner);
    for (name, header) in
        [("hop-by-hop options", 0), ("a fragment", 44), ("destination options", 60), ("TCP", 6)]
    {
        let mut frame = over_v6.clone();
        frame[20] = header;
        pass(&format!("{name} over IPv6"), frame);
    }
    let mut elsewhere = over_v6.clone();
    elsewhere[53] = 77;
    pass("another destination over IPv6", elsewhere);
    let mut port = over_v6.clone();
    port[57] = 0;
    pass("another UDP port over IPv6", port);
    pass("UDP port 0", with(&|f| f[36..38].fill(0)));
    pass("cut inside the IPv6 header", over_v6[..53].to_vec());
    pass("another destination", with(&|f| f[33] = 77));
    pass("another UDP port", with(&|f| f[37] = 0));
    pass("TCP", with(&|f| f[23] = 6));
    pass("ARP on the underlay", ethernet(Mac::BROADCAST, station(9), 0x88b5, &arp()));
    pass("IPv6 on the underlay", ethernet(UPLINK_MAC, station(9), 0x86dd, &ipv6(0, 17)));
    pass("a later fragment", with(&|f| f[20..22].copy_from_slice(&[0x00, 0xb9])));
    pass("tagged on the underlay", tagged(&whole, 5));
    pass("IPv4 in name only, on the underlay", with(&|f| f[14] = 0x65));
    pass("cut before the addresses", whole[..33].to_vec());
    pass("an Ethernet header alone", whole[..14].to_vec());
    pass("half an Ethernet header", whole[..13].to_vec());
}

/// RFC 6040, figure 4, for IPv4 and IPv6.
fn congestion(picks: &mut Picks) {
    const NAMES: [&str; 4] = ["Not-ECT", "ECT(1)", "ECT(0)", "CE"];
    let result = |inner: u8, outer: u8| match (inner, outer) {
        (0, 3) => None,
        (0, _) => Some(0),
        (3, _) | (_, 3) => Some(3),
        (2, 1) => Some(1),
        (inner, _) => Some(inner),
    };
    for inner in 0..4_u8 {
        for outer in 0..4_u8 {
            for v6 in [false, true] {
                let frame = |ecn: u8| {
                    if v6 {
                        ethernet(station(2), station(0x11), 0x86dd, &ipv6(0x40 | ecn, 6))
                    } else {
                        ethernet(station(2), station(0x11), 0x0800, &ipv4(0x40 | ecn, 6, 40))
                    }
                };
                let sent = frame(inner);
                let mut header = tunnel(PEER_VTEPS[0], 100, sent.len());
                header.ip.set_tos(outer);
                header.ip.seal();
                let expect = match result(inner, outer) {
                    Some(ecn) => Expect::Delivered(frame(ecn), None),
                    None => Expect::Dropped(Why::EcnNotCapable),
                };
                let (i, o) = (NAMES[usize::from(inner)], NAMES[usize::from(outer)]);
                let family = if v6 { "IPv6" } else { "IPv4" };
                let frame = [bytes_of::<Outer4>(&header), &sent[..]].concat();
                picks.underlay(&format!("{i} {family} in {o}"), frame, expect);
            }
        }
    }
}

/// Geneve, and both encapsulations over IPv6.
fn other_tunnels(picks: &mut Picks) {
    let v4 = |to: u8| ethernet(station(to), station(1), 0x0800, &ipv4(2, 6, 40));
    let v6 = |to: u8| ethernet(station(to), station(1), 0x86dd, &ipv6(1, 6));
    let other = |to: u8| ethernet(station(to), station(1), 0x88b5, &arp());
    for (peer, tunnel) in [(4, "Geneve over IPv4"), (5, "VXLAN over IPv6"), (6, "Geneve over IPv6")]
    {
        for (what, inner, tos) in [
            ("IPv4", v4(0x10 + peer), 2),
            ("IPv6", v6(0x10 + peer), 1),
            ("no IP", other(0x10 + peer), 0),
        ] {
            let expect = Expect::Tunnelled { peer, vni: 100, tos, inner: inner.clone() };
            picks.access(&format!("{what} into {tunnel}"), inner, expect);
        }
        for (what, inner) in [("IPv4", v4(2)), ("IPv6", v6(2)), ("no IP", other(2))] {
            let name = |about: &str| format!("{what} out of {tunnel}{about}");
            let delivered = || Expect::Delivered(inner.clone(), None);
            picks.underlay(&name(""), Datagram::of(peer).sent_to_node(&inner), delivered());
            let mut padded = Datagram::of(peer).sent_to_node(&inner);
            padded.extend([0; 7]);
            picks.underlay(&name(", padded"), padded, delivered());
            let summed = Datagram { udp_checksum: 0xbeef, ..Datagram::of(peer) };
            picks.underlay(&name(", with a checksum"), summed.sent_to_node(&inner), delivered());
            if Datagram::of(peer).encap == Encap::Geneve {
                for words in [1, 2, 17, 63] {
                    let frame = Datagram::with_options(peer, words).sent_to_node(&inner);
                    picks.underlay(
                        &name(&format!(", {words} words of options")),
                        frame,
                        delivered(),
                    );
                }
            }
        }
        let marked = Datagram { ecn: 3, ..Datagram::of(peer) };
        let expect =
            Expect::Delivered(ethernet(station(2), station(1), 0x0800, &ipv4(3, 6, 40)), None);
        picks.underlay(&format!("congestion on {tunnel}"), marked.sent_to_node(&v4(2)), expect);
        let broadcast = ethernet(Mac::BROADCAST, station(0x10 + peer), 0x88b5, &arp());
        let frame = Datagram::of(peer).sent_to_node(&broadcast);
        picks.underlay_by_tc(&format!("broadcast out of {tunnel}"), frame, Expect::Consumed);
        if peer == 6 {
            // Which has no room for floods otherwise.
            let unlimited =
                Action::PutPolicer(PolicerKey::source(Target::peer(6)), Policer::default());
            picks.given(Given { tables: vec![unlimited], ..Given::default() });
        }
        let nothing = Datagram::of(peer).sent_to_node(&[]);
        let why = Expect::Dropped(Why::InnerTruncated);
        picks.underlay(&format!("nothing in {tunnel}"), nothing, why);
        let whole = Datagram::of(peer).sent_to_node(&v4(2));
        let headers = whole.len() - v4(2).len();
        for cut in [headers - 9, headers - 8, headers - 1, headers, whole.len() - 1] {
            let name = format!("{tunnel} cut to {cut} bytes");
            picks.underlay(&name, whole[..cut].to_vec(), Expect::Dropped(Why::Truncated));
        }
        let mut short = whole.clone();
        short[headers - 11] ^= 1;
        let name = format!("a wrong UDP length in {tunnel}");
        picks.underlay(&name, short, Expect::Dropped(Why::BadLength));
    }
    let mut stranger = Datagram::of(5).sent_to_node(&v4(2));
    stranger[37] = 0x99;
    picks.underlay("unknown VTEP over IPv6", stranger, Expect::Dropped(Why::UnknownVtep));
    let long = ethernet(station(0x15), station(1), 0x0800, &ipv4(0, 6, 1461));
    picks.access_by_tc("one byte too long for IPv6", long, Expect::Consumed);
    let over_v6 = tagged(&ethernet(Mac::BROADCAST, station(8), 0x0800, &ipv4(0, 17, 9)), 50);
    picks.access_by_tc(
        "broadcast over IPv6, and for user space to send over IPv4",
        over_v6,
        Expect::Consumed,
    );
}

fn geneve_refusals(picks: &mut Picks) {
    let inner = inner_to(station(2));
    for peer in [4, 6] {
        let mut refuse = |name: &str, datagram: Datagram, why| {
            let name = format!("{name} from peer {peer}");
            picks.underlay(&name, datagram.sent_to_node(&inner), Expect::Dropped(why));
        };
        let usual = || Datagram::of(peer);
        let flags = |flags| Datagram { geneve: [0, flags], ..usual() };
        refuse("Geneve version 1", Datagram { geneve: [0x40, 0], ..usual() }, Why::GeneveVersion);
        refuse("a critical option", flags(0x40), Why::GeneveCritical);
        refuse("another protocol", Datagram { protocol: 0x0800, ..usual() }, Why::GeneveProtocol);
        let beyond = Datagram { geneve: [63, 0], ..usual() };
        refuse("options beyond the packet", beyond, Why::BadLength);
        refuse("another's VNI", Datagram { vni: 300, ..usual() }, Why::VniNotPermitted);
        refuse("no such VNI", Datagram { vni: 101, ..usual() }, Why::UnknownVni);
        let other = match peer {
            4 => Datagram { encap: Encap::Vxlan, ..usual() },
            _ => Datagram { peer: 5, encap: Encap::Geneve, ..usual() },
        };
        refuse("the other encapsulation", other, Why::EncapMismatch);
        let control = Datagram { geneve: [0, 0x80], protocol: 0x1234, ..usual() };
        let name = format!("a control packet from peer {peer}");
        picks.underlay(&name, control.sent_to_node(&inner), Expect::Consumed);
        let reserved = Datagram { geneve: [0, 0x3f], ..usual() };
        let name = format!("reserved Geneve bits from peer {peer}");
        picks.underlay(
            &name,
            reserved.sent_to_node(&inner),
            Expect::Delivered(inner.clone(), None),
        );
    }
}
