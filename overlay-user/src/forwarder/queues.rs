//! Bounded queues between the readers of punts and those who act on them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use overlay_common::abi::{DropKey, Hook, Punt, PuntReason};
use overlay_common::verdict::DropReason;
use tokio::sync::Notify;

use crate::dataplane::punts::Punted;

/// News of stations and of their IP addresses that wait for the controller.
const LEARN: usize = 16_384;
/// Frames of each kind that wait for the forwarder.
const FRAMES: usize = 1024;
/// Packets that came in pieces, of up to 64 KiB each, that do.
const ASSEMBLED: usize = 256;

/// A tunnel's packet that the kernel's own stack put together, as it would have come in on
/// this device.
#[derive(Debug)]
pub struct Assembled {
    /// The device.
    pub ifindex: u32,
    /// From the Ethernet header on.
    pub frame: Bytes,
}

/// The forwarder's end. Each kind of work has a queue of its own, so that much of one does
/// not keep the others waiting.
pub struct Work {
    /// Frames to peers without a next hop, and control packets.
    pub frames: Receiver<(Punt, Bytes)>,
    /// Flooded frames.
    pub floods: Receiver<(Punt, Bytes)>,
    /// Packets that are to be cut up.
    pub fragments: Receiver<(Punt, Bytes)>,
    /// Packets that ask more of a router than to be routed.
    pub routed: Receiver<(Punt, Bytes)>,
    /// Packets that came in pieces.
    pub assembled: Receiver<Assembled>,
}

/// The readers' end.
#[derive(Clone)]
pub struct Queues {
    learn: Sender<Punt>,
    frames: Sender<(Punt, Bytes)>,
    floods: Sender<(Punt, Bytes)>,
    fragments: Sender<(Punt, Bytes)>,
    routed: Sender<(Punt, Bytes)>,
    assembled: Sender<Assembled>,
    wake: Arc<Notify>,
    full: Arc<Mutex<BTreeMap<DropKey, u64>>>,
    counts: Arc<Counts>,
}

/// What came from the programs.
#[derive(Default)]
struct Counts {
    taken: [AtomicU64; PuntReason::COUNT],
    lost: AtomicU64,
}

/// The controller's end: news of stations and of their IP addresses.
pub struct Learnt {
    records: Receiver<Punt>,
    wake: Arc<Notify>,
}

impl Queues {
    /// The readers' end, the controller's and the forwarder's.
    pub fn new() -> (Self, Learnt, Work) {
        let (learn, records) = bounded(LEARN);
        let (frames, work_frames) = bounded(FRAMES);
        let (floods, work_floods) = bounded(FRAMES);
        let (fragments, work_fragments) = bounded(FRAMES);
        let (routed, work_routed) = bounded(FRAMES);
        let (assembled, work_assembled) = bounded(ASSEMBLED);
        let work = Work {
            frames: work_frames,
            floods: work_floods,
            fragments: work_fragments,
            routed: work_routed,
            assembled: work_assembled,
        };
        let (wake, full, counts) = (Arc::new(Notify::new()), Arc::default(), Arc::default());
        let learnt = Learnt { records, wake: Arc::clone(&wake) };
        let queues =
            Self { learn, frames, floods, fragments, routed, assembled, wake, full, counts };
        (queues, learnt, work)
    }

    /// Puts what a reader has read into its queue, or counts it.
    pub fn put(&self, punted: Punted) {
        if let Punted::Frame(punt, _) = &punted
            && let Some(taken) = self.counts.taken.get(usize::from(punt.reason))
        {
            taken.fetch_add(1, Ordering::Relaxed);
        }
        match punted {
            Punted::Frame(punt, frame) => match PuntReason::from_u8(punt.reason) {
                Some(PuntReason::Learn | PuntReason::Neighbour) => {
                    self.count_if_full(punt.ifindex, self.learn.try_send(punt));
                    self.wake.notify_one();
                }
                Some(PuntReason::PeerUnresolved | PuntReason::Control) => {
                    self.count_if_full(punt.ifindex, self.frames.try_send((punt, frame)));
                }
                Some(PuntReason::Fragment) => {
                    self.count_if_full(punt.ifindex, self.fragments.try_send((punt, frame)));
                }
                Some(PuntReason::Router) => {
                    self.count_if_full(punt.ifindex, self.routed.try_send((punt, frame)));
                }
                Some(PuntReason::Flood) => {
                    self.count_if_full(punt.ifindex, self.floods.try_send((punt, frame)));
                }
                None => {}
            },
            // The kernel does not say which device they came from.
            Punted::Lost(count) => {
                self.counts.lost.fetch_add(count, Ordering::Relaxed);
                self.count(0, count);
            }
        }
    }

    /// Hands over a packet that the kernel's stack put together, or counts it.
    pub fn put_assembled(&self, packet: Assembled) {
        self.count_if_full(packet.ifindex, self.assembled.try_send(packet));
    }

    /// How many punts of a reason came.
    pub fn taken(&self, reason: PuntReason) -> u64 {
        self.counts.taken[reason as usize].load(Ordering::Relaxed)
    }

    /// How many found no room on their way here.
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// The name of each queue, how much waits in it, and how much may.
    pub fn depths(&self) -> [(&'static str, usize, usize); 6] {
        [
            ("learn", self.learn.len(), LEARN),
            ("frames", self.frames.len(), FRAMES),
            ("floods", self.floods.len(), FRAMES),
            ("fragments", self.fragments.len(), FRAMES),
            ("routed", self.routed.len(), FRAMES),
            ("assembled", self.assembled.len(), ASSEMBLED),
        ]
    }

    /// What found no room, by the device that it came in on.
    pub fn drops(&self) -> BTreeMap<DropKey, u64> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a drop counter away, and returns what it had come to.
    pub fn take_drop(&self, key: DropKey) -> u64 {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        full.remove(&key).unwrap_or_default()
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
        let (queues, learnt, _work) = Queues::new();
        for _ in 0..LEARN + 3 {
            queues.put(learn(7));
        }
        queues.put(Punted::Lost(5));
        let full = |ifindex| DropKey::new(ifindex, DropReason::PuntQueueFull, Hook::User);
        assert_eq!(queues.drops(), [(full(0), 5), (full(7), 3)].into());
        assert_eq!((queues.taken(PuntReason::Learn), queues.lost()), (LEARN as u64 + 3, 5));
        assert_eq!(queues.depths()[0], ("learn", LEARN, LEARN));
        assert_eq!(learnt.take(usize::MAX).count(), LEARN);
    }

    #[test]
    fn reasons_have_queues_of_their_own() {
        let (queues, learnt, work) = Queues::new();
        for (reason, frame) in [
            (PuntReason::PeerUnresolved, "frame"),
            (PuntReason::Flood, "flood"),
            (PuntReason::Fragment, "large"),
            (PuntReason::Router, "routed"),
        ] {
            let punt = Punt { reason: reason as u8, ..Punt::default() };
            queues.put(Punted::Frame(punt, Bytes::from_static(frame.as_bytes())));
        }
        queues.put(learn(1));
        assert_eq!(work.frames.try_recv().unwrap().1, "frame");
        assert_eq!(work.floods.try_recv().unwrap().1, "flood");
        assert_eq!(work.fragments.try_recv().unwrap().1, "large");
        assert_eq!(work.routed.try_recv().unwrap().1, "routed");
        assert_eq!(learnt.take(10).count(), 1);
    }
}
