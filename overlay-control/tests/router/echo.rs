//! Echo replies.

use overlay_control::router::echo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::packets::{packet, read, router};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_answer_says_what_was_asked(
        mut packet in packet(0..1),
        rest in vec(any::<u8>(), 4..2000),
    ) {
        // Headers of options are not looked behind over IPv6.
        packet.options *= usize::from(!packet.is_v6);
        let frame = packet.with_echo(&rest).frame(&router());
        let answer = read(&echo(&frame, &router()).expect("an answer"), &frame, &router());
        prop_assert_eq!((answer.to, answer.from), packet.ends());
        prop_assert_eq!(answer.kind, if packet.is_v6 { (129, 0) } else { (0, 0) });
        prop_assert_eq!(answer.rest, rest);
        // RFC 1812, 4.3.3.6.
        prop_assert_eq!(answer.class, if packet.is_v6 { 0 } else { packet.class & !3 });
    }

    #[test]
    fn a_request_is_whole_and_sound(
        mut packet in packet(0..1),
        rest in vec(any::<u8>(), 4..200),
        at in any::<Index>(),
        bit in 0..8,
    ) {
        packet.options *= usize::from(!packet.is_v6);
        packet.padding = 0;
        let frame = packet.with_echo(&rest).frame(&router());
        prop_assert_eq!(echo(&frame[..at.index(frame.len())], &router()), None, "cut off");
        // Class, flow label and hop limit have no checksum over IPv6, nor has its length.
        let covered = if packet.is_v6 { 14 + 8 } else { 14 };
        let mut damaged = frame.clone();
        damaged[covered + at.index(frame.len() - covered)] ^= 1_u8 << bit;
        prop_assert_eq!(echo(&damaged, &router()), None, "damaged");
        // The checksum is right without the zeroes, too.
        let zeroes = packet.with_echo(&[0; 20]).frame(&router());
        let cut = zeroes.len() - 1 - at.index(16);
        prop_assert_eq!(echo(&zeroes[..cut], &router()), None, "cut off");
    }

    #[test]
    fn nothing_but_requests_is_answered(
        mut packet in packet(0..1),
        kind in any::<u8>(),
        code in any::<u8>(),
        rest in vec(any::<u8>(), 0..20),
    ) {
        packet.options = 0;
        let asks = (kind, code) == (if packet.is_v6 { 128 } else { 8 }, 0) && rest.len() >= 4;
        let frame = packet.with_message(kind, code, &rest).frame(&router());
        prop_assert_eq!(echo(&frame, &router()).is_some(), asks);
        let other = packet.with_echo(&[0; 4]);
        let udp = crate::packets::Packet { protocol: 17, ..other }.frame(&router());
        prop_assert_eq!(echo(&udp, &router()), None);
    }
}
