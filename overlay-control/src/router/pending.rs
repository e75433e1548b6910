//! Frames that wait for a next hop's MAC address.
//!
//! Each address has a short queue, each source of frames a share of all addresses that are asked
//! for: who scans a network keeps nobody else from being answered (RFC 6583).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use overlay_common::abi::{NeighbourKey, Target};

/// Frames that wait for one address; of more, the oldest goes.
const FRAMES: usize = 16;
/// Addresses that are asked for at once.
const ADDRESSES: usize = 4096;
/// Of these, those asked for because of one port or peer.
const PER_SOURCE: usize = 512;
/// How often an address is asked for (RFC 4861, section 10).
const ASKS: u32 = 3;
/// The time between.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is to be done about an address.
#[derive(Debug, PartialEq, Eq)]
pub enum Asks<F> {
    /// It is to be asked for.
    Again(NeighbourKey),
    /// Nobody answered: the frames are dropped.
    GaveUp(NeighbourKey, Vec<F>),
}

/// The frames, by address.
#[derive(Debug)]
pub struct Pending<F> {
    by_address: BTreeMap<NeighbourKey, Waiting<F>>,
    sources: BTreeMap<Target, usize>,
}

#[derive(Debug)]
struct Waiting<F> {
    source: Target,
    frames: VecDeque<F>,
    asked: u32,
    next: Duration,
}

impl<F> Default for Pending<F> {
    fn default() -> Self {
        Self { by_address: BTreeMap::new(), sources: BTreeMap::new() }
    }
}

impl<F> Pending<F> {
    /// Has a frame from a source wait, and says whether the address is to be asked for now.
    ///
    /// # Errors
    ///
    /// The frame that is dropped: this one where too much waits already, or the oldest that waits
    /// for the address.
    pub fn put(
        &mut self,
        key: NeighbourKey,
        source: Target,
        frame: F,
        now: Duration,
    ) -> Result<bool, F> {
        if let Some(waiting) = self.by_address.get_mut(&key) {
            waiting.frames.push_back(frame);
            return match waiting.frames.len() > FRAMES {
                true => waiting.frames.pop_front().map_or(Ok(false), Err),
                false => Ok(false),
            };
        }
        let count = self.sources.get(&source).copied().unwrap_or(0);
        if self.by_address.len() >= ADDRESSES || count >= PER_SOURCE {
            return Err(frame);
        }
        self.sources.insert(source, count + 1);
        let frames = VecDeque::from([frame]);
        self.by_address.insert(key, Waiting { source, frames, asked: 1, next: now + INTERVAL });
        Ok(true)
    }

    /// When [`due`](Self::due) is to be called.
    pub fn next(&self) -> Option<Duration> {
        self.by_address.values().map(|waiting| waiting.next).min()
    }

    /// What is to be done by now.
    pub fn due(&mut self, now: Duration) -> Vec<Asks<F>> {
        let due: Vec<NeighbourKey> =
            self.by_address.iter().filter(|(_, w)| w.next <= now).map(|(key, _)| *key).collect();
        due.into_iter().filter_map(|key| self.see_to(key, now)).collect()
    }

    fn see_to(&mut self, key: NeighbourKey, now: Duration) -> Option<Asks<F>> {
        let waiting = self.by_address.get_mut(&key)?;
        if waiting.asked < ASKS {
            waiting.asked += 1;
            waiting.next = now + INTERVAL;
            return Some(Asks::Again(key));
        }
        Some(Asks::GaveUp(key, self.remove(key)))
    }

    /// The frames whose address is known now.
    pub fn known(&mut self, is_known: impl Fn(&NeighbourKey) -> bool) -> Vec<F> {
        let known: Vec<NeighbourKey> =
            self.by_address.keys().filter(|key| is_known(key)).copied().collect();
        known.into_iter().flat_map(|key| self.remove(key)).collect()
    }

    fn remove(&mut self, key: NeighbourKey) -> Vec<F> {
        let Some(waiting) = self.by_address.remove(&key) else { return Vec::new() };
        if let Some(count) = self.sources.get_mut(&waiting.source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&waiting.source);
            }
        }
        waiting.frames.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(number: u32) -> NeighbourKey {
        let [_, b, c, d] = number.to_be_bytes();
        NeighbourKey::v4([10, b, c, d], 1).unwrap()
    }

    #[test]
    fn an_address_is_asked_for_three_times() {
        let mut pending = Pending::default();
        let start = Duration::from_secs(100);
        assert_eq!(pending.next(), None);
        assert_eq!(pending.put(key(1), Target::port(1), "a", start), Ok(true));
        assert_eq!(pending.put(key(1), Target::port(1), "b", start), Ok(false));
        assert_eq!(pending.next(), Some(start + SECOND));
        assert_eq!(pending.due(start), []);
        for turn in 1..=2 {
            assert_eq!(pending.due(start + turn * SECOND), [Asks::Again(key(1))]);
        }
        assert_eq!(pending.due(start + 3 * SECOND), [Asks::GaveUp(key(1), vec!["a", "b"])]);
        assert_eq!((pending.next(), pending.sources.len()), (None, 0));
    }

    #[test]
    fn frames_of_a_known_address_go_in_their_order() {
        let mut pending = Pending::default();
        for frame in 0..FRAMES + 2 {
            let put = pending.put(key(1), Target::port(1), frame, SECOND);
            assert_eq!(put.is_err(), frame >= FRAMES, "the oldest gives way");
        }
        pending.put(key(2), Target::port(1), 99, SECOND).unwrap();
        let frames = pending.known(|at| *at == key(1));
        assert_eq!(frames, (2..FRAMES + 2).collect::<Vec<_>>());
        assert_eq!(pending.sources[&Target::port(1)], 1);
    }

    #[test]
    fn who_scans_a_network_keeps_nobody_from_being_answered() {
        let mut pending = Pending::default();
        let put = |pending: &mut Pending<u32>, number, source| {
            pending.put(key(number), source, number, SECOND).is_ok()
        };
        let taken = (0..2000).filter(|n| put(&mut pending, *n, Target::port(1))).count();
        assert_eq!(taken, PER_SOURCE);
        assert!(put(&mut pending, 5000, Target::port(2)));
        let taken =
            (10_000..30_000).filter(|n| put(&mut pending, *n, Target::peer(*n % 20))).count();
        assert_eq!(taken, ADDRESSES - PER_SOURCE - 1);
    }
}
