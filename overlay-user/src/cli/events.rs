//! `overlay events`: what happened, and what happens.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use clap::Args;

use super::query::{self, NOT_UNDERSTOOD};
use super::{CommandFailure, Query, rows, select};
use crate::api::client::{self, Outcome};
use crate::api::sight::EVENTS_PATH;
use crate::events::Event;

/// Which events are wanted.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Go on with what happens, until interrupted or until the daemon ends.
    #[arg(long, short)]
    follow: bool,
    /// Begin after the event with this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    since: u64,
}

/// Prints the events.
pub async fn events(wanted: Wanted, target: Query) -> Result<(), CommandFailure> {
    let instance = select::running(target.name).await?;
    let path = format!("{EVENTS_PATH}?since={}&follow={}", wanted.since, wanted.follow);
    let mut out = std::io::stdout();
    let print = |line: &[u8]| -> Result<()> {
        if target.json {
            out.write_all(line)?;
        } else {
            let event: Event = serde_json::from_slice(line).context(NOT_UNDERSTOOD)?;
            writeln!(out, "{}", words(&event))?;
        }
        Ok(out.flush()?)
    };
    match client::lines(&instance, &path, wanted.follow, print).await {
        Ok(Outcome::Answered(_)) => Ok(()),
        Ok(Outcome::Refused(problem)) => Err(query::refusal(problem)),
        Ok(Outcome::NoDaemon) => Err(query::no_daemon(&instance)),
        Err(error) if rows::is_broken_pipe(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// An event on one line. Its text may hold what others say, so nothing in it reaches the terminal
/// as a control character.
fn words(event: &Event) -> String {
    let Event { sequence, time, kind, subject, text, .. } = event;
    let subject = if subject.is_empty() { String::new() } else { format!("{subject}: ") };
    let line = format!("{sequence:>6} {time} {kind:<22} {subject}{text}");
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = Event {
            sequence: 7,
            time: "2026-01-02T03:04:05.678Z".to_owned(),
            kind: "port-down".to_owned(),
            subject: "port eth1".to_owned(),
            text: "it is\x1b[2J down\n".to_owned(),
            ..Event::default()
        };
        let expected =
            "     7 2026-01-02T03:04:05.678Z port-down              port eth1: it is [2J down ";
        assert_eq!(words(&event), expected);
    }
}
