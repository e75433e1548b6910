//! Segments and their flood lists.

use super::record;

/// A segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    /// The current flood list.
    pub flood: FloodList,
    /// The VNI, 24 bits, host order.
    pub vni: u32,
    /// Zero.
    pub reserved: u32,
}
record!(Segment, 16);

/// Which entries of `FLOOD` belong to a segment now, in one aligned word, so
/// that a list is replaced as a whole: the new generation's slots are written
/// first, then this word, and only then are the old slots removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct FloodList(u64);
record!(FloodList, 8);

impl FloodList {
    /// Slots 0 to `ports` − 1 are local ports, the `peers` slots behind them
    /// are peers.
    pub const fn new(generation: u16, ports: u16, peers: u32) -> Self {
        Self(generation as u64 | (ports as u64) << 16 | (peers as u64) << 32)
    }

    /// The list's generation.
    #[inline(always)]
    pub const fn generation(self) -> u16 {
        self.0 as u16
    }

    /// How many local ports.
    #[inline(always)]
    pub const fn ports(self) -> u32 {
        (self.0 >> 16) as u16 as u32
    }

    /// How many peers.
    #[inline(always)]
    pub const fn peers(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// One slot of a flood list; its value is a [`Target`](super::Target).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct FloodKey {
    /// Index in `SEGMENTS`.
    pub segment: u16,
    /// [`FloodList::generation`].
    pub generation: u16,
    /// Position, from 0.
    pub slot: u32,
}
record!(FloodKey, 8);
