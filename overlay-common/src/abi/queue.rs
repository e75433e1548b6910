//! Queues that user space has frames of over AF_XDP.

use super::record;

/// A queue of a device, through which it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Queue {
    /// The device.
    pub ifindex: u32,
    /// The queue's number, from 0 on.
    pub number: u32,
}
record!(Queue, 8);
