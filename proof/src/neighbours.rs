//! ARP and neighbour discovery, as frames, and at random.

use overlay_common::wire::{Mac, checksum};
use overlay_control::sample::{LOST, ROUTER, STATIC_ADDRESS, ipv4_of, ipv6_of, station};
use proptest::prelude::*;

use crate::vector::ethernet;

/// EtherType.
pub const ARP: u16 = 0x0806;
/// EtherType.
pub const IPV6: u16 = 0x86dd;
/// A group that questions are sent to.
pub const GROUP: Mac = Mac([0x33, 0x33, 0xff, 0, 0, 1]);
/// An address that nobody has.
pub const NOBODYS: u8 = 0x70;

/// Behind the Ethernet header: operation, sender, target.
pub fn arp(operation: u8, sender: (Mac, [u8; 4]), target: (Mac, [u8; 4])) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation];
    for (mac, ip) in [sender, target] {
        packet.extend(mac.0.iter().chain(&ip));
    }
    packet.resize(46, 0);
    packet
}

/// A station asks everybody for an address.
pub fn request(from: u8, address: [u8; 4], wanted: [u8; 4]) -> Vec<u8> {
    let packet = arp(1, (station(from), address), (Mac([0; 6]), wanted));
    ethernet(Mac::BROADCAST, station(from), ARP, &packet)
}

/// A station answers another.
pub fn reply(to: u8, address: [u8; 4], (of, told): (u8, [u8; 4])) -> Vec<u8> {
    let packet = arp(2, (station(of), told), (station(to), address));
    ethernet(station(to), station(of), ARP, &packet)
}

/// An IPv6 packet with a message of neighbour discovery: type, flags, target, options.
pub fn message(
    [source, destination]: [[u8; 16]; 2],
    hop_limit: u8,
    (kind, flags): (u8, u8),
    target: [u8; 16],
    options: &[u8],
) -> Vec<u8> {
    let mut body = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    body.extend(target.iter().chain(options));
    let length = (body.len() as u16).to_be_bytes();
    let ends = [source, destination].concat();
    let sum = checksum::full(&[&ends[..], &[0, 0], &length, &[0, 0, 0, 58], &body].concat());
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    [&[0x60, 0, 0, 0][..], &length, &[58, hop_limit], &ends, &body].concat()
}

/// A link-layer address, as source (1) or target (2).
pub fn option(kind: u8, of: u8) -> Vec<u8> {
    [&[kind, 1][..], &station(of).0].concat()
}

/// The group of those who may have an address.
pub fn solicited_node(wanted: u8) -> [u8; 16] {
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, wanted]
}

/// Everybody.
pub const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// A station asks everybody for an address.
pub fn solicitation(from: u8, wanted: u8) -> Vec<u8> {
    let ends = [ipv6_of(from), solicited_node(wanted)];
    let packet = message(ends, 255, (135, 0), ipv6_of(wanted), &option(1, from));
    ethernet(GROUP, station(from), IPV6, &packet)
}

/// A station tells an address.
pub fn advertisement(to: Mac, destination: [u8; 16], flags: u8, (of, told): (u8, u8)) -> Vec<u8> {
    let ends = [ipv6_of(told), destination];
    let packet = message(ends, 255, (136, flags), ipv6_of(told), &option(2, of));
    ethernet(to, station(of), IPV6, &packet)
}

/// What the sample node answers.
pub fn advertised(to: u8, flags: u8, (of, told): (u8, u8)) -> Vec<u8> {
    advertisement(station(to), ipv6_of(to), flags, (of, told))
}

/// EtherType and packet: messages of stations that are known or not, some of them damaged.
pub fn strategy() -> BoxedStrategy<(u16, Vec<u8>)> {
    let some = || {
        prop_oneof![
            Just(1_u8),
            Just(2),
            Just(5),
            Just(0x11),
            Just(ROUTER),
            Just(LOST),
            Just(STATIC_ADDRESS),
            Just(NOBODYS)
        ]
    };
    let own = || prop_oneof![5 => Just(1_u8), 1 => some()];
    let arp = (own(), own(), some(), 1_u8..4).prop_map(|(mac, ip, wanted, operation)| {
        let target = (Mac([0; 6]), ipv4_of(wanted));
        (ARP, arp(operation, (station(mac), ipv4_of(ip)), target))
    });
    let kind = prop_oneof![4 => Just(135_u8), 4 => Just(136), 1 => any::<u8>()];
    let nd = (own(), own(), some(), kind, any::<u8>(), 0_usize..5).prop_map(
        |(mac, from, target, kind, flags, options)| {
            let options = [
                option(1 + u8::from(kind == 136), mac),
                option(1 + u8::from(kind == 136), mac),
                Vec::new(),
                option(14, mac),
                [option(1, mac), option(14, 0)].concat(),
            ][options]
                .clone();
            let ends = [ipv6_of(from), solicited_node(target)];
            (IPV6, message(ends, 255 - (flags & 1), (kind, flags), ipv6_of(target), &options))
        },
    );
    let damage = proptest::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    (prop_oneof![arp, nd], damage)
        .prop_map(|((kind, mut packet), damage)| {
            if let Some((at, value)) = damage {
                let at = at.index(packet.len());
                packet[at] = value;
            }
            (kind, packet)
        })
        .boxed()
}
