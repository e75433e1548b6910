//! What is wrong with the gateway, and since when.
//!
//! - [`code`]: what may be wrong.
//! - [`rising`]: counters that should stand still.
//!
//! [`Health`] is told every second, and whenever somebody asks, what is wrong now; it knows since
//! when, and remembers for a while what is right again.

pub mod code;
pub mod rising;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, SystemTime};

pub use code::{Code, Severity};

/// How long a problem that has ended is remembered.
pub const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// How many of them.
const ENDED: usize = 32;
/// Problems of one code that are told one by one; the rest is one more.
pub const OF_A_CODE: usize = 64;

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of thing.
    pub code: Code,
    /// What it is about, such as `port eth1`; empty for the node itself.
    pub subject: String,
    /// What is wrong, in a sentence.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Fault {
    /// A fault of something.
    pub fn new(
        code: Code,
        subject: impl Into<String>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { code, subject: subject.into(), what: what.into(), fix: fix.into() }
    }
}

/// A fault with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What is wrong, in its latest words.
    pub fault: Fault,
    /// Since when, on a clock that does not run backwards.
    pub since: Duration,
    /// The same for people.
    pub began: SystemTime,
    /// Since when it is right again.
    pub ended: Option<(Duration, SystemTime)>,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Something went wrong.
    Began(Fault),
    /// Something is right again, after so long.
    Ended(Fault, Duration),
}

/// What is wrong, and was a moment ago.
#[derive(Debug, Default)]
pub struct Health {
    now: BTreeMap<(Code, String), Known>,
    ended: VecDeque<Known>,
}

impl Health {
    /// Takes in everything that is wrong now, and says what is different.
    pub fn handle(&mut self, found: Vec<Fault>, now: Duration, time: SystemTime) -> Vec<Turn> {
        let mut turns = Vec::new();
        let mut still = BTreeSet::new();
        for fault in together(found) {
            let key = (fault.code, fault.subject.clone());
            still.insert(key.clone());
            match self.now.get_mut(&key) {
                Some(known) => known.fault = fault,
                None => {
                    turns.push(Turn::Began(fault.clone()));
                    self.now.insert(key, Known { fault, since: now, began: time, ended: None });
                }
            }
        }
        let over: Vec<_> = self.now.keys().filter(|key| !still.contains(*key)).cloned().collect();
        for key in over {
            let Some(mut known) = self.now.remove(&key) else { continue };
            turns.push(Turn::Ended(known.fault.clone(), now.saturating_sub(known.since)));
            known.ended = Some((now, time));
            self.ended.push_front(known);
        }
        self.ended.truncate(ENDED);
        self.ended.retain(|known| known.ended.is_some_and(|(at, _)| at + REMEMBERED > now));
        turns
    }

    /// What is wrong, the worst first, of that the latest.
    pub fn problems(&self) -> Vec<&Known> {
        let mut all: Vec<&Known> = self.now.values().collect();
        all.sort_by(|a, b| {
            let rank = |known: &Known| (known.fault.code.severity(), known.since);
            rank(b).cmp(&rank(a)).then_with(|| a.fault.subject.cmp(&b.fault.subject))
        });
        all
    }

    /// What was wrong a while ago, the latest first.
    pub fn recovered(&self) -> impl Iterator<Item = &Known> {
        self.ended.iter()
    }

    /// Whether nothing is wrong. What is worth a note only is not wrong.
    pub fn is_healthy(&self) -> bool {
        self.now.values().all(|known| known.fault.code.severity() == Severity::Note)
    }

    /// How many problems there are of each code.
    pub fn counts(&self) -> BTreeMap<Code, usize> {
        let mut counts = BTreeMap::new();
        for (code, _) in self.now.keys() {
            *counts.entry(*code).or_default() += 1;
        }
        counts
    }
}

/// Thousands of problems of one kind are one problem.
fn together(found: Vec<Fault>) -> Vec<Fault> {
    let mut counts: BTreeMap<Code, usize> = BTreeMap::new();
    let mut kept = Vec::new();
    for fault in found {
        let count = counts.entry(fault.code).or_default();
        *count += 1;
        if *count <= OF_A_CODE {
            kept.push(fault);
        }
    }
    for (code, count) in counts.into_iter().filter(|(_, count)| *count > OF_A_CODE) {
        let more = count - OF_A_CODE;
        let what = format!("{more} more have the problem {}", code.name());
        kept.push(Fault::new(code, "others", what, code.fix()));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn down(port: &str) -> Fault {
        Fault::new(Code::PortDown, format!("port {port}"), "it is down", "set it up")
    }

    fn at(health: &mut Health, second: u64, found: Vec<Fault>) -> Vec<Turn> {
        let now = Duration::from_secs(second);
        health.handle(found, now, START + now)
    }

    #[test]
    fn a_problem_begins_once_and_ends_once() {
        let mut health = Health::default();
        assert_eq!(at(&mut health, 1, vec![down("eth1")]), [Turn::Began(down("eth1"))]);
        let mut later = down("eth1");
        later.what = "it is still down".to_owned();
        assert_eq!(at(&mut health, 5, vec![later.clone()]), []);
        let known = health.problems()[0].clone();
        assert_eq!((known.since, known.fault.what), (Duration::from_secs(1), later.what.clone()));
        assert!(!health.is_healthy());
        let ended = at(&mut health, 9, vec![]);
        assert_eq!(ended, [Turn::Ended(later, Duration::from_secs(8))]);
        assert!(health.problems().is_empty() && health.is_healthy());
        let recovered: Vec<_> = health.recovered().collect();
        assert_eq!(
            recovered[0].ended,
            Some((Duration::from_secs(9), START + Duration::from_secs(9)))
        );
        at(&mut health, 9 + REMEMBERED.as_secs(), vec![]);
        assert_eq!(health.recovered().count(), 0, "forgotten after a while");
    }

    #[test]
    fn the_worst_come_first_and_of_them_the_latest() {
        let mut health = Health::default();
        let note = Fault::new(Code::Ephemeral, "", "loaded", "write it");
        at(&mut health, 1, vec![note.clone(), down("eth1")]);
        let error = Fault::new(Code::NoUplink, "", "no uplink", "set one up");
        at(&mut health, 2, vec![note.clone(), down("eth1"), down("eth2"), error.clone()]);
        let told: Vec<_> = health.problems().iter().map(|known| known.fault.clone()).collect();
        assert_eq!(told[0], error);
        assert_eq!(
            (told[1].subject.as_str(), told[2].subject.as_str()),
            ("port eth2", "port eth1")
        );
        at(&mut health, 3, vec![note]);
        assert!(health.is_healthy(), "a note is no problem");
    }

    #[test]
    fn thousands_of_one_kind_are_bounded() {
        let mut health = Health::default();
        let many = (0..10_000).map(|i| down(&i.to_string())).collect();
        assert_eq!(at(&mut health, 1, many).len(), OF_A_CODE + 1);
        let others = health.problems().into_iter().find(|known| known.fault.subject == "others");
        assert_eq!(others.unwrap().fault.what, "9936 more have the problem port-down");
        at(&mut health, 2, vec![]);
        assert_eq!(health.recovered().count(), ENDED);
    }
}
