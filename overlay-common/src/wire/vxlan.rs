//! VXLAN (RFC 7348).

use core::mem::offset_of;

use super::header;
use super::number::read32;

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
    pub fn vni(&self) -> u32 {
        u32::from_be(read32::<{ offset_of!(Self, vni) }, _>(self)) >> 8
    }
}
