//! What the daemon tells of itself: events, what is wrong, and how its configurations fared.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use overlay_control::config::Place;
use overlay_control::controller::{Change, Names, News};
use serde_json::{Value, json};

use super::Daemon;
use super::exposition::Exposition;
use crate::api::{Problem, ProblemRow};
use crate::events::{Kind, Log, rfc3339};
use crate::health::rising::Rising;
use crate::health::{Health, Known, Severity, Turn};

/// Counters of drops by reason and device.
pub type DropName = (u8, String);

/// What is kept for those who watch.
pub struct Sight {
    /// What happened.
    pub log: Arc<Log>,
    /// What is wrong.
    pub health: Health,
    /// Drops that rise.
    pub drops: Rising<DropName>,
    /// Whether the drops were looked at before.
    pub has_looked: bool,
    /// Limits that hold something back now.
    pub limited: BTreeSet<DropName>,
    /// How configurations fared.
    pub reloads: Reloads,
    /// How often metrics were gathered, and how long that took the last time.
    pub scrapes: (u64, Duration),
    /// Metrics over TCP.
    pub exposition: Exposition,
}

/// How configurations fared.
#[derive(Debug)]
pub struct Reloads {
    /// Those that came into force, the first included.
    pub applied: u64,
    /// Those that were wrong.
    pub refused: u64,
    /// Those that the machine refused.
    pub failed: u64,
    /// When one last came into force.
    pub last: SystemTime,
    /// Why the last one did not.
    pub refusal: Option<String>,
}

impl Sight {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self {
            log: Arc::default(),
            health: Health::default(),
            drops: Rising::default(),
            has_looked: false,
            limited: BTreeSet::new(),
            reloads: Reloads {
                applied: 1,
                refused: 0,
                failed: 0,
                last: SystemTime::now(),
                refusal: None,
            },
            scrapes: (0, Duration::ZERO),
            exposition: Exposition::default(),
        }
    }

    /// What is wrong, and what was.
    pub fn rows(&self, now: Duration) -> (Vec<ProblemRow>, Vec<ProblemRow>) {
        let problems = self.health.problems().into_iter().map(|known| row(known, now)).collect();
        (problems, self.health.recovered().map(|known| row(known, now)).collect())
    }
}

fn row(known: &Known, now: Duration) -> ProblemRow {
    let seconds = |since: Duration| now.saturating_sub(since).as_secs();
    let fault = &known.fault;
    ProblemRow {
        code: fault.code.name().to_owned(),
        severity: fault.code.severity().name().to_owned(),
        subject: fault.subject.clone(),
        what: fault.what.clone(),
        since: rfc3339(known.began),
        seconds: seconds(known.since),
        fix: fault.fix.clone(),
        ended: known.ended.map(|(_, time)| rfc3339(time)),
        ended_seconds: known.ended.map(|(since, _)| seconds(since)),
    }
}

impl Daemon {
    /// Writes an event down.
    pub(super) fn tell(&self, kind: Kind, subject: String, text: impl Into<String>, fields: Value) {
        self.sight.log.put(kind, subject, text, fields, self.now());
    }

    /// Looks at everything that may be wrong, and tells what is different.
    pub(super) fn see_to_health(&mut self) {
        let (now, found) = (self.now(), self.faults());
        for turn in self.sight.health.handle(found, now, SystemTime::now()) {
            match turn {
                Turn::Began(fault) => {
                    if fault.code.severity() == Severity::Note {
                        tracing::info!(code = fault.code.name(), "{}", fault.what);
                    } else {
                        tracing::warn!(code = fault.code.name(), "{}", fault.what);
                    }
                    let fields = json!({
                        "code": fault.code.name(),
                        "severity": fault.code.severity().name(),
                        "fix": fault.fix,
                    });
                    self.tell(Kind::ProblemBegan, fault.subject, fault.what, fields);
                }
                Turn::Ended(fault, after) => {
                    let (code, seconds) = (fault.code.name(), after.as_secs());
                    tracing::info!(code, seconds, "no longer: {}", fault.what);
                    let fields = json!({ "code": code, "seconds": seconds });
                    let text = format!("no longer: {}", fault.what);
                    self.tell(Kind::ProblemEnded, fault.subject, text, fields);
                }
            }
        }
    }

