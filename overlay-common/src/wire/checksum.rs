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
    // Two words at once: what is carried out of one is worth one in the other.
    let (pairs, rest) = bytes.as_chunks::<4>();
    let mut sum: u64 = pairs.iter().map(|pair| u32::from_be_bytes(*pair) as u64).sum();
    let (words, last) = rest.as_chunks::<2>();
    sum += words.iter().map(|word| u16::from_be_bytes(*word) as u64).sum::<u64>();
    if let [last] = last {
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

/// A one's complement sum of what stands in 16-bit words. The bytes stay in memory's order,
/// which the sum does not mind (RFC 1071, 2 (B)).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds an IPv6 address, as two words with the bytes as on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn address(self, [a, b]: [u64; 2]) -> Self {
        const LOW: u64 = 0xffff_ffff;
        Self(self.0 + (a & LOW) + (a >> 32) + (b & LOW) + (b >> 32))
    }

    /// Adds a word, in host order.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, value: u16) -> Self {
        Self(self.0 + value.to_be() as u64)
    }

    /// Adds a word by its bytes.
    #[inline(always)]
    #[must_use]
    pub const fn pair(self, first: u8, second: u8) -> Self {
        self.word(u16::from_be_bytes([first, second]))
    }

    /// The checksum, as on the wire.
    #[inline(always)]
    pub const fn checksum(self) -> [u8; 2] {
        (!self.fold()).to_ne_bytes()
    }

    /// The sum itself, in host order.
    #[inline(always)]
    pub const fn folded(self) -> u32 {
        u16::from_be(self.fold()) as u32
    }

    #[inline(always)]
    const fn fold(self) -> u16 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
        fold(sum as u32)
    }
}
