//! UDP (RFC 768).

use core::mem::offset_of;

use super::header;
use super::number::{read16, write16};

/// A UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Udp {
    source: [u8; 2],
    destination: [u8; 2],
    len: [u8; 2],
    checksum: [u8; 2],
}
header!(Udp, Udp::LEN);

impl Udp {
    /// 8 bytes.
    pub const LEN: usize = 8;

    /// A header from its parts, host order; checksum zero: none (RFC 768).
    #[inline(always)]
    pub const fn new(source: u16, destination: u16, len: u16) -> Self {
        Self {
            source: source.to_be_bytes(),
            destination: destination.to_be_bytes(),
            len: len.to_be_bytes(),
            checksum: [0; 2],
        }
    }

    /// Source port.
    #[inline(always)]
    pub fn source(&self) -> u16 {
        u16::from_be(read16::<{ offset_of!(Self, source) }, _>(self))
    }

    /// Destination port.
    #[inline(always)]
    pub fn destination(&self) -> u16 {
        u16::from_be(read16::<{ offset_of!(Self, destination) }, _>(self))
    }

    /// Header and payload, in bytes.
    #[inline(always)]
    pub fn len(&self) -> u16 {
        u16::from_be(read16::<{ offset_of!(Self, len) }, _>(self))
    }

    /// Whether the length field is below that of the header itself.
    pub fn is_empty(&self) -> bool {
        self.len() <= Self::LEN as u16
    }

    /// Sets source port and length of a header in a packet.
    #[inline(always)]
    pub fn fill(&mut self, source: u16, len: u16) {
        write16::<{ offset_of!(Self, source) }, _>(self, source.to_be());
        write16::<{ offset_of!(Self, len) }, _>(self, len.to_be());
    }
}
