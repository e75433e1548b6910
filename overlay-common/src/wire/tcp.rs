//! TCP (RFC 9293).

use super::header;

/// The fixed part of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Tcp {
    source: [u8; 2],
    destination: [u8; 2],
    sequence: [u8; 4],
    acknowledgment: [u8; 4],
    offset_reserved: u8,
    /// CWR, ECE, URG, ACK, PSH, RST, SYN, FIN, from the top bit down.
    pub flags: u8,
    window: [u8; 2],
    checksum: [u8; 2],
    urgent: [u8; 2],
}
header!(Tcp, Tcp::LEN);

impl Tcp {
    /// 20 bytes: a header without options.
    pub const LEN: usize = 20;

    /// Source port.
    #[inline(always)]
    pub const fn source(&self) -> u16 {
        u16::from_be_bytes(self.source)
    }

    /// Destination port.
    #[inline(always)]
    pub const fn destination(&self) -> u16 {
        u16::from_be_bytes(self.destination)
    }

    /// The header's length in bytes, options included; 0 to 60 as it stands.
    #[inline(always)]
    pub const fn header_len(&self) -> u32 {
        (self.offset_reserved >> 4) as u32 * 4
    }
}
