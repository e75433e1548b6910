//! Neighbour discovery in ICMPv6 (RFC 4861).

use super::checksum::Sum;
use super::ipv6::words;
use super::{Ipv6, Mac, header, protocol};

/// A neighbour solicitation (RFC 4861, 4.3) or advertisement (4.4), without its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Discovery {
    /// [`Discovery::SOLICITATION`] or [`Discovery::ADVERTISEMENT`].
    pub kind: u8,
    /// Zero.
    pub code: u8,
    checksum: [u8; 2],
    flags: [u8; 4],
    /// Whose MAC is asked for, or told.
    pub target: [u8; 16],
}
header!(Discovery, Discovery::LEN);

impl Discovery {
    /// 24 bytes.
    pub const LEN: usize = 24;
    /// ICMPv6's type of a neighbour solicitation.
    pub const SOLICITATION: u8 = 135;
    /// ICMPv6's type of a neighbour advertisement.
    pub const ADVERTISEMENT: u8 = 136;
    /// The hop limit of both: they come from the link itself (RFC 4861, 7.1).
    pub const HOP_LIMIT: u8 = 255;
    /// Bytes of a message with a [`LinkLayer`] option and nothing else.
    pub const WITH_OPTION: usize = Self::LEN + LinkLayer::LEN;

    const ROUTER: u8 = 0x80;
    const SOLICITED: u8 = 0x40;
    const OVERRIDE: u8 = 0x20;

    /// Whether an advertisement's sender is a router.
    #[inline(always)]
    pub const fn is_router(&self) -> bool {
        self.flags[0] & Self::ROUTER != 0
    }

    /// Whether an advertisement displaces what was known before.
    #[inline(always)]
    pub const fn overrides(&self) -> bool {
        self.flags[0] & Self::OVERRIDE != 0
    }

    /// The target as two words, the bytes as on the wire.
    #[inline(always)]
    pub fn target_words(&self) -> [u64; 2] {
        words(&self.target)
    }
}

/// The option with a station's MAC address (RFC 4861, 4.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct LinkLayer {
    kind: u8,
    /// In units of 8 bytes.
    len: u8,
    /// The address.
    pub mac: Mac,
}
header!(LinkLayer, LinkLayer::LEN);

impl LinkLayer {
    /// 8 bytes.
    pub const LEN: usize = 8;
    /// The sender's own address.
    pub const SOURCE: u8 = 1;
    /// The target's address.
    pub const TARGET: u8 = 2;

    /// An option of this kind.
    pub const fn new(kind: u8, mac: Mac) -> Self {
        Self { kind, len: 1, mac }
    }

    /// The address, where the option is of this kind.
    #[inline(always)]
    pub const fn of_kind(&self, kind: u8) -> Option<Mac> {
        if self.kind == kind && self.len == 1 { Some(self.mac) } else { None }
    }
}

/// An IPv6 header and the type and code of an ICMPv6 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Icmpv6 {
    /// The header.
    pub ip: Ipv6,
    /// ICMPv6's type.
    pub kind: u8,
    /// What the type makes of it.
    pub code: u8,
}
header!(Icmpv6, Ipv6::LEN + 2);

/// An IPv6 packet with a message of neighbour discovery and its first option: one view, so
/// that there is one place to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Discovered {
    /// The header.
    pub ip: Ipv6,
    /// The message.
    pub head: Discovery,
    /// The option, whatever it is.
    pub option: LinkLayer,
}
header!(Discovered, Discovered::LEN);

impl Discovered {
    /// 72 bytes.
    pub const LEN: usize = Ipv6::LEN + Discovery::WITH_OPTION;
    /// The bytes behind the header.
    pub const PAYLOAD: u16 = Discovery::WITH_OPTION as u16;

    /// A solicitation with one option.
    #[cfg(not(target_arch = "bpf"))]
    pub fn question(mut ip: Ipv6, target: [u64; 2], option: LinkLayer) -> Self {
        ip.hop_limit = Discovery::HOP_LIMIT;
        let mut address = [0; 16];
        super::ipv6::set_words(&mut address, target);
        let head = Discovery {
            kind: Discovery::SOLICITATION,
            code: 0,
            checksum: [0; 2],
            flags: [0; 4],
            target: address,
        };
        let Mac([a, b, c, d, e, f]) = option.mac;
        let sum = Sum::default().address(ip.source_words()).address(ip.destination_words());
        let sum = sum.address(target).word(Self::PAYLOAD).word(protocol::ICMPV6 as u16);
        let sum = sum.pair(Discovery::SOLICITATION, 0).pair(option.kind, option.len);
        let sum = sum.pair(a, b).pair(c, d).pair(e, f);
        let head = Discovery { checksum: sum.checksum(), ..head };
        Self { ip, head, option }
    }

    /// Makes a solicitation with one option the answer to itself: the target is at `mac`. It is
    /// solicited, and overrides (RFC 4861, 7.2.4).
    #[inline(always)]
    pub fn answer(&mut self, mac: Mac, is_router: bool) {
        let (target, asker) = (self.head.target_words(), self.ip.source_words());
        let router = if is_router { Discovery::ROUTER } else { 0 };
        let flags = router | Discovery::SOLICITED | Discovery::OVERRIDE;
        let Mac([a, b, c, d, e, f]) = mac;
        // The target is the sender too.
        let sum = Sum::default().address(target).address(target).address(asker);
        let sum = sum.word(Discovery::WITH_OPTION as u16).word(protocol::ICMPV6 as u16);
        let sum = sum.pair(Discovery::ADVERTISEMENT, 0).pair(flags, 0);
        let sum = sum.pair(LinkLayer::TARGET, 1).pair(a, b).pair(c, d).pair(e, f);
        self.ip.set_ends(target, asker);
        self.head.kind = Discovery::ADVERTISEMENT;
        self.head.checksum = sum.checksum();
        self.head.flags = [flags, 0, 0, 0];
        self.option = LinkLayer::new(LinkLayer::TARGET, mac);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{bytes_of, checksum};

    #[test]
    fn an_answer_sums_up_with_its_pseudo_header() {
        for (is_router, last) in [(false, 0x11), (true, 0xff)] {
            let target = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 1, 2, last];
            let asker = [0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0xff, 0xff, 9, 8, 7, 6, 5, 4, 3, last];
            let mac = Mac([2, 0xff, 0xee, 3, 4, last]);
            let head = Discovery { kind: 135, code: 0, checksum: [1, 2], flags: [7; 4], target };
            let option = LinkLayer::new(LinkLayer::SOURCE, Mac([9; 6]));
            let mut packet =
                Discovered { ip: Ipv6::new(asker, [0xff; 16], protocol::ICMPV6, 32), head, option };
            packet.answer(mac, is_router);
            assert_eq!((packet.ip.source, packet.ip.destination), (target, asker));
            let bytes = bytes_of(&packet);
            let mut all = [0; 72];
            all[..32].copy_from_slice(&bytes[8..40]);
            all[35] = 32;
            all[39] = 58;
            all[40..].copy_from_slice(&bytes[40..]);
            assert_eq!(checksum::full(&all), 0);
            assert_eq!((packet.head.kind, packet.head.target), (136, target));
            assert_eq!(packet.head.is_router(), is_router);
            assert!(packet.head.overrides());
            assert_eq!(packet.option.of_kind(LinkLayer::TARGET), Some(mac));
            assert_eq!(packet.option.of_kind(LinkLayer::SOURCE), None);
        }
    }
}
