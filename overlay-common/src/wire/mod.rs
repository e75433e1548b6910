//! Header views: the bytes as they are on the wire.
//!
//! Headers hold byte arrays only, so they are valid at any address and for any
//! content; getters return host order.

mod arp;
pub mod checksum;
mod ethernet;
mod geneve;
mod icmp;
mod icmpv6;
mod ipv4;
mod ipv6;
mod number;
mod outer;
mod tcp;
mod udp;
mod vxlan;

pub use arp::Arp;
pub use checksum::Checksum;
pub use ethernet::{Ethernet, Mac, Probe, Tag, TagKind, ethertype};
pub use geneve::Geneve;
pub use icmp::{Icmp, Ptb4, Ptb6};
pub use icmpv6::{Discovered, Discovery, Icmpv6, LinkLayer};
pub use ipv4::Ipv4;
pub use ipv6::{Fragment, Ipv6};
#[cfg(not(target_arch = "bpf"))]
pub use ipv6::{bytes as address_bytes, words as address_words};
pub use outer::{Encap, Ends, Family, Outer, Outer4, Outer6, Patch, Shim, Template, Words};
pub use tcp::{Tcp, TcpOption};
pub use udp::Udp;
pub use vxlan::Vxlan;

/// Protocol numbers of IPv4's protocol and IPv6's next header field.
pub mod protocol {
    /// Internet Control Message Protocol.
    pub const ICMP: u8 = 1;
    /// The same for IPv6.
    pub const ICMPV6: u8 = 58;
    /// Transmission Control Protocol.
    pub const TCP: u8 = 6;
    /// User Datagram Protocol.
    pub const UDP: u8 = 17;
    /// The extension headers of IPv6 that hosts look behind (RFC 8200, section 4): options for
    /// every router.
    pub const HOP_BY_HOP: u8 = 0;
    /// A list of routers.
    pub const ROUTING: u8 = 43;
    /// A part of a packet.
    pub const FRAGMENT: u8 = 44;
    /// Who has sent it, and that it is whole (RFC 4302).
    pub const AUTHENTICATION: u8 = 51;
    /// Options for the destination.
    pub const DESTINATION: u8 = 60;
    /// Stream Control Transmission Protocol.
    pub const SCTP: u8 = 132;
}

/// A view that may be laid over packet bytes.
///
/// # Safety
///
/// The implementer must be `repr(C)` or `repr(transparent)`, have alignment 1 and
/// no padding, and accept every bit pattern.
pub unsafe trait Header: Copy {}

// SAFETY: a byte.
unsafe impl Header for u8 {}

/// A byte of which nothing else is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Octet(pub u8);
header!(Octet, 1);

// SAFETY: an array of headers is as plain as its elements.
unsafe impl<T: Header, const N: usize> Header for [T; N] {}

/// Asserts a header's size and alignment and marks it as a [`Header`].
macro_rules! header {
    ($name:ty, $size:expr) => {
        const _: () = assert!(core::mem::size_of::<$name>() == $size);
        const _: () = assert!(core::mem::align_of::<$name>() == 1);
        // SAFETY: `repr(C)`, made of byte arrays only; size and alignment are
        // asserted above.
        unsafe impl $crate::wire::Header for $name {}
    };
}
pub(crate) use header;

/// The header at `offset` of `bytes`, or `None` where they end before it.
pub fn view<T: Header>(bytes: &[u8], offset: usize) -> Option<&T> {
    let end = offset.checked_add(size_of::<T>())?;
    let bytes = bytes.get(offset..end)?;
    // SAFETY: the range holds exactly `size_of::<T>()` bytes; `Header` has
    // alignment 1 and accepts every bit pattern.
    Some(unsafe { &*bytes.as_ptr().cast::<T>() })
}

/// The header at `offset` of `bytes`, to be written.
pub fn view_mut<T: Header>(bytes: &mut [u8], offset: usize) -> Option<&mut T> {
    let end = offset.checked_add(size_of::<T>())?;
    let bytes = bytes.get_mut(offset..end)?;
    // SAFETY: as in `view`; the exclusive borrow of the bytes is passed on.
    Some(unsafe { &mut *bytes.as_mut_ptr().cast::<T>() })
}

/// The bytes of a header.
pub fn bytes_of<T: Header>(header: &T) -> &[u8] {
    // SAFETY: `Header` has no padding, so every byte is initialised.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(header).cast(), size_of::<T>()) }
}
