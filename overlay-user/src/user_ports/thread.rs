//! A port's thread: takes frames, runs the path, sends what comes of it, a batch at a time.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{getsockopt, sockopt};
use overlay_common::abi::Sampler;
use overlay_common::verdict::DropReason;
use overlay_control::tables::TableSet;

use super::buffer::Buffer;
use super::gateway::Gate;
use super::outbox::{Outbox, Ways};
use super::source::{Slot, Source};
use super::tables::{Buckets, PortTables};
use super::tally::Tally;
use super::witness::Witness;
use super::xsk::exits::Exits;
use crate::clock;
use crate::forwarder::Queues;
use crate::watch::Hub;

/// Frames that are taken before any is sent, and before the tables may change.
const BATCH: usize = 64;

/// How long a device has that had no room for a frame, in ms.
const AGAIN: u8 = 1;

/// What all threads share.
#[derive(Clone)]
pub struct Shared {
    /// The tables.
    pub tables: Arc<RwLock<TableSet>>,
    /// Where punts go.
    pub queues: Queues,
    /// Where frames leave over AF_XDP.
    pub exits: Exits,
    /// Those who watch.
    pub hub: Arc<Hub>,
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

impl Running {
    /// Starts a thread for a port's `number`th source of frames.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub fn start(
        (gate, number): (Gate, usize),
        source: impl Source,
        socket: OwnedFd,
        shared: Shared,
        tally: Arc<Tally>,
    ) -> Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).context("cannot make an eventfd")?;
        let stop = Arc::new(Stop { ordered: AtomicBool::new(false), event });
        let (ordered, counts) = (Arc::clone(&stop), Arc::clone(&tally));
        let thread = std::thread::Builder::new()
            .name(format!("port-{}-{number}", gate.ifindex))
            .spawn(move || {
                let exits = shared.exits.clone();
                let outbox = Outbox::new(Some(Ways { socket, exits, number }));
                let (tally, buckets) = (counts, Buckets::default());
                let sampler = Sampler::default();
                Thread { gate, source, outbox, shared, tally, buckets, sampler }.run(&ordered);
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

struct Thread<S> {
    gate: Gate,
    source: S,
    outbox: Outbox,
    shared: Shared,
    tally: Arc<Tally>,
    buckets: Buckets,
    sampler: Sampler,
}

impl<S: Source> Thread<S> {
    fn run(mut self, stop: &Stop) {
        while !stop.ordered.load(Ordering::Relaxed) {
            if self.batch() == 0 && !self.wait(stop) {
                return;
            }
        }
    }

    /// Carries what has come, and returns how many frames that was.
    fn batch(&mut self) -> usize {
        let Self { gate, source, outbox, shared, tally, buckets, sampler } = self;
        let mut witness =
            shared.hub.watched().map(|what| Witness { what, sampler, hub: &shared.hub });
        let set = shared.tables.read().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        let tables = PortTables { set: &set, tally, queues: &shared.queues, buckets, now };
        while source.held() < BATCH {
            let received = match source.take() {
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
            unsafe { gate.carry(frame, &tables, witness.as_mut()) };
            if is_borrowed {
                outbox.flush();
            }
        }
        drop(set);
        outbox.flush();
        let count = source.held();
        let lost = source.take_lost();
        source.release();
        tally.count_drop(DropReason::CopyFailed, outbox.take_refused());
        tally.count_drop(DropReason::PuntQueueFull, lost);
        count
    }

    /// Waits for frames; `false` where there are none to come.
    fn wait(&self, stop: &Stop) -> bool {
        let mut ready = [
            PollFd::new(self.source.as_fd(), PollFlags::POLLIN),
            PollFd::new(stop.event.as_fd(), PollFlags::POLLIN),
        ];
        // What a device had no room for is tried again, frames or not.
        let is_behind = self.outbox.is_behind();
        let timeout = if is_behind { AGAIN.into() } else { PollTimeout::NONE };
        match poll(&mut ready, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::error!(%error, ifindex = self.gate.ifindex, "cannot wait for frames");
                return false;
            }
        }
        if ready[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR)) {
            // The device went down; when it is up again, frames come again. Reading the error
            // clears it.
            let error = getsockopt(&self.source.as_fd(), sockopt::SocketError);
            tracing::debug!(?error, ifindex = self.gate.ifindex, "the device is down");
        }
        true
    }
}
