//! Asking for a next hop's MAC address, by ARP (RFC 826) or neighbour discovery (RFC 4861, 7.2.2).
//!
//! Every gateway has the same router addresses, so an answer to one of them would go to the
//! gateway next to the host that is asked. This gateway asks from an address of its own: over IPv4
//! from none at all, as a probe does (RFC 5227, 2.1.1), and over IPv6 from a link-local one. So
//! hosts do not take it for the router, either.

use std::net::IpAddr;

use overlay_common::abi::{NeighbourKey, Router};
use overlay_common::wire::{
    Arp, Discovered, Ethernet, Header, Ipv6, LinkLayer, Mac, address_words, bytes_of, ethertype,
    protocol,
};

use crate::controller::link_local;

/// The frame that asks everybody in a segment for an address.
pub fn question(key: &NeighbourKey, router: &Router) -> Vec<u8> {
    match key.ip() {
        IpAddr::V4(ip) => {
            let arp = Arp::new(Arp::REQUEST, (router.own, [0; 4]), (Mac([0; 6]), ip.octets()));
            frame(Mac::BROADCAST, router.own, ethertype::ARP, &arp)
        }
        IpAddr::V6(ip) => {
            let [.., x, y, z] = ip.octets();
            let group = Mac([0x33, 0x33, 0xff, x, y, z]);
            let from = link_local(router.own).octets();
            frame(group, router.own, ethertype::IPV6, &solicitation(from, ip.octets(), router.own))
        }
    }
}

/// To the group of those whose addresses end like the one that is asked for (RFC 4291, 2.7.1).
fn solicitation(from: [u8; 16], target: [u8; 16], own: Mac) -> Discovered {
    let [.., x, y, z] = target;
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z];
    let option = LinkLayer::new(LinkLayer::SOURCE, own);
    let ip = Ipv6::new(from, group, protocol::ICMPV6, Discovered::PAYLOAD);
    Discovered::question(ip, address_words(&target), option)
}

fn frame<H: Header>(to: Mac, from: Mac, kind: u16, packet: &H) -> Vec<u8> {
    [bytes_of(&Ethernet::new(to, from, kind)), bytes_of(packet)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_common::wire::checksum;

    const ROUTER: Router = Router {
        v6: [0; 2],
        v4: [10, 0, 0, 1],
        vrf: 1,
        mac: Mac([2, 0, 0x5e, 0, 1, 1]),
        own: Mac([6, 0x5e, 192, 0, 2, 1]),
        reserved: [0; 3],
    };

    #[test]
    fn arp_asks_everybody_and_says_nothing_of_who_asks() {
        let key = NeighbourKey::of([10, 0, 0, 5].into(), 3).unwrap();
        let frame = question(&key, &ROUTER);
        let mut wanted = vec![0xff; 6];
        wanted.extend([6, 0x5e, 192, 0, 2, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        wanted.extend([6, 0x5e, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 5]);
        assert_eq!(frame, wanted);
    }

    #[test]
    fn a_solicitation_goes_to_the_group_of_its_target() {
        let key = NeighbourKey::of("fd00::12:3456".parse().unwrap(), 3).unwrap();
        let frame = question(&key, &ROUTER);
        assert_eq!(
            frame[..14],
            [0x33, 0x33, 0xff, 0x12, 0x34, 0x56, 6, 0x5e, 192, 0, 2, 1, 0x86, 0xdd]
        );
        assert_eq!((frame[20], frame[21], frame.len()), (58, 255, 14 + 40 + 32));
        assert_eq!(frame[22..38], link_local(ROUTER.own).octets());
        assert_eq!(frame[54], 135);
        assert_eq!(frame[62..78], "fd00::12:3456".parse::<std::net::Ipv6Addr>().unwrap().octets());
        assert_eq!(frame[78..], [1, 1, 6, 0x5e, 192, 0, 2, 1]);
        let pseudo = [&frame[22..54], &[0, 0, 0, 32, 0, 0, 0, 58], &frame[54..]].concat();
        assert_eq!(checksum::full(&pseudo), 0);
    }
}
