//! Where a thread's frames come from.

use std::os::fd::BorrowedFd;

use overlay_common::wire::Tag;

use super::offload::Offload;

/// A socket, with frames in memory that it shares with the kernel.
pub trait Source: Send + 'static {
    /// The next frame, whose slot is held until [`release`](Self::release).
    fn take(&mut self) -> Option<Slot<'_>>;

    /// How many slots are held, whose frames were taken and may still be sent.
    fn held(&self) -> usize;

    /// Gives every slot back whose frame was taken.
    fn release(&mut self);

    /// How many frames found no room since this was asked last, as far as is known by now.
    fn take_lost(&mut self) -> u32;

    /// What to wait on until there is a frame.
    fn as_fd(&self) -> BorrowedFd<'_>;
}

/// A frame that came in.
pub struct Received<'a> {
    /// The frame is at `range` of these.
    pub bytes: &'a mut [u8],
    /// Where, from its Ethernet header on.
    pub range: (usize, usize),
    /// A tag that the kernel moved out of the bytes.
    pub vlan: Option<Tag>,
    /// What is left to the device.
    pub offload: Offload,
    /// Whether the bytes are not its own: they are used again for the next such frame.
    pub is_borrowed: bool,
}

/// What a slot has.
pub enum Slot<'a> {
    /// A frame.
    Frame(Received<'a>),
    /// One that could not be had as a whole.
    Truncated,
    /// One that this host has sent.
    Own,
}
