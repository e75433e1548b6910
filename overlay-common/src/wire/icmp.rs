//! ICMP (RFC 792) and ICMPv6 (RFC 4443), as far as one says that a packet is too big (PTB).

use super::{Ipv4, Ipv6, checksum, header, protocol};

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Icmp {
    kind: u8,
    code: u8,
    checksum: [u8; 2],
    rest: [u8; 4],
}
header!(Icmp, Icmp::LEN);

impl Icmp {
    /// 8 bytes.
    pub const LEN: usize = 8;
    const UNREACHABLE: u8 = 3;
    const FRAGMENTATION_NEEDED: u8 = 4;
    const PACKET_TOO_BIG: u8 = 2;

    /// Whether this is an ICMP error: no error is sent about one (RFC 1122, 3.2.2).
    #[inline(always)]
    pub const fn is_error(&self) -> bool {
        // Unreachable, source quench, redirect, time exceeded, parameter problem.
        matches!(self.kind, 3 | 4 | 5 | 11 | 12)
    }

    /// Whether this is an ICMPv6 error or a redirect (RFC 4443, 2.4 e).
    #[inline(always)]
    pub const fn is_v6_error(&self) -> bool {
        self.kind < 128 || self.kind == 137
    }

    /// A PTB for IPv4 (RFC 1191, section 4), without its checksum.
    #[inline(always)]
    const fn fragmentation_needed(mtu: u16) -> Self {
        let [a, b] = mtu.to_be_bytes();
        let (kind, code) = (Self::UNREACHABLE, Self::FRAGMENTATION_NEEDED);
        Self { kind, code, checksum: [0; 2], rest: [0, 0, a, b] }
    }

    /// A PTB for IPv6 (RFC 4443, 3.2), without its checksum.
    #[inline(always)]
    const fn packet_too_big(mtu: u16) -> Self {
        let [a, b] = mtu.to_be_bytes();
        Self { kind: Self::PACKET_TOO_BIG, code: 0, checksum: [0; 2], rest: [0, 0, a, b] }
    }

    /// Puts the checksum in; `others` is the sum of everything else that it covers.
    #[inline(always)]
    fn seal(&mut self, others: u32) {
        let word = |a: u8, b: u8| u16::from_be_bytes([a, b]) as u32;
        let [a, b, c, d] = self.rest;
        let sum = others + word(self.kind, self.code) + word(a, b) + word(c, d);
        self.checksum = (!checksum::fold(sum)).to_be_bytes();
    }
}

/// What a PTB has in front of the packet that it quotes, over IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ptb4 {
    /// To the sender of the packet.
    pub ip: Ipv4,
    /// That it is too big.
    pub icmp: Icmp,
}
header!(Ptb4, Ptb4::LEN);

impl Ptb4 {
    /// 28 bytes.
    pub const LEN: usize = Ipv4::LEN + Icmp::LEN;
    /// The bytes that are quoted: with them the message has the 576 bytes of RFC 1812, 4.3.2.3.
    pub const QUOTE: usize = 576 - Self::LEN;
    /// Internetwork control (RFC 1812, 4.3.2.5).
    const TOS: u8 = 0xc0;

    /// About a packet: `mtu` would fit. So many bytes of it are quoted, with this sum.
    #[inline(always)]
    pub fn new(about: &Ipv4, mtu: u16, quoted: usize, sum: u32) -> Self {
        let mut ip = Ipv4::new(about.destination, about.source, protocol::ICMP, 64);
        ip.set_total_len((Self::LEN + quoted) as u16);
        ip.set_tos(Self::TOS);
        ip.seal();
        let mut icmp = Icmp::fragmentation_needed(mtu);
        icmp.seal(sum);
        Self { ip, icmp }
    }
}

/// The same over IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ptb6 {
    /// To the sender of the packet.
    pub ip: Ipv6,
    /// That it is too big.
    pub icmp: Icmp,
}
header!(Ptb6, Ptb6::LEN);

impl Ptb6 {
    /// 48 bytes.
    pub const LEN: usize = Ipv6::LEN + Icmp::LEN;
    /// The bytes that are quoted: with them the message has the 1280 bytes of RFC 4443, 2.4 c.
    pub const QUOTE: usize = Self::MTU as usize - Self::LEN;
    /// No path takes less (RFC 8200, section 5).
    pub const MTU: u16 = 1280;

    /// About a packet: `mtu` would fit. [`QUOTE`](Self::QUOTE) bytes of it are quoted; `sum` is
    /// that of these and of the packet's two addresses.
    #[inline(always)]
    pub fn new(about: &Ipv6, mtu: u16, sum: u32) -> Self {
        const PAYLOAD: u16 = (Ptb6::QUOTE + Icmp::LEN) as u16;
        let ip = Ipv6::new(about.destination, about.source, protocol::ICMPV6, PAYLOAD);
        let mut icmp = Icmp::packet_too_big(mtu);
        // The pseudo-header (RFC 8200, 8.1).
        icmp.seal(sum + PAYLOAD as u32 + protocol::ICMPV6 as u32);
        Self { ip, icmp }
    }
}
