//! What is asked of the daemon, and its answers as rows that count.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::model::Tab;
use crate::api::client::{self, Outcome};
use crate::api::{DropRow, PeerRow, PortRow, Question, SegmentRow};
use crate::cli::NOT_UNDERSTOOD;
use crate::instance::Instance;
use crate::show::units::duration;

/// Packets and bytes: received, sent. Of drops only the first is counted.
pub type Counts = [u64; 4];

/// How the daemon is, as far as the head of the screen tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// `node.name`.
    pub name: String,
    /// The daemon's process: another one is a restart.
    pub pid: u64,
    /// Seconds since it started.
    pub uptime: u64,
    /// Ports: how many, and how many are attached.
    pub ports: [u64; 2],
    /// Peers: how many, and how many are ready.
    pub peers: [u64; 2],
    /// Addresses in the FDB.
    pub fdb: u64,
    /// What is wrong, in sentences.
    pub problems: Vec<String>,
}

impl Health {
    /// Reads what `status` answers. A problem may be a sentence, or an object with one.
    pub fn of(status: &Value) -> Self {
        let number = |key: &str| status[key].as_u64().unwrap_or_default();
        let problems = status["problems"].as_array().into_iter().flatten();
        // What is worth a note is not wrong.
        let wrong = problems.filter(|problem| problem["severity"] != "note").map(sentence);
        Self {
            name: status["name"].as_str().unwrap_or_default().to_owned(),
            pid: number("pid"),
            uptime: number("uptime"),
            ports: [number("ports"), number("ports_attached")],
            peers: [number("peers"), number("peers_ready")],
            fdb: number("fdb"),
            problems: wrong.collect(),
        }
    }
}

/// A problem in one line: its own words, what they are about, and for how long.
fn sentence(problem: &Value) -> String {
    let Some(words) = problem.as_str().or_else(|| problem["what"].as_str()) else {
        return problem.to_string();
    };
    let subject = problem["subject"].as_str().filter(|subject| !words.starts_with(*subject));
    let mut sentence =
        subject.map_or_else(|| words.to_owned(), |about| format!("{about}: {words}"));
    if let Some(seconds) = problem["seconds"].as_u64() {
        sentence += &format!(", for {}", duration(seconds));
    }
    sentence
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq)]
pub enum Rows {
    /// Ports.
    Ports(Vec<PortRow>),
    /// Segments.
    Segments(Vec<SegmentRow>),
    /// Peers.
    Peers(Vec<PeerRow>),
    /// What was dropped.
    Drops(Vec<DropRow>),
}

impl Rows {
    /// The tab that these are for.
    pub const fn tab(&self) -> Tab {
        match self {
            Self::Ports(_) => Tab::Ports,
            Self::Segments(_) => Tab::Segments,
            Self::Peers(_) => Tab::Peers,
            Self::Drops(_) => Tab::Drops,
        }
    }
}

/// What a daemon said at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// How it is.
    pub health: Health,
    /// Answers, each with the time that it came at.
    pub rows: Vec<(Duration, Rows)>,
}

/// Asks a daemon how it is, and for these tabs. `None`: no daemon answers. `now` is the clock of
/// the answers.
pub async fn take(
    instance: &Instance,
    tabs: &[Tab],
    now: impl Fn() -> Duration,
) -> Result<Option<Sample>> {
    let Some(status) = ask::<Value>(instance, Question::Status).await? else { return Ok(None) };
    let mut rows = Vec::with_capacity(tabs.len());
    for tab in tabs {
        let Some(answer) = of_tab(instance, *tab).await? else { return Ok(None) };
        rows.push((now(), answer));
    }
    Ok(Some(Sample { health: Health::of(&status), rows }))
}

async fn of_tab(instance: &Instance, tab: Tab) -> Result<Option<Rows>> {
    Ok(match tab {
        Tab::Ports => ask(instance, Question::Ports).await?.map(Rows::Ports),
        Tab::Segments => ask(instance, Question::Segments).await?.map(Rows::Segments),
        Tab::Peers => ask(instance, Question::Peers).await?.map(Rows::Peers),
        Tab::Drops => ask(instance, Question::Drops).await?.map(Rows::Drops),
    })
}

async fn ask<T: DeserializeOwned>(instance: &Instance, question: Question) -> Result<Option<T>> {
    match client::ask(instance, question).await? {
        Outcome::Answered(body) => Ok(Some(serde_json::from_slice(&body).context(NOT_UNDERSTOOD)?)),
        Outcome::Refused(problem) => {
            bail!("the daemon of {} refuses: {}", instance.name, problem.detail)
        }
        Outcome::NoDaemon => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn problems_may_be_sentences_or_objects() {
        let status = json!({
            "name": "gw1", "pid": 7, "uptime": 3, "ports": 2, "ports_attached": 1,
            "problems": [
                "port eth1 is down",
                {"what": "no route to it", "subject": "peer gw2", "seconds": 61, "severity": "error"},
                {"what": "port eth2 is down", "subject": "port eth2"},
                {"what": "learning is off", "severity": "note"},
                {"x": 1},
            ],
        });
        let health = Health::of(&status);
        assert_eq!(health.ports, [2, 1]);
        assert_eq!(health.peers, [0, 0], "what is not said is none");
        assert_eq!(
            health.problems,
            [
                "port eth1 is down",
                "peer gw2: no route to it, for 1 min 1 s",
                "port eth2 is down",
                "{\"x\":1}",
            ]
        );
    }
}
