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
    /// The finished headers, except for lengths, entropy, ECN and VNI: what a
    /// peer's table entry holds. DF is set, TTL is 64, the IPv4 checksum is that
    /// of a header whose length and type of service are zero.
    pub fn template(
        next_hop: Mac,
        uplink: Mac,
        local_vtep: [u8; 4],
        remote_vtep: [u8; 4],
    ) -> Self {
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
