//! What happened, in the order in which it did: a bounded ring that any number of readers follow.
//!
//! - [`kind`]: what may happen.
//! - [`limiter`]: how much of a kind is told one by one.
//! - [`reader`]: following the ring.
//!
//! Writing never waits for a reader. One that is slower than the events come misses some, and is
//! told how many.

pub mod kind;
pub mod limiter;
pub mod reader;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::watch;
use utoipa::ToSchema;

pub use kind::Kind;
use limiter::Limiter;
pub use reader::Reader;

/// Events that are kept.
pub const KEPT: usize = 4096;
/// An event's text is cut off here, in bytes: some hold what others say.
const TEXT: usize = 2048;

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number: 1 for the first one since the daemon started. 0 for a note about missing ones.
    pub sequence: u64,
    /// When, as in RFC 3339, in UTC.
    pub time: String,
    /// What kind of thing: one of the names in the manual.
    pub kind: String,
    /// What it happened to, such as `port eth1` or `peer gw2`; empty for the node itself.
    pub subject: String,
    /// What happened, for people.
    pub text: String,
    /// The same for programs; which keys there are depends on the kind.
    #[schema(value_type = Object)]
    pub fields: Map<String, Value>,
}

/// The log of one daemon.
#[derive(Debug)]
pub struct Log {
    inner: Mutex<Inner>,
    last: watch::Sender<Latest>,
}

/// What wakes readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Latest {
    sequence: u64,
    ended: bool,
}

#[derive(Debug)]
struct Inner {
    ring: VecDeque<Arc<Event>>,
    next: u64,
    limiter: Limiter,
    told: BTreeMap<&'static str, u64>,
    followers: usize,
}

impl Default for Log {
    fn default() -> Self {
        let inner = Inner {
            ring: VecDeque::new(),
            next: 1,
            limiter: Limiter::default(),
            told: BTreeMap::new(),
            followers: 0,
        };
        Self { inner: Mutex::new(inner), last: watch::Sender::new(Latest::default()) }
    }
}

impl Log {
    /// Writes an event down, unless there were too many of its kind within this second: then it
    /// is only counted, and the number told when the second is over. `now` is a clock that does
    /// not run backwards.
    pub fn put(
        &self,
        kind: Kind,
        subject: impl Into<String>,
        text: impl Into<String>,
        fields: Value,
        now: Duration,
    ) {
        let mut inner = self.inner();
        if !inner.limiter.admits(kind, now) {
            return;
        }
        inner.push(kind, subject.into(), text.into(), fields);
        self.wake(&inner);
    }

    /// Counts events that were not told one by one.
    pub fn more(&self, kind: Kind, count: u64) {
        self.inner().limiter.add(kind, count);
    }

    /// Tells of what was only counted. To be called every second.
    pub fn tick(&self, now: Duration) {
        let mut inner = self.inner();
        for (kind, more) in inner.limiter.take_over(now) {
            let text = format!("{more} more of this kind, which are not told one by one");
            inner.push(kind, String::new(), text, serde_json::json!({ "more": more }));
        }
        self.wake(&inner);
    }

    /// Ends every reader that follows.
    pub fn end(&self) {
        self.last.send_modify(|latest| latest.ended = true);
    }

    /// How many events of each kind were written down.
    pub fn totals(&self) -> BTreeMap<&'static str, u64> {
        self.inner().told.clone()
    }

    /// The number of the last event; 0: there was none.
    pub fn last(&self) -> u64 {
        self.inner().next - 1
    }

    fn wake(&self, inner: &Inner) {
        let sequence = inner.next - 1;
        self.last.send_if_modified(|latest| {
            let is_new = latest.sequence != sequence;
            latest.sequence = sequence;
            is_new
        });
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, kind: Kind, subject: String, text: String, fields: Value) {
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let (sequence, time) = (self.next, rfc3339(SystemTime::now()));
        let text = shortened(text);
        let kind = kind.name();
        *self.told.entry(kind).or_default() += 1;
        let kind = kind.to_owned();
        if self.ring.len() == KEPT {
            self.ring.pop_front();
        }
        self.ring.push_back(Arc::new(Event { sequence, time, kind, subject, text, fields }));
        self.next += 1;
    }
}

/// A time as in RFC 3339, to the millisecond.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

fn shortened(mut text: String) -> String {
    if text.len() > TEXT {
        let end = (0..=TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_numbered_and_the_oldest_go() {
        let log = Log::default();
        for second in 0..KEPT as u64 + 10 {
            log.put(Kind::PortUp, "port eth1", "up", json!({}), Duration::from_secs(second));
        }
        assert_eq!(log.last(), KEPT as u64 + 10);
        assert_eq!(log.inner().ring.front().map(|event| event.sequence), Some(11));
        assert_eq!(log.totals()["port-up"], KEPT as u64 + 10);
    }

    #[test]
    fn a_long_text_is_cut_off_between_characters() {
        let text = shortened("€".repeat(1000));
        assert!(text.len() <= TEXT + 3 && text.ends_with("€…"));
        assert_eq!(shortened("short".to_owned()), "short");
    }

    #[test]
    fn what_is_too_much_is_summed_up_when_the_second_is_over() {
        let log = Log::default();
        let now = Duration::from_secs(7);
        for _ in 0..limiter::A_SECOND + 5 {
            log.put(Kind::AddressLearned, "", "x", json!({}), now);
        }
        log.more(Kind::AddressLearned, 100);
        assert_eq!(log.last(), u64::from(limiter::A_SECOND));
        log.tick(now);
        assert_eq!(log.last(), u64::from(limiter::A_SECOND), "the second is not over");
        log.tick(now + Duration::from_secs(1));
        let last = log.inner().ring.back().cloned().unwrap();
        assert_eq!((&*last.kind, &last.fields["more"]), ("address-learned", &json!(105)));
    }
}
