//! Segments and their flood lists.

use super::record;
use crate::wire::Family;

/// A segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    /// The current flood list.
    pub flood: FloodList,
    /// The VNI, 24 bits, host order.
    pub vni: u32,
    /// [`Policed::FILTER_OUT`](super::Policed::FILTER_OUT) or 0.
    pub flags: u32,
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
    const PORTS: u64 = 0xfff;
    const V6: u64 = 1 << 28;

    /// Slots 0 to `ports` − 1 (12 bits) are local ports, the `peers` slots behind them the
    /// peers that the kernel sends to, all over the same family, and the `rest` slots behind
    /// those the peers that user space sends to.
    pub const fn new(generation: u16, ports: u16, family: Family, peers: u16, rest: u16) -> Self {
        let v6 = match family {
            Family::V4 => 0,
            Family::V6 => Self::V6,
        };
        let ports = (ports as u64 & Self::PORTS) << 16;
        Self(generation as u64 | ports | v6 | (peers as u64) << 32 | (rest as u64) << 48)
    }

    /// The list's generation.
    #[inline(always)]
    pub const fn generation(self) -> u16 {
        self.0 as u16
    }

    /// How many local ports.
    #[inline(always)]
    pub const fn ports(self) -> u32 {
        (self.0 >> 16 & Self::PORTS) as u32
    }

    /// The family over which the kernel sends.
    #[inline(always)]
    pub const fn family(self) -> Family {
        if self.0 & Self::V6 != 0 { Family::V6 } else { Family::V4 }
    }

    /// How many peers the kernel sends to.
    #[inline(always)]
    pub const fn peers(self) -> u32 {
        (self.0 >> 32) as u16 as u32
    }

    /// How many peers user space sends to.
    #[inline(always)]
    pub const fn rest(self) -> u32 {
        (self.0 >> 48) as u32
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
