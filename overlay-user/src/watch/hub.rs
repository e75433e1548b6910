//! From the programs' records to those who watch: each gets what its filter takes, as far as it
//! keeps up, and is told how much it missed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use overlay_common::abi::{PuntLimit, Sample, Stage, Watch, WatchFilter};
use overlay_control::watch::Filter;
use overlay_control::watch::kernel::{Outer, prefilter};
use tokio::sync::mpsc;

use super::observed::Observed;
use crate::dataplane::punts::{Sampled, Told};

/// Frames that wait for one who watches.
const WAITING: usize = 4096;
/// Frames that go by unseen once a CPU has told as many as it may: at a million a second, a
/// thousand looks are left.
const PAUSE: u32 = 1000;
/// The most that are told a second, for all who watch.
const MOST: u32 = 100_000;

/// What somebody wants to see.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which frames.
    pub filter: Filter,
    /// Whether those that are not dropped, too.
    pub frames: bool,
    /// The most a second, on each CPU.
    pub per_second: u32,
    /// The most bytes of each.
    pub captured: u32,
}

/// Those who watch.
#[derive(Default)]
pub struct Hub {
    state: Mutex<State>,
    /// Whether anybody watches.
    is_watched: AtomicBool,
}

#[derive(Default)]
struct State {
    last: u64,
    watchers: HashMap<u64, Watcher>,
    /// By CPU: what has come in, and of which nothing more was told yet.
    begun: HashMap<u32, (u32, Observed)>,
    outer: Outer,
}

struct Watcher {
    wanted: Wanted,
    sender: mpsc::Sender<Observed>,
    missed: Arc<AtomicU64>,
}

/// One who watches; dropping this ends it.
pub struct Subscription {
    /// The frames.
    pub frames: mpsc::Receiver<Observed>,
    missed: Arc<AtomicU64>,
}

impl Subscription {
    /// How many frames found no room since this was asked last.
    pub fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

impl Hub {
    /// Adds one who watches. `outer` is what frames may have on their way out alone.
    pub fn add(&self, wanted: Wanted, outer: Outer) -> Subscription {
        let (sender, frames) = mpsc::channel(WAITING);
        let missed = Arc::<AtomicU64>::default();
        let mut state = self.state();
        self.is_watched.store(true, Ordering::Relaxed);
        state.outer = outer;
        state.last += 1;
        let number = state.last;
        state.watchers.insert(number, Watcher { wanted, sender, missed: Arc::clone(&missed) });
        Subscription { frames, missed }
    }

    /// Forgets those who are gone, and says whether there were any.
    pub fn prune(&self) -> bool {
        let mut state = self.state();
        let before = state.watchers.len();
        state.watchers.retain(|_, watcher| !watcher.sender.is_closed());
        if state.watchers.is_empty() {
            state.begun.clear();
            self.is_watched.store(false, Ordering::Relaxed);
        }
        state.watchers.len() != before
    }

    /// What programs are to tell, so that everybody gets what he wants; `None`: nobody watches.
    pub fn watch(&self) -> Option<Watch> {
        let state = self.state();
        let all = || state.watchers.values().map(|watcher| &watcher.wanted);
        let filter = match &mut all() {
            one if state.watchers.len() == 1 => prefilter(&one.next()?.filter, &state.outer),
            // Programs have room for one.
            _ => WatchFilter { tunnel_ports: state.outer.ports, ..WatchFilter::default() },
        };
        let per_second = all().fold(0_u32, |sum, wanted| sum.saturating_add(wanted.per_second));
        let per_second = per_second.min(MOST);
        Some(Watch {
            reasons: u64::MAX,
            frames: u32::from(all().any(|wanted| wanted.frames)),
            pause: PAUSE,
            captured: all().map(|wanted| wanted.captured).max()?,
            limit: PuntLimit { per_second, burst: per_second },
            filter,
            ..Watch::default()
        })
    }

    /// The same for threads, which ask before every batch.
    pub fn watched(&self) -> Option<Watch> {
        if self.is_watched.load(Ordering::Relaxed) { self.watch() } else { None }
    }

    /// Takes in a record.
    pub fn take(&self, told: Sampled) {
        let mut state = self.state();
        match told {
            Told::Frame(sample, captured) => {
                if let Some(observed) = state.join(&sample, captured) {
                    state.tell(&observed);
                }
            }
            Told::Lost(count) => {
                for watcher in state.watchers.values() {
                    watcher.missed.fetch_add(count, Ordering::Relaxed);
                }
            }
        }
    }

    /// Takes in a frame that a thread in user space has carried.
    pub fn observe(&self, observed: &Observed) {
        self.state().tell(observed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The frame, once all of it was told.
    fn join(&mut self, sample: &Sample, captured: bytes::Bytes) -> Option<Observed> {
        match Stage::from_u8(sample.stage)? {
            Stage::Before => {
                let begun = (sample.number, Observed::begun(sample, captured));
                // One of which nothing more was told was left to another program that does not
                // tell, or its record found no room.
                let (_, former) = self.begun.insert(sample.cpu, begun)?;
                Some(former)
            }
            Stage::After => {
                let (number, mut observed) = self.begun.remove(&sample.cpu)?;
                if number == sample.number {
                    observed.end(sample, captured);
                }
                Some(observed)
            }
            Stage::Dropped => Some(Observed::dropped(sample, captured)),
        }
    }

    fn tell(&self, observed: &Observed) {
        for watcher in self.watchers.values() {
            let wanted = &watcher.wanted;
            let is_drop = observed.outcome == Some(overlay_common::abi::Outcome::Drop);
            if !(wanted.frames || is_drop) || !observed.is_taken(&wanted.filter, self.outer.ports) {
                continue;
            }
            if watcher.sender.try_send(observed.clone()).is_err() {
                watcher.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
