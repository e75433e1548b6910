//! Frames, made from a seed for a world: valid, mutated, cut short, spliced, at odds with
//! their own lengths, and plain noise.

use overlay_common::id::Vlan;
use overlay_common::wire::{Encap, Ends, Mac, checksum};
use overlay_control::sample::{
    LOCAL_VTEP, LOCAL_VTEP6, ROUTER_ADDRESS, ROUTER_MAC, UPLINK_MAC, ipv4_of, ipv6_of,
};

use super::leak;
use super::seed::Seed;
use super::world::{PeerPlan, World};
use crate::neighbours;
use crate::vector::{Direction, Given, Vector, ethernet, service_tagged, tagged};

/// `BPF_PROG_TEST_RUN` makes buffers of a page.
const LONGEST: usize = 1800;

/// A frame for a world.
pub fn frame(seed: &mut Seed, world: &World) -> Vector {
    let direction = seed.pick(&[Direction::FromAccess, Direction::FromUnderlay]);
    let (mut frame, kind) = match seed.below(100) {
        0..45 => (valid(seed, world, direction), "valid"),
        45..57 => (cut(seed, world, direction), "cut short"),
        57..73 => (flipped(seed, world, direction), "bits flipped"),
        73..88 => (lying(seed, world, direction), "lying about lengths"),
        88..95 => (spliced(seed, world, direction), "spliced"),
        _ => {
            let len = seed.below(200);
            (seed.bytes(len), "noise")
        }
    };
    frame.truncate(LONGEST);
    leak::mark(world, direction, &mut frame);
    Vector { name: kind.to_owned(), direction, frame, given: Given::default() }
}

fn valid(seed: &mut Seed, world: &World, direction: Direction) -> Vec<u8> {
    match direction {
        Direction::FromAccess => from_access(seed, world),
        Direction::FromUnderlay => from_underlay(seed, world),
        Direction::OneArmed => unreachable!("frames come from one side"),
    }
}

fn cut(seed: &mut Seed, world: &World, direction: Direction) -> Vec<u8> {
    let mut frame = valid(seed, world, direction);
    // Most boundaries are near the beginning.
    let most = if seed.percent(70) { frame.len().min(130) } else { frame.len() };
    frame.truncate(seed.below(most + 1));
    frame
}

fn flipped(seed: &mut Seed, world: &World, direction: Direction) -> Vec<u8> {
    let mut frame = valid(seed, world, direction);
    let headers = frame.len().min(if seed.percent(50) { 54 } else { 130 });
    for _ in 0..1 + seed.below(4) {
        let at = seed.below(headers);
        frame[at] ^= if seed.percent(50) { 1 << seed.below(8) } else { seed.word() as u8 };
    }
    seal_perhaps(seed, &mut frame);
    frame
}

/// Where lengths are: IPv4's header and total length, UDP's, Geneve's options, IPv6's.
fn lying(seed: &mut Seed, world: &World, direction: Direction) -> Vec<u8> {
    let mut frame = valid(seed, world, direction);
    let inner = if direction == Direction::FromUnderlay { seed.pick(&[0, 50, 70]) } else { 0 };
    for _ in 0..1 + seed.below(2) {
        let at = inner + seed.pick(&[14, 16, 38, 42, 18, 58, 62, 12]);
        let words =
            seed.pick(&[0, 1, 0xffff, 0x4500, 0x4600, 0x4f00, 0x3f00, 20, 19, 28, 36, 1500]);
        let value: u16 = if seed.percent(60) { words } else { seed.word() as u16 };
        if let Some(field) = frame.get_mut(at..at + 2) {
            let old = u16::from_be_bytes([field[0], field[1]]);
            let near = old.wrapping_add(seed.pick(&[1, 2, 4, 0xffff, 0xfffe]));
            let value = if seed.percent(40) { near } else { value };
            field.copy_from_slice(&value.to_be_bytes());
        }
    }
    seal_perhaps(seed, &mut frame);
    frame
}

fn spliced(seed: &mut Seed, world: &World, direction: Direction) -> Vec<u8> {
    let other = seed.pick(&[Direction::FromAccess, Direction::FromUnderlay]);
    let (mut frame, tail) = (valid(seed, world, direction), valid(seed, world, other));
    frame.truncate(seed.below(frame.len() + 1));
    let from = seed.below(tail.len() + 1);
    frame.extend(&tail[from..]);
    seal_perhaps(seed, &mut frame);
    frame
}

