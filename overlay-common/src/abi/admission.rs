//! Who may send into which segment: access ports by interface and VLAN, peers
//! by VTEP address and VNI.

use super::record;

/// Names an access port: the device and the VLAN of its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct AccessKey {
    /// The device.
    pub ifindex: u32,
    /// VLAN identifier, 1–4094; 0 stands for untagged and priority-tagged.
    pub vlan: u16,
    /// Zero.
    pub reserved: u16,
}
record!(AccessKey, 8);

/// An access port as its own frames see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Access {
    /// Index in `PORTS`.
    pub port: u32,
    /// Index in `SEGMENTS`.
    pub segment: u16,
    /// Zero.
    pub reserved: u16,
}
record!(Access, 8);

/// The IPv4 address of a remote VTEP, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct VtepKey(pub [u8; 4]);
record!(VtepKey, 4);

/// The peer behind a VTEP address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Vtep {
    /// Index in `PEERS`.
    pub peer: u32,
    /// The permission profile: peers with equal sets of segments share one, so
    /// that `PERMITS` grows with the number of distinct sets, not with
    /// peers × segments.
    pub profile: u32,
}
record!(Vtep, 8);

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

impl PermitKey {
    /// The profile that holds every VNI of this node. Real profiles start at 1.
    /// It is consulted only to say why a packet was refused.
    pub const ANY: u32 = 0;
}

/// A VNI that a profile may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Permit {
    /// Index in `SEGMENTS`.
    pub segment: u16,
    /// [`Permit::LEARN`] or 0.
    pub flags: u16,
    /// Zero.
    pub reserved: u32,
}
record!(Permit, 8);

impl Permit {
    /// Source MACs of frames from peers are learnt.
    pub const LEARN: u16 = 1;
}