    /// Tells what happened to stations and peers.
    pub(super) fn tell_news(&mut self) {
        let mut names: Option<Names> = None;
        while let Some(news) = self.controller.poll_news() {
            let now = self.now();
            let (kind, subject, text, fields) = match news {
                News::Peer { name, obstacle, was_ready, via } => {
                    let subject = format!("peer {name}");
                    match obstacle {
                        Some(why) => {
                            let fields = json!({ "peer": name, "why": why });
                            (Kind::PeerUnresolved, subject, why, fields)
                        }
                        None => {
                            let kind = match was_ready {
                                Some(true) => Kind::NextHopChanged,
                                _ => Kind::PeerReady,
                            };
                            let fields = json!({ "peer": name, "via": via });
                            (kind, subject, format!("reached via {via}"), fields)
                        }
                    }
                }
                News::Station { change, key, place, from } => {
                    let names = names.get_or_insert_with(|| self.controller.names(now));
                    let segment = names.segment(overlay_common::id::SegmentId(key.segment));
                    let segment = segment.unwrap_or("-").to_owned();
                    let place = words(names.place(place));
                    let from = from.map(|from| words(names.place(from)));
                    let mac = overlay_common::wire::Mac(key.mac).to_string();
                    let text = match (change, &from) {
                        (Change::Learned, _) => format!("{mac} is behind {place}"),
                        (Change::Moved, Some(from)) => {
                            format!("{mac} moved from {from} to {place}")
                        }
                        (Change::Moved, None) => format!("{mac} moved to {place}"),
                        (Change::Aged, _) => format!("{mac} behind {place} was silent"),
                        (Change::Flushed, _) => format!("{mac} behind {place} is forgotten"),
                    };
                    let subject = format!("segment {segment}");
                    let fields =
                        json!({ "segment": segment, "mac": mac, "place": place, "from": from });
                    (kind_of(change), subject, text, fields)
                }
            };
            self.sight.log.put(kind, subject, text, fields, now);
        }
        for (change, more) in Change::ALL.into_iter().zip(self.controller.more_news()) {
            if more > 0 {
                self.sight.log.more(kind_of(change), more);
            }
        }
    }

    /// Takes note of another configuration, whoever brought it.
    pub(super) fn changed(&mut self, changes: &[String]) {
        let fields = json!({ "changes": changes });
        self.tell(Kind::ConfigurationApplied, String::new(), changes.join("; "), fields);
        self.see_to_exposition();
    }

    /// Takes note of how a reload ended.
    pub(super) fn reload_ended(&mut self, outcome: &Result<Vec<String>, Problem>) {
        let reloads = &mut self.sight.reloads;
        match outcome {
            Ok(changes) => {
                reloads.applied += 1;
                (reloads.last, reloads.refusal) = (SystemTime::now(), None);
                self.changed(changes);
            }
            Err(problem) => {
                let count =
                    if problem.is_callers() { &mut reloads.refused } else { &mut reloads.failed };
                *count += 1;
                let mut why = problem.details.first().cloned().unwrap_or_default();
                if why.is_empty() {
                    why.clone_from(&problem.detail);
                }
                reloads.refusal = Some(why.clone());
                let fields = json!({ "detail": problem.detail, "details": problem.details });
                self.tell(Kind::ConfigurationRefused, String::new(), why, fields);
            }
        }
        self.see_to_health();
    }
}

const fn kind_of(change: Change) -> Kind {
    match change {
        Change::Learned => Kind::AddressLearned,
        Change::Moved => Kind::AddressMoved,
        Change::Aged => Kind::AddressAged,
        Change::Flushed => Kind::AddressFlushed,
    }
}

fn words(place: Option<Place<&str>>) -> String {
    match place {
        Some(Place::Peer(name)) => format!("peer {name}"),
        Some(Place::Port { interface, vlan: None }) => format!("port {interface}"),
        Some(Place::Port { interface, vlan: Some(vlan) }) => {
            format!("port {interface} vlan {vlan}")
        }
        None => "what is gone".to_owned(),
    }
}
