//! From changes to a configuration that the daemon's loop has only to put into effect: editing
//! and reading texts takes time, and is done beside the loop.

use std::collections::HashSet;
use std::sync::Arc;

use overlay_control::config::edit::{self, Change, Edited, Fault, MAX_CHANGES};
use overlay_control::config::{Config, ConfigError};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use super::options::Options;
use super::running::{Plan, Planned, Running};
use crate::api::problem::{Kind, Problem};
use crate::api::queries::{awaited, put};
use crate::api::server::{Request, Requests};
use crate::config_file::Staged;

/// How many configurations are made at once; others wait.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// How often a change is made anew because another one came before it.
const TRIES: usize = 8;

/// The most errors that an answer has; where there are more, it says so.
const SHOWN: usize = 50;

/// What is to be done to the configuration.
#[derive(Clone, Debug)]
pub enum Edit {
    /// These changes.
    Changes(Vec<Change>),
    /// Another text.
    Whole(Arc<str>),
    /// Nothing, but what is in effect is to be in the file.
    Save,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// What is different, a line each.
    pub changes: Vec<String>,
    /// What works, and not as well as it could.
    pub warnings: Vec<String>,
}

/// Why a plan is not carried out.
#[derive(Debug)]
pub enum Refused {
    /// What is in effect is not what it was made from: it has to be made again.
    Moved,
    /// This host has not what it names.
    Wrong(Vec<ConfigError>),
    /// Anything else.
    Problem(Problem),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// What is in effect.
pub async fn running(requests: &Requests) -> Result<Running, Problem> {
    let (reply, answer) = oneshot::channel();
    put(requests, Request::Running { reply }).await?;
    awaited(answer).await
}

/// Puts an edit into effect. Returns what was, what is (or in a dry run would be), and the
/// difference.
pub async fn carry_out(
    requests: &Requests,
    options: &Options,
    edit: Edit,
) -> Result<(Running, Running, Applied), Problem> {
    for _ in 0..TRIES {
        let before = running(requests).await?;
        options.allow(&before.version())?;
        let (plan, edited) = made(before.clone(), options.clone(), edit.clone()).await?;
        let after = plan.running.clone();
        let (reply, answer) = oneshot::channel();
        put(requests, Request::Apply { plan: Box::new(plan), reply }).await?;
        match awaited(answer).await? {
            Ok(applied) => return Ok((before, after, applied)),
            Err(Refused::Problem(problem)) => return Err(problem),
            Err(Refused::Wrong(errors)) => {
                return Err(wrong(&errors, &after.text, edited.as_ref()));
            }
            Err(Refused::Moved) => {}
        }
    }
    let detail = "others change the configuration all the time; nothing was changed: try again";
    Err(Problem::new(Kind::Conflict, detail))
}

async fn made(before: Running, options: Options, edit: Edit) -> Result<Made, Problem> {
    let permit = AT_ONCE.acquire().await.map_err(|_| Problem::ending())?;
    let made = spawn_blocking(move || plan(before, &options, &edit)).await;
    drop(permit);
    made.unwrap_or_else(|error| Err(Problem::machine(format!("making the change failed: {error}"))))
}

/// A plan, and where its changes are in the text.
type Made = (Plan, Option<Blame>);

/// Changes and where they are.
struct Blame {
    edited: Edited,
    changes: Vec<Change>,
}

impl Blame {
    /// What is said before an error on a line.
    fn of(&self, line: usize) -> Option<String> {
        let i = self.edited.blame(line)?;
        Some(format!("change {}, {}: ", i + 1, self.changes.get(i)?))
    }
}

fn plan(before: Running, options: &Options, edit: &Edit) -> Result<Made, Problem> {
    let (text, config, blame) = edited(&before.text, edit, &before.name())?;
    let file = match edit {
        _ if !options.persist => None,
        Edit::Changes(_) if before.text != before.file_text => {
            let (text, config, _) = edited(&before.file_text, edit, &before.name())
                .map_err(|problem| in_file(problem, &before))?;
            Some((text, Some(config)))
        }
        Edit::Changes(_) | Edit::Whole(_) | Edit::Save => Some((Arc::clone(&text), None)),
    };
    let file_text = file.as_ref().map_or(&before.file_text, |(text, _)| text);
    let running = Running {
        file: before.file.clone(),
        ephemeral: ephemeral(&before, edit, options, *text == **file_text),
        file_text: Arc::clone(file_text),
        text: Arc::clone(&text),
    };
    let file = file.map(|(text, config)| planned(&before, options, &text, config)).transpose()?;
    let plan = Plan { base: before.text, running, config, file, dry_run: options.dry_run };
    Ok((plan, blame))
}

fn planned(
    before: &Running,
    options: &Options,
    text: &str,
    config: Option<Config>,
) -> Result<Planned, Problem> {
    let staged = if options.dry_run {
        None
    } else {
        let staged = Staged::write(&before.file, Arc::clone(&before.file_text), text);
        Some(staged.map_err(|error| Problem::machine(format!("nothing was changed: {error:#}")))?)
    };
    Ok(Planned { config, staged })
}

/// The changes that will be in effect and not in the file.
fn ephemeral(before: &Running, edit: &Edit, options: &Options, is_file: bool) -> Vec<String> {
    if is_file {
        return Vec::new();
    }
    match edit {
        Edit::Changes(changes) if !options.persist => with_changes(&before.ephemeral, changes),
        Edit::Whole(_) => vec!["put the whole configuration".to_owned()],
        Edit::Changes(_) | Edit::Save => before.ephemeral.clone(),
    }
}

/// The last that is said of a table is what counts; an insertion is one each time, as long as
/// there are not too many to be told.
fn with_changes(before: &[String], changes: &[Change]) -> Vec<String> {
    let each_counts = before.len() + changes.len() <= MAX_CHANGES;
    let (mut said, mut kept) = (HashSet::new(), Vec::new());
    for change in changes.iter().rev() {
        let (text, counts) = (change.to_string(), each_counts && change.moves_others());
        if counts || said.insert(text.clone()) {
            kept.push(text);
        }
    }
    for text in before.iter().rev() {
        let is_first = if each_counts { !said.contains(text) } else { said.insert(text.clone()) };
        if is_first {
            kept.push(text.clone());
        }
    }
    kept.reverse();
    kept
}

/// A text with an edit in it, read.
fn edited(
    text: &Arc<str>,
    edit: &Edit,
    name: &str,
) -> Result<(Arc<str>, Config, Option<Blame>), Problem> {
    let (text, blame): (Arc<str>, _) = match edit {
        Edit::Save => (Arc::clone(text), None),
        Edit::Whole(text) => (Arc::clone(text), None),
        Edit::Changes(changes) => {
            let edited =
                edit::apply(text, changes).map_err(|(i, fault)| not_made(changes, i, &fault))?;
            let text = edited.text.as_str().into();
            (text, Some(Blame { edited, changes: changes.clone() }))
        }
    };
    match Config::parse(&text, name) {
        Ok(config) => Ok((text, config, blame)),
        Err(errors) => Err(wrong(&errors, &text, blame.as_ref())),
    }
}

fn not_made(changes: &[Change], i: usize, fault: &Fault) -> Problem {
    let change = changes.get(i).map(ToString::to_string).unwrap_or_default();
    let details = vec![format!("change {}, {change}: {fault}", i + 1)];
    let kind = if fault.is_absence { Kind::NotFound } else { Kind::Configuration };
    // Of several changes, what is missing is not what the request is for.
    let kind = if changes.len() > 1 { Kind::Configuration } else { kind };
    Problem::new(kind, "nothing was changed").with(details)
}

/// Each error with its change and its line, which nobody else has seen yet.
fn wrong(errors: &[ConfigError], text: &str, blame: Option<&Blame>) -> Problem {
    let lines: Vec<&str> = text.lines().collect();
    let detail = |error: &ConfigError| {
        let change = blame.and_then(|blame| blame.of(error.line)).unwrap_or_default();
        let line = lines.get(error.line.saturating_sub(1)).map_or("", |line| line.trim());
        format!("{change}{error}\n  line {}: {line}", error.line)
    };
    let mut details: Vec<String> = errors.iter().take(SHOWN).map(detail).collect();
    if errors.len() > SHOWN {
        details.push(format!("and {} more", errors.len() - SHOWN));
    }
    let message = "nothing was changed; lines are those of the configuration as it would be";
    Problem::configuration(message, details)
}

fn in_file(problem: Problem, before: &Running) -> Problem {
    let detail = format!(
        "{}; it cannot be written to {} without the changes that are in effect and not in the \
         file ({}): save those first, or leave persist out",
        problem.detail,
        before.name(),
        before.ephemeral.join(", ")
    );
    Problem { detail, ..problem }
}

#[cfg(test)]
mod tests {
    use overlay_control::config::edit::{Path, Verb};

