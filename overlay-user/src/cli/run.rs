//! `overlay run`.

use std::io::IsTerminal as _;

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

use super::{CommandFailure, Run, check, journal};
use crate::daemon::Daemon;
use crate::privileges;

/// What comes before there are threads: the log, and giving up privileges, which every thread
/// then lacks. Whoever cannot open the file now goes no further: the next moment, where it can be,
/// would have nobody who is confined.
pub fn prepare(run: &Run) -> Result<(), CommandFailure> {
    start_logging();
    let file = &run.configured.config;
    if let Err(error) = std::fs::File::open(file) {
        let failure = check::unreadable(&file.display().to_string(), &error);
        return Err(if run.service { for_service(failure) } else { failure });
    }
    privileges::confine(file);
    Ok(())
}

/// Runs a gateway until it is told to end.
pub async fn run(Run { configured, service }: Run) -> Result<(), CommandFailure> {
    let daemon = Daemon::start(&configured.config, configured.name).await;
    daemon.map_err(|failure| if service { for_service(failure) } else { failure })?.run().await?;
    Ok(())
}

/// What this host lacks may come yet, a device or an address, and a file that cannot be read now
/// may be read a second later: whoever starts services is told by the exit code to try again. A
/// file that is wrong stays so until somebody mends it.
fn for_service(failure: CommandFailure) -> CommandFailure {
    match failure {
        CommandFailure::Host(_) => CommandFailure::Refused(anyhow!("{failure}")),
        CommandFailure::Unread(message) => CommandFailure::Refused(anyhow!(message)),
        other => other,
    }
}

/// Logs to standard error; `RUST_LOG` chooses what. The BPF programs' records
/// come in through `log`, which the subscriber's initialisation bridges.
fn start_logging() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,netlink_packet_route=error,netlink_proto=error"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if journal::is_standard_error() {
        log.with_ansi(false).event_format(journal::Lines::new()).init();
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).with_target(false).init();
    }
}
