//! What is counted.

use super::record;
use crate::verdict::DropReason;
use crate::word::Word;

/// The direction of a counted packet, seen from this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// Taken in.
    Rx = 0,
    /// Sent out.
    Tx = 1,
}

impl Direction {
    const COUNT: u32 = 2;
}

/// The packets and bytes of one port or peer in one direction, on one CPU. Only the
/// programs on that CPU add to it, so that an addition is a load and a store.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Count {
    packets: Word,
    bytes: Word,
}
const _: () = assert!(size_of::<Count>() == 16);

impl Count {
    /// How many counts `len` ports or peers have on `cpus` CPUs.
    pub const fn entries(len: u32, cpus: u32) -> u32 {
        len * Direction::COUNT * cpus
    }

    /// Where a count is among those of `len` ports or peers, `None` where `index` is
    /// not below `len`. Each CPU and direction has a row of its own: a program counts
    /// in one direction, and finds four neighbours on a cache line.
    #[inline(always)]
    pub const fn position(len: u32, cpu: u32, direction: Direction, index: u32) -> Option<u32> {
        if index >= len {
            return None;
        }
        Some((cpu * Direction::COUNT + direction as u32) * len + index)
    }

    /// Counts so many more; only on the CPU that the count is of.
    #[inline(always)]
    pub fn add(&self, packets: u32, bytes: u32) {
        self.packets.add(packets as u64);
        self.bytes.add(bytes as u64);
    }

    /// Begins at zero again; only while nobody counts.
    #[cfg(not(target_arch = "bpf"))]
    pub fn clear(&self) {
        self.packets.set(0);
        self.bytes.set(0);
    }

    /// Packets and bytes up to now.
    #[cfg(not(target_arch = "bpf"))]
    pub fn read(&self) -> (u64, u64) {
        (self.packets.get(), self.bytes.get())
    }
}

/// Overlay packets and bytes of a port or a peer, over all CPUs. Bytes are those of
/// the inner frame; a super-frame counts as its segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets taken in from the port or peer.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets sent to the port or peer.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
}

impl Counters {
    /// What has come since they stood at `former`.
    pub const fn since(self, former: Self) -> Self {
        Self {
            rx_packets: self.rx_packets - former.rx_packets,
            rx_bytes: self.rx_bytes - former.rx_bytes,
            tx_packets: self.tx_packets - former.tx_packets,
            tx_bytes: self.tx_bytes - former.tx_bytes,
        }
    }
}

impl Counters {
    /// Each of both by itself, added as words that begin again at zero: what is to be added to
    /// something may be less than nothing.
    #[must_use]
    pub const fn wrapping_add(self, other: Self) -> Self {
        Self {
            rx_packets: self.rx_packets.wrapping_add(other.rx_packets),
            rx_bytes: self.rx_bytes.wrapping_add(other.rx_bytes),
            tx_packets: self.tx_packets.wrapping_add(other.tx_packets),
            tx_bytes: self.tx_bytes.wrapping_add(other.tx_bytes),
        }
    }

    /// The same, taken away.
    #[must_use]
    pub const fn wrapping_sub(self, other: Self) -> Self {
        Self {
            rx_packets: self.rx_packets.wrapping_sub(other.rx_packets),
            rx_bytes: self.rx_bytes.wrapping_sub(other.rx_bytes),
            tx_packets: self.tx_packets.wrapping_sub(other.tx_packets),
            tx_bytes: self.tx_bytes.wrapping_sub(other.tx_bytes),
        }
    }
}

impl core::ops::Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rx_packets: self.rx_packets + other.rx_packets,
            rx_bytes: self.rx_bytes + other.rx_bytes,
            tx_packets: self.tx_packets + other.tx_packets,
            tx_bytes: self.tx_bytes + other.tx_bytes,
        }
    }
}

impl core::iter::Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(counters: I) -> Self {
        counters.fold(Self::default(), |sum, counted| sum + counted)
    }
}

/// The place in the kernel, or out of it, where the path ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Hook {
    /// XDP, native or generic.
    Xdp = 1,
    /// tc ingress.
    Tc = 2,
    /// The user-space forwarder.
    User = 3,
}

impl Hook {
    /// The name in commands and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::User => "user",
        }
    }

    /// The hook of a [`DropKey`] or a [`Punt`](super::Punt).
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Xdp),
            2 => Some(Self::Tc),
            3 => Some(Self::User),
            _ => None,
        }
    }
}

/// A drop counter's name: where and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct DropKey {
    /// The device the packet came in on.
    pub ifindex: u32,
    /// [`DropReason`] as a number.
    pub reason: u8,
    /// [`Hook`] as a number.
    pub hook: u8,
    /// Zero.
    pub reserved: u16,
}
record!(DropKey, 8);

impl DropKey {
    /// The counter of `reason` for packets from `ifindex` at `hook`.
    #[inline(always)]
    pub const fn new(ifindex: u32, reason: DropReason, hook: Hook) -> Self {
        Self { ifindex, reason: reason as u8, hook: hook as u8, reserved: 0 }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    #[test]
    fn every_count_has_a_place_of_its_own() {
        let (len, cpus) = (5, 3);
        let mut places: Vec<u32> = Vec::new();
        for cpu in 0..cpus {
            for direction in [Direction::Rx, Direction::Tx] {
                assert_eq!(Count::position(len, cpu, direction, len), None);
                assert_eq!(Count::position(len, cpu, direction, u32::MAX), None);
                places.extend((0..len).filter_map(|i| Count::position(len, cpu, direction, i)));
            }
        }
        places.sort_unstable();
        assert_eq!(places, (0..Count::entries(len, cpus)).collect::<Vec<_>>());
    }

    #[test]
    fn a_count_adds_up() {
        let count = Count::default();
        count.add(2, 300);
        count.add(1, u32::MAX);
        assert_eq!(count.read(), (3, 300 + u64::from(u32::MAX)));
    }
}
