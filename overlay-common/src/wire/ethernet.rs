//! Ethernet II, 802.1Q and 802.1ad.

use super::header;
use super::number::{read16, read32};
use crate::abi::Stations;
use crate::id::Vlan;
use core::mem::offset_of;

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

    /// The address as a number.
    #[inline(always)]
    const fn number(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    /// Whether the I/G bit is set: broadcast or multicast.
    #[inline(always)]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether a station may send from this address: not a group, not zero.
    #[inline(always)]
    pub const fn is_source(self) -> bool {
        !self.is_group() && self.number() != 0
    }

    /// Whether this is one of 01:80:C2:00:00:00 to 0F, which bridges do not
    /// forward (IEEE 802.1Q, table 8-1).
    #[inline(always)]
    pub const fn is_link_local_group(self) -> bool {
        const FIRST: Mac = Mac([0x01, 0x80, 0xc2, 0, 0, 0]);
        const LAST: Mac = Mac([0, 0, 0, 0, 0, 0x0f]);
        self.number() & !LAST.number() == FIRST.number()
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

    /// Both addresses, destination first.
    #[inline(always)]
    pub fn stations(&self) -> [Mac; 2] {
        let [a, b, c, d] = read32::<0, _>(self).to_ne_bytes();
        let [e, f] = read16::<4, _>(self).to_ne_bytes();
        let [g, h, i, j] = read32::<6, _>(self).to_ne_bytes();
        let [k, l] = read16::<10, _>(self).to_ne_bytes();
        [Mac([a, b, c, d, e, f]), Mac([g, h, i, j, k, l])]
    }

    /// Writes both addresses.
    #[inline(always)]
    pub fn set_stations(&mut self, Stations(first, second): Stations) {
        let start = core::ptr::from_mut(self).cast::<u8>();
        // SAFETY: the first twelve bytes of this header, which accepts every bit pattern.
        unsafe {
            start.cast::<u64>().write_unaligned(first);
            start.add(8).cast::<u32>().write_unaligned(second);
        }
    }

    /// Makes a frame go back to who sent it, from another.
    #[inline(always)]
    pub fn turn_back(&mut self, from: Mac) {
        (self.destination, self.source) = (self.source, from);
    }

    /// The EtherType, or a length where it is below 1536 (IEEE 802.3).
    #[inline(always)]
    pub fn ethertype(&self) -> u16 {
        u16::from_be(read16::<{ offset_of!(Self, ethertype) }, _>(self))
    }

    /// Whether a VLAN tag stands where the EtherType would.
    #[inline(always)]
    pub fn is_tagged(&self) -> bool {
        matches!(self.ethertype(), ethertype::VLAN | ethertype::SERVICE_VLAN)
    }
}

/// The kind of a VLAN tag, which its tag protocol identifier says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagKind {
    /// 802.1Q's customer tag, 0x8100.
    #[default]
    Customer,
    /// 802.1ad's service tag, 0x88a8.
    Service,
}

impl TagKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Customer, Self::Service];

    /// The name in configuration and commands: `protocol`, as `ip link` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "802.1q",
            Self::Service => "802.1ad",
        }
    }

    /// The tag protocol identifier, in host order.
    #[inline(always)]
    pub const fn tpid(self) -> u16 {
        match self {
            Self::Customer => ethertype::VLAN,
            Self::Service => ethertype::SERVICE_VLAN,
        }
    }
}