/// Most often an outer IPv4 header's checksum holds, so that what is behind it is looked at.
fn seal_perhaps(seed: &mut Seed, frame: &mut [u8]) {
    if seed.percent(80) && frame.len() >= 34 && frame[12..14] == [8, 0] {
        crate::outer::seal(frame);
    }
}

fn from_access(seed: &mut Seed, world: &World) -> Vec<u8> {
    let doors: Vec<_> = world.ports.iter().filter(|port| port.ifindex == world.ingress).collect();
    let door = doors[seed.below(doors.len())];
    let source = seed.percent(20);
    let destination = seed.percent(60);
    let mut frame = inner(seed, world, door.segment, [destination, source]);
    if seed.percent(4) {
        frame = tagged(&frame, seed.word() as u16);
    }
    let priority = (seed.word() as u16 & 7) << 13;
    match (door.vlan, seed.below(20)) {
        (_, 0) => tagged(&frame, seed.word() as u16),
        (0, 1..4) => with_tag(&frame, seed.pick(&[0, Vlan::SERVICE]), priority),
        (0, _) => frame,
        // Of the other kind.
        (vlan, 1) => with_tag(&frame, vlan ^ Vlan::SERVICE, priority),
        (vlan, _) => with_tag(&frame, vlan, priority),
    }
}

/// Puts in the tag of a VLAN, as table entries have it.
fn with_tag(frame: &[u8], vlan: u16, priority: u16) -> Vec<u8> {
    let tci = vlan & !Vlan::SERVICE | priority;
    if vlan & Vlan::SERVICE == 0 { tagged(frame, tci) } else { service_tagged(frame, tci) }
}

fn from_underlay(seed: &mut Seed, world: &World) -> Vec<u8> {
    let peer = &world.peers[seed.below(world.peers.len())];
    let segment = match peer.segments.is_empty() || seed.percent(5) {
        true => 1 + seed.below(world.vnis.len()) as u16,
        false => seed.pick(&peer.segments),
    };
    let vni = match seed.percent(3) {
        true => seed.word() as u32 & 0x00ff_ffff,
        false => world.vnis[usize::from(segment) - 1],
    };
    let source = seed.percent(80);
    let destination = seed.percent(15);
    let mut frame = inner(seed, world, segment, [destination, source]);
    if seed.percent(3) {
        frame = tagged(&frame, seed.word() as u16);
    }
    if seed.percent(4) {
        let len = seed.below(60);
        frame.truncate(len);
    }
    let mut datagram = outer(seed, world, peer, vni, &frame);
    if seed.percent(10) {
        let padding = 1 + seed.below(30);
        datagram.extend(seed.bytes(padding));
    }
    datagram
}

/// An inner frame of a segment, to and from a station behind a port or a peer.
fn inner(seed: &mut Seed, world: &World, segment: u16, is_peer: [bool; 2]) -> Vec<u8> {
    let to = match seed.percent(25) {
        true => ROUTER_MAC,
        false => address(seed, world, (segment, is_peer[0]), 12),
    };
    let from = address(seed, world, (segment, is_peer[1]), 2);
    let len = match seed.below(20) {
        0 => seed.pick(&[960, 961, 1460, 1461, 1462, 146, 147]),
        1 => seed.below(1600),
        2 => seed.below(30),
        _ => 20 + seed.below(150),
    };
    let (kind, packet) = match seed.below(20) {
        0..9 => (0x0800, ipv4(seed, from, len)),
        9..14 => (0x86dd, ipv6(seed, from, len)),
        14 => (0x0806, seed.bytes(28 + len % 30)),
        15 => (0x0806, padded(arp(seed, from))),
        16 => (0x86dd, padded(discovery(seed, from))),
        17 => (0x0600, seed.bytes(len)),
        18 => (46, seed.bytes(len)),
        _ => (seed.word() as u16, seed.bytes(len)),
    };
    ethernet(to, from, kind, &packet)
}

/// With room for the pattern behind it.
fn padded(mut packet: Vec<u8>) -> Vec<u8> {
    packet.resize(packet.len() + 60, 0);
    packet
}

