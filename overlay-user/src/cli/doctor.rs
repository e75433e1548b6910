//! `overlay doctor`: what this machine lacks, and what comes of that.

use anyhow::{Context as _, anyhow};
use serde_json::json;

use super::{CommandFailure, query};
use crate::dataplane::features::{ALL, About, Features, release};
use crate::show;

/// Finds out what the running kernel can do, and prints it. Fails where something is
/// missing that a gateway cannot do without.
pub fn run(as_json: bool) -> Result<(), CommandFailure> {
    let found = Features::probe().map_err(|error| match is_denied(&error) {
        true => error.context(
            "the kernel does not say what it can do; root, or CAP_BPF and CAP_NET_ADMIN, would do",
        ),
        false => error,
    })?;
    let text = if as_json { json(found)? } else { show::features(&release(), found) };
    query::write(&text)?;
    found.suffice().map_err(|error| CommandFailure::Refused(anyhow!(error)))
}

fn is_denied(error: &anyhow::Error) -> bool {
    let is_denial = |error: &std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_denial)
}

fn json(found: Features) -> Result<String, CommandFailure> {
    let row = |about: &About| {
        json!({
            "feature": about.name,
            "here": found.has(about.feature),
            "needed": about.without.is_none(),
            "since": about.since,
            "commit": about.commit,
            "used_for": about.used_for,
            "without": about.without,
        })
    };
    let features: Vec<_> = ALL.iter().map(row).collect();
    let value = json!({ "kernel": release(), "features": features });
    Ok(serde_json::to_string_pretty(&value).context("cannot print what was found")? + "\n")
}
