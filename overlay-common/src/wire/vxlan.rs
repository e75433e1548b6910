//! VXLAN (RFC 7348).

use super::{Ethernet, Ipv4, Mac, TUNNEL_LEN, Udp, ethertype, header, protocol};

/// A VXLAN header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Vxlan {
    /// Only the I flag is defined.
    pub flags: u8,
    reserved1: [u8; 3],
    vni: [u8; 3],
    reserved2: u8,
}
header!(Vxlan, Vxlan::LEN);

impl Vxlan {
    /// 8 bytes.
    pub const LEN: usize = 8;
    /// The UDP port that IANA assigned (RFC 7348, section 7).
    pub const PORT: u16 = 4789;
    /// The I flag: the VNI is valid.
    pub const VNI_FLAG: u8 = 0x08;

    /// A header with the I flag; `vni` is cut to 24 bits.
    #[inline(always)]
    pub const fn new(vni: u32) -> Self {
        let [_, a, b, c] = vni.to_be_bytes();
        Self { flags: Self::VNI_FLAG, reserved1: [0; 3], vni: [a, b, c], reserved2: 0 }
    }

    /// The VNI, 24 bits, host order.
    #[inline(always)]
    pub const fn vni(&self) -> u32 {
        let [a, b, c] = self.vni;
        u32::from_be_bytes([0, a, b, c])
    }
}

/// The outer headers of VXLAN over IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Outer {
    /// Towards the next hop.
    pub ethernet: Ethernet,
    /// VTEP to VTEP.
    pub ip: Ipv4,
    /// Entropy, and port 4789.
    pub udp: Udp,
    /// The segment.
    pub vxlan: Vxlan,
}
header!(Outer, TUNNEL_LEN);

impl Outer {
    /// Copies finished headers from a table, whose entries are words.
    #[cfg(not(target_arch = "bpf"))]
    pub fn copy_words(&mut self, words: &[u64; 7]) {
        // SAFETY: the source is longer than a header that accepts every bit
        // pattern, and more aligned.
        *self = unsafe { core::ptr::from_ref(words).cast::<Self>().read() };
    }

    /// The same for the kernel. A header has no alignment, so the compiler would
    /// copy byte by byte; packet memory takes unaligned words on every machine
    /// that has `CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS`, as x86-64 and arm64 do.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub fn copy_words(&mut self, words: &[u64; 7]) {
        let [a, b, c, d, e, f, tail] = *words;
        // SAFETY: the seven stores cover exactly the 50 bytes of the header.
        unsafe {
            core::arch::asm!(
                "*(u64 *)({to} + 0) = {a}",
                "*(u64 *)({to} + 8) = {b}",
                "*(u64 *)({to} + 16) = {c}",
                to = in(reg) self,
                a = in(reg) a,
                b = in(reg) b,
                c = in(reg) c,
                options(nostack, preserves_flags),
            );
            core::arch::asm!(
                "*(u64 *)({to} + 24) = {d}",
                "*(u64 *)({to} + 32) = {e}",
                "*(u64 *)({to} + 40) = {f}",
                "*(u16 *)({to} + 48) = {tail}",
                to = in(reg) self,
                d = in(reg) d,
                e = in(reg) e,
                f = in(reg) f,
                tail = in(reg) tail,
                options(nostack, preserves_flags),
            );
        }
    }

    /// The headers' bytes.
    pub const fn to_bytes(self) -> [u8; TUNNEL_LEN] {
        // SAFETY: a header is so many bytes, without padding.
        unsafe { core::mem::transmute(self) }
    }

    /// The finished headers, except for lengths, entropy, ECN and VNI: what a
    /// peer's table entry holds. DF is set, TTL is 64, the IPv4 checksum is that
    /// of a header whose length and type of service are zero.
    pub fn template(next_hop: Mac, uplink: Mac, local_vtep: [u8; 4], remote_vtep: [u8; 4]) -> Self {
        let mut ip = Ipv4::new(local_vtep, remote_vtep, protocol::UDP, 64);
        ip.seal();
        Self {
            ethernet: Ethernet::new(next_hop, uplink, ethertype::IPV4),
            ip,
            udp: Udp::new(0, Vxlan::PORT, 0),
            vxlan: Vxlan::new(0),
        }
    }
}