/// ARP of a station, mostly about itself.
fn arp(seed: &mut Seed, from: Mac) -> Vec<u8> {
    let sender = if seed.percent(90) { from } else { Mac([2, 0, 0, 0, 9, 1]) };
    let (operation, own, wanted) = (1 + seed.below(3) as u8, number(seed, from), host(seed));
    let target = (Mac([0; 6]), ipv4_of(wanted));
    neighbours::arp(operation, (sender, ipv4_of(own)), target)
}

/// Neighbour discovery, likewise.
fn discovery(seed: &mut Seed, from: Mac) -> Vec<u8> {
    let kind = seed.pick(&[135, 135, 136, 136, 133]);
    let (own, other) = (number(seed, from), host(seed));
    let told = if kind == 136 { own } else { other };
    let mut option = neighbours::option(1 + u8::from(kind == 136), 0);
    option[2..8].copy_from_slice(&from.0);
    let options = match seed.below(10) {
        0 => Vec::new(),
        1 => [&option[..], &neighbours::option(14, 0)].concat(),
        2 => neighbours::option(seed.below(4) as u8, seed.word() as u8),
        _ => option,
    };
    let hop_limit = if seed.percent(95) { 255 } else { 64 };
    let ends = [ipv6_of(own), neighbours::solicited_node(told)];
    let flags = seed.pick(&[0x20, 0xa0, 0x60, 0, 0xe0]);
    neighbours::message(ends, hop_limit, (kind, flags), ipv6_of(told), &options)
}

/// The number of a station's addresses, or another.
fn number(seed: &mut Seed, of: Mac) -> u8 {
    if seed.percent(85) { of.0[5] } else { seed.below(32) as u8 }
}

/// A station at this place, or so many times out of a hundred something else.
fn address(seed: &mut Seed, world: &World, place: (u16, bool), others: usize) -> Mac {
    if seed.percent(others) {
        let last = seed.word() as u8;
        return seed.pick(&[
            Mac::BROADCAST,
            Mac::BROADCAST,
            Mac([0x01, 0, 0x5e, 0, 0, last]),
            Mac([0x33, 0x33, 0, 0, 0, last]),
            Mac([0x01, 0x80, 0xc2, 0, 0, last & 0x1f]),
            Mac([0; 6]),
            Mac([2, 0, 0, 0, 9, last]),
        ]);
    }
    let stations = world.stations.iter().filter(|(_, of, behind)| (*of, *behind) == place);
    let known: Vec<Mac> = stations.map(|(mac, ..)| *mac).collect();
    if known.is_empty() || seed.percent(3) { Mac([2, 0, 0, 0, 8, 1]) } else { seed.pick(&known) }
}

