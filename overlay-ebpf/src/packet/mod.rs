//! The two kernel implementations of [`Packet`](overlay_common::packet::Packet).

mod tc;
mod xdp;

use aya_ebpf::helpers::generated::bpf_csum_diff;
use overlay_common::packet::Packet;
use overlay_common::wire::{Ethernet, Octet, Tag, checksum};

pub use tc::{ACCESS_HEADERS, TcPacket, UPLINK_HEADERS};
pub use xdp::XdpPacket;

/// The header at `offset`, if it lies between `data` and `data_end`.
///
/// # Safety
///
/// The two must be the packet pointers of the running program's context, read
/// after the last helper call that may have moved the packet.
#[inline(always)]
unsafe fn bounded<T>(data: usize, data_end: usize, offset: usize) -> Option<*mut T> {
    if data + offset + size_of::<T>() > data_end {
        return None;
    }
    // SAFETY: packets are in memory. The compiler would look whether they are.
    unsafe { core::hint::assert_unchecked(data + offset != 0) };
    Some((data + offset) as *mut T)
}

/// The VLAN tag among a frame's bytes.
#[inline(always)]
fn tag<P: Packet>(packet: &P) -> Option<&Tag> {
    packet.at::<Ethernet>(0).filter(|ethernet| ethernet.is_tagged())?;
    packet.at(Tag::OFFSET)
}

/// The one's complement sum, in host order, of `N` bytes: a multiple of 4, and no more than the
/// helper has room for (512 before Linux 6.13).
#[inline(always)]
fn sum<const N: usize>(bytes: &[Octet; N]) -> Option<u16> {
    const { assert!(N.is_multiple_of(4) && N <= 512) };
    let bytes = core::ptr::from_ref(bytes).cast_mut().cast();
    // SAFETY: the helper reads the bytes behind the reference.
    let sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, bytes, N as u32, 0) };
    (sum >= 0).then(|| u16::from_be(checksum::fold(sum as u32)))
}
