//! The Internet checksum, full (RFC 1071) and incremental (RFC 1624).

use super::header;

/// A checksum as it stands in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Checksum([u8; 2]);
header!(Checksum, 2);

impl Checksum {
    /// Adjusts it after one 16-bit word that it covers changed from `old` to `new`.
    #[inline(always)]
    pub const fn adjust(&mut self, old: u16, new: u16) {
        self.0 = update(u16::from_be_bytes(self.0), old, new).to_be_bytes();
    }
}

/// Folds a one's complement sum to 16 bits.
#[inline(always)]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The checksum over `bytes`: the complement of their one's complement sum. An
/// odd last byte counts as the high half of a word (RFC 1071, section 1).
pub fn full(bytes: &[u8]) -> u16 {
    let mut sum = 0u64;
    let mut words = bytes.chunks_exact(2);
    for word in &mut words {
        if let [a, b] = word {
            sum += u16::from_be_bytes([*a, *b]) as u64;
        }
    }
    if let [last] = words.remainder() {
        sum += u16::from_be_bytes([*last, 0]) as u64;
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The checksum after one 16-bit word changed from `old` to `new`: HC' =
/// ~(~HC + ~m + m') (RFC 1624, equation 3).
#[inline(always)]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(!checksum as u32 + !old as u32 + new as u32)
}

/// The checksum after `first` and `second` were added to words that were zero.
///
/// For a word that was zero, ~m is 0xffff, which is zero in one's complement
/// arithmetic, so it is left out; the sum is never zero because an IPv4 header
/// is not.
#[inline(always)]
pub const fn update2(checksum: u16, first: u16, second: u16) -> u16 {
    !fold(!checksum as u32 + first as u32 + second as u32)
}
