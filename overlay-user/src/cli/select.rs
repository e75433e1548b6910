//! Finding the instance that a command is for.

use anyhow::anyhow;

use super::CommandFailure;
use crate::api::client;
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
