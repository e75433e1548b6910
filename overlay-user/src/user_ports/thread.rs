//! A port's thread: takes frames, runs the path, sends what comes of it, a batch at a time.

use std::num::NonZero;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{getsockopt, sockopt};
use overlay_common::verdict::DropReason;
use overlay_control::tables::TableSet;

use super::buffer::Buffer;
use super::gateway::Gate;
use super::outbox::Outbox;
use super::ring::{Ring, Slot};
use super::socket;
use super::tables::{Buckets, PortTables};
use super::tally::Tally;
use crate::clock;
use crate::forwarder::Queues;

/// Frames that are taken before any is sent, and before the tables may change.
const BATCH: usize = 64;

/// What all threads share.
#[derive(Clone)]
pub struct Shared {
    /// The tables.
    pub tables: Arc<RwLock<TableSet>>,
    /// Where punts go.
    pub queues: Queues,
}

/// A thread that runs; dropping this ends it.
pub struct Running {
    /// Its counts.
    pub tally: Arc<Tally>,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

/// The order to stop: read between two batches, and what wakes a thread that waits.
struct Stop {
    ordered: AtomicBool,
    event: EventFd,
}

/// A port's sockets, which take no frames yet.
pub struct Prepared(Vec<Ends>);

/// Where a thread's frames come from, and where they go.
struct Ends {
    ring: Ring,
    sender: OwnedFd,
}

impl Prepared {
    /// Opens the sockets for a device whose longest packet has `mtu` bytes: a pair for each
    /// of its queues, as far as there are cores for them.
    ///
    /// # Errors
    ///
    /// There are no packet sockets to be had, or no memory for one, or the device is gone.
    pub fn open(ifindex: u32, mtu: u32, queues: u32) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let count = (queues as usize).clamp(1, cores);
        let mut ends = Vec::new();
        let mut group = None;
        for _ in 0..count {
            let ring = Ring::open(ifindex, mtu)?;
            let joined = if count > 1 { ring.join(group).map(Some) } else { Ok(None) };
            ends.push(Ends { ring, sender: socket::sending()? });
            match joined {
                Ok(joined) => group = joined,
                // Some kernels have no groups on a device that is down. One socket has all.
                Err(error) if group.is_none() => {
                    tracing::info!(ifindex, "one thread for all queues: {error:#}");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self(ends))
    }

    /// Starts a thread for each pair, with a tally of its own.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub fn start(
        self,
        gate: Gate,
        shared: &Shared,
        mut tally: impl FnMut() -> Arc<Tally>,
    ) -> Result<Vec<Running>> {
        let numbered = self.0.into_iter().enumerate();
        numbered
            .map(|(number, ends)| Running::start((gate, number), ends, shared.clone(), tally()))
            .collect()
    }
}

impl Running {
    fn start(
        (gate, number): (Gate, usize),
        Ends { ring, sender }: Ends,
        shared: Shared,
        tally: Arc<Tally>,
    ) -> Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).context("cannot make an eventfd")?;
        let stop = Arc::new(Stop { ordered: AtomicBool::new(false), event });
        ring.listen()?;
        let (ordered, counts) = (Arc::clone(&stop), Arc::clone(&tally));
        let thread = std::thread::Builder::new()
            .name(format!("port-{}-{number}", gate.ifindex))
            .spawn(move || {
                let outbox = Outbox::new(Some(sender));
                let (tally, buckets) = (counts, Buckets::default());
                Thread { gate, ring, outbox, shared, tally, buckets }.run(&ordered);
            })
            .context("cannot start a thread")?;
        Ok(Self { tally, stop, thread: Some(thread) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.ordered.store(true, Ordering::Relaxed);
        let _ = self.stop.event.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Thread {
    gate: Gate,
    ring: Ring,
    outbox: Outbox,
    shared: Shared,
    tally: Arc<Tally>,
    buckets: Buckets,
}

impl Thread {
    fn run(mut self, stop: &Stop) {
        while !stop.ordered.load(Ordering::Relaxed) {
            if self.batch() == 0 && !self.wait(stop) {
                return;
            }
        }
    }

    /// Carries what has come, and returns how many frames that was.
    fn batch(&mut self) -> usize {
        let Self { gate, ring, outbox, shared, tally, buckets } = self;
        let set = shared.tables.read().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        let tables = PortTables { set: &set, tally, queues: &shared.queues, buckets, now };
        while ring.held() < BATCH {
            let received = match ring.take() {
                None => break,
                Some(Slot::Frame(received)) => received,
                Some(Slot::Own) => continue,
                Some(Slot::Truncated) => {
                    tally.count_drop(DropReason::TooBig, 1);
                    continue;
                }
            };
            let is_borrowed = received.is_borrowed;
            let frame = Buffer::new(
                received.bytes,
                received.range,
                received.vlan,
                received.offload,
                outbox,
            );
            // SAFETY: a slot is given back below, once everything is sent; what is borrowed
            // is used again by nothing but the next frame of its kind.
            unsafe { gate.carry(frame, &tables) };
            if is_borrowed {
                outbox.flush();
            }
        }
        drop(set);
        outbox.flush();
        let count = ring.held();
        ring.release();
        tally.count_drop(DropReason::CopyFailed, outbox.take_refused());
        tally.count_drop(DropReason::PuntQueueFull, ring.take_lost());
        count
    }

    /// Waits for frames; `false` where there are none to come.
    fn wait(&self, stop: &Stop) -> bool {
        let mut ready = [
            PollFd::new(self.ring.as_fd(), PollFlags::POLLIN),
            PollFd::new(stop.event.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::error!(%error, ifindex = self.gate.ifindex, "cannot wait for frames");
                return false;
            }
        }
        if ready[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR)) {
            // The device went down; when it is up again, frames come again. Reading the error
            // clears it.
            let error = getsockopt(&self.ring.as_fd(), sockopt::SocketError);
            tracing::debug!(?error, ifindex = self.gate.ifindex, "the device is down");
        }
        true
    }
}
