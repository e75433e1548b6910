//! Hand-picked vectors of sizes: what TCP is told when it connects, and what is answered to
//! packets that are too big. Everything is built byte by byte here, checksums from scratch.

use overlay_common::abi::{Node, PuntLimit};
use overlay_common::id::PeerId;
use overlay_common::verdict::DropReason as Why;
use overlay_common::wire::{Mac, checksum};
use overlay_control::action::Action;
use overlay_control::sample::{self, Devices, station};
use overlay_proof::ip::{HOST4, ipv4, ipv4_with};

use crate::picked::{Expect, Picks, from_peer};
use crate::vector::{Given, ethernet, tagged};

const fn host6(last: u8) -> [u8; 16] {
    [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

pub fn add(picks: &mut Picks) {
    clamped(picks);
    not_clamped(picks);
    answered(picks);
    not_answered(picks);
    cut_up(picks);
}

pub fn ipv6(next_header: u8, from: [u8; 16], to: [u8; 16], payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next_header, 64]);
    packet.extend(from);
    packet.extend(to);
    packet.extend_from_slice(payload);
    packet
}

/// A TCP header with these flags and options, and the checksum of its addresses.
pub fn tcp(flags: u8, options: &[u8], addresses: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let mut segment = vec![0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2];
    segment.extend([(header / 4) as u8 * 16, flags, 1, 0, 0, 0, 0, 0]);
    segment.extend_from_slice(options);
    let sum = sum(addresses, 6, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

/// The checksum of a payload behind its pseudo-header.
fn sum(addresses: &[u8], protocol: u8, payload: &[u8]) -> u16 {
    let mut summed = addresses.to_vec();
    summed.extend((payload.len() as u32).to_be_bytes());
    summed.extend([0, 0, 0, protocol]);
    summed.extend_from_slice(payload);
    checksum::full(&summed)
}

/// A SYN with these options in a frame from station 1 (or from a station behind peer 1).
fn syn4(to: Mac, from: Mac, flags: u8, options: &[u8]) -> Vec<u8> {
    let addresses = [HOST4.0, HOST4.1].concat();
    ethernet(to, from, 0x0800, &ipv4(6, 0x4000, &tcp(flags, options, &addresses)))
}

fn syn6(to: Mac, from: Mac, options: &[u8]) -> Vec<u8> {
    let (a, b) = (host6(1), host6(2));
    let segment = tcp(0x02, options, &[a, b].concat());
    ethernet(to, from, 0x86dd, &ipv6(6, a, b, &segment))
}

/// Options with this largest segment at different places, each 12 bytes.
fn options(mss: u16) -> [(&'static str, [u8; 12]); 4] {
    let [a, b] = mss.to_be_bytes();
    [
        ("first", [2, 4, a, b, 4, 2, 1, 3, 3, 7, 0, 0]),
        ("at an odd place", [1, 2, 4, a, b, 3, 3, 7, 4, 2, 0, 0]),
        ("behind others", [4, 2, 3, 3, 7, 1, 2, 4, a, b, 0, 0]),
        ("last", [1, 1, 1, 1, 1, 1, 1, 1, 2, 4, a, b]),
    ]
}

/// The sample node's peers take frames of 1514 bytes.
fn clamped(picks: &mut Picks) {
    let peer = station(0x11);
    for ((name, large), (_, fitting)) in options(8960).into_iter().zip(options(1460)) {
        for (flags, kind) in [(0x02, "SYN"), (0x12, "SYN-ACK"), (0xc2, "SYN that asks for ECN")] {
            let frame = syn4(peer, station(1), flags, &large);
            let sent = syn4(peer, station(1), flags, &fitting);
            picks.becomes(&format!("{kind}, largest segment {name}"), frame, 1, sent);
            let frame = from_peer(100, &syn4(station(2), peer, flags, &large));
            let inner = syn4(station(2), peer, flags, &fitting);
            let name = format!("{kind} from a peer, largest segment {name}");
            picks.underlay_by_tc(&name, frame, Expect::Delivered(inner, None));
        }
    }
    for ((name, large), (_, fitting)) in options(8960).into_iter().zip(options(1440)) {
        let frame = syn6(peer, station(1), &large);
        let sent = syn6(peer, station(1), &fitting);
        picks.becomes(&format!("SYN over IPv6, largest segment {name}"), frame, 1, sent);
        let frame = from_peer(100, &syn6(station(2), peer, &large));
        let inner = syn6(station(2), peer, &fitting);
        let name = format!("SYN over IPv6 from a peer, largest segment {name}");
        picks.underlay_by_tc(&name, frame, Expect::Delivered(inner, None));
    }
    let [(_, large), ..] = options(8960);
    let [(_, fitting), ..] = options(1460);
    let over_ipv6 = |options: &[u8]| syn4(station(0x15), station(1), 2, options);
    picks.becomes("SYN to a peer over IPv6", over_ipv6(&large), 5, over_ipv6(&fitting));
    let frame = from_peer(200, &syn4(station(5), peer, 2, &large));
    let inner = syn4(station(5), peer, 2, &fitting);
    let delivered = Expect::Delivered(inner, Some(20));
    picks.underlay_by_tc("SYN from a peer where neighbours are heard", frame, delivered);
    let plain = |options: &[u8]| syn4(peer, station(1), 2, options);
    picks.becomes("SYN with a tag", tagged(&plain(&large), 0), 1, plain(&fitting));
}

fn not_clamped(picks: &mut Picks) {
    let peer = station(0x11);
    let [(_, large), ..] = options(8960);
    let mut same = |name: &str, frame: Vec<u8>| picks.tunnelled_by_tc(name, frame);
    same("SYN with a segment that fits", syn4(peer, station(1), 2, &options(1460)[0].1));
    same("SYN with a small segment", syn4(peer, station(1), 2, &options(536)[1].1));
    same("SYN without options", syn4(peer, station(1), 2, &[]));
    let end = [0, 2, 4, 0xff, 0xff, 0, 0, 0];
    same("SYN with the end before the largest segment", syn4(peer, station(1), 2, &end));
    let cut = [1, 1, 1, 1, 1, 2, 4, 0xff];
    same("SYN whose options end within the largest segment", syn4(peer, station(1), 2, &cut));
    let endless = [3, 0, 2, 4, 0xff, 0xff, 0, 0];
    same("SYN with an option of no length", syn4(peer, station(1), 2, &endless));
    let wrong = [2, 3, 0xff, 2, 4, 0xff, 0xff, 0];
    same("SYN with a largest segment of the wrong length", {
        // It is skipped, as any option, and the next one is the largest segment.
        let mut fixed = wrong;
        fixed[5..7].copy_from_slice(&1460_u16.to_be_bytes());
        syn4(peer, station(1), 2, &fixed)
    });
    let padding = [[1; 20].as_slice(), &[2, 4, 0xff, 0xff]].concat();
    same("SYN with the largest segment behind 20 others", syn4(peer, station(1), 2, &padding));
    let mut same = |name: &str, frame: Vec<u8>| picks.tunnelled(name, frame, 0);
    same("no SYN, for all its options", syn4(peer, station(1), 0x10, &large));
    let fragment = ipv4(6, 0x2000, &tcp(2, &large, &[10, 0, 0, 1, 10, 0, 0, 2]));
    same("SYN in a fragment", ethernet(peer, station(1), 0x0800, &fragment));
    let segment = tcp(2, &large, &[10, 0, 0, 1, 10, 0, 0, 2]);
    let with_options = ipv4_with(&[1; 4], 6, 0x4000, HOST4, &segment);
    same("SYN behind IPv4 options", ethernet(peer, station(1), 0x0800, &with_options));
    let udp = ipv4(17, 0x4000, &segment);
    same("UDP that looks like a SYN", ethernet(peer, station(1), 0x0800, &udp));
    let other = syn4(station(0x12), station(1), 2, &large);
    picks.access_by_tc(
        "SYN to a peer without clamping",
        other.clone(),
        Expect::Tunnelled { peer: 2, vni: 100, tos: 0, inner: other },
    );
    let local = syn4(station(2), station(1), 2, &large);
    picks.access_by_tc("SYN between local ports", local.clone(), Expect::Delivered(local, None));
}

/// One of the sample node's entries, changed.
pub fn changed(change: impl Fn(Action) -> Option<Action>) -> Given {
    let actions = sample::actions(&Devices::default());
    Given { tables: actions.into_iter().filter_map(change).collect(), ..Given::default() }
}

/// Nobody is told that a packet is too big.
pub fn no_ptb() -> Given {
    changed(|action| match action {
        Action::PutNode(node) => {
            Some(Action::PutNode(Node { ptb_limit: PuntLimit::default(), ..node }))
        }
        _ => None,
    })
}

fn ptb4(to: Mac, from: Mac, mtu: u16, quoted: &[u8]) -> Vec<u8> {
    ptb4_from(HOST4.1, HOST4.0, (to, from), mtu, quoted)
}

/// A PTB between these addresses and stations.
pub fn ptb4_from(
    from: [u8; 4],
    to: [u8; 4],
    stations: (Mac, Mac),
    mtu: u16,
    quoted: &[u8],
) -> Vec<u8> {
    let mut message = vec![3, 4, 0, 0, 0, 0];
    message.extend(mtu.to_be_bytes());
    message.extend_from_slice(quoted);
    let sum = checksum::full(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = ipv4_with(&[], 1, 0x4000, (from, to), &message);
    // Internetwork control; no identification.
    packet[1] = 0xc0;
    packet[4..6].fill(0);
    packet[10..12].fill(0);
    let sum = checksum::full(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    ethernet(stations.0, stations.1, 0x0800, &packet)
}

fn ptb6(to: Mac, from: Mac, mtu: u32, quoted: &[u8]) -> Vec<u8> {
    ptb6_from(host6(2), host6(1), (to, from), mtu, quoted)
}

/// The same over IPv6.
pub fn ptb6_from(
    from: [u8; 16],
    to: [u8; 16],
    stations: (Mac, Mac),
    mtu: u32,
    quoted: &[u8],
) -> Vec<u8> {
    let mut message = vec![2, 0, 0, 0];
    message.extend(mtu.to_be_bytes());
    message.extend_from_slice(quoted);
    let sum = sum(&[from, to].concat(), 58, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ethernet(stations.0, stations.1, 0x86dd, &ipv6(58, from, to, &message))
}

pub fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 31) >> 3) as u8).collect()
}

fn udp6(len: usize) -> Vec<u8> {
    ipv6(17, host6(1), host6(2), &payload(len))
}

fn answered(picks: &mut Picks) {
    let peer = station(0x11);
    let (me, small) = (station(1), station(4));
    let packet = ipv4(17, 0x4000, &payload(1481));
    let answer = ptb4(me, peer, 1500, &packet[..548]);
    let frame = |to: Mac| ethernet(to, me, 0x0800, &packet);
    picks.access_by_tc("PTB: a byte too long for a peer", frame(peer), Expect::Answered(answer));
    let answer = ptb4(me, station(0x15), 1500, &packet[..548]);
    picks.access_by_tc("PTB: over IPv6", frame(station(0x15)), Expect::Answered(answer));
    let answer = ptb4(me, small, 1000, &packet[..548]);
    picks.access_by_tc("PTB: too long for a port", frame(small), Expect::Answered(answer));

    let packet = udp6(1461);
    let answer = ptb6(me, peer, 1500, &packet[..1232]);
    let frame = |to: Mac| ethernet(to, me, 0x86dd, &packet);
    picks.access_by_tc("PTB: IPv6, a byte too long", frame(peer), Expect::Answered(answer));
    let answer = ptb6(me, small, 1280, &packet[..1232]);
    picks.access_by_tc(
        "PTB: IPv6, for a port of less than 1280 bytes",
        frame(small),
        Expect::Answered(answer),
    );

    // The second segment is behind VLAN 20, and so is the answer.
    let packet = ipv4(6, 0x4000, &payload(1500));
    let frame = ethernet(peer, station(5), 0x0800, &packet);
    let answer = ptb4(station(5), peer, 1500, &packet[..548]);
    picks.access_by_tc("PTB: with a tag", tagged(&frame, 20), Expect::Answered(answer));
    let options = ipv4_with(&[1; 40], 17, 0x4000, HOST4, &payload(1500));
    let frame = ethernet(peer, me, 0x0800, &options);
    let answer = ptb4(me, peer, 1500, &options[..548]);
    picks.access_by_tc("PTB: behind IPv4 options", frame, Expect::Answered(answer));
    let echo = [&[8, 0, 0, 0][..], &payload(1500)].concat();
    let packet = ipv4(1, 0x4000, &echo);
    let frame = ethernet(peer, me, 0x0800, &packet);
    let answer = ptb4(me, peer, 1500, &packet[..548]);
    picks.access_by_tc("PTB: about an echo request", frame, Expect::Answered(answer));
    // Of a narrow path's packets, less is quoted.
    let packet = ipv4(17, 0x4000, &payload(300));
    let answer = ptb4(me, peer, 186, &packet[..68]);
    let frame = ethernet(peer, me, 0x0800, &packet);
    picks.access_by_tc("PTB: about a short packet", frame, Expect::Answered(answer));
    picks.given(changed(|action| match action {
        Action::PutPeer(PeerId(1), mut peer) => {
            peer.max_frame = 200;
            Some(Action::PutPeer(PeerId(1), peer))
        }
        _ => None,
    }));
    let first = ipv4(17, 0x6000, &payload(1500));
    let frame = ethernet(peer, me, 0x0800, &first);
    let answer = ptb4(me, peer, 1500, &first[..548]);
    picks.access_by_tc("PTB: about a first fragment", frame, Expect::Answered(answer));
}

fn not_answered(picks: &mut Picks) {
    let peer = station(0x11);
    let mut silent = |name: &str, ethertype: u16, packet: Vec<u8>| {
        let frame = ethernet(peer, station(1), ethertype, &packet);
        picks.access_by_tc(&format!("no PTB: {name}"), frame, Expect::Dropped(Why::TooBig));
    };
    for kind in [3, 4, 5, 11, 12] {
        let error = [&[kind, 0][..], &payload(1500)].concat();
        silent(&format!("about ICMP error {kind}"), 0x0800, ipv4(1, 0x4000, &error));
    }
    silent("about a later fragment", 0x0800, ipv4(17, 0x4001, &payload(1500)));
    let from = |from: [u8; 4]| ipv4_with(&[], 17, 0x4000, (from, HOST4.1), &payload(1500));
    silent("to no address", 0x0800, from([0; 4]));
    silent("to loopback", 0x0800, from([127, 0, 0, 1]));
    silent("to a group", 0x0800, from([224, 0, 0, 1]));
    silent("to broadcast", 0x0800, from([255; 4]));
    let to = |to: [u8; 4]| ipv4_with(&[], 17, 0x4000, (HOST4.0, to), &payload(1500));
    silent("about a group's packet", 0x0800, to([239, 1, 2, 3]));
    silent("about a broadcast packet", 0x0800, to([255; 4]));
    silent("about IPv4 in name only", 0x0800, vec![0x65; 1501]);
    let mut short = ipv4(17, 0x4000, &payload(1500));
    short[0] = 0x44;
    silent("about a header that is too short", 0x0800, short);
    for kind in [1, 2, 3, 4, 100, 127, 137] {
        let error = [&[kind, 0][..], &payload(1500)].concat();
        let packet = ipv6(58, host6(1), host6(2), &error);
        silent(&format!("about ICMPv6 type {kind}"), 0x86dd, packet);
    }
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    silent("to an IPv6 group", 0x86dd, ipv6(17, group, host6(2), &payload(1500)));
    silent("about an IPv6 group's packet", 0x86dd, ipv6(17, host6(1), group, &payload(1500)));
    silent("to no IPv6 address", 0x86dd, ipv6(17, [0; 16], host6(2), &payload(1500)));
    silent("about IPv6 in name only", 0x86dd, vec![0x45; 1501]);
    silent("about what is no IP", 0x88b5, payload(1501));
    let many = ethernet(peer, station(1), 0x0800, &ipv4(17, 0x4000, &payload(1500)));
    picks.access_by_tc("no PTB: too many", many, Expect::Dropped(Why::TooBig));
    picks.given(no_ptb());
    let least = ethernet(station(4), station(1), 0x86dd, &udp6(1240));
    picks.access_by_tc("no PTB: 1280 bytes of IPv6", least, Expect::Dropped(Why::TooBig));
    let packet = ipv4(17, 0x4000, &payload(1500));
    let flooded = ethernet(station(0x73), station(6), 0x0800, &packet);
    picks.access_by_tc(
        "no PTB: flooded to nobody",
        tagged(&flooded, 40),
        Expect::Dropped(Why::NoReceiver),
    );
}

fn cut_up(picks: &mut Picks) {
    let (peer, small) = (station(0x11), station(4));
    let mut handed = |name: &str, to: Mac, packet: Vec<u8>| {
        picks.access_by_tc(name, ethernet(to, station(1), 0x0800, &packet), Expect::Consumed);
    };
    handed("to be cut up for a peer", peer, ipv4(17, 0, &payload(1481)));
    handed("to be cut up for a port", small, ipv4(17, 0, &payload(981)));
    handed("a fragment to be cut up", small, ipv4(17, 0x2010, &payload(1200)));
    let error = [&[3, 1][..], &payload(1500)].concat();
    handed("an ICMP error to be cut up", peer, ipv4(1, 0, &error));
    let frame = ethernet(peer, station(5), 0x0800, &ipv4(17, 0, &payload(1481)));
    picks.access_by_tc("to be cut up, with a tag", tagged(&frame, 20), Expect::Consumed);
}