/// A VLAN tag as it stands between source MAC and EtherType: the tag protocol
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

    /// A tag of this kind with this control information (PCP, DEI, VID; host order).
    #[inline(always)]
    pub const fn new(kind: TagKind, tci: u16) -> Self {
        Self { tpid: kind.tpid().to_be_bytes(), tci: tci.to_be_bytes() }
    }

    /// The tag of frames that leave through a port with this VLAN, as
    /// [`Vlan::word`](crate::id::Vlan::word) has it: with priority 0.
    #[inline(always)]
    pub const fn of(word: u16) -> Self {
        // Without a branch: where floods are walked through turn by turn, each would count.
        const APART: u16 = ethertype::SERVICE_VLAN - ethertype::VLAN;
        const _: () = assert!(Vlan::SERVICE == 1 << 15);
        let tpid = ethertype::VLAN + (word >> 15) * APART;
        Self { tpid: tpid.to_be_bytes(), tci: (word & Self::VID).to_be_bytes() }
    }

    /// The tag protocol identifier, in host order.
    #[inline(always)]
    pub const fn tpid(&self) -> u16 {
        u16::from_be_bytes(self.tpid)
    }

    /// Its kind; `None` where these bytes are no tag.
    #[inline(always)]
    pub const fn kind(&self) -> Option<TagKind> {
        match self.tpid() {
            ethertype::VLAN => Some(TagKind::Customer),
            ethertype::SERVICE_VLAN => Some(TagKind::Service),
            _ => None,
        }
    }

    /// The control information.
    #[inline(always)]
    pub const fn tci(&self) -> u16 {
        u16::from_be_bytes(self.tci)
    }

    /// The VLAN as [`Vlan::word`](crate::id::Vlan::word) has it. VID 0 says nothing but a
    /// priority, whatever the tag's kind (IEEE 802.1Q, 6.9): such a frame is as if untagged.
    #[inline(always)]
    pub const fn vlan(&self) -> u16 {
        let id = self.tci() & Self::VID;
        match self.kind() {
            Some(TagKind::Service) if id != 0 => id | Vlan::SERVICE,
            _ => id,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_nobody_send_nothing() {
        for mac in [Mac::BROADCAST, Mac([1, 0, 0x5e, 0, 0, 1]), Mac([0; 6])] {
            assert!(!mac.is_source(), "{mac}");
        }
        for mac in [Mac([2, 0, 0, 0, 0, 0]), Mac([0, 0, 0, 0, 0, 1]), Mac([0, 0x80, 0, 0, 0, 0])] {
            assert!(mac.is_source(), "{mac}");
        }
    }

    #[test]
    fn bridges_keep_sixteen_groups_to_themselves() {
        for last in 0..=0xff {
            let mac = Mac([0x01, 0x80, 0xc2, 0, 0, last]);
            assert_eq!(mac.is_link_local_group(), last < 16, "{mac}");
        }
        for place in 0..5 {
            let mut mac = Mac([0x01, 0x80, 0xc2, 0, 0, 1]);
            mac.0[place] ^= 0x10;
            assert!(!mac.is_link_local_group(), "{mac}");
        }
    }

    #[test]
    fn stations_are_read_in_their_order() {
        let header = Ethernet::new(Mac([1, 2, 3, 4, 5, 6]), Mac([7, 8, 9, 10, 11, 12]), 0x86dd);
        assert_eq!(header.stations(), [header.destination, header.source]);
        assert_eq!(header.ethertype(), 0x86dd);
        assert!(!header.is_tagged());
        for kind in TagKind::ALL {
            let [destination, source] = header.stations();
            assert!(Ethernet::new(destination, source, kind.tpid()).is_tagged());
        }
    }

    #[test]
    fn a_ports_tag_is_of_its_kind_and_names_its_vlan() {
        for kind in TagKind::ALL {
            for id in [1, 10, 4094] {
                let vlan = Vlan::new(id, kind);
                let tag = Tag::of(Vlan::word(vlan));
                assert_eq!(tag, Tag::new(kind, id));
                assert_eq!((tag.kind(), tag.tpid()), (Some(kind), kind.tpid()));
                assert_eq!(Vlan::from_word(Tag::new(kind, id | 0xf000).vlan()), vlan);
            }
            assert_eq!(Tag::new(kind, 0xf000).vlan(), 0, "a priority alone");
            assert_eq!((Vlan::new(0, kind), Vlan::new(4095, kind)), (None, None));
        }
    }
}
