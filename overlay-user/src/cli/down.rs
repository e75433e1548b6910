//! `overlay down`: ends a gateway and removes what it attached, with the help
//! of its daemon or, where that is dead, in its place.

use anyhow::{Context as _, anyhow};

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
    let done = match client::ask(&instance, Question::Down).await {
        Ok(Outcome::Answered(body)) => return query::print(Question::Down, &body, json),
        Ok(Outcome::Refused(failure)) => return Err(query::refusal(failure)),
        Ok(Outcome::NoDaemon) => remove_dead(&instance, None).await?,
        // A daemon that was killed this moment still takes connections.
        Err(error) => remove_dead(&instance, Some(error)).await?,
    };
    let body = serde_json::to_vec(&done).context("cannot print the answer")?;
    query::print(Question::Down, &body, json)
}

async fn remove_dead(
    instance: &Instance,
    silence: Option<anyhow::Error>,
) -> Result<Done, CommandFailure> {
    let lock = instance.lock(async || client::answers(instance).await).await?;
    let Some(lock) = lock else {
        let error = silence.unwrap_or_else(|| anyhow!("its control socket is gone"));
        let state = format!("{} is starting or ending at this moment; try again", instance.name);
        return Err(CommandFailure::Refused(error.context(state)));
    };
    let mut changes = removal::of_dead(instance).await?;
    drop(lock);
    if changes.is_empty() {
        changes.push(format!("nothing to do: {} has nothing attached or pinned", instance.name));
    }
    Ok(Done { changes })
}
