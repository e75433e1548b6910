//! Where a generator runs.

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Puts the calling thread on one CPU, in front of whatever else runs there.
pub fn pin(cpu: usize) -> Result<()> {
    const HIGHEST: libc::c_int = -20;
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("pinning to CPU {cpu}"))?;
    // SAFETY: no pointers are passed; 0 is the calling thread.
    let raised = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, HIGHEST) };
    Errno::result(raised).map(drop).context("raising the thread's priority")
}
