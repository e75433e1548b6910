//! What the path asks of a packet buffer.
//!
//! There are two kernel implementations (XDP, tc) and one on the host. Access is
//! typed, never a slice: the verifier accepts a compare of offset + size against
//! `data_end`, and rejects a slice with a range. Resizing takes `&mut self`, so
//! that no header reference outlives it.

use crate::abi::Egress;
use crate::wire::{Family, Header, Tag};

/// A buffer operation that the kernel refused, or that had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// What the inner frame carries, which tc must tell the kernel when it opens or
/// closes the room for outer headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inner {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// ARP or anything else: never a super-frame.
    Other,
}

/// A frame, from its Ethernet header on.
#[expect(clippy::len_without_is_empty, reason = "no hook sees an empty frame")]
pub trait Packet {
    /// Whether this hook can send copies ([`copy_to`](Self::copy_to)). Where it
    /// cannot, frames for several receivers are deferred.
    const COPIES: bool;

    /// The frame's length in bytes; a stripped VLAN tag is not counted.
    fn len(&self) -> u32;

    /// A header at `offset` bytes, or `None` where the frame ends before it.
    fn at<T: Header>(&self, offset: usize) -> Option<&T>;

    /// The same, to be written.
    fn at_mut<T: Header>(&mut self, offset: usize) -> Option<&mut T>;

    /// The outermost VLAN tag, whether it is in the bytes or was stripped by the device.
    fn vlan(&self) -> Option<Tag>;

    /// The control information of a tag that was stripped, 0 where none was. What follows
    /// the frame's bytes alone has to be told.
    fn stripped_vlan(&self) -> u16;

    /// Removes the outermost VLAN tag.
    fn pop_vlan(&mut self) -> Result<(), Refused>;

    /// Adds a VLAN tag.
    fn push_vlan(&mut self, tag: Tag) -> Result<(), Refused>;

    /// Sees to it that [`at`](Self::at) reaches what lies in the first `len` bytes, as far
    /// as the frame has so many.
    fn require(&mut self, len: u32);

    /// Opens [`Family::tunnel_len`] bytes in front of the frame, for outer headers over
    /// this family. Their contents are undefined.
    fn grow_head(&mut self, inner: Inner, outer: Family) -> Result<(), Refused>;

    /// Removes `len` bytes of outer headers over this family, options included, from the
    /// front of the frame.
    fn trim_head(&mut self, inner: Inner, outer: Family, len: u32) -> Result<(), Refused>;

    /// Cuts the frame to `len` bytes: what lies behind is link-layer padding.
    fn trim_tail(&mut self, len: u32) -> Result<(), Refused>;

    /// Opens `len` bytes behind the Ethernet header of a plain frame of IP that is no
    /// super-frame. Their contents are undefined, and the Ethernet header is kept.
    fn open(&mut self, len: u32) -> Result<(), Refused>;

    /// The one's complement sum, in host order, of the `N` bytes at `offset`; `N` is a multiple
    /// of 4 and at most 512. `None` where the frame ends before them.
    fn sum<const N: usize>(&self, offset: usize) -> Option<u16>;

    /// Adjusts the TCP checksum at `offset` after a word of 16 bits that it covers was changed
    /// from `old` to `new` (host order), unless it is left to a device to compute.
    fn adjust_checksum(&mut self, offset: usize, old: u16, new: u16) -> Result<(), Refused>;

    /// The payload bytes of each segment where this is a super-frame, else 0.
    fn gso_size(&self) -> u32;

    /// Whether this hook's frames can leave through `egress`.
    fn reaches(&self, egress: Egress) -> bool;

    /// Sends a copy of the frame, as it is now, out of `egress`.
    fn copy_to(&mut self, egress: Egress) -> Result<(), Refused>;
}
