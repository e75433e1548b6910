//! `overlay set`, `unset`, `change` and `save`: changes to the configuration of a gateway that
//! runs.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::{CommandFailure, Query, query, select, words};
use crate::api::client::{self, Outcome};
use crate::api::configuration::{Changed, InEffect, PATH};

const JSON: &str = "application/json";

/// No file of changes is longer, in bytes: what the API takes.
const LONGEST: u64 = 1 << 20;

/// How a change is made.
#[derive(Clone, Copy, Debug, Args)]
pub struct How {
    /// Write it to the configuration file as well; without, it lasts until the next reload or
    /// start.
    #[arg(long)]
    persist: bool,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
}

/// `overlay set`.
#[derive(Debug, Args)]
pub struct Set {
    /// The table: peer/NAME, segment/NAME, segment/NAME/port/INTERFACE[/VLAN],
    /// segment/NAME/fdb/MAC, segment/NAME/acl/POSITION, vrf/NAME/route/PREFIX, node, …; one that
    /// is not there is made.
    path: String,
    /// Keys of the table and their values: `vtep=192.0.2.3`, `segments=[blue,red]`,
    /// limit={packets=1000}.
    #[arg(value_name = "KEY=VALUE")]
    keys: Vec<String>,
    /// Have the table hold these keys and no others.
    #[arg(long, conflicts_with = "insert")]
    replace: bool,
    /// Put a new rule before the one at this position.
    #[arg(long)]
    insert: bool,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    query: Query,
}

/// `overlay unset`.
#[derive(Debug, Args)]
pub struct Unset {
    /// The table, as for set.
    path: String,
    /// Keys of it that are to go; without any, the table goes.
    keys: Vec<String>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    query: Query,
}

/// `overlay change`.
#[derive(Debug, Args)]
pub struct Change {
    /// A file with a change on each line; - is standard input. All of them are made, or none:
    /// set PATH KEY=VALUE…, replace PATH KEY=VALUE…, insert PATH KEY=VALUE…, unset PATH [KEY…].
    /// What follows a # is skipped.
    file: PathBuf,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    query: Query,
}

/// Runs `overlay set`.
pub async fn set(
    Set { path, keys, replace, insert, how, query }: Set,
) -> Result<(), CommandFailure> {
    let verb = match (replace, insert) {
        (true, _) => "put",
        (_, true) => "insert",
        _ => "patch",
    };
    let change = words::set(verb, &path, &keys).map_err(CommandFailure::Wrong)?;
    send(vec![change], how, query).await
}

/// Runs `overlay unset`.
pub async fn unset(Unset { path, keys, how, query }: Unset) -> Result<(), CommandFailure> {
    send(vec![words::unset(&path, &keys)], how, query).await
}

/// Runs `overlay change`.
pub async fn change(Change { file, how, query }: Change) -> Result<(), CommandFailure> {
    let (name, text) = read(&file)?;
    let (mut changes, mut wrong) = (Vec::new(), Vec::new());
    for (i, line) in text.lines().enumerate() {
        match words::line(line) {
            Ok(change) => changes.extend(change),
            Err(message) => wrong.push(format!("{name}:{}: {message}", i + 1)),
        }
    }
    if !wrong.is_empty() {
        wrong.push("nothing was changed".to_owned());
        return Err(CommandFailure::Wrong(wrong.join("\n")));
    }
    send(changes, how, query).await
}

fn read(file: &Path) -> Result<(String, String), CommandFailure> {
    let name = if file == Path::new("-") {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    };
    let mut text = String::new();
    let source: std::io::Result<Box<dyn std::io::Read>> = if file == Path::new("-") {
        Ok(Box::new(std::io::stdin()))
    } else {
        std::fs::File::open(file).map(|file| Box::new(file) as Box<dyn std::io::Read>)
    };
    let read = source.and_then(|source| source.take(LONGEST + 1).read_to_string(&mut text));
    match read {
        Ok(len) if len as u64 > LONGEST => {
            Err(CommandFailure::Wrong(format!("{name} is longer than {LONGEST} bytes")))
        }
        Ok(_) => Ok((name, text)),
        Err(error) => Err(CommandFailure::Wrong(format!("cannot read {name}: {error}"))),
    }
}

/// Runs `overlay save`.
pub async fn save(query: Query) -> Result<(), CommandFailure> {
    let instance = select::running(query.name).await?;
    let path = format!("{PATH}/save");
    print(client::send_body(&instance, Method::POST, &path, "", JSON, "").await?, query.json)
        .map_err(|refused| refused.unwrap_or_else(|| query::no_daemon(&instance)))
}

/// Runs `overlay show configuration`.
pub async fn show(query: Query) -> Result<(), CommandFailure> {
    let instance = select::running(query.name).await?;
    let accept = if query.json { JSON } else { "application/toml" };
    match client::send_body(&instance, Method::GET, PATH, "", accept, "").await? {
        Outcome::Answered(body) if query.json => {
            let value: InEffect = serde_json::from_slice(&body).context(query::NOT_UNDERSTOOD)?;
            query::write(&pretty(&value)?)
        }
        Outcome::Answered(body) => query::write(&String::from_utf8_lossy(&body)),
        Outcome::Refused(problem) => Err(query::refusal(problem)),
        Outcome::NoDaemon => Err(query::no_daemon(&instance)),
    }
}

async fn send(
    changes: Vec<Map<String, Value>>,
    how: How,
    query: Query,
) -> Result<(), CommandFailure> {
    let instance = select::running(query.name).await?;
    let path = format!("{PATH}?persist={}&dry_run={}", how.persist, how.dry_run);
    let body = json!({ "changes": changes }).to_string();
    print(client::send_body(&instance, Method::PATCH, &path, JSON, JSON, body).await?, query.json)
        .map_err(|refused| refused.unwrap_or_else(|| query::no_daemon(&instance)))
}

/// `None`: no daemon runs.
fn print(outcome: Outcome, as_json: bool) -> Result<(), Option<CommandFailure>> {
    match outcome {
        Outcome::Answered(body) => {
            let changed: Changed = serde_json::from_slice(&body)
                .context(query::NOT_UNDERSTOOD)
                .map_err(|error| Some(error.into()))?;
            let text = if as_json { pretty(&changed).map_err(Some)? } else { said(&changed) };
            query::write(&text).map_err(Some)
        }
        Outcome::Refused(problem) => Err(Some(query::refusal(problem))),
        Outcome::NoDaemon => Err(None),
    }
}

fn pretty(value: &impl serde::Serialize) -> Result<String, CommandFailure> {
    Ok(serde_json::to_string_pretty(value).context("cannot print the answer")? + "\n")
}

fn said(changed: &Changed) -> String {
    let mut lines: Vec<String> = changed.changes.clone();
    lines.extend(changed.warnings.iter().map(|warning| format!("warning: {warning}")));
    if changed.dry_run {
        lines.push("nothing was changed: a dry run".to_owned());
    } else if changed.persisted {
        lines.push("written to the configuration file".to_owned());
    }
    if !changed.ephemeral.is_empty() {
        lines.push(format!(
            "not in the configuration file (overlay save writes it, overlay reload drops it): {}",
            changed.ephemeral.join(", ")
        ));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}
