//! The forwarding database: (segment, MAC) → destination.

use super::record;

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

/// A destination: a local port or a peer, told apart by the top bit, so that
/// comparing two is comparing two integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Target(u32);
record!(Target, 4);

impl Target {
    const PEER_BIT: u32 = 1 << 31;

    /// The local port with this index in `PORTS`.
    #[inline(always)]
    pub const fn port(index: u32) -> Self {
        Self(index & !Self::PEER_BIT)
    }

    /// The peer with this index in `PEERS`.
    #[inline(always)]
    pub const fn peer(index: u32) -> Self {
        Self(index | Self::PEER_BIT)
    }

    /// Whether this is a peer.
    #[inline(always)]
    pub const fn is_peer(self) -> bool {
        self.0 & Self::PEER_BIT != 0
    }

    /// The index in `PEERS` or `PORTS`.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.0 & !Self::PEER_BIT
    }
}

/// Where a MAC address is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FdbEntry {
    /// The destination.
    pub target: Target,
    /// [`FdbEntry::STATIC`] or 0.
    pub flags: u32,
    /// [`Node::epoch`](super::Node::epoch) when a frame from this address was
    /// last seen.
    pub seen: u32,
    /// Zero.
    pub reserved: u32,
}
record!(FdbEntry, 16);

impl FdbEntry {
    /// Configured: it neither ages nor moves.
    pub const STATIC: u32 = 1;

    /// Whether the entry was configured.
    #[inline(always)]
    pub const fn is_static(&self) -> bool {
        self.flags & Self::STATIC != 0
    }
}
