//! Identifiers, checked when they are made.

use core::fmt;

use crate::wire::TagKind;

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

/// A VLAN of a device: a VID from 1 to 4094 and the kind of the tag. One device may have
/// the same VID in both kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vlan(u16);

impl Vlan {
    /// The largest VID; 4095 is reserved, as 0 is (IEEE 802.1Q, table 9-2).
    pub const MAX: u16 = 4094;
    /// In [`word`](Self::word): the tag is a service tag.
    pub const SERVICE: u16 = 1 << 15;

    /// Returns `None` for 0 and for anything over [`MAX`](Self::MAX).
    pub const fn new(id: u16, kind: TagKind) -> Option<Self> {
        match kind {
            _ if id == 0 || id > Self::MAX => None,
            TagKind::Customer => Some(Self(id)),
            TagKind::Service => Some(Self(id | Self::SERVICE)),
        }
    }

    /// From the form in which table entries have it; `None` where it stands for untagged.
    pub const fn from_word(word: u16) -> Option<Self> {
        Self::new(word & !Self::SERVICE, Self::kind_of(word))
    }

    /// The form in which table entries have it: the VID, [`SERVICE`](Self::SERVICE) where the
    /// tag is a service tag, and 0 for untagged.
    pub const fn word(vlan: Option<Self>) -> u16 {
        match vlan {
            Some(Self(word)) => word,
            None => 0,
        }
    }

    /// The VID.
    pub const fn id(self) -> u16 {
        self.0 & !Self::SERVICE
    }

    /// The kind of the tag.
    pub const fn kind(self) -> TagKind {
        Self::kind_of(self.0)
    }

    /// The kind of the tag in a table entry's word.
    #[inline(always)]
    pub const fn kind_of(word: u16) -> TagKind {
        if word & Self::SERVICE != 0 { TagKind::Service } else { TagKind::Customer }
    }
}

/// As people say it: the kind only where it is not the usual one.
impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            TagKind::Customer => self.id().fmt(f),
            TagKind::Service => write!(f, "{} ({})", self.id(), TagKind::Service.name()),
        }
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
