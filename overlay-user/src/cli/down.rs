//! `overlay down`: ends a gateway and removes what it attached, with the help
//! of its daemon or, where that is dead, in its place.

use anyhow::Context as _;

use super::{CommandFailure, query, select};
use crate::api::client::{self, Outcome};
use crate::api::{Done, Question};
use crate::daemon::removal;
use crate::instance::Instance;

/// Removes an instance.
pub async fn down(name: Option<String>, json: bool) -> Result<(), CommandFailure> {
    let instance = match name {
        Some(name) => Instance::new(name),
        None => select::only(Instance::all())?,
    };
    let done = match client::ask(&instance, Question::Down).await? {
        Outcome::Answered(body) => return query::print(Question::Down, &body, json),
        Outcome::Refused(failure) => return Err(query::refusal(failure)),
        Outcome::NoDaemon => remove_dead(&instance).await?,
    };
    let body = serde_json::to_vec(&done).context("cannot print the answer")?;
    query::print(Question::Down, &body, json)
}

async fn remove_dead(instance: &Instance) -> Result<Done, CommandFailure> {
    let lock = instance.lock(async || client::answers(instance).await).await?;
    let lock = lock.with_context(|| {
        format!("{} is starting or ending at this moment; try again", instance.name)
    })?;
    let mut changes = removal::of_dead(instance).await?;
    drop(lock);
    if changes.is_empty() {
        changes.push(format!("nothing to do: {} has nothing attached or pinned", instance.name));
    }
    Ok(Done { changes })
}