    use super::*;

    fn change(verb: Verb, path: &str) -> Change {
        Change { verb, path: Path::parse(path).unwrap(), keys: Vec::new() }
    }

    #[test]
    fn each_insertion_is_told_and_the_last_word_on_a_table() {
        let insert = || change(Verb::Insert, "segment/blue/acl/1");
        let remove = || change(Verb::Remove, "segment/blue/acl/1");
        let once = with_changes(&[], &[insert(), change(Verb::Put, "peer/gw2"), insert()]);
        assert_eq!(
            once,
            ["insert segment/blue/acl/1", "put peer/gw2", "insert segment/blue/acl/1"]
        );
        let twice = with_changes(&once, &[remove(), remove(), change(Verb::Put, "peer/gw2")]);
        assert_eq!(
            twice,
            [
                "insert segment/blue/acl/1",
                "insert segment/blue/acl/1",
                "remove segment/blue/acl/1",
                "remove segment/blue/acl/1",
                "put peer/gw2"
            ]
        );
        let named = change(Verb::Remove, "peer/gw2");
        assert_eq!(with_changes(&[], &[named.clone(), named]), ["remove peer/gw2"]);
    }

    /// A script that inserts and removes for a year leaves no list of a year.
    #[test]
    fn there_are_never_too_many_to_be_told() {
        let both = [
            change(Verb::Insert, "segment/blue/acl/1"),
            change(Verb::Remove, "segment/blue/acl/1"),
        ];
        let mut told = Vec::new();
        for _ in 0..MAX_CHANGES {
            told = with_changes(&told, &both);
            assert!(told.len() <= MAX_CHANGES, "{}", told.len());
        }
    }
}
