//! The outer headers of a tunnel: Ethernet, IPv4 or IPv6, UDP, and eight bytes of VXLAN or
//! of Geneve.
//!
//! A peer's table entry holds them as words, finished except for what differs from packet
//! to packet: see [`Outer::copy_words`] and [`Outer::fill`].

use core::mem::offset_of;

use crate::abi::Stations;

use super::number::write32;
use super::{Ethernet, Geneve, Ipv4, Ipv6, Mac, Udp, Vxlan, ethertype, header, protocol};

/// The address family of an underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The bytes of all outer headers, without options.
    #[inline(always)]
    pub const fn tunnel_len(self) -> usize {
        match self {
            Self::V4 => Outer4::LEN,
            Self::V6 => Outer6::LEN,
        }
    }
}

/// How frames are wrapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encap {
    /// RFC 7348.
    #[default]
    Vxlan,
    /// RFC 8926.
    Geneve,
}

impl Encap {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Vxlan, Self::Geneve];

    /// The name in configuration and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
        }
    }

    /// The UDP port that IANA assigned.
    pub const fn port(self) -> u16 {
        match self {
            Self::Vxlan => Vxlan::PORT,
            Self::Geneve => Geneve::PORT,
        }
    }
}

/// The eight bytes of VXLAN or of Geneve without options: the VNI is in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Shim {
    kind: [u8; 4],
    vni_reserved: [u8; 4],
}
header!(Shim, Shim::LEN);

impl Shim {
    /// 8 bytes.
    pub const LEN: usize = 8;

    /// A header; `vni` is cut to 24 bits.
    pub const fn new(encap: Encap, vni: u32) -> Self {
        let kind = match encap {
            Encap::Vxlan => [Vxlan::VNI_FLAG, 0, 0, 0],
            Encap::Geneve => {
                let [a, b] = Geneve::ETHERNET.to_be_bytes();
                [0, 0, a, b]
            }
        };
        Self { kind, vni_reserved: (vni << 8).to_be_bytes() }
    }

    /// The VNI, 24 bits, host order.
    pub const fn vni(&self) -> u32 {
        u32::from_be_bytes(self.vni_reserved) >> 8
    }

    #[inline(always)]
    fn set_vni(&mut self, vni: u32) {
        write32::<{ offset_of!(Self, vni_reserved) }, _>(self, (vni << 8).to_be());
    }
}

/// What differs from packet to packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The inner frame's length in bytes. That of a super-frame may not fit: segmentation
    /// writes the lengths again.
    pub inner_len: u32,
    /// The type of service or traffic class: DSCP and ECN.
    pub tos: u8,
    /// The UDP source port.
    pub source_port: u16,
    /// The VNI, 24 bits.
    pub vni: u32,
}

impl Patch {
    #[inline(always)]
    const fn udp_len(&self) -> u16 {
        (self.inner_len as u16).wrapping_add((Udp::LEN + Shim::LEN) as u16)
    }
}

/// The words in which a table holds outer headers: those of IPv4 in the first seven, those
/// of IPv6 in the first six and, from the ninth on, three more.
pub type Words = [u64; 16];
/// Where the rest of an IPv6 tunnel's headers is among the words.
const REST: usize = 8;
/// How many bytes of an IPv6 tunnel's headers are in front of it.
const SPLIT: usize = 48;

/// Outer headers over one address family.
pub trait Outer: super::Header {
    /// The family.
    const FAMILY: Family;

    /// Copies finished headers from a table.
    fn copy_words(&mut self, words: &Words);

    /// Sends the frame to another next hop, from another uplink.
    fn set_stations(&mut self, stations: Stations);

    /// Writes what differs from packet to packet into headers fresh from a table.
    fn fill(&mut self, patch: &Patch);
}

/// The outer headers of a tunnel over IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Outer4 {
    /// Towards the next hop.
    pub ethernet: Ethernet,
    /// VTEP to VTEP.
    pub ip: Ipv4,
    /// Entropy, and the tunnel's port.
    pub udp: Udp,
    /// The segment.
    pub shim: Shim,
}
header!(Outer4, Outer4::LEN);

/// The outer headers of a tunnel over IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Outer6 {
    /// Towards the next hop.
    pub ethernet: Ethernet,
    /// VTEP to VTEP.
    pub ip: Ipv6,
    /// Entropy, and the tunnel's port. The checksum is zero (RFC 6935).
    pub udp: Udp,
    /// The segment.
    pub shim: Shim,
}
header!(Outer6, Outer6::LEN);

impl Outer4 {
    /// 50 bytes.
    pub const LEN: usize = 50;
}

impl Outer6 {
    /// 70 bytes.
    pub const LEN: usize = 70;
}

