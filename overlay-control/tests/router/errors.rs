//! Errors.

use overlay_common::abi::Router;
use overlay_common::verdict::DropReason;
use overlay_common::wire::address_bytes;
use overlay_control::router::error;
use proptest::prelude::*;

use crate::packets::{Packet, packet, read, router, udp};

type Reason = Option<DropReason>;
/// Type and code.
type Kind = (u8, u8);

/// What senders are told, over IPv4 and IPv6 (RFC 792, RFC 1812, RFC 4443).
pub const TOLD: [(Reason, Kind, Kind); 5] = [
    (None, (3, 3), (1, 4)),
    (Some(DropReason::NoRoute), (3, 0), (1, 0)),
    (Some(DropReason::TtlExceeded), (11, 0), (3, 0)),
    (Some(DropReason::NeighbourUnresolved), (3, 1), (1, 3)),
    (Some(DropReason::TooBig), (3, 4), (2, 0)),
];

/// The longest message over either family (RFC 1812, 4.3.2.3; RFC 4443, 2.4 c), and its headers.
fn longest(packet: &Packet) -> (usize, usize) {
    if packet.is_v6 { (1280, 48) } else { (576, 28) }
}

fn own_address(packet: &Packet, router: &Router) -> Vec<u8> {
    if packet.is_v6 { address_bytes(router.v6).to_vec() } else { router.v4.to_vec() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_error_quotes_what_it_is_about(
        packet in packet(0..2000),
        (reason, v4, v6) in prop::sample::select(TOLD.to_vec()),
        room in 100..70_000_u32,
    ) {
        let frame = packet.frame(&router());
        let bytes = error(&frame, &router(), reason, room).expect("an error");
        let answer = read(&bytes, &frame, &router());
        prop_assert_eq!(answer.kind, if packet.is_v6 { v6 } else { v4 });
        let (source, destination) = packet.ends();
        prop_assert_eq!(answer.to, source);
        let from = if reason.is_none() { destination } else { own_address(&packet, &router()) };
        prop_assert_eq!(answer.from, from);
        // RFC 1812, 4.3.2.5.
        prop_assert_eq!(answer.class, if packet.is_v6 { 0 } else { 0xc0 });

        let (longest, headers) = longest(&packet);
        let whole = packet.bytes();
        let quoted = whole.len().min(longest - headers);
        prop_assert_eq!(bytes.len() - 14, headers + quoted);
        let (rest, quote) = answer.rest.split_at(4);
        prop_assert_eq!(quote, &whole[..quoted]);

        let mtu = match (reason, packet.is_v6) {
            (Some(DropReason::TooBig), false) => (room - 14).min(0xffff),
            (Some(DropReason::TooBig), true) => (room - 14).clamp(1280, 0xffff),
            _ => 0,
        };
        prop_assert_eq!(rest, mtu.to_be_bytes());
    }

    #[test]
    fn who_asked_by_icmp_is_told_of_errors_too(packet in packet(0..1), rest in any::<[u8; 4]>()) {
        let packet = packet.with_echo(&rest);
        let frame = packet.frame(&router());
        for (reason, ..) in TOLD {
            let answer = error(&frame, &router(), reason, 100);
            // But not that nobody listens: a router does (RFC 1122, 3.2.2; RFC 4443, 2.4 b).
            prop_assert_eq!(answer.is_some(), reason.is_some(), "{:?}", reason);
        }
    }

    #[test]
    fn a_router_without_an_address_says_nothing_of_others(packet in packet(0..100)) {
        let (v4, v6) = (Router { v4: [0; 4], ..router() }, Router { v6: [0; 2], ..router() });
        let (without, with) = if packet.is_v6 { (v6, v4) } else { (v4, v6) };
        let frame = packet.frame(&router());
        for (reason, ..) in TOLD {
            prop_assert!(error(&frame, &with, reason, 100).is_some());
            let answer = error(&frame, &without, reason, 100);
            prop_assert_eq!(answer.is_some(), reason.is_none(), "from the packet's destination");
        }
    }
}

#[test]
fn other_reasons_are_nobodys_business() {
    let told = |reason: &DropReason| TOLD.iter().any(|(told, ..)| *told == Some(*reason));
    for packet in [udp(false), udp(true)] {
        let frame = packet.frame(&router());
        for reason in DropReason::ALL {
            let answer = error(&frame, &router(), Some(*reason), 100);
            assert_eq!(answer.is_some(), told(reason), "{reason:?}");
        }
    }
}

#[test]
fn nothing_fits_where_not_even_a_header_does() {
    let frame = udp(false).frame(&router());
    for (room, says) in [(0, false), (13, false), (15, true)] {
        let answer = error(&frame, &router(), Some(DropReason::TooBig), room);
        assert_eq!(answer.is_some(), says, "{room}");
    }
}
