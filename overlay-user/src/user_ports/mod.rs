//! Ports that no program carries (`mode = "user"`): a thread for each of a device's
//! queues, which takes every frame from a socket, runs the packet path on it, and sends what
//! comes of it.
//!
//! - [`gateway`]: one frame's way.
//! - [`buffer`]: the frame; [`offload`]: what is left to a device to finish.
//! - [`tables`]: the tables as a thread sees them; [`tally`]: what it counts.
//! - [`source`]: frames that come in; [`outbox`]: frames that go out.
//! - [`ring`], [`socket`]: packet sockets; [`xsk`]: AF_XDP's.
//! - `witness`: what those who watch are told.
//! - [`thread`]: the loop around all that; [`prepared`]: what it begins with.

pub mod buffer;
pub mod gateway;
pub mod offload;
pub mod outbox;
pub mod prepared;
pub mod ring;
mod socket;
pub mod source;
pub mod tables;
pub mod tally;
mod thread;
mod witness;
pub mod xsk;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

use anyhow::Result;
use overlay_common::abi::{Counters, DropKey, Hook};
use overlay_control::action::Action;
use overlay_control::controller::Role;
use overlay_control::tables::TableSet;

use crate::forwarder::Queues;
use crate::watch::Hub;
use gateway::Gate;
pub use prepared::Prepared;
use tally::Tally;
use thread::{Running, Shared};
use xsk::exits::Exits;

/// The threads, and what they have counted.
pub struct UserPorts {
    shared: Shared,
    running: HashMap<u32, Vec<Running>>,
    /// Those of threads that run, and of threads that ran, which the next ones go on with.
    tallies: Vec<Arc<Tally>>,
    /// The drops of threads that ran.
    drops: BTreeMap<DropKey, u64>,
}

impl UserPorts {
    /// No threads yet. They see `tables`, and hand to `queues` what the path hands to user
    /// space, and to `hub` what those who watch want.
    pub fn new(tables: Arc<RwLock<TableSet>>, queues: Queues, hub: Arc<Hub>) -> Self {
        Self {
            shared: Shared { tables, queues, exits: Exits::default(), hub },
            running: HashMap::new(),
            tallies: Vec::new(),
            drops: BTreeMap::new(),
        }
    }

    /// Carries a device's frames from now on.
    ///
    /// # Errors
    ///
    /// The device is gone, or there is no thread to be had.
    pub fn start(&mut self, ifindex: u32, role: Role, prepared: Prepared) -> Result<()> {
        self.stop(ifindex);
        let gate = Gate { ifindex, role };
        let running = prepared.start(gate, &self.shared, || idle(&mut self.tallies))?;
        self.running.insert(ifindex, running);
        Ok(())
    }

    /// No longer does, if it did.
    pub fn stop(&mut self, ifindex: u32) {
        self.shared.exits.remove(ifindex);
        for running in self.running.remove(&ifindex).unwrap_or_default() {
            let tally = Arc::clone(&running.tally);
            drop(running);
            for (reason, packets) in tally.drops() {
                let key = DropKey::new(ifindex, reason, Hook::User);
                *self.drops.entry(key).or_default() += packets;
            }
            tally.clear_drops();
        }
    }

    /// Carries nothing any more.
    pub fn stop_all(&mut self) {
        let devices: Vec<u32> = self.running.keys().copied().collect();
        devices.into_iter().for_each(|ifindex| self.stop(ifindex));
    }

    /// Takes note of a change to the tables. The caller keeps threads from looking at them.
    pub fn apply(&self, action: &Action) {
        for tally in &self.tallies {
            match action {
                Action::DelPort(id) => tally.ports().clear(id.0),
                Action::DelPeer(id) => tally.peers().clear(id.0),
                _ => {}
            }
        }
    }

    /// Whether threads have counted anything, or may have.
    pub fn has_counted(&self) -> bool {
        !self.tallies.is_empty()
    }

    /// What all threads have counted at a port.
    pub fn port_counters(&self, index: u32) -> Counters {
        self.tallies.iter().map(|tally| tally.ports().get(index)).sum()
    }

    /// The same at a peer.
    pub fn peer_counters(&self, index: u32) -> Counters {
        self.tallies.iter().map(|tally| tally.peers().get(index)).sum()
    }

    /// What all threads have dropped.
    pub fn drops(&self) -> BTreeMap<DropKey, u64> {
        let mut drops = self.drops.clone();
        for (ifindex, threads) in &self.running {
            for (reason, packets) in threads.iter().flat_map(|thread| thread.tally.drops()) {
                *drops.entry(DropKey::new(*ifindex, reason, Hook::User)).or_default() += packets;
            }
        }
        drops
    }

    /// Takes a drop counter of a device that no thread carries away, and returns what it had come
    /// to.
    pub fn take_drop(&mut self, key: DropKey) -> u64 {
        self.drops.remove(&key).unwrap_or_default()
    }
}

/// Counts that no thread adds to.
fn idle(tallies: &mut Vec<Arc<Tally>>) -> Arc<Tally> {
    if let Some(idle) = tallies.iter().find(|tally| Arc::strong_count(tally) == 1) {
        return Arc::clone(idle);
    }
    let tally = Arc::new(Tally::default());
    tallies.push(Arc::clone(&tally));
    tally
}
