//! Commands that ask a running daemon.

use std::io::IsTerminal as _;

use anyhow::{Context as _, anyhow};
use serde::de::DeserializeOwned;

use super::{CommandFailure, select};
use crate::api::client::{self, Outcome};
use crate::api::{Done, Problem, Question};
use crate::instance::Instance;
use crate::show;

/// What stands before the parser's words about an answer.
pub const NOT_UNDERSTOOD: &str = "the daemon's answer is not understood; is it of another version?";

/// Asks, and prints the answer.
pub async fn ask(
    name: Option<String>,
    question: Question,
    json: bool,
) -> Result<(), CommandFailure> {
    let instance = select::running(name).await?;
    match client::ask(&instance, question).await? {
        Outcome::Answered(body) => print(question, &body, json),
        Outcome::Refused(failure) => Err(refusal(failure)),
        Outcome::NoDaemon => Err(no_daemon(&instance)),
    }
}

/// The failure of a command whose daemon does not run.
pub fn no_daemon(instance: &Instance) -> CommandFailure {
    let name = &instance.name;
    let others: Vec<String> = Instance::all().into_iter().map(|other| other.name).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).filter(|o| o != name).collect();
    CommandFailure::Refused(match &others[..] {
        [] => anyhow!("no overlay instance named {name} runs; overlay run starts one"),
        some => anyhow!(
            "no overlay instance named {name} runs; others that were started here: {}",
            some.join(", ")
        ),
    })
}

/// The failure of a command that a daemon refused.
pub fn refusal(problem: Problem) -> CommandFailure {
    let is_callers = problem.is_callers();
    let mut lines = problem.details;
    if !problem.detail.is_empty() {
        lines.push(problem.detail);
    }
    let text = lines.join("\n");
    if is_callers { CommandFailure::Wrong(text) } else { CommandFailure::Refused(anyhow!(text)) }
}

/// Prints an answer.
pub fn print(question: Question, body: &[u8], json: bool) -> Result<(), CommandFailure> {
    let text = if json {
        let value: serde_json::Value = parse(body)?;
        serde_json::to_string_pretty(&value).context("cannot print the answer")? + "\n"
    } else {
        match question {
            Question::Status => show::status(&parse(body)?, std::io::stdout().is_terminal()),
            Question::Ports => show::ports(&parse::<Vec<_>>(body)?),
            Question::Segments => show::segments(&parse::<Vec<_>>(body)?),
            Question::Peers => show::peers(&parse::<Vec<_>>(body)?),
            Question::Neighbours => show::neighbours(&parse::<Vec<_>>(body)?),
            Question::Routes => show::routes(&parse::<Vec<_>>(body)?),
            Question::Acls => show::acls(&parse::<Vec<_>>(body)?),
            Question::Drops => show::drops(&parse::<Vec<_>>(body)?),
            Question::FdbFlush | Question::Reload | Question::Down => {
                let done: Done = parse(body)?;
                done.changes.into_iter().map(|change| change + "\n").collect()
            }
        }
    };
    write(&text)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, CommandFailure> {
    let parsed = serde_json::from_slice(body).context(NOT_UNDERSTOOD);
    Ok(parsed?)
}

/// A reader that has seen enough, like `head`, is no failure.
pub fn write(text: &str) -> Result<(), CommandFailure> {
    written(text).map(drop)
}

/// The same for what goes on: whether there is still a reader.
pub fn written(text: &str) -> Result<bool, CommandFailure> {
    use std::io::{ErrorKind, Write as _};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CommandFailure::Refused(error.into())),
    }
}