fn ipv4(seed: &mut Seed, from: Mac, len: usize) -> Vec<u8> {
    let total = (20 + len) as u16;
    let mut packet = vec![0x45, seed.word() as u8];
    packet.extend(total.to_be_bytes());
    let ttl = seed.pick(&[64, 64, 64, 64, 255, 2, 1, 0]);
    packet.extend([0, 1, 0, 0, ttl, seed.pick(&[6, 6, 17, 17, 1, 132])]);
    if seed.percent(5) {
        packet[0] = seed.pick(&[0x46, 0x4f, 0x55, 0x41]);
    }
    packet[6] = seed.pick(&[0x40, 0x40, 0x00]);
    if seed.percent(5) {
        packet[6] = seed.pick(&[0x20, 0x60, 0x1f]);
    }
    packet.extend([0, 0]);
    if seed.percent(80) {
        packet.extend(ipv4_of(number(seed, from)));
        packet.extend([10, seed.pick(&[1, 1, 1, 2, 3, 4, 5, 6, 9]), 0, host(seed)]);
    } else {
        packet.extend(seed.bytes(8));
    }
    let sum = checksum::full(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(seed.bytes(len));
    connect_perhaps(seed, &mut packet, 20);
    packet
}

/// The number of a station, or of the routers.
fn host(seed: &mut Seed) -> u8 {
    if seed.percent(10) { ROUTER_ADDRESS } else { seed.below(32) as u8 }
}

/// Some of TCP opens a connection, and announces a largest segment somewhere.
fn connect_perhaps(seed: &mut Seed, packet: &mut [u8], tcp: usize) {
    if !seed.percent(30) {
        return;
    }
    let options = seed.below(11);
    let at = tcp + 20 + seed.below(options * 4 + 1);
    let mss = seed.word() as u16;
    let Some(header) = packet.get_mut(tcp + 12..tcp + 14) else { return };
    header[0] = ((5 + options) as u8) << 4;
    header[1] = seed.pick(&[0x02, 0x12, 0xc2, 0x03]);
    // No operations, up to there.
    let from = (tcp + 20).min(packet.len());
    let to = at.min(packet.len());
    packet[from..to].fill(1);
    if let Some(option) = packet.get_mut(at..at + 4) {
        option.copy_from_slice(&[2, 4, (mss >> 8) as u8, mss as u8]);
    }
}

fn ipv6(seed: &mut Seed, from: Mac, len: usize) -> Vec<u8> {
    let mut packet = seed.bytes(4);
    packet[0] = packet[0] & 0x0f | if seed.percent(97) { 0x60 } else { 0x50 };
    packet.extend((len as u16).to_be_bytes());
    let hops = seed.pick(&[64, 64, 64, 64, 255, 2, 1, 0]);
    packet.extend([seed.pick(&[6, 6, 17, 17, 58, 0, 44]), hops]);
    if seed.percent(80) {
        packet.extend(ipv6_of(number(seed, from)));
        let mut to = ipv6_of(host(seed));
        to[1] = seed.pick(&[0, 0, 0, 2, 3, 4, 5, 6, 9]);
        packet.extend(to);
    } else {
        packet.extend(seed.bytes(32));
    }
    packet.extend(seed.bytes(len));
    if packet[6] == 44
        && let Some([next, _, high, low]) = packet.get_mut(40..44)
    {
        *next = seed.pick(&[6, 17, 58, 60, 44]);
        [*high, *low] = seed.pick(&[[0, 1], [0, 0], [0, 8], [1, 1]]);
    }
    connect_perhaps(seed, &mut packet, 40);
    packet
}

/// A tunnel's headers and what is in it, as a peer sends it, or a stranger.
fn outer(seed: &mut Seed, world: &World, peer: &PeerPlan, vni: u32, inner: &[u8]) -> Vec<u8> {
    let other = if peer.encap == Encap::Vxlan { Encap::Geneve } else { Encap::Vxlan };
    let encap = if seed.percent(96) { peer.encap } else { other };
    let (shim, options, port) = match encap {
        Encap::Vxlan => ([8, 0, 0, 0], Vec::new(), world.tunnel_ports.vxlan),
        Encap::Geneve => {
            let words = if seed.percent(70) { 0 } else { seed.below(64) as u8 };
            let flags = seed.pick(&[0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x40, 0x3f]);
            let options = seed.bytes(usize::from(words) * 4);
            ([words, flags, 0x65, 0x58], options, world.tunnel_ports.geneve)
        }
    };
    let payload = [&shim[..], &(vni << 8).to_be_bytes(), &options, inner].concat();
    let len = (payload.len() + 8) as u16;
    let source = 49152 | seed.word() as u16;
    let mut udp = [source, port, len].map(u16::to_be_bytes).concat();
    udp.extend(if seed.percent(90) { [0, 0] } else { [0xbe, 0xef] });
    let ecn = seed.pick(&[0, 0, 0, 1, 2, 3]);
    let stranger = seed.percent(2);
    let sender = Mac([2, 0, 0, 0, 0xfe, 0x99]);
    match peer.ends {
        Ends::V4(_, mut from) => {
            from[3] = if stranger { 77 } else { from[3] };
            let mut ip = vec![0x45, ecn];
            ip.extend((len + 20).to_be_bytes());
            ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
            ip.extend(from);
            ip.extend(LOCAL_VTEP);
            let sum = checksum::full(&ip);
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            ethernet(UPLINK_MAC, sender, 0x0800, &[ip, udp, payload].concat())
        }
        Ends::V6(_, mut from) => {
            from[15] = if stranger { 77 } else { from[15] };
            let mut ip = vec![0x60, ecn << 4, 0, 0];
            ip.extend(len.to_be_bytes());
            ip.extend([17, 64]);
            ip.extend(from);
            ip.extend(LOCAL_VTEP6);
            ethernet(UPLINK_MAC, sender, 0x86dd, &[ip, udp, payload].concat())
        }
    }
}
