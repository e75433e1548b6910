//! The programs' own log records, joined with the daemon's.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Follows the programs' log until the daemon ends; to be called before the
/// programs are loaded. Records go through `log`, which is bridged to tracing.
pub fn follow(ebpf: &mut Ebpf) -> Result<()> {
    let logger = match EbpfLogger::init(ebpf) {
        Ok(logger) => logger,
        // An object built without log statements has no log map.
        Err(aya_log::Error::MapNotFound) => return Ok(()),
        Err(error) => return Err(error).context("cannot read the BPF programs' log"),
    };
    // SAFETY: the logger owns its ring buffer's descriptor, and nothing replaces
    // or closes that while the logger is in the `AsyncFd`.
    let registered = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
    let mut logger = registered
        .map_err(std::io::Error::from)
        .context("cannot wait for the BPF programs' log")?;
    tokio::spawn(async move {
        while let Ok(mut ready) = logger.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    });
    Ok(())
}
