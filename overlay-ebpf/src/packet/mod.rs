//! The two kernel implementations of [`Packet`](overlay_common::packet::Packet).

mod tc;
mod xdp;

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
    Some((data + offset) as *mut T)
}
