//! `overlay status`.

use std::process::ExitCode;

use anyhow::Context as _;

use super::query::{self, NOT_UNDERSTOOD};
use super::{CommandFailure, Query, select};
use crate::api::client::{self, Outcome};
use crate::api::{Question, Status};

/// Prints how an instance is. With `check`, the exit code says it too: 1 where something is wrong.
pub async fn status(target: Query, check: bool) -> Result<ExitCode, CommandFailure> {
    let instance = select::running(target.name).await?;
    let body = match client::ask(&instance, Question::Status).await? {
        Outcome::Answered(body) => body,
        Outcome::Refused(problem) => return Err(query::refusal(problem)),
        Outcome::NoDaemon => return Err(query::no_daemon(&instance)),
    };
    query::print(Question::Status, &body, target.json)?;
    let status: Status = serde_json::from_slice(&body).context(NOT_UNDERSTOOD)?;
    Ok(if check && !status.healthy { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
