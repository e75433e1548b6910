//! What is counted.

use super::record;
use crate::verdict::DropReason;

/// Overlay packets and bytes of a port or a peer. Bytes are those of the inner
/// frame; a super-frame counts as its segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
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
record!(Counters, 32);

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
