//! The forwarding database: (segment, MAC) → destination.

use super::record;
use crate::hash::{Key, Value};
use crate::wire::Mac;
#[cfg(target_arch = "bpf")]
use crate::word::Word;

/// A MAC address in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, align(8))]
pub struct FdbKey {
    /// The address, as on the wire.
    pub mac: [u8; 6],
    /// Index in `SEGMENTS`.
    pub segment: u16,
}
record!(FdbKey, 8);

impl FdbKey {
    /// The key of a station in a segment.
    #[inline(always)]
    pub const fn new(station: Mac, segment: u16) -> Self {
        Self { mac: station.0, segment }
    }

    /// The station.
    #[inline(always)]
    pub const fn station(self) -> Mac {
        Mac(self.mac)
    }
}

impl Key for FdbKey {
    /// Segments are numbered from 1, so no key is 0.
    #[inline(always)]
    fn to_word(self) -> u64 {
        let [a, b, c, d, e, f] = self.mac;
        let [low, high] = self.segment.to_le_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, low, high])
    }

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        let [a, b, c, d, e, f, low, high] = word.to_le_bytes();
        Self { mac: [a, b, c, d, e, f], segment: u16::from_le_bytes([low, high]) }
    }
}

/// A destination: a local port or a peer, told apart by the top bit, or a router. Comparing
/// two is comparing two integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Target(u32);
record!(Target, 4);

impl Target {
    const PEER_BIT: u32 = 1 << 31;
    /// More than any table of ports or peers has.
    const INDEX: u32 = (1 << 27) - 1;

    /// The segment's router: the index of no port.
    pub const ROUTER: Self = Self(Self::INDEX);

    /// Whether this is the segment's router.
    #[inline(always)]
    pub const fn is_router(self) -> bool {
        self.0 == Self::ROUTER.0
    }

    /// The local port with this index in `PORTS`.
    #[inline(always)]
    pub const fn port(index: u32) -> Self {
        Self(index & Self::INDEX)
    }

    /// The peer with this index in `PEERS`.
    #[inline(always)]
    pub const fn peer(index: u32) -> Self {
        Self(index & Self::INDEX | Self::PEER_BIT)
    }

    /// As a number.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// From its number.
    #[inline(always)]
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// Whether this is a peer.
    #[inline(always)]
    pub const fn is_peer(self) -> bool {
        self.0 & Self::PEER_BIT != 0
    }

    /// One of `shares` (a power of two) that its neighbours do not have.
    #[inline(always)]
    pub const fn share(self, shares: u32) -> u32 {
        // Ports and peers that follow one another have shares that do.
        (self.0 ^ self.0 >> 31) & (shares - 1)
    }

    /// The index in `PEERS` or `PORTS`.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.0 & Self::INDEX
    }
}

/// Where a MAC address is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FdbEntry {
    /// The destination.
    pub target: Target,
    /// [`FdbEntry::STATIC`], with or without [`FdbEntry::LOADED`], or 0; three
    /// bits.
    pub flags: u32,
    /// [`Node::epoch`](super::Node::epoch) when a frame from this address was
    /// last seen.
    pub seen: u32,
    /// Zero.
    pub reserved: u32,
}
record!(FdbEntry, 16);

impl Value for FdbEntry {
    /// Target, flags and a bit that is always set in the lower half, the stamp in
    /// the upper, where it can be written by itself.
    #[inline(always)]
    fn to_word(self) -> u64 {
        let place = self.target.0 | (self.flags & Self::FLAGS) << Self::FLAGS_SHIFT | Self::PRESENT;
        (self.seen as u64) << 32 | place as u64
    }

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        let place = word as u32;
        Self {
            target: Target(place & (Target::PEER_BIT | Target::INDEX)),
            flags: place >> Self::FLAGS_SHIFT & Self::FLAGS,
            seen: (word >> 32) as u32,
            reserved: 0,
        }
    }
}

impl FdbEntry {
    const FLAGS_SHIFT: u32 = 28;
    const FLAGS: u32 = 0b111;
    const PRESENT: u32 = 1 << 27;

    /// It neither ages nor moves.
    pub const STATIC: u32 = 1;
    /// Static, and not by the configuration: it was loaded by command. The packet
    /// path does not care; a later daemon keeps such entries.
    pub const LOADED: u32 = 2;

    /// Stamps an entry in its table, and leaves the rest of it as it is.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub fn stamp(word: &Word, epoch: u32) {
        word.set_upper(epoch);
    }

    /// Whether the entry neither ages nor moves.
    #[inline(always)]
    pub const fn is_static(&self) -> bool {
        self.flags & Self::STATIC != 0
    }
}
