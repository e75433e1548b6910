//! Following the log, as JSON lines.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, json};
use tokio::sync::watch;

use super::{Event, Kind, Latest, Log, rfc3339};

/// Events that are handed over at once.
const AT_ONCE: usize = 256;
/// Readers that may follow at the same time.
pub const FOLLOWERS: usize = 64;

/// A reader's place in the log.
pub struct Reader {
    log: Arc<Log>,
    next: u64,
    follow: bool,
    wake: watch::Receiver<Latest>,
}

impl Reader {
    /// A reader of what came after event `since`. One that waits for more is a follower, of
    /// which there are at most [`FOLLOWERS`]; `None`: there are so many.
    ///
    /// A number that is still to come is one of an earlier daemon's: such a reader gets all there
    /// is.
    pub fn new(log: &Arc<Log>, since: u64, follow: bool) -> Option<Self> {
        let mut inner = log.inner();
        if follow {
            if inner.followers == FOLLOWERS {
                return None;
            }
            inner.followers += 1;
        }
        let next = if since < inner.next { since + 1 } else { 1 };
        drop(inner);
        Some(Self { log: Arc::clone(log), next, follow, wake: log.last.subscribe() })
    }

    /// The next lines; `None` at the end.
    pub async fn lines(&mut self) -> Option<Bytes> {
        loop {
            let seen = *self.wake.borrow_and_update();
            if let Some(lines) = self.ready() {
                return Some(lines);
            }
            if !self.follow || seen.ended || self.wake.changed().await.is_err() {
                return None;
            }
        }
    }

    fn ready(&mut self) -> Option<Bytes> {
        let (events, lost) = {
            let inner = self.log.inner();
            let first = inner.ring.front()?.sequence;
            let lost = first.saturating_sub(self.next);
            let skip = self.next.max(first) - first;
            let events: Vec<Arc<Event>> =
                inner.ring.iter().skip(skip as usize).take(AT_ONCE).cloned().collect();
            (events, lost)
        };
        self.next = events.last()?.sequence + 1;
        let mut lines = Vec::new();
        let note = (lost > 0).then(|| Arc::new(missing(lost)));
        for event in note.iter().chain(&events) {
            // What is written into memory is always written.
            let _ = serde_json::to_writer(&mut lines, &**event);
            lines.push(b'\n');
        }
        Some(lines.into())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.follow {
            self.log.inner().followers -= 1;
        }
    }
}

fn missing(lost: u64) -> Event {
    let mut fields = Map::new();
    fields.insert("lost".to_owned(), json!(lost));
    Event {
        sequence: 0,
        time: rfc3339(std::time::SystemTime::now()),
        kind: Kind::Lost.name().to_owned(),
        subject: String::new(),
        text: format!("{lost} events are missing: they were overwritten before they were read"),
        fields,
    }
}

#[cfg(test)]
mod tests {
    use super::super::KEPT;
    use super::*;
    use std::time::Duration;

    fn put(log: &Log, times: usize) {
        for time in 0..times {
            let now = Duration::from_secs(log.last() + time as u64);
            log.put(Kind::PortUp, "port eth1", "up", json!({}), now);
        }
    }

    async fn next(reader: &mut Reader) -> Vec<Event> {
        let lines = reader.lines().await.unwrap_or_default();
        lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn a_reader_goes_on_where_it_was() {
        let log = Arc::new(Log::default());
        put(&log, 3);
        let mut reader = Reader::new(&log, 1, true).unwrap();
        let sequences = |events: Vec<Event>| events.iter().map(|e| e.sequence).collect::<Vec<_>>();
        assert_eq!(sequences(next(&mut reader).await), [2, 3]);
        put(&log, 1);
        assert_eq!(sequences(next(&mut reader).await), [4]);
        log.end();
        assert!(reader.lines().await.is_none(), "a daemon that ends ends its readers");
        let mut once = Reader::new(&log, 9999, false).unwrap();
        assert_eq!(next(&mut once).await.len(), 4, "of an earlier daemon: everything");
        assert!(once.lines().await.is_none());
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_missed() {
        let log = Arc::new(Log::default());
        put(&log, 5);
        let mut reader = Reader::new(&log, 2, true).unwrap();
        put(&log, KEPT);
        let events = next(&mut reader).await;
        assert_eq!((events[0].sequence, &events[0].fields["lost"]), (0, &json!(3)));
        assert_eq!(events[1].sequence, 6);
        assert!(next(&mut reader).await.iter().all(|event| event.sequence > 0));
    }

    #[test]
    fn followers_are_bounded() {
        let log = Arc::new(Log::default());
        let all: Vec<Reader> =
            std::iter::from_fn(|| Reader::new(&log, 0, true)).take(100).collect();
        assert_eq!(all.len(), FOLLOWERS);
        assert!(Reader::new(&log, 0, false).is_some());
        drop(all);
        assert!(Reader::new(&log, 0, true).is_some());
    }
}
