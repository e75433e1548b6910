//! `overlay run`.

use std::io::IsTerminal as _;
use std::path::Path;

use tracing_subscriber::EnvFilter;

use super::CommandFailure;
use crate::daemon::Daemon;
use crate::privileges;

/// What comes before there are threads: the log, and giving up privileges, which every thread
/// then lacks. A file that cannot be opened is left to [`run`], which says so.
pub fn prepare(file: &Path) {
    start_logging();
    if std::fs::File::open(file).is_ok() {
        privileges::confine(file);
    }
}

/// Runs a gateway until it is told to end.
pub async fn run(file: &Path, name: Option<String>) -> Result<(), CommandFailure> {
    Daemon::start(file, name).await?.run().await?;
    Ok(())
}

/// Logs to standard error; `RUST_LOG` chooses what. The BPF programs' records
/// come in through `log`, which the subscriber's initialisation bridges.
fn start_logging() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,netlink_packet_route=error,netlink_proto=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
