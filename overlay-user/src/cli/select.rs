//! Finding the instance that a command is for.

use std::path::Path;

use anyhow::anyhow;

use super::CommandFailure;
use crate::api::Question;
use crate::api::client::{self, Outcome};
use crate::instance::Instance;

/// The instance of this name, or the only one that runs.
pub async fn running(name: Option<String>) -> Result<Instance, CommandFailure> {
    if let Some(name) = name {
        return Ok(Instance::new(name));
    }
    let mut alive = Vec::new();
    for instance in Instance::all() {
        if client::is_alive(&instance).await {
            alive.push(instance);
        }
    }
    only(alive)
}

/// The only instance that runs with this configuration file.
pub async fn with_file(file: &Path) -> Result<Instance, CommandFailure> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut found = Vec::new();
    for instance in Instance::all() {
        // One that is not understood, or does not answer, has a name to be called by.
        let Ok(Outcome::Answered(body)) = client::ask(&instance, Question::Status).await else {
            continue;
        };
        let status: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if status["config"].as_str().is_some_and(|config| Path::new(config) == file) {
            found.push(instance);
        }
    }
    if found.is_empty() {
        let none = anyhow!("no overlay instance runs with the configuration {}", file.display());
        return Err(CommandFailure::Refused(none));
    }
    only(found)
}

/// The only instance of these.
pub fn only(mut instances: Vec<Instance>) -> Result<Instance, CommandFailure> {
    match instances.len() {
        0 => Err(CommandFailure::Refused(anyhow!("no overlay instance runs"))),
        1 => Ok(instances.remove(0)),
        _ => {
            let names: Vec<String> =
                instances.into_iter().map(|instance| format!("  {}", instance.name)).collect();
            Err(CommandFailure::Wrong(format!(
                "several instances run; choose one with --name:\n{}",
                names.join("\n")
            )))
        }
    }
}
