//! Which devices frames leave over AF_XDP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use super::sender::Sender;

/// The senders of devices, a sender a queue, for all threads.
#[derive(Clone, Default)]
pub struct Exits(Arc<RwLock<Senders>>);

type Senders = HashMap<u32, Vec<Mutex<Sender>>>;

impl Exits {
    /// Frames for a device leave through these from now on.
    pub fn put(&self, ifindex: u32, senders: impl IntoIterator<Item = Sender>) {
        let senders = senders.into_iter().map(Mutex::new).collect();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(ifindex, senders);
    }

    /// No longer.
    pub fn remove(&self, ifindex: u32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&ifindex);
    }

    /// Those that there are, which stay for as long as this is held.
    pub fn open(&self) -> Open<'_> {
        Open(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The senders that there are.
pub struct Open<'a>(RwLockReadGuard<'a, Senders>);

impl Open<'_> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sender of a device that a thread of this number is to use: flows stay in order, and
    /// threads out of each other's way.
    pub fn of(&self, ifindex: u32, thread: usize) -> Option<&Mutex<Sender>> {
        let senders = self.0.get(&ifindex)?;
        senders.get(thread % senders.len())
    }
}
