//! Bounded queues between the readers of punts and those who act on them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use overlay_common::abi::{DropKey, Hook, Punt, PuntReason};
use overlay_common::verdict::DropReason;
use tokio::sync::Notify;

use crate::dataplane::punts::Punted;

/// News of source addresses that wait for the controller.
const LEARN: usize = 16_384;
/// Frames that wait for the forwarder.
const FRAMES: usize = 1024;

/// The readers' end.
#[derive(Clone)]
pub struct Queues {
    learn: Sender<Punt>,
    frames: Sender<(Punt, Bytes)>,
    wake: Arc<Notify>,
    full: Arc<Mutex<BTreeMap<DropKey, u64>>>,
}

/// The controller's end: news of source addresses.
pub struct Learnt {
    records: Receiver<Punt>,
    wake: Arc<Notify>,
}

impl Queues {
    /// The readers' end, the controller's and the forwarder's.
    pub fn new() -> (Self, Learnt, Receiver<(Punt, Bytes)>) {
        let (learn, records) = bounded(LEARN);
        let (frames, forwarder) = bounded(FRAMES);
        let wake = Arc::new(Notify::new());
        let queues = Self { learn, frames, wake: Arc::clone(&wake), full: Arc::default() };
        (queues, Learnt { records, wake }, forwarder)
    }

    /// Puts what a reader has read into its queue, or counts it.
    pub fn put(&self, punted: Punted) {
        match punted {
            Punted::Frame(punt, frame) => match PuntReason::from_u8(punt.reason) {
                Some(PuntReason::Learn) => {
                    self.count_if_full(punt.ifindex, self.learn.try_send(punt));
                    self.wake.notify_one();
                }
                Some(PuntReason::PeerUnresolved) => {
                    self.count_if_full(punt.ifindex, self.frames.try_send((punt, frame)));
                }
                None => {}
            },
            // The kernel does not say which device they came from.
            Punted::Lost(count) => self.count(0, count),
        }
    }

    /// What found no room, by the device that it came in on.
    pub fn drops(&self) -> BTreeMap<DropKey, u64> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count_if_full<T>(&self, ifindex: u32, sent: Result<(), TrySendError<T>>) {
        if matches!(sent, Err(TrySendError::Full(_))) {
            self.count(ifindex, 1);
        }
    }

    fn count(&self, ifindex: u32, count: u64) {
        let key = DropKey::new(ifindex, DropReason::PuntQueueFull, Hook::User);
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        *full.entry(key).or_default() += count;
    }
}

impl Learnt {
    /// Waits until there may be news.
    pub async fn ready(&self) {
        self.wake.notified().await;
    }

    /// Takes up to `most` records. Whether more may be waiting is said by the
    /// next [`ready`](Self::ready).
    pub fn take(&self, most: usize) -> impl Iterator<Item = Punt> + '_ {
        if self.records.len() > most {
            self.wake.notify_one();
        }
        self.records.try_iter().take(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(ifindex: u32) -> Punted {
        let punt = Punt { reason: PuntReason::Learn as u8, ifindex, ..Punt::default() };
        Punted::Frame(punt, Bytes::new())
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (queues, learnt, _frames) = Queues::new();
        for _ in 0..LEARN + 3 {
            queues.put(learn(7));
        }
        queues.put(Punted::Lost(5));
        let full = |ifindex| DropKey::new(ifindex, DropReason::PuntQueueFull, Hook::User);
        assert_eq!(queues.drops(), [(full(0), 5), (full(7), 3)].into());
        assert_eq!(learnt.take(usize::MAX).count(), LEARN);
    }

    #[test]
    fn reasons_have_queues_of_their_own() {
        let (queues, learnt, frames) = Queues::new();
        let punt = Punt { reason: PuntReason::PeerUnresolved as u8, ..Punt::default() };
        queues.put(Punted::Frame(punt, Bytes::from_static(b"frame")));
        queues.put(learn(1));
        assert_eq!(frames.try_recv().unwrap().1, "frame");
        assert_eq!(learnt.take(10).count(), 1);
    }
}
