//! The slow path: what the programs could not finish, run through the same packet path
//! here: frames to a peer whose next hop was not known, flooded frames with more receivers
//! than the kernel sends to, IPv4 packets that have to be cut up
//! ([`overlay_control::fragments`]), what routers are
//! asked ([`router`]), and tunnels' packets that came in pieces ([`datagrams`]).
//!
//! Readers never wait: they put what they read into bounded queues, and what
//! finds no room is dropped and counted.

mod checksum;
pub mod datagrams;
mod inject;
mod queues;
mod router;
pub mod segments;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use crossbeam::channel::{Receiver, Sender, bounded, never, select};
use overlay_common::abi::{self, Egress, Hook, Punt, PuntReason};
use overlay_common::id::Vlan;
use overlay_common::path::{Ingress, from_access, from_underlay};
use overlay_common::tables::Tables as _;
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::Tag;
use overlay_control::fragments;
use overlay_control::frame::Frame;
use overlay_control::router::Pending;
use overlay_control::tables::{Punted as TablePunted, TableSet};

use crate::clock;
use crate::dataplane::punts::Punted;
use crate::watch::{Bytes as Seen, Hub, Observed};
use inject::Injector;
pub use queues::{Assembled, Learnt, Queues, Work};

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
    /// Starts the thread, which takes frames from the queues and forwards them by
    /// `tables`, the mirror of the kernel's. What it learns from packets that came in pieces
    /// goes into `learnt`; `hub` hears of
    /// frames that are given up.
    pub fn start(
        work: Work,
        tables: Arc<RwLock<TableSet>>,
        learnt: Queues,
        hub: Arc<Hub>,
    ) -> Result<Self> {
        let injector = Injector::open()?;
        let (retry, retries) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("forwarder".to_owned())
            .spawn(move || {
                let waiting = VecDeque::new();
                let (pending, started) = (Pending::default(), Instant::now());
                Worker { tables, injector, learnt, hub, waiting, pending, started }
                    .run(&work, &retries);
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
    learnt: Queues,
    /// Those who watch.
    hub: Arc<Hub>,
    waiting: VecDeque<Waiting>,
    /// What waits for the MAC address of a next hop.
    pending: Pending<(Punt, Bytes)>,
    /// From when on its time is counted.
    started: Instant,
}

/// Whether a frame is done with.
enum Outcome {
    Done,
    Unresolved,
}

impl Worker {
    fn run(mut self, work: &Work, retries: &Receiver<()>) {
        loop {
            let first = self.waiting.front().map(|first| first.until);
            let asks = self.pending.next().map(|at| self.started + at);
            let expiry = match first.into_iter().chain(asks).min() {
                Some(at) => crossbeam::channel::at(at),
                None => never(),
            };
            // One of those that are ready, by chance: each gets its turn.
            select! {
                recv(work.frames) -> received => match received {
                    Ok((punt, frame)) => self.take(punt, &frame),
                    Err(_) => return,
                },
                recv(work.floods) -> received => match received {
                    Ok((punt, frame)) => self.flood(&punt, &frame),
                    Err(_) => return,
                },
                recv(work.fragments) -> received => match received {
                    Ok((punt, frame)) => self.cut_up(punt, &frame),
                    Err(_) => return,
                },
                recv(work.routed) -> received => match received {
                    Ok((punt, frame)) => self.take_routed(punt, &frame),
                    Err(_) => return,
                },
                recv(work.assembled) -> received => match received {
                    Ok(packet) => self.take_assembled(&packet),
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

    /// The tables as of now.
    fn tables(&self) -> RwLockReadGuard<'_, TableSet> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.set_time(clock::now());
        tables
    }

    fn take(&mut self, punt: Punt, frame: &Bytes) {
        if punt.reason == PuntReason::Control as u8 {
            tracing::debug!(ifindex = punt.ifindex, len = frame.len(), "a control packet");
            return;
        }
        for frame in self.parts(&punt, frame) {
            self.forward_or_wait(punt, frame);
        }
    }

    fn forward_or_wait(&mut self, punt: Punt, frame: Bytes) {
        if let Outcome::Done = self.forward(&punt, &frame) {
            return;
        }
        if self.waiting.len() >= WAITING {
            self.give_up_on(&punt, &frame, DropReason::PeerUnresolved);
        } else {
            self.waiting.push_back(Waiting { punt, frame, until: Instant::now() + PATIENCE });
        }
    }

    /// Cuts a packet up into what fits, and forwards the fragments.
    fn cut_up(&mut self, punt: Punt, frame: &Bytes) {
        for part in self.parts(&punt, frame) {
            let Some(fragments) = fragments::of(&part, usize::from(punt.generation)) else {
                self.give_up_on(&punt, &part, DropReason::TooBig);
                continue;
            };
            for fragment in fragments {
                self.forward_or_wait(punt, fragment.into());
            }
        }
    }

    fn flood(&self, punt: &Punt, frame: &Bytes) {
        for part in self.parts(punt, frame) {
            let tables = self.tables();
            let mut frame = Frame::new(&part);
            let result = from_access::run_rest(&mut frame, &*tables, punt);
            drop(tables);
            self.send_all(punt.ifindex, &mut frame, result);
        }
    }

    /// The frames that a super-frame stands for, with finished checksums.
    fn parts(&self, punt: &Punt, frame: &Bytes) -> Vec<Bytes> {
        let mut bytes = frame.to_vec();
        checksum::finish(&mut bytes);
        match segments::of(bytes, u32::from(punt.gso_size)) {
            Some(parts) => parts.into_iter().map(Bytes::from).collect(),
            None => {
                self.count(punt.ifindex, DropReason::ResizeFailed);
                Vec::new()
            }
        }
    }

    fn take_assembled(&self, packet: &Assembled) {
        let ingress = Ingress { ifindex: packet.ifindex, hook: Hook::User };
        let tables = self.tables();
        let mut frame = Frame::new(&packet.frame);
        let result = from_underlay::run(&mut frame, &*tables, ingress);
        for punted in tables.take_punts() {
            let reason = PuntReason::from_u8(punted.punt.reason);
            match reason {
                Some(PuntReason::Learn | PuntReason::Neighbour) => {
                    self.learnt.put(Punted::Frame(punted.punt, Bytes::new()));
                }
                Some(PuntReason::Router) => {
                    self.learnt.put(Punted::Frame(punted.punt, punted.frame.into()));
                }
                _ => {}
            }
        }
        drop(tables);
        self.send_all(packet.ifindex, &mut frame, result);
    }

    fn retry(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            if let Outcome::Unresolved = self.forward(&waiting.punt, &waiting.frame) {
                self.waiting.push_back(waiting);
            }
        }
        self.route_what_is_known();
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while self.waiting.front().is_some_and(|first| first.until <= now) {
            if let Some(Waiting { punt, frame, .. }) = self.waiting.pop_front() {
                self.give_up_on(&punt, &frame, DropReason::PeerUnresolved);
            }
        }
        self.ask_again();
    }

    fn forward(&mut self, punt: &Punt, bytes: &Bytes) -> Outcome {
        if punt.reason == PuntReason::Router as u8 {
            return self.route(punt, bytes);
        }
        let ingress = Ingress { ifindex: punt.ifindex, hook: Hook::User };
        let tables = self.tables();
        // The record does not tell the tag's kind, but it is that of the port.
        let kind = tables.port(punt.source.index()).map(|port| Vlan::kind_of(port.vlan));
        let mut frame = match punt.vlan {
            0 => Frame::new(bytes),
            tci => Frame::with_stripped_vlan(bytes, Tag::new(kind.unwrap_or_default(), tci)),
        };
        let result = match PuntReason::from_u8(punt.reason) {
            Some(PuntReason::Fragment) => {
                from_access::run_part(&mut frame, &*tables, ingress, punt)
            }
            _ => from_access::run_again(&mut frame, &*tables, ingress, punt),
        };
        let punts = tables.take_punts();
        drop(tables);
        // News of stations and their addresses were punted by the kernel's run already.
        let reason = |punted: &TablePunted| PuntReason::from_u8(punted.punt.reason);
        if punts.iter().any(|punted| reason(punted) == Some(PuntReason::PeerUnresolved)) {
            return Outcome::Unresolved;
        }
        // Where the station is not behind that peer any more, the frame is flooded.
        for TablePunted { punt, frame } in punts {
            match PuntReason::from_u8(punt.reason) {
                Some(PuntReason::Flood) => self.flood(&punt, &Bytes::from(frame)),
                // It waited for a way out that is now known, and too narrow.
                Some(PuntReason::Fragment) => self.cut_up(punt, &Bytes::from(frame)),
                Some(PuntReason::Router) => self.take_routed(punt, &Bytes::from(frame)),
                _ => {}
            }
        }
        self.send_all(punt.ifindex, &mut frame, result);
        Outcome::Done
    }

    fn send_all(&self, ifindex: u32, frame: &mut Frame, result: Result<Verdict, DropReason>) {
        for copy in std::mem::take(&mut frame.copies) {
            let mut sent = Frame::new(&copy.bytes);
            sent.stripped_vlan = copy.vlan;
            self.send(ifindex, copy.egress, &sent);
        }
        match result {
            Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) => {
                self.send(ifindex, egress, frame);
            }
            Ok(
                Verdict::Pass
                | Verdict::Defer
                | Verdict::Route
                | Verdict::Flood
                | Verdict::Consumed,
            ) => {}
            Err(reason) => self.count(ifindex, reason),
        }
    }

    fn send(&self, ifindex: u32, egress: Egress, frame: &Frame) {
        if let Err(error) = self.injector.send(egress.ifindex, &frame.to_wire()) {
            tracing::debug!(%error, egress = egress.ifindex, "a frame could not be sent");
            self.count(ifindex, DropReason::CopyFailed);
        }
    }

    /// Counts a frame that is dropped after all, and tells those who watch.
    fn give_up_on(&self, punt: &Punt, frame: &Bytes, reason: DropReason) {
        self.count(punt.ifindex, reason);
        let Some(watched) = self.hub.watched() else { return };
        let captured = frame.slice(..frame.len().min(watched.captured as usize));
        let before = Seen { captured, len: frame.len() as u32, vlan: punt.vlan, ..Seen::default() };
        self.hub.observe(&Observed {
            time: clock::now(),
            took: None,
            cpu: None,
            ifindex: punt.ifindex,
            egress: 0,
            hook: Some(Hook::User),
            outcome: Some(abi::Outcome::Drop),
            reason: Some(reason),
            before,
            after: None,
        });
    }

    fn count(&self, ifindex: u32, reason: DropReason) {
        let tables = self.tables();
        tables.record_drop(ifindex, reason);
    }
}
