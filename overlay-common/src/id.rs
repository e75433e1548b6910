//! Identifiers, checked when they are made.

use core::fmt;

/// A VXLAN network identifier: 1 to 2²⁴ − 1 (RFC 7348, section 5).
///
/// Zero is legal on the wire, but it is what an unset field looks like, so no
/// segment may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vni(u32);

impl Vni {
    /// The largest identifier: 24 bits.
    pub const MAX: u32 = 0x00ff_ffff;

    /// Returns `None` for 0 and for anything over 24 bits.
    pub const fn new(value: u32) -> Option<Self> {
        if value == 0 || value > Self::MAX { None } else { Some(Self(value)) }
    }

    /// The identifier in host order.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

index! {
    /// A segment's dense index on this node; it never leaves the node.
    SegmentId(u16)
}
index! {
    /// A port's dense index on this node: one (interface, VLAN) in a role.
    PortId(u32)
}
index! {
    /// A peer's dense index on this node.
    PeerId(u32)
}
