//! Who may send into which segment: access ports by interface and VLAN, peers
//! by VTEP address and VNI.

use super::record;
use crate::hash::{Key, Value};
use crate::wire::Encap;

/// Names an access port: the device and the VLAN of its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct AccessKey {
    /// The device.
    pub ifindex: u32,
    /// [`Vlan::word`](crate::id::Vlan::word): VID and kind of the tag; 0 stands for untagged
    /// and priority-tagged.
    pub vlan: u16,
    /// Zero.
    pub reserved: u16,
}
record!(AccessKey, 8);

impl Key for AccessKey {
    /// Devices are numbered from 1, so no key is 0.
    #[inline(always)]
    fn to_word(self) -> u64 {
        (self.vlan as u64) << 32 | self.ifindex as u64
    }

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        Self { ifindex: word as u32, vlan: (word >> 32) as u16, reserved: 0 }
    }
}

/// An access port as its own frames see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Access {
    /// Index in `PORTS`.
    pub port: u32,
    /// Index in `SEGMENTS`.
    pub segment: u16,
    /// [`Policed`] bits, [`Access::NEIGHBOURS`] and [`Access::GUARDED`].
    pub flags: u16,
}
record!(Access, 8);

/// Bits that say whose limits a frame is held against, in [`Access::flags`] and
/// [`Permit::flags`].
pub struct Policed;

impl Policed {
    /// Those of the port that it comes from, or of the peer, of which the peer's [`Vtep`] says
    /// it; in a [`Permit`] this bit means something else.
    pub const PORT: u16 = 1;
    /// Those of its segment.
    pub const SEGMENT: u16 = 1 << 1;
    /// The segment has an access list for what its hosts send.
    pub const FILTER_IN: u16 = 1 << 6;
    /// And one for what is sent to them.
    pub const FILTER_OUT: u16 = 1 << 7;
    /// All of them.
    pub const ANY: u16 = Self::PORT | Self::SEGMENT | Self::FILTER_IN | Self::FILTER_OUT;
}

impl Access {
    /// What ARP and neighbour discovery say is heard, and what they ask is answered where it
    /// is known.
    pub const NEIGHBOURS: u16 = 1 << 4;
    /// Its hosts may only use the addresses in `GUARDS`.
    pub const GUARDED: u16 = 1 << 5;
}

impl Value for Access {
    /// Segments are numbered from 1, so no value is 0.
    #[inline(always)]
    fn to_word(self) -> u64 {
        (self.flags as u64) << 48 | (self.segment as u64) << 32 | self.port as u64
    }

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        Self { port: word as u32, segment: (word >> 32) as u16, flags: (word >> 48) as u16 }
    }
}

/// The IPv4 address of a remote VTEP, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct VtepKey(pub [u8; 4]);
record!(VtepKey, 4);

impl Key for VtepKey {
    /// The bit above the address keeps 0.0.0.0 apart from a free slot.
    #[inline(always)]
    fn to_word(self) -> u64 {
        1 << 32 | u32::from_le_bytes(self.0) as u64
    }

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        Self((word as u32).to_le_bytes())
    }
}

/// The IPv6 address of a remote VTEP, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Vtep6Key(pub [u8; 16]);
record!(Vtep6Key, 16);

/// The peer behind a VTEP address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Vtep {
    /// Index in `PEERS`, and above it the encapsulation and whether it has limits.
    peer: u32,
    /// The permission profile: peers with equal sets of segments share one, so
    /// that `PERMITS` grows with the number of distinct sets, not with
    /// peers × segments.
    pub profile: u32,
}
record!(Vtep, 8);

impl Vtep {
    const GENEVE: u32 = 1 << 31;
    const POLICED: u32 = 1 << 30;
    const INDEX: u32 = Self::POLICED - 1;

    /// The peer with this index, which wraps its frames so.
    pub const fn new(peer: u32, encap: Encap, profile: u32) -> Self {
        let bit = match encap {
            Encap::Vxlan => 0,
            Encap::Geneve => Self::GENEVE,
        };
        Self { peer: peer & Self::INDEX | bit, profile }
    }

    /// The same peer, which has limits of its own.
    pub const fn policed(self) -> Self {
        Self { peer: self.peer | Self::POLICED, ..self }
    }

    /// Index in `PEERS`.
    #[inline(always)]
    pub const fn peer(self) -> u32 {
        self.peer & Self::INDEX
    }

    /// Whether what comes from the peer is held against limits of its own.
    #[inline(always)]
    pub const fn is_policed(self) -> bool {
        self.peer & Self::POLICED != 0
    }

    /// How the peer wraps its frames.
    #[inline(always)]
    pub const fn encap(self) -> Encap {
        if self.peer & Self::GENEVE != 0 { Encap::Geneve } else { Encap::Vxlan }
    }
}

impl Value for Vtep {
    /// Profiles of peers are numbered from 1, so no value is 0.
    #[inline(always)]
    fn to_word(self) -> u64 {
        (self.profile as u64) << 32 | self.peer as u64
    }

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        Self { peer: word as u32, profile: (word >> 32) as u32 }
    }
}

/// Asks whether a profile may use a VNI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct PermitKey {
    /// [`Vtep::profile`], or [`PermitKey::ANY`].
    pub profile: u32,
    /// The VNI, 24 bits, host order.
    pub vni: u32,
}
record!(PermitKey, 8);

impl Key for PermitKey {
    /// A VNI has 24 bits; one above them is always set.
    #[inline(always)]
    fn to_word(self) -> u64 {
        (self.profile as u64) << 32 | 1 << 24 | self.vni as u64
    }

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        Self { profile: (word >> 32) as u32, vni: word as u32 & 0x00ff_ffff }
    }
}

impl PermitKey {
    /// The profile that holds every VNI of this node. Real profiles start at 1.
    pub const ANY: u32 = 0;
}

/// A VNI that a profile may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Permit {
    /// Index in `SEGMENTS`.
    pub segment: u16,
    /// [`Permit::LEARN`], [`Permit::NEIGHBOURS`] and [`Policed::SEGMENT`].
    pub flags: u16,
    /// Zero.
    pub reserved: u32,
}
record!(Permit, 8);

impl Value for Permit {
    /// Segments are numbered from 1, so no value is 0.
    #[inline(always)]
    fn to_word(self) -> u64 {
        (self.flags as u64) << 16 | self.segment as u64
    }

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        Self { segment: word as u16, flags: (word >> 16) as u16, reserved: 0 }
    }
}

impl Permit {
    /// Source MACs of frames from peers are learnt.
    pub const LEARN: u16 = 1;
    /// What ARP and neighbour discovery say in frames from peers is heard.
    pub const NEIGHBOURS: u16 = 1 << 4;
}