impl Outer for Outer4 {
    const FAMILY: Family = Family::V4;

    #[inline(always)]
    fn set_stations(&mut self, stations: Stations) {
        self.ethernet.set_stations(stations);
    }

    #[cfg(not(target_arch = "bpf"))]
    fn copy_words(&mut self, words: &Words) {
        // SAFETY: the source is longer than a header that accepts every bit
        // pattern, and more aligned.
        *self = unsafe { core::ptr::from_ref(words).cast::<Self>().read() };
    }

    /// A header has no alignment, so the compiler would
    /// copy byte by byte; packet memory takes unaligned words on every machine
    /// that has `CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS`, as x86-64 and arm64 do.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    fn copy_words(&mut self, words: &Words) {
        let [a, b, c, d, e, f, tail, ..] = *words;
        let to = core::ptr::from_mut(self).cast::<u8>();
        // SAFETY: the seven stores cover exactly the 50 bytes of the header.
        unsafe {
            store_three(to, [a, b, c]);
            core::arch::asm!(
                "*(u64 *)({to} + 24) = {d}",
                "*(u64 *)({to} + 32) = {e}",
                "*(u64 *)({to} + 40) = {f}",
                "*(u16 *)({to} + 48) = {tail}",
                to = in(reg) to,
                d = in(reg) d,
                e = in(reg) e,
                f = in(reg) f,
                tail = in(reg) tail,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    fn fill(&mut self, patch: &Patch) {
        let udp_len = patch.udp_len();
        self.ip.fill(udp_len.wrapping_add(Ipv4::LEN as u16), patch.tos);
        self.udp.fill(patch.source_port, udp_len);
        self.shim.set_vni(patch.vni);
    }
}

impl Outer for Outer6 {
    const FAMILY: Family = Family::V6;

    #[inline(always)]
    fn set_stations(&mut self, stations: Stations) {
        self.ethernet.set_stations(stations);
    }

    #[cfg(not(target_arch = "bpf"))]
    fn copy_words(&mut self, words: &Words) {
        let mut bytes = [0; Self::LEN];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let at = if at < SPLIT { at } else { at - SPLIT + REST * 8 };
            *byte = words[at / 8].to_ne_bytes()[at % 8];
        }
        // SAFETY: as many bytes as the header has, which accepts every bit pattern.
        *self = unsafe { core::mem::transmute::<[u8; Self::LEN], Self>(bytes) };
    }

    /// As for IPv4.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    fn copy_words(&mut self, words: &Words) {
        let [a, b, c, d, e, f, _, _, g, h, tail, ..] = *words;
        let to = core::ptr::from_mut(self).cast::<u8>();
        // SAFETY: the ten stores cover exactly the 70 bytes of the header.
        unsafe {
            store_three(to, [a, b, c]);
            store_three(to.add(24), [d, e, f]);
            core::arch::asm!(
                "*(u64 *)({to} + 48) = {g}",
                "*(u64 *)({to} + 56) = {h}",
                "*(u32 *)({to} + 64) = {tail}",
                "{tail} >>= 32",
                "*(u16 *)({to} + 68) = {tail}",
                to = in(reg) to,
                g = in(reg) g,
                h = in(reg) h,
                tail = inout(reg) tail => _,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    fn fill(&mut self, patch: &Patch) {
        let udp_len = patch.udp_len();
        self.ip.fill(udp_len, patch.tos);
        self.udp.fill(patch.source_port, udp_len);
        self.shim.set_vni(patch.vni);
    }
}

/// Stores three words at any address.
///
/// # Safety
///
/// The 24 bytes are the caller's to write.
#[cfg(target_arch = "bpf")]
#[inline(always)]
unsafe fn store_three(to: *mut u8, [a, b, c]: [u64; 3]) {
    // SAFETY: the caller's.
    unsafe {
        core::arch::asm!(
            "*(u64 *)({to} + 0) = {a}",
            "*(u64 *)({to} + 8) = {b}",
            "*(u64 *)({to} + 16) = {c}",
            to = in(reg) to,
            a = in(reg) a,
            b = in(reg) b,
            c = in(reg) c,
            options(nostack, preserves_flags),
        );
    }
}

/// The two ends of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Over IPv4: from, to.
    V4([u8; 4], [u8; 4]),
    /// Over IPv6: from, to.
    V6([u8; 16], [u8; 16]),
}

impl Ends {
    /// Their family.
    pub const fn family(&self) -> Family {
        match self {
            Self::V4(..) => Family::V4,
            Self::V6(..) => Family::V6,
        }
    }
}

/// Where the frames of a tunnel go, and how they are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// The next hop's address.
    pub next_hop: Mac,
    /// The uplink's own address.
    pub uplink: Mac,
    /// The two VTEPs.
    pub ends: Ends,
    /// The encapsulation.
    pub encap: Encap,
    /// The peer's UDP port.
    pub port: u16,
}

impl Template {
    /// The finished headers, except for lengths, entropy, ECN and VNI, as a table holds
    /// them. Over IPv4, DF is set and the checksum is that of a header whose length and type
    /// of service are zero. TTL and hop limit are 64.
    pub fn words(&self) -> Words {
        let mut bytes = [0; size_of::<Words>()];
        let udp = Udp::new(0, self.port, 0);
        let shim = Shim::new(self.encap, 0);
        let ethernet = |kind| Ethernet::new(self.next_hop, self.uplink, kind);
        match self.ends {
            Ends::V4(from, to) => {
                let mut ip = Ipv4::new(from, to, protocol::UDP, 64);
                ip.seal();
                let outer = Outer4 { ethernet: ethernet(ethertype::IPV4), ip, udp, shim };
                bytes[..Outer4::LEN].copy_from_slice(super::bytes_of(&outer));
            }
            Ends::V6(from, to) => {
                let ip = Ipv6::new(from, to, protocol::UDP, 0);
                let outer = Outer6 { ethernet: ethernet(ethertype::IPV6), ip, udp, shim };
                let (front, rest) = super::bytes_of(&outer).split_at(SPLIT);
                bytes[..SPLIT].copy_from_slice(front);
                bytes[REST * 8..][..rest.len()].copy_from_slice(rest);
            }
        }
        // SAFETY: as many bytes; a word accepts every bit pattern.
        unsafe { core::mem::transmute(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(ends: Ends, encap: Encap) -> Template {
        let mac = |last| Mac([2, 0, 0, 0, 0, last]);
        Template { next_hop: mac(1), uplink: mac(2), ends, encap, port: 1234 }
    }

    const PATCH: Patch =
        Patch { inner_len: 1000, tos: 0xba, source_port: 50_000, vni: 0x00ab_cdef };

    fn made<O: Outer>(template: &Template) -> O {
        // SAFETY: a header accepts every bit pattern.
        let mut outer: O = unsafe { core::mem::zeroed() };
        outer.copy_words(&template.words());
        outer.fill(&PATCH);
        outer
    }

    #[test]
    fn both_families_come_out_of_a_table_as_they_went_in() {
        let v4: Outer4 = made(&template(Ends::V4([192, 0, 2, 1], [192, 0, 2, 2]), Encap::Vxlan));
        assert!(v4.ip.checksum_holds() && v4.ip.dont_fragment());
        assert_eq!((v4.ip.total_len(), v4.ip.tos(), v4.udp.len()), (1036, 0xba, 1016));
        assert_eq!((v4.udp.source(), v4.udp.destination()), (50_000, 1234));
        assert_eq!((v4.ip.source, v4.ip.destination), ([192, 0, 2, 1], [192, 0, 2, 2]));
        assert_eq!(super::super::bytes_of(&v4.shim), [8, 0, 0, 0, 0xab, 0xcd, 0xef, 0]);

        let (from, to) = ([0x20; 16], [0xfd; 16]);
        let v6: Outer6 = made(&template(Ends::V6(from, to), Encap::Geneve));
        assert_eq!((v6.ip.version(), v6.ip.next_header, v6.ip.hop_limit), (6, 17, 64));
        assert_eq!((v6.ip.payload_len(), v6.ip.class(), v6.udp.len()), (1016, 0xba, 1016));
        assert_eq!((v6.ip.source, v6.ip.destination), (from, to));
        assert_eq!((v6.udp.source(), v6.udp.destination()), (50_000, 1234));
        assert_eq!(super::super::bytes_of(&v6.shim), [0, 0, 0x65, 0x58, 0xab, 0xcd, 0xef, 0]);
        assert_eq!(v6.ethernet.ethertype(), ethertype::IPV6);
        assert_eq!(v6.ethernet.source, Mac([2, 0, 0, 0, 0, 2]));
    }

    #[test]
    fn a_shim_is_either_header() {
        use super::super::{bytes_of, view};
        let vxlan = Shim::new(Encap::Vxlan, 77);
        assert_eq!(view::<Vxlan>(bytes_of(&vxlan), 0), Some(&Vxlan::new(77)));
        let geneve = Shim::new(Encap::Geneve, 77);
        assert_eq!(view::<Geneve>(bytes_of(&geneve), 0), Some(&Geneve::new(77)));
        assert_eq!((vxlan.vni(), geneve.vni()), (77, 77));
    }
}
