//! The slow path: frames that the programs could not finish, because a peer's
//! next hop was not known, run through the same packet path once it is.
//!
//! Readers never wait: they put what they read into bounded queues, and what
//! finds no room is dropped and counted.

mod checksum;
mod inject;
mod queues;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use crossbeam::channel::{Receiver, Sender, bounded, never, select};
use overlay_common::abi::{Egress, Hook, Punt, PuntReason};
use overlay_common::path::{Ingress, from_access};
use overlay_common::verdict::{DropReason, Verdict};
use overlay_control::frame::Frame;
use overlay_control::tables::TableSet;

use inject::Injector;
pub use queues::{Learnt, Queues};

/// How long a frame waits for its peer's next hop.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many frames wait at once.
const WAITING: usize = 256;

/// The forwarder's thread.
pub struct Forwarder {
    retry: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Starts the thread, which takes frames from `frames` and forwards them by
    /// `tables`, the mirror of the kernel's.
    pub fn start(frames: Receiver<(Punt, Bytes)>, tables: Arc<RwLock<TableSet>>) -> Result<Self> {
        let injector = Injector::open()?;
        let (retry, retries) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("forwarder".to_owned())
            .spawn(move || {
                Worker { tables, injector, waiting: VecDeque::new() }.run(&frames, &retries);
            })
            .context("cannot start a thread")?;
        Ok(Self { retry: Some(retry), thread: Some(thread) })
    }

    /// Tells that a peer's next hop changed, so waiting frames may go.
    pub fn retry(&self) {
        // One note that is not read yet says the same as two.
        let _ = self.retry.as_ref().map(|retry| retry.try_send(()));
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.retry = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Waiting {
    punt: Punt,
    frame: Bytes,
    until: Instant,
}

struct Worker {
    tables: Arc<RwLock<TableSet>>,
    injector: Injector,
    waiting: VecDeque<Waiting>,
}

/// Whether a frame is done with.
enum Outcome {
    Done,
    Unresolved,
}

impl Worker {
    fn run(mut self, frames: &Receiver<(Punt, Bytes)>, retries: &Receiver<()>) {
        loop {
            let expiry = match self.waiting.front() {
                Some(first) => crossbeam::channel::at(first.until),
                None => never(),
            };
            select! {
                recv(frames) -> received => match received {
                    Ok((punt, frame)) => self.take(punt, frame),
                    Err(_) => return,
                },
                recv(retries) -> received => match received {
                    Ok(()) => self.retry(),
                    Err(_) => return,
                },
                recv(expiry) -> _ => self.expire(),
            }
        }
    }

    fn take(&mut self, punt: Punt, frame: Bytes) {
        if let Outcome::Unresolved = self.forward(&punt, &frame) {
            if self.waiting.len() >= WAITING {
                self.count(punt.ifindex, DropReason::PeerUnresolved);
            } else {
                self.waiting.push_back(Waiting { punt, frame, until: Instant::now() + PATIENCE });
            }
        }
    }

    fn retry(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            if let Outcome::Unresolved = self.forward(&waiting.punt, &waiting.frame) {
                self.waiting.push_back(waiting);
            }
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while self.waiting.front().is_some_and(|first| first.until <= now) {
            if let Some(Waiting { punt, .. }) = self.waiting.pop_front() {
                self.count(punt.ifindex, DropReason::PeerUnresolved);
            }
        }
    }

    fn forward(&self, punt: &Punt, bytes: &Bytes) -> Outcome {
        let mut bytes = bytes.to_vec();
        checksum::finish(&mut bytes);
        let mut frame = match punt.vlan {
            0 => Frame::new(&bytes),
            tci => Frame::with_stripped_vlan(&bytes, tci),
        };
        let ingress = Ingress { ifindex: punt.ifindex, hook: Hook::User };
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let result = from_access::run(&mut frame, &*tables, ingress);
        // News of source addresses were punted by the kernel's run already.
        let unresolved = tables
            .take_punts()
            .iter()
            .any(|punted| punted.punt.reason == PuntReason::PeerUnresolved as u8);
        if unresolved {
            return Outcome::Unresolved;
        }
        let copies = std::mem::take(&mut frame.copies);
        for copy in copies {
            let mut sent = Frame::new(&copy.bytes);
            sent.stripped_vlan = copy.vlan;
            self.send(&tables, punt.ifindex, copy.egress, &sent);
        }
        match result {
            Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) => {
                self.send(&tables, punt.ifindex, egress, &frame);
            }
            Ok(Verdict::Pass | Verdict::Defer | Verdict::Consumed) => {}
            Err(reason) => tables.record_drop(punt.ifindex, reason),
        }
        Outcome::Done
    }

    fn send(&self, tables: &TableSet, ifindex: u32, egress: Egress, frame: &Frame) {
        if let Err(error) = self.injector.send(egress.ifindex, &frame.to_wire()) {
            tracing::debug!(%error, egress = egress.ifindex, "a frame could not be sent");
            tables.record_drop(ifindex, DropReason::CopyFailed);
        }
    }

    fn count(&self, ifindex: u32, reason: DropReason) {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.record_drop(ifindex, reason);
    }
}
