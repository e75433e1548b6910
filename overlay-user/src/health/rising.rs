//! Counters that should stand still: whether they rise, and since when.

use std::collections::BTreeMap;
use std::time::Duration;

/// A counter that has not risen for so long stands still.
pub const CALM: Duration = Duration::from_secs(60);
/// Less than this within one rise is no problem: a frame may always go astray.
pub const LEAST: u64 = 10;
/// Counters that are followed.
const FOLLOWED: usize = 4096;

/// One counter.
#[derive(Clone, Copy, Debug)]
struct Counter {
    value: u64,
    /// What it rose by since it began to rise.
    risen: u64,
    began: Duration,
    latest: Duration,
}

/// Counters by their keys.
#[derive(Debug)]
pub struct Rising<K>(BTreeMap<K, Counter>);

impl<K> Default for Rising<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone> Rising<K> {
    /// Takes in how the counters stand now. Those that are seen for the first time may have stood
    /// there for years, except where they `start_at_zero`.
    pub fn handle(
        &mut self,
        counters: impl IntoIterator<Item = (K, u64)>,
        start_at_zero: bool,
        now: Duration,
    ) {
        for (key, value) in counters {
            if !self.0.contains_key(&key) && self.0.len() >= FOLLOWED {
                continue;
            }
            let first = if start_at_zero { 0 } else { value };
            let new = Counter { value: first, risen: 0, began: now, latest: now };
            let counter = self.0.entry(key).or_insert(new);
            let risen = value.saturating_sub(counter.value);
            counter.value = value;
            if risen == 0 {
                continue;
            }
            if counter.risen == 0 || now.saturating_sub(counter.latest) > CALM {
                *counter = Counter { risen: 0, began: now, ..*counter };
            }
            counter.risen += risen;
            counter.latest = now;
        }
    }

    /// The counters that rise, with how much they rose and for how long.
    pub fn rising(&self, now: Duration) -> impl Iterator<Item = (&K, u64, Duration)> {
        let rises = move |counter: &Counter| {
            counter.risen >= LEAST && now.saturating_sub(counter.latest) <= CALM
        };
        self.0
            .iter()
            .filter(move |(_, counter)| rises(counter))
            .map(move |(key, counter)| (key, counter.risen, now.saturating_sub(counter.began)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rising: &mut Rising<&'static str>, second: u64, value: u64) -> Vec<u64> {
        let now = Duration::from_secs(second);
        rising.handle([("x", value)], false, now);
        rising.rising(now).map(|(_, risen, _)| risen).collect()
    }

    #[test]
    fn what_was_there_before_is_no_rise() {
        let mut rising = Rising::default();
        assert_eq!(at(&mut rising, 1, 1_000_000), [0_u64; 0]);
        assert_eq!(at(&mut rising, 2, 1_000_000), [0_u64; 0]);
        let mut fresh = Rising::default();
        fresh.handle([("x", 50)], true, Duration::from_secs(1));
        assert_eq!(fresh.rising(Duration::from_secs(1)).count(), 1);
    }

    #[test]
    fn a_counter_rises_until_it_has_stood_still_for_a_while() {
        let mut rising = Rising::default();
        at(&mut rising, 1, 5);
        assert_eq!(at(&mut rising, 2, 5 + LEAST - 1), [0_u64; 0], "a few are none");
        assert_eq!(at(&mut rising, 3, 5 + LEAST), [LEAST]);
        assert_eq!(at(&mut rising, 60, 5 + LEAST), [LEAST]);
        assert_eq!(at(&mut rising, 64, 5 + LEAST), [0_u64; 0]);
        assert_eq!(at(&mut rising, 70, 6 + LEAST), [0_u64; 0], "a new rise begins at nothing");
        assert_eq!(at(&mut rising, 71, 50 + LEAST), [45]);
    }
}
