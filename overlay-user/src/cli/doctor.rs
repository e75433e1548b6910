//! `overlay doctor`: what this machine lacks, what on it would hurt a gateway, and what mends it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use overlay_control::config::Config;
use serde_json::json;

use super::{CONFIG, CommandFailure, query};
use crate::dataplane::features::{ALL, About, Features, release};
use crate::doctor::{self, Finding, Severity, gather};
use crate::show;

/// Finds out what the running kernel can do and what of the machine is in a gateway's way, and
/// prints it. Fails where something is missing that a gateway cannot do without, or a finding is an
/// error.
pub async fn run(file: Option<PathBuf>, as_json: bool) -> Result<(), CommandFailure> {
    let config = configuration(file)?;
    let found = Features::probe().map_err(|error| match is_denied(&error) {
        true => error.context(
            "the kernel does not say what it can do; root, or CAP_BPF and CAP_NET_ADMIN, would do",
        ),
        false => error,
    })?;
    let facts = gather::facts(config.as_ref(), found).await?;
    let findings = doctor::examine(&facts);
    let text = if as_json {
        json(found, &findings)?
    } else {
        show::features(&release(), found) + "\n" + &show::findings(&findings)
    };
    query::write(&text)?;
    found.suffice().map_err(|error| CommandFailure::Refused(anyhow!(error)))?;
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if errors > 0 {
        return Err(CommandFailure::Refused(anyhow!(
            "a gateway does not work so: {errors} error(s)"
        )));
    }
    Ok(())
}

/// The file that is named, which has to be there; or else the usual one, if there is one. It need
/// not fit this host.
fn configuration(file: Option<PathBuf>) -> Result<Option<Config>, CommandFailure> {
    let is_named = file.is_some();
    let file = file.unwrap_or_else(|| Path::new(CONFIG).to_owned());
    let name = file.display().to_string();
    match std::fs::read_to_string(&file) {
        Ok(text) => Config::parse(&text, &name).map(Some).map_err(CommandFailure::Configuration),
        Err(error) if is_named => {
            Err(CommandFailure::Wrong(format!("cannot read {name}: {error}")))
        }
        Err(_) => Ok(None),
    }
}

fn is_denied(error: &anyhow::Error) -> bool {
    let is_denial = |error: &std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_denial)
}

fn json(found: Features, findings: &[Finding]) -> Result<String, CommandFailure> {
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
    let value = json!({ "kernel": release(), "features": features, "findings": findings });
    Ok(serde_json::to_string_pretty(&value).context("cannot print what was found")? + "\n")
}
