//! What goes out through a queue.

use std::io;
use std::sync::Arc;

use super::queue::{Consumer, Producer};
use super::{FRAMES, Socket};

/// How many frames a system call sends at least, where it sends any.
const SENT_AT_ONCE: u32 = 32;

/// A socket's sending half. Its frames are the last of the memory.
pub struct Sender {
    to_send: Producer<libc::xdp_desc>,
    sent: Consumer<u64>,
    /// Where the frames begin that are not in use; what was used last is used first.
    free: Vec<u64>,
    /// The device took nothing of what it was given last.
    is_stuck: bool,
    socket: Arc<Socket>,
}

impl Sender {
    pub(super) fn new(
        socket: Arc<Socket>,
        to_send: Producer<libc::xdp_desc>,
        sent: Consumer<u64>,
    ) -> Self {
        let length = socket.length as u64;
        let numbers = u64::from(FRAMES)..2 * u64::from(FRAMES);
        let free = numbers.map(|number| number * length).collect();
        Self { to_send, sent, free, is_stuck: false, socket }
    }

    /// The longest frame that can be sent.
    pub fn longest(&self) -> usize {
        self.socket.length
    }

    /// Gets ready for [`put`](Self::put): frames that were sent are free again. A device that
    /// was down is asked again.
    pub fn begin(&mut self) {
        self.reap();
        if self.is_stuck {
            self.finish();
        }
    }

    /// Copies a frame that is to be sent; `false` where there is no room.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        if self.is_stuck || bytes.len() > self.longest() {
            return false;
        }
        if self.free.is_empty() {
            self.finish();
        }
        let Some(start) = self.free.pop() else { return false };
        // SAFETY: nobody refers to a frame that is not in use, and it is as long.
        unsafe {
            let to = self.socket.frames.at::<u8>(start as usize);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len());
        }
        let entry = libc::xdp_desc { addr: start, len: bytes.len() as u32, options: 0 };
        // The ring has room for all frames that there are.
        self.to_send.push(entry)
    }

    /// Has everything sent, and returns whether something is left for which this should be
    /// called again soon.
    pub fn finish(&mut self) -> bool {
        self.to_send.submit();
        self.is_stuck = false;
        // Some kernels say how far they are only once they have all that they knew of.
        let calls = self.to_send.pending() / SENT_AT_ONCE + 4;
        for _ in 0..calls {
            if self.to_send.pending() == 0 || !self.to_send.needs_wakeup() {
                break;
            }
            match self.socket.wake_sending() {
                // The driver goes on by itself.
                Ok(()) if self.socket.is_zero_copy => break,
                Err(error) if !is_passing(&error) => {
                    tracing::debug!(%error, "frames cannot be sent");
                    self.is_stuck = true;
                    break;
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.reap();
        !self.is_stuck && self.to_send.pending() != 0 && self.to_send.needs_wakeup()
    }

    fn reap(&mut self) {
        self.free.extend(std::iter::from_fn(|| self.sent.pop()));
        self.sent.release();
    }
}

/// Whether the same may succeed a moment later.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::EBUSY | libc::EINTR | libc::ENOBUFS | libc::ENOMEM)
    )
}
