//! IPv6 (RFC 8200).

use core::mem::offset_of;

use super::header;
use super::number::{read16, read32, write16};

/// The fixed IPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ipv6 {
    version_class_flow: [u8; 4],
    payload_len: [u8; 2],
    /// Type of the header that follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}
header!(Ipv6, Ipv6::LEN);

impl Ipv6 {
    /// 40 bytes.
    pub const LEN: usize = 40;

    /// A header from its parts, traffic class and flow label zero.
    #[inline(always)]
    pub const fn new(
        source: [u8; 16],
        destination: [u8; 16],
        next_header: u8,
        payload_len: u16,
    ) -> Self {
        Self {
            version_class_flow: [0x60, 0, 0, 0],
            payload_len: payload_len.to_be_bytes(),
            next_header,
            hop_limit: 64,
            source,
            destination,
        }
    }

    /// The version: 6, if this is IPv6 at all.
    #[inline(always)]
    pub const fn version(&self) -> u8 {
        self.version_class_flow[0] >> 4
    }

    /// The traffic class: DSCP and ECN.
    #[inline(always)]
    pub const fn class(&self) -> u8 {
        let [high, low, ..] = self.version_class_flow;
        high << 4 | low >> 4
    }

    /// The ECN field, 0 to 3 (RFC 3168): the low bits of the traffic class.
    #[inline(always)]
    pub const fn ecn(&self) -> u8 {
        self.version_class_flow[1] >> 4 & 3
    }

    /// Sets the ECN field.
    #[inline(always)]
    pub fn set_ecn(&mut self, ecn: u8) {
        self.version_class_flow[1] = self.version_class_flow[1] & !0x30 | (ecn & 3) << 4;
    }

    /// The flow label, 20 bits, host order.
    #[inline(always)]
    pub fn flow_label(&self) -> u32 {
        u32::from_be(read32::<0, _>(self)) & 0x000f_ffff
    }

    /// Sets payload length and traffic class in a header in a packet where both were zero.
    #[inline(always)]
    pub fn fill(&mut self, payload_len: u16, class: u8) {
        write16::<{ offset_of!(Self, payload_len) }, _>(self, payload_len.to_be());
        self.version_class_flow[0] = 0x60 | class >> 4;
        self.version_class_flow[1] = class << 4;
    }

    /// The destination address as two words, the bytes as on the wire.
    #[inline(always)]
    pub fn destination_words(&self) -> [u64; 2] {
        words(&self.destination)
    }

    /// The source address as two words, the bytes as on the wire.
    #[inline(always)]
    pub fn source_words(&self) -> [u64; 2] {
        words(&self.source)
    }

    /// Sets both addresses, each as two words, the bytes as on the wire.
    #[inline(always)]
    pub fn set_ends(&mut self, source: [u64; 2], destination: [u64; 2]) {
        set_words(&mut self.source, source);
        set_words(&mut self.destination, destination);
    }

    /// Bytes behind this header.
    #[inline(always)]
    pub fn payload_len(&self) -> u16 {
        u16::from_be(read16::<{ offset_of!(Self, payload_len) }, _>(self))
    }
}

/// The fragment header (RFC 8200, section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Fragment {
    /// Type of the header that follows in the whole.
    pub next_header: u8,
    reserved: u8,
    place: [u8; 2],
    identification: [u8; 4],
}
header!(Fragment, Fragment::LEN);

impl Fragment {
    /// 8 bytes.
    pub const LEN: usize = 8;

    /// Whether the payload starts with the upper layer's header.
    #[inline(always)]
    pub const fn is_first(&self) -> bool {
        u16::from_be_bytes(self.place) & 0xfff8 == 0
    }
}

/// An address as two words, the bytes as on the wire.
#[cfg(not(target_arch = "bpf"))]
pub fn words(address: &[u8; 16]) -> [u64; 2] {
    let mut words = [[0; 8]; 2];
    words.as_flattened_mut().copy_from_slice(address);
    words.map(u64::from_ne_bytes)
}

/// The bytes of an address of two words.
#[cfg(not(target_arch = "bpf"))]
pub fn bytes(words: [u64; 2]) -> [u8; 16] {
    let mut bytes = [0; 16];
    set_words(&mut bytes, words);
    bytes
}

/// Writes an address of two words.
#[cfg(not(target_arch = "bpf"))]
pub(super) fn set_words(address: &mut [u8; 16], words: [u64; 2]) {
    address.copy_from_slice(words.map(u64::to_ne_bytes).as_flattened());
}

/// The same for the kernel, as for [`words`].
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub(super) fn set_words(address: &mut [u8; 16], [a, b]: [u64; 2]) {
    // SAFETY: two stores to the 16 bytes behind a reference.
    unsafe {
        core::arch::asm!(
            "*(u64 *)({to} + 0) = {a}",
            "*(u64 *)({to} + 8) = {b}",
            to = in(reg) address,
            a = in(reg) a,
            b = in(reg) b,
            options(nostack, preserves_flags),
        );
    }
}

/// The same for the kernel. A header has no alignment, so the compiler would load byte by
/// byte; see [`Outer::copy_words`](super::Outer::copy_words).
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub(super) fn words(address: &[u8; 16]) -> [u64; 2] {
    let (a, b): (u64, u64);
    // SAFETY: two loads of the 16 bytes behind a reference.
    unsafe {
        core::arch::asm!(
            "{a} = *(u64 *)({from} + 0)",
            "{b} = *(u64 *)({from} + 8)",
            from = in(reg) address,
            a = out(reg) a,
            b = out(reg) b,
            options(nostack, preserves_flags, readonly, pure),
        );
    }
    [a, b]
}
