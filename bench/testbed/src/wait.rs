//! Waiting for something to become true.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How many times longer everything may take than on real hardware with nothing else to
/// do: `OVERLAY_PATIENCE`.
static FACTOR: LazyLock<u32> = LazyLock::new(|| {
    let factor = std::env::var("OVERLAY_PATIENCE").ok();
    factor.and_then(|factor| factor.parse().ok()).filter(|factor| *factor > 0).unwrap_or(1)
});

/// Between two questions.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(250);

/// A time limit for what should come, as it is on this machine. What should not come is
/// not waited for longer because a machine is slow: see
/// [`RawSocket::before`](crate::RawSocket::before).
pub fn patient(limit: Duration) -> Duration {
    limit * *FACTOR
}

/// Whether this is a guest of `cargo xtask test --vm` (`OVERLAY_GUEST`): its kernel has
/// every device, and how fast things are says nothing.
pub fn is_emulated() -> bool {
    std::env::var_os("OVERLAY_GUEST").is_some()
}

/// Asks `ready` until it returns something, every 10 ms, or as seldom as asking must be to
/// leave half of the time to what is waited for. An error names `what` after `timeout` (see
/// [`patient`]). Returns what `ready` returned.
pub fn wait_until<T>(
    what: &str,
    timeout: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Result<T> {
    let timeout = patient(timeout);
    let deadline = Instant::now() + timeout;
    loop {
        let asked = Instant::now();
        if let Some(value) = ready() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("no {what} within {timeout:?}");
        }
        std::thread::sleep(asked.elapsed().clamp(SHORTEST, LONGEST));
    }
}
