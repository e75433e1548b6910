//! IPv4 (RFC 791).

use core::mem::offset_of;

use super::number::{read16, read32, read64, write16};
use super::{checksum, header};

/// An IPv4 header without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ipv4 {
    version_ihl: u8,
    tos: u8,
    total_len: [u8; 2],
    id: [u8; 2],
    fragment: [u8; 2],
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    checksum: [u8; 2],
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}
header!(Ipv4, Ipv4::LEN);

impl Ipv4 {
    /// 20 bytes: a header without options.
    pub const LEN: usize = 20;
    /// Don't fragment.
    const DF: u16 = 0x4000;
    /// More fragments, and the offset.
    const FRAGMENT: u16 = 0x3fff;

    /// A header without options, DF set, identification 0 (RFC 6864: an atomic
    /// datagram needs none), total length, type of service and checksum zero.
    #[inline(always)]
    pub const fn new(source: [u8; 4], destination: [u8; 4], protocol: u8, ttl: u8) -> Self {
        Self {
            version_ihl: 0x45,
            tos: 0,
            total_len: [0; 2],
            id: [0; 2],
            fragment: Self::DF.to_be_bytes(),
            ttl,
            protocol,
            checksum: [0; 2],
            source,
            destination,
        }
    }

    /// Whether this is version 4 with a header of 20 bytes.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.version_ihl == 0x45
    }

    /// The version: 4, if this is IPv4 at all.
    #[inline(always)]
    pub const fn version(&self) -> u8 {
        self.version_ihl >> 4
    }

    /// The header's length in bytes, options included; 0 to 60 as it stands.
    #[inline(always)]
    pub const fn header_len(&self) -> usize {
        (self.version_ihl & 0x0f) as usize * 4
    }

    /// Type of service: DSCP and ECN.
    #[inline(always)]
    pub const fn tos(&self) -> u8 {
        self.tos
    }

    /// The ECN field, 0 to 3 (RFC 3168).
    #[inline(always)]
    pub const fn ecn(&self) -> u8 {
        self.tos & 3
    }

    /// Sets the ECN field and adjusts the checksum.
    #[inline(always)]
    pub fn set_ecn(&mut self, ecn: u8) {
        let old = u16::from_be_bytes([self.version_ihl, self.tos]);
        self.tos = self.tos & !3 | ecn & 3;
        let new = u16::from_be_bytes([self.version_ihl, self.tos]);
        let sum = checksum::update(u16::from_be_bytes(self.checksum), old, new);
        self.checksum = sum.to_be_bytes();
    }

    /// Header and payload, in bytes.
    #[inline(always)]
    pub fn total_len(&self) -> u16 {
        u16::from_be(read16::<{ offset_of!(Self, total_len) }, _>(self))
    }

    /// Sets length and type of service in a header in a packet where both were zero when its
    /// checksum was taken, and adjusts the checksum.
    #[inline(always)]
    pub fn fill(&mut self, total_len: u16, tos: u8) {
        const CHECKSUM: usize = offset_of!(Ipv4, checksum);
        write16::<{ offset_of!(Self, total_len) }, _>(self, total_len.to_be());
        self.tos = tos;
        let base = u16::from_be(read16::<CHECKSUM, _>(self));
        let sum = checksum::update2(base, total_len, tos as u16);
        write16::<CHECKSUM, _>(self, sum.to_be());
    }

    /// Whether this is a fragment: more follow, or it is not the first.
    #[inline(always)]
    pub fn is_fragment(&self) -> bool {
        self.fragment() & Self::FRAGMENT != 0
    }

    /// Whether the payload starts with the upper layer's header.
    #[inline(always)]
    pub fn is_first_fragment(&self) -> bool {
        self.fragment() & 0x1fff == 0
    }

    /// Don't fragment.
    #[inline(always)]
    pub fn dont_fragment(&self) -> bool {
        self.fragment() & Self::DF != 0
    }

    /// The flags, and the fragment offset.
    #[inline(always)]
    fn fragment(&self) -> u16 {
        u16::from_be(read16::<{ offset_of!(Self, fragment) }, _>(self))
    }

    /// The source address of a header in a packet, read in one go.
    #[inline(always)]
    pub fn source(&self) -> [u8; 4] {
        read32::<{ offset_of!(Self, source) }, _>(self).to_ne_bytes()
    }

    /// The destination address, likewise.
    #[inline(always)]
    pub fn destination(&self) -> [u8; 4] {
        read32::<{ offset_of!(Self, destination) }, _>(self).to_ne_bytes()
    }

    /// Source and destination in one number, for hashing.
    #[inline(always)]
    pub fn ends(&self) -> u64 {
        read64::<{ offset_of!(Self, source) }, _>(self)
    }

    /// Takes one from the time to live, and adjusts the checksum.
    #[inline(always)]
    pub fn age(&mut self) {
        let old = u16::from_be_bytes([self.ttl, self.protocol]);
        self.ttl = self.ttl.wrapping_sub(1);
        let new = u16::from_be_bytes([self.ttl, self.protocol]);
        let sum = checksum::update(u16::from_be_bytes(self.checksum), old, new);
        self.checksum = sum.to_be_bytes();
    }

    /// The header checksum as it stands.
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes(self.checksum)
    }

    /// Whether the checksum of a header without options is right (RFC 1071).
    #[inline(always)]
    pub fn checksum_holds(&self) -> bool {
        // Its words may be added two at once, in memory's order (RFC 1071, 2 (B)).
        let sum = read32::<0, _>(self) as u64
            + read32::<4, _>(self) as u64
            + read32::<8, _>(self) as u64
            + read32::<12, _>(self) as u64
            + read32::<16, _>(self) as u64;
        let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
        checksum::fold(sum as u32) == 0xffff
    }

    /// Computes and stores the checksum of a header without options.
    #[inline(always)]
    pub fn seal(&mut self) {
        self.checksum = [0; 2];
        self.checksum = (!checksum::fold(self.sum())).to_be_bytes();
    }

    /// The one's complement sum over the 20 bytes, not folded.
    #[inline(always)]
    fn sum(&self) -> u32 {
        let word = |a: u8, b: u8| u16::from_be_bytes([a, b]) as u32;
        let [s0, s1, s2, s3] = self.source;
        let [d0, d1, d2, d3] = self.destination;
        word(self.version_ihl, self.tos)
            + u16::from_be_bytes(self.total_len) as u32
            + u16::from_be_bytes(self.id) as u32
            + u16::from_be_bytes(self.fragment) as u32
            + word(self.ttl, self.protocol)
            + u16::from_be_bytes(self.checksum) as u32
            + word(s0, s1)
            + word(s2, s3)
            + word(d0, d1)
            + word(d2, d3)
    }

    /// Sets the total length without touching the checksum (see [`seal`](Self::seal)).
    #[inline(always)]
    pub fn set_total_len(&mut self, len: u16) {
        self.total_len = len.to_be_bytes();
    }

    /// Sets the flags and the fragment offset without touching the checksum.
    pub fn set_fragment(&mut self, flags_and_offset: u16) {
        self.fragment = flags_and_offset.to_be_bytes();
    }

    /// Sets version and header length without touching the checksum.
    pub fn set_version_ihl(&mut self, value: u8) {
        self.version_ihl = value;
    }

    /// Sets type of service without touching the checksum.
    #[inline(always)]
    pub fn set_tos(&mut self, tos: u8) {
        self.tos = tos;
    }
}
