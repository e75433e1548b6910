//! What comes in through a queue.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::queue::{Consumer, Producer};
use super::{FRAMES, Socket};
use crate::user_ports::offload::Offload;
use crate::user_ports::socket::option;
use crate::user_ports::source::{Received, Slot, Source};

/// Losses are asked for every so many times, and when nothing comes.
const ASK_EVERY: u32 = 64;

/// A socket's receiving half. Its frames are the first of the memory.
pub struct Receiver {
    received: Consumer<libc::xdp_desc>,
    empty: Producer<u64>,
    /// Where the frames begin that were taken.
    held: Vec<u64>,
    lost: u64,
    unasked: u32,
    socket: Arc<Socket>,
}

impl Receiver {
    pub(super) fn new(
        socket: Arc<Socket>,
        received: Consumer<libc::xdp_desc>,
        mut empty: Producer<u64>,
    ) -> Self {
        let length = socket.length as u64;
        for number in 0..u64::from(FRAMES) {
            empty.push(number * length);
        }
        empty.submit();
        let held = Vec::with_capacity(FRAMES as usize);
        Self { received, empty, held, lost: 0, unasked: 0, socket }
    }

    /// Whether the driver itself writes into the memory.
    pub fn is_zero_copy(&self) -> bool {
        self.socket.is_zero_copy
    }

    /// The frames that the kernel has dropped since the socket was made.
    fn all_lost(&self) -> u64 {
        let found =
            option::<libc::xdp_statistics>(&self.socket.fd, libc::SOL_XDP, libc::XDP_STATISTICS);
        found.map_or(0, |found| found.rx_dropped + found.rx_ring_full)
    }
}

impl Source for Receiver {
    #[inline(always)]
    fn take(&mut self) -> Option<Slot<'_>> {
        let entry = self.received.pop()?;
        let length = self.socket.length;
        let start = entry.addr & !(length as u64 - 1);
        self.held.push(start);
        let offset = (entry.addr - start) as usize;
        let end = offset + entry.len as usize;
        if end > length || start as usize >= FRAMES as usize * length {
            return Some(Slot::Truncated);
        }
        // SAFETY: the frame is this process's until it is given back; of those that it has,
        // only the one that was taken last is referred to.
        let bytes = unsafe {
            let start = self.socket.frames.at::<u8>(start as usize);
            std::slice::from_raw_parts_mut(start.as_ptr(), length)
        };
        Some(Slot::Frame(Received {
            bytes,
            range: (offset, end),
            vlan: None,
            offload: Offload::default(),
            is_borrowed: false,
        }))
    }

    fn held(&self) -> usize {
        self.held.len()
    }

    fn release(&mut self) {
        if self.held.is_empty() {
            return;
        }
        self.received.release();
        for start in self.held.drain(..) {
            // It has room for all frames that there are.
            self.empty.push(start);
        }
        self.empty.submit();
        if self.empty.needs_wakeup() {
            self.socket.wake_receiving();
        }
    }

    fn take_lost(&mut self) -> u32 {
        self.unasked += 1;
        if self.unasked < ASK_EVERY && !self.held.is_empty() {
            return 0;
        }
        self.unasked = 0;
        let before = self.lost;
        self.lost = self.all_lost();
        self.lost.saturating_sub(before).try_into().unwrap_or(u32::MAX)
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
