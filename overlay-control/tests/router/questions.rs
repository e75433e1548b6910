//! Questions for next hops.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use overlay_common::abi::{NeighbourKey, Router};
use overlay_common::wire::Mac;
use overlay_control::router::question;
use proptest::prelude::*;

use crate::packets::{checksum, router};

fn router_with(own: [u8; 6]) -> Router {
    Router { own: Mac(own), ..router() }
}

proptest! {
    #[test]
    fn arp_asks_everybody(ip in any::<Ipv4Addr>(), own in any::<[u8; 6]>(), segment in 1..100_u16) {
        let Some(key) = NeighbourKey::of(IpAddr::V4(ip), segment) else { return Ok(()) };
        let frame = question(&key, &router_with(own));
        prop_assert_eq!(frame.len(), 14 + 28);
        prop_assert_eq!(&frame[..6], [0xff; 6]);
        prop_assert_eq!(&frame[6..12], own, "from this gateway alone");
        prop_assert_eq!(&frame[12..22], [8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        prop_assert_eq!(&frame[22..28], own);
        // A probe (RFC 5227, 2.1.1): nobody takes the asker for the router.
        prop_assert_eq!(&frame[28..38], [0; 10]);
        prop_assert_eq!(&frame[38..], ip.octets());
    }

    #[test]
    fn a_solicitation_asks_who_has_such_an_address(
        ip in any::<Ipv6Addr>(),
        own in any::<[u8; 6]>(),
        segment in 1..100_u16,
    ) {
        let Some(key) = NeighbourKey::of(IpAddr::V6(ip), segment) else { return Ok(()) };
        let frame = question(&key, &router_with(own));
        prop_assert_eq!(frame.len(), 14 + 40 + 32);
        let [.., x, y, z] = ip.octets();
        prop_assert_eq!(&frame[..6], [0x33, 0x33, 0xff, x, y, z]);
        prop_assert_eq!(&frame[6..12], own);
        prop_assert_eq!(&frame[12..22], [0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
        let [a, b, c, d, e, f] = own;
        // RFC 4291, appendix A and 2.7.1.
        let from = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
        prop_assert_eq!(&frame[22..38], from);
        let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z];
        prop_assert_eq!(&frame[38..54], group);
        prop_assert_eq!(&frame[54..56], [135, 0]);
        prop_assert_eq!(&frame[58..62], [0; 4]);
        prop_assert_eq!(&frame[62..78], ip.octets());
        prop_assert_eq!(&frame[78..], [&[1, 1][..], &own].concat());
        let covered = [&frame[22..54], &[0, 0, 0, 32, 0, 0, 0, 58], &frame[54..]].concat();
        prop_assert_eq!(checksum(&covered), 0);
    }
}
