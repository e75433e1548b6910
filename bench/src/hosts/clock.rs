//! The phases of a measurement.

use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// What windows, caches and the scheduler need to settle; not counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// 0 is the warm-up.
const COUNTING: u8 = 1;
const OVER: u8 = 2;

/// What all threads of a measurement look at.
#[derive(Debug, Default)]
pub struct Clock(AtomicU8);

/// What was read at the beginning and at the end of the time that counts.
#[derive(Clone, Copy, Debug)]
pub struct Window<T> {
    /// After the warm-up.
    pub before: T,
    /// At the end.
    pub after: T,
    /// The time between the two.
    pub time: Duration,
}

impl Clock {
    /// Whether what happens now counts.
    pub fn counts(&self) -> bool {
        self.0.load(Ordering::Relaxed) == COUNTING
    }

    /// Whether threads are to end.
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == OVER
    }

    /// Lets the warm-up and `time` pass, and reads something before and after.
    pub fn run<T>(&self, time: Duration, mut read: impl FnMut() -> T) -> Window<T> {
        std::thread::sleep(WARM_UP);
        let start = Instant::now();
        let before = read();
        self.0.store(COUNTING, Ordering::Relaxed);
        std::thread::sleep(time);
        self.0.store(OVER, Ordering::Relaxed);
        let after = read();
        Window { before, after, time: start.elapsed() }
    }
}

/// Waits for threads; the first failure is the result.
pub fn join<T>(threads: Vec<ScopedJoinHandle<'_, Result<T>>>) -> Result<Vec<T>> {
    let results: Vec<Result<T>> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))))
        .collect();
    results.into_iter().collect()
}
