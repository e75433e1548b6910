//! `overlay trace`: what happens to frames, as they pass.

use clap::Args;

use super::CommandFailure;
use super::watch::{Seen, Which, follow};
use crate::show;

/// Which frames are traced.
#[derive(Debug, Args)]
pub struct Command {
    #[command(flatten)]
    which: Which,
    /// The instance; may be left out where only one runs.
    #[arg(long, value_name = "NAME", value_parser = super::instance_name)]
    name: Option<String>,
    /// A line of JSON for each frame.
    #[arg(long)]
    json: bool,
}

/// Traces until somebody presses Ctrl-C.
pub async fn run(command: Command) -> Result<(), CommandFailure> {
    let json = command.json;
    follow(command.name, &command.which, |seen| {
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
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
