//! Source guard: which addresses the hosts behind a port may use.

use super::record;
use crate::wire::Mac;

/// An address of a station behind a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct GuardKey {
    /// The IP address, as in a [`NeighbourKey`](super::NeighbourKey); zero for the MAC address alone.
    pub address: [u64; 2],
    /// The station.
    pub mac: [u8; 6],
    /// Index in `PORTS`.
    pub port: u16,
}
record!(GuardKey, 24);

impl GuardKey {
    /// Of a station's MAC address alone.
    #[inline(always)]
    pub const fn station(port: u32, mac: Mac) -> Self {
        Self { address: [0; 2], mac: mac.0, port: port as u16 }
    }
}

/// That it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bound(pub u32);
record!(Bound, 4);
