//! What every program needs to know about its node.

use core::mem::offset_of;

use super::{PuntLimit, record};
use crate::wire::Encap;

/// The node itself; one entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Node {
    /// [`ABI_VERSION`](super::ABI_VERSION) of the tables.
    pub abi_version: u32,
    /// Moves everything behind it.
    #[cfg(feature = "layout-next")]
    pub next: [u32; 2],
    /// The local VTEP's IPv4 address, or [`Node::NO_VTEP`].
    pub vtep: [u8; 4],
    /// The ageing clock: user space increments it once a second. The packet
    /// path stamps FDB entries with it, so no packet reads a clock.
    pub epoch: u32,
    /// The UDP ports that tunnels arrive at.
    pub ports: TunnelPorts,
    /// The sizes of the hash tables, which the tables' keeper fills in.
    pub masks: Masks,
    /// The local VTEP's IPv6 address, as on the wire, or [`Node::NO_VTEP6`].
    pub vtep6: [u64; 2],
    /// How many packets that are too big get an answer, for each port and CPU.
    pub ptb_limit: PuntLimit,
}
record!(Node, if cfg!(feature = "layout-next") { 64 } else { 56 });

impl Node {
    /// No packet on a wire goes there: 127.0.0.1.
    pub const NO_VTEP: [u8; 4] = [127, 0, 0, 1];
    /// Nor there: ::1.
    pub const NO_VTEP6: [u64; 2] = [0, 1_u64.to_be()];

    /// The local VTEP's IPv4 address, which the compiler would load byte by byte.
    #[inline(always)]
    pub const fn vtep(&self) -> [u8; 4] {
        const { assert!(align_of::<Self>() >= 4 && offset_of!(Self, vtep).is_multiple_of(4)) }
        // SAFETY: the four bytes, which begin where a number of 32 bits may, as asserted.
        unsafe { core::ptr::from_ref(&self.vtep).cast::<u32>().read() }.to_ne_bytes()
    }
}

/// The UDP ports that tunnels arrive at, in host order; 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TunnelPorts {
    /// Of VXLAN.
    pub vxlan: u16,
    /// Of Geneve.
    pub geneve: u16,
}
record!(TunnelPorts, 4);

impl TunnelPorts {
    /// The encapsulation of what arrives at a port, `None` where that is no tunnel.
    #[inline(always)]
    pub const fn encap(self, port: u16) -> Option<Encap> {
        if port == self.vxlan && port != 0 {
            Some(Encap::Vxlan)
        } else if port == self.geneve && port != 0 {
            Some(Encap::Geneve)
        } else {
            None
        }
    }
}

/// How many buckets of each hash table are in use, less one
/// ([`Spread`](crate::hash::Spread)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Masks {
    /// Of [`maps::ACCESS`](super::maps::ACCESS).
    pub access: u32,
    /// Of [`maps::VTEPS`](super::maps::VTEPS).
    pub vteps: u32,
    /// Of [`maps::PERMITS`](super::maps::PERMITS).
    pub permits: u32,
    /// Of [`maps::FDB`](super::maps::FDB).
    pub fdb: u32,
}
record!(Masks, 16);
