//! Waiting for something to become true.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How many times longer everything may take than on real hardware, of which a machine
/// that is emulated says that it is not: `OVERLAY_PATIENCE`.
static FACTOR: LazyLock<u32> = LazyLock::new(|| {
    let factor = std::env::var("OVERLAY_PATIENCE").ok();
    factor.and_then(|factor| factor.parse().ok()).filter(|factor| *factor > 0).unwrap_or(1)
});

/// A time limit, as it is on this machine.
pub fn patient(limit: Duration) -> Duration {
    limit * *FACTOR
}

/// Whether how fast things are says nothing here.
pub fn is_emulated() -> bool {
    *FACTOR > 1
}

/// Asks `ready` every 10 ms until it returns something; an error names `what`
/// after `timeout` (see [`patient`]). Returns what `ready` returned.
pub fn wait_until<T>(
    what: &str,
    timeout: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Result<T> {
    let timeout = patient(timeout);
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("no {what} within {timeout:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
