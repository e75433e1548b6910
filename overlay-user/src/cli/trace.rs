//! `overlay trace`: what happens to frames, as they pass; or would happen to one.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;

use super::watch::{Seen, Which, follow};
use super::{CommandFailure, simulate};
use crate::show;

/// Frames a second, on each CPU, of which every one is explained.
const PER_SECOND: u32 = 100;

/// Which frames are traced.
#[derive(Debug, Args)]
pub struct Command {
    #[command(flatten)]
    which: Which,
    /// A line for what became of each frame, and its bytes; no stages.
    #[arg(long)]
    brief: bool,
    #[command(flatten)]
    simulated: simulate::Simulated,
    /// The instance; may be left out where only one runs.
    #[arg(long, value_name = "NAME", value_parser = super::instance_name)]
    name: Option<String>,
    /// A line of JSON for each frame; of simulated ones, a list.
    #[arg(long)]
    json: bool,
}

/// Traces until somebody presses Ctrl-C.
pub async fn run(command: Command) -> Result<(), CommandFailure> {
    let Command { which, brief, simulated, name, json } = command;
    if simulated.simulate.is_some() {
        return simulate::run(&simulated, which.count, name, json).await;
    }
    let order = which.order(!brief, PER_SECOND);
    if std::io::stdout().is_terminal() {
        // Until a frame passes, silence looks like a command that hangs.
        let _ = writeln!(std::io::stderr(), "frames are shown as they pass; Ctrl-C ends this");
    }
    follow(name, order, which.count, |seen| {
        let text = match seen {
            Seen::Frame(row) if json => serde_json::to_string(&row)? + "\n",
            Seen::Frame(row) => show::trace::frame(&row)?,
            Seen::Missed(frames) if !json => format!("({frames} frames were not told)\n"),
            Seen::Missed(_) | Seen::Nothing => String::new(),
        };
        Ok(put(&text)?)
    })
    .await
}

fn put(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
