//! Ethernet II and 802.1Q.

use super::header;

/// Values of the EtherType field.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// 802.1ad service tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
}

/// A MAC address, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Mac(pub [u8; 6]);
header!(Mac, 6);

impl Mac {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether the I/G bit is set: broadcast or multicast.
    #[inline(always)]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether a station may send from this address: not a group, not zero.
    #[inline(always)]
    pub const fn is_source(self) -> bool {
        let [a, b, c, d, e, f] = self.0;
        !self.is_group() && (a | b | c | d | e | f) != 0
    }

    /// Whether this is one of 01:80:C2:00:00:00 to 0F, which bridges do not
    /// forward (IEEE 802.1Q, table 8-1).
    #[inline(always)]
    pub const fn is_link_local_group(self) -> bool {
        let [a, b, c, d, e, f] = self.0;
        a == 0x01 && b == 0x80 && c == 0xc2 && (d | e) == 0 && f & 0xf0 == 0
    }
}

impl core::fmt::Display for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An Ethernet II header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ethernet {
    /// Destination.
    pub destination: Mac,
    /// Source.
    pub source: Mac,
    ethertype: [u8; 2],
}
header!(Ethernet, Ethernet::LEN);

impl Ethernet {
    /// 14 bytes.
    pub const LEN: usize = 14;

    /// A header from its parts; `ethertype` in host order.
    #[inline(always)]
    pub const fn new(destination: Mac, source: Mac, ethertype: u16) -> Self {
        Self { destination, source, ethertype: ethertype.to_be_bytes() }
    }

    /// Makes a frame go back to who sent it, from another.
    #[inline(always)]
    pub fn turn_back(&mut self, from: Mac) {
        (self.destination, self.source) = (self.source, from);
    }

    /// The EtherType, or a length where it is below 1536 (IEEE 802.3).
    #[inline(always)]
    pub const fn ethertype(&self) -> u16 {
        u16::from_be_bytes(self.ethertype)
    }
}

/// An 802.1Q tag as it stands between source MAC and EtherType: the tag protocol
/// identifier, then the control information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Tag {
    tpid: [u8; 2],
    tci: [u8; 2],
}
header!(Tag, Tag::LEN);

impl Tag {
    /// 4 bytes.
    pub const LEN: usize = 4;
    /// Where a tag stands in a frame: behind the two addresses.
    pub const OFFSET: usize = 12;
    /// The VLAN identifier's bits in the control information.
    pub const VID: u16 = 0x0fff;

    /// An 802.1Q customer tag with this control information.
    #[inline(always)]
    pub const fn new(tci: u16) -> Self {
        Self { tpid: ethertype::VLAN.to_be_bytes(), tci: tci.to_be_bytes() }
    }

    /// The control information where this is a customer or service tag.
    #[inline(always)]
    pub const fn tci(&self) -> Option<u16> {
        match u16::from_be_bytes(self.tpid) {
            ethertype::VLAN | ethertype::SERVICE_VLAN => Some(u16::from_be_bytes(self.tci)),
            _ => None,
        }
    }
}

/// A frame that asks a device whether redirected frames arrive: its EtherType is
/// the one for local experiments (IEEE 802, 9.2.4), and a device index follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Probe {
    ethernet: Ethernet,
    ifindex: [u8; 4],
}
header!(Probe, 18);

impl Probe {
    /// IEEE 802 local experimental EtherType 1.
    const ETHERTYPE: u16 = 0x88b5;

    /// A probe of a device, sent from its own address to nobody.
    pub const fn new(ifindex: u32, source: Mac) -> Self {
        Self {
            ethernet: Ethernet::new(source, source, Self::ETHERTYPE),
            ifindex: ifindex.to_be_bytes(),
        }
    }

    /// The device.
    #[inline(always)]
    pub const fn ifindex(&self) -> u32 {
        u32::from_be_bytes(self.ifindex)
    }
}
