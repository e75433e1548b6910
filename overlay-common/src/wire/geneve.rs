//! Geneve (RFC 8926).

use core::mem::offset_of;

use super::header;
use super::number::{read16, read32};

/// The fixed part of a Geneve header (RFC 8926, 3.4); options follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Geneve {
    version_options: u8,
    flags: u8,
    protocol: [u8; 2],
    vni: [u8; 3],
    reserved: u8,
}
header!(Geneve, Geneve::LEN);

impl Geneve {
    /// 8 bytes: a header without options.
    pub const LEN: usize = 8;
    /// The longest that options can be: 63 words.
    pub const LONGEST_OPTIONS: usize = 63 * 4;
    /// The UDP port that IANA assigned (RFC 8926, section 3.3).
    pub const PORT: u16 = 6081;
    /// Protocol type: an Ethernet frame (Transparent Ethernet Bridging).
    pub const ETHERNET: u16 = 0x6558;
    /// The O bit: a control packet, for the tunnel's end point alone.
    pub const CONTROL: u8 = 0x80;
    /// The C bit: there are options that a receiver must know.
    pub const CRITICAL: u8 = 0x40;

    /// A header of version 0 without options, which an Ethernet frame follows; `vni` is
    /// cut to 24 bits.
    #[inline(always)]
    pub const fn new(vni: u32) -> Self {
        let [_, a, b, c] = vni.to_be_bytes();
        Self {
            version_options: 0,
            flags: 0,
            protocol: Self::ETHERNET.to_be_bytes(),
            vni: [a, b, c],
            reserved: 0,
        }
    }

    /// The version: 0 is the only one.
    #[inline(always)]
    pub const fn version(&self) -> u8 {
        self.version_options >> 6
    }

    /// The bytes of the options: a multiple of 4, up to 252.
    #[inline(always)]
    pub const fn options_len(&self) -> u32 {
        (self.version_options & 0x3f) as u32 * 4
    }

    /// Whether the O bit is set.
    #[inline(always)]
    pub const fn is_control(&self) -> bool {
        self.flags & Self::CONTROL != 0
    }

    /// Whether the C bit is set.
    #[inline(always)]
    pub const fn is_critical(&self) -> bool {
        self.flags & Self::CRITICAL != 0
    }

    /// What follows the options.
    #[inline(always)]
    pub fn protocol(&self) -> u16 {
        u16::from_be(read16::<{ offset_of!(Self, protocol) }, _>(self))
    }

    /// The VNI, 24 bits, host order.
    #[inline(always)]
    pub fn vni(&self) -> u32 {
        u32::from_be(read32::<{ offset_of!(Self, vni) }, _>(self)) >> 8
    }

    /// Sets version and length of the options in words (tests build all kinds of headers).
    pub fn set_version_options(&mut self, value: u8) {
        self.version_options = value;
    }

    /// Sets the flags.
    pub fn set_flags(&mut self, flags: u8) {
        self.flags = flags;
    }

    /// Sets the protocol type.
    pub fn set_protocol(&mut self, protocol: u16) {
        self.protocol = protocol.to_be_bytes();
    }
}
