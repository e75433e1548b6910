//! `overlay capture`: frames before and after this gateway, as pcapng.

use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::CommandFailure;
use super::watch::{Seen, Which, follow};
use crate::show::pcapng::Capture;

/// Frames a second, on each CPU.
const PER_SECOND: u32 = 1000;

/// What is captured, and where it goes.
#[derive(Debug, Args)]
pub struct Command {
    #[command(flatten)]
    which: Which,
    /// The file, which is replaced; `-`: standard output, for `tshark -i -`.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    write: PathBuf,
    /// The instance; may be left out where only one runs.
    #[arg(long, value_name = "NAME", value_parser = super::instance_name)]
    name: Option<String>,
}

/// Captures until somebody presses Ctrl-C.
pub async fn run(command: Command) -> Result<(), CommandFailure> {
    let out: Box<dyn Write + Send> = if command.write.as_os_str() == "-" {
        if std::io::stdout().is_terminal() {
            return Err(CommandFailure::Wrong(
                "a capture is not for a terminal: --write FILE, or | tshark -i -".to_owned(),
            ));
        }
        Box::new(std::io::stdout())
    } else {
        let file = File::create(&command.write)
            .with_context(|| format!("cannot write {}", command.write.display()))?;
        Box::new(BufWriter::new(file))
    };
    let mut capture = Capture::begin(out).map_err(|error| anyhow!(error))?;
    let (mut frames, mut missed) = (0_u64, 0_u64);
    let order = command.which.order(false, PER_SECOND);
    let followed = follow(command.name, order, command.which.count, |seen| match seen {
        Seen::Frame(row) => {
            frames += 1;
            capture.frame(&row)
        }
        Seen::Missed(more) => {
            missed += more;
            Ok(())
        }
        // Whoever reads live sees what there is; and a reader that is gone is noticed.
        Seen::Nothing => capture.flush(),
    })
    .await;
    capture.flush()?;
    eprintln!("{frames} frames captured, {missed} missed");
    followed
}
