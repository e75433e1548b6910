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
    /// 60 bytes: a header with as many options as its length field can say.
    pub const LONGEST: usize = 60;
    /// Where the checksum is.
    pub const CHECKSUM: usize = 16;
    const SYN: u8 = 0x02;

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

    /// Whether this opens a connection, or answers that.
    #[inline(always)]
    pub const fn is_syn(&self) -> bool {
        self.flags & Self::SYN != 0
    }
}

/// The first bytes of an option (RFC 9293, 3.1): all of that which announces the largest
/// segment (MSS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TcpOption {
    /// What it is.
    pub kind: u8,
    /// Its bytes, these two included; not there where the kind is [`END`](Self::END) or
    /// [`NOTHING`](Self::NOTHING).
    pub len: u8,
    value: [u8; 2],
}
header!(TcpOption, TcpOption::LEN);

impl TcpOption {
    /// 4 bytes.
    pub const LEN: usize = 4;
    /// The end of all options.
    pub const END: u8 = 0;
    /// One byte of padding.
    pub const NOTHING: u8 = 1;
    /// The largest segment.
    pub const MSS: u8 = 2;

    /// Whether this announces the largest segment.
    #[inline(always)]
    pub const fn is_mss(&self) -> bool {
        self.kind == Self::MSS && self.len as usize == Self::LEN
    }

    /// The largest segment, in bytes of payload.
    #[inline(always)]
    pub const fn mss(&self) -> u16 {
        u16::from_be_bytes(self.value)
    }

    /// Announces another.
    #[inline(always)]
    pub const fn set_mss(&mut self, mss: u16) {
        self.value = mss.to_be_bytes();
    }
}
