//! What waits for next hops: held against what its documentation says.

use std::collections::BTreeMap;
use std::time::Duration;

use overlay_common::abi::{NeighbourKey, Target};
use overlay_control::router::{Asks, Pending};
use proptest::collection::vec;
use proptest::prelude::*;

const FRAMES: usize = 16;
const ADDRESSES: usize = 4096;
const PER_SOURCE: usize = 512;
const SECOND: Duration = Duration::from_secs(1);

fn key(number: u16) -> NeighbourKey {
    let [high, low] = number.to_be_bytes();
    NeighbourKey::v4([10, 0, high, low], 1).expect("a host")
}

fn source(number: u32) -> Target {
    if number.is_multiple_of(2) { Target::port(number) } else { Target::peer(number) }
}

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    /// As many frames from one source, to one address after the other.
    Frames { source: u32, first: u16, count: u16 },
    /// As many frames to one address.
    Burst { source: u32, to: u16, count: u16 },
    /// So many milliseconds pass.
    Time(u64),
    /// Who answers is known: as many addresses from one on.
    Known { first: u16, count: u16 },
}

fn event() -> impl Strategy<Value = Event> {
    let (sources, first) = (0..12_u32, 0..6000_u16);
    prop_oneof![
        6 => (sources.clone(), first.clone(), 1..700_u16)
            .prop_map(|(source, first, count)| Event::Frames { source, first, count }),
        2 => (sources, first.clone(), 1..40_u16)
            .prop_map(|(source, to, count)| Event::Burst { source, to, count }),
        2 => (0..1500_u64).prop_map(Event::Time),
        1 => (first, 1..2000_u16).prop_map(|(first, count)| Event::Known { first, count }),
    ]
}

/// One address, as a log of what happened to it.
struct Waiting {
    source: Target,
    frames: Vec<u64>,
    asked: Vec<Duration>,
}

/// The frames that wait, as they ought to.
#[derive(Default)]
struct Model {
    waiting: BTreeMap<NeighbourKey, Waiting>,
    /// Addresses of each source.
    shares: BTreeMap<Target, usize>,
    pending: Pending<u64>,
    now: Duration,
    number: u64,
}

impl Model {
    fn put(&mut self, key: NeighbourKey, source: Target) {
        self.number += 1;
        let result = self.pending.put(key, source, self.number, self.now);
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.frames.push(self.number);
            let oldest = (waiting.frames.len() > FRAMES).then(|| waiting.frames.remove(0));
            assert_eq!(result, oldest.map_or(Ok(false), Err));
            return;
        }
        let share = self.shares.entry(source).or_default();
        if *share == PER_SOURCE || self.waiting.len() == ADDRESSES {
            assert_eq!(result, Err(self.number), "{share} addresses of {source:?}");
            return;
        }
        assert_eq!(result, Ok(true), "{share} addresses of {source:?}");
        *share += 1;
        let waiting = Waiting { source, frames: vec![self.number], asked: vec![self.now] };
        self.waiting.insert(key, waiting);
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        let now = self.now;
        let is_due = |waiting: &Waiting| *waiting.asked.last().expect("asked") + SECOND <= now;
        let mut asks = self.pending.due(now);
        asks.sort_by_key(|asks| match asks {
            Asks::Again(key) | Asks::GaveUp(key, _) => *key,
        });
        let due: Vec<_> =
            self.waiting.iter().filter(|(_, waiting)| is_due(waiting)).map(|(k, _)| *k).collect();
        let wanted: Vec<_> = due.into_iter().map(|key| self.ask(key)).collect();
        assert_eq!(asks, wanted);
        let next = self.waiting.values().map(|waiting| waiting.asked[waiting.asked.len() - 1]);
        assert_eq!(self.pending.next(), next.min().map(|last| last + SECOND));
    }

    /// Three times, and then no more.
    fn ask(&mut self, key: NeighbourKey) -> Asks<u64> {
        let waiting = self.waiting.get_mut(&key).expect("it waits");
        if waiting.asked.len() < 3 {
            waiting.asked.push(self.now);
            return Asks::Again(key);
        }
        Asks::GaveUp(key, self.remove(key))
    }

    fn remove(&mut self, key: NeighbourKey) -> Vec<u64> {
        let waiting = self.waiting.remove(&key).expect("it waits");
        *self.shares.get_mut(&waiting.source).expect("a share") -= 1;
        waiting.frames
    }

    fn know(&mut self, known: impl Fn(&NeighbourKey) -> bool) {
        let mut frames = self.pending.known(&known);
        let keys: Vec<_> = self.waiting.keys().filter(|key| known(key)).copied().collect();
        let mut wanted = Vec::new();
        for key in keys {
            let waited = self.remove(key);
            wanted.push(waited);
        }
        // Addresses in whatever order, but frames to one in theirs.
        let mut got = Vec::new();
        for waited in &wanted {
            let at = frames.iter().position(|frame| *frame == waited[0]).expect("the oldest");
            got.push(frames.drain(at..at + waited.len()).collect::<Vec<_>>());
        }
        assert_eq!((got, frames.len()), (wanted, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn frames_wait_as_they_ought_to(events in vec(event(), 1..40)) {
        let mut model = Model::default();
        for event in events {
            match event {
                Event::Frames { source: from, first, count } => {
                    (first..first + count).for_each(|to| model.put(key(to), source(from)));
                }
                Event::Burst { source: from, to, count } => {
                    (0..count).for_each(|_| model.put(key(to), source(from)));
                }
                Event::Time(millis) => model.pass(millis),
                Event::Known { first, count } => {
                    let known: Vec<_> = (first..first + count).map(key).collect();
                    model.know(|key| known.binary_search(key).is_ok());
                }
            }
        }
        // Whatever waits is given up on in time.
        (0..3).for_each(|_| model.pass(1000));
        prop_assert_eq!((model.waiting.len(), model.pending.next()), (0, None));
    }
}

#[test]
fn all_that_can_wait_does_and_no_more() {
    let mut pending = Pending::default();
    let mut held = 0_i64;
    for number in 0..10_000 {
        for frame in 0..20 {
            let put = pending.put(key(number), source(u32::from(number) % 20), frame, SECOND);
            held += i64::from(put.is_ok());
        }
    }
    assert_eq!(held, (ADDRESSES * FRAMES) as i64);
    assert_eq!(pending.known(|_| true).len(), ADDRESSES * FRAMES);
    // What was known gives back its room.
    for number in 0..PER_SOURCE as u16 {
        assert_eq!(pending.put(key(number), source(0), 0, SECOND), Ok(true));
    }
    assert_eq!(pending.put(key(9999), source(0), 0, SECOND), Err(0));
}
