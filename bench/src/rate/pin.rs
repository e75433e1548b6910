//! Where a generator runs.

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// A rank above every ordinary thread, and below a data plane that has threads of
/// its own.
const RANK: libc::c_int = 1;

/// Puts the calling thread on one CPU, in front of whatever ordinary thread runs
/// there: with a time slice of its own a rate would be that of the machine's other
/// work.
pub fn pin(cpu: usize) -> Result<()> {
    keep_to(cpu)?;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    let param = libc::sched_param { sched_priority: RANK };
    // SAFETY: the pointer is to a live structure; 0 is the calling thread.
    let raised = unsafe { libc::sched_setscheduler(0, policy, &raw const param) };
    Errno::result(raised).map(drop).context("raising the thread's priority")
}

/// Puts another process's thread on one CPU, in front of those that are pinned there.
pub fn in_front(thread: i32, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(thread), &set).context("pinning a thread")?;
    let param = libc::sched_param { sched_priority: RANK + 1 };
    // SAFETY: the pointer is to a live structure.
    let raised = unsafe { libc::sched_setscheduler(thread, libc::SCHED_FIFO, &raw const param) };
    Errno::result(raised).map(drop).context("raising a thread's priority")
}

/// Keeps the calling thread to one CPU.
pub fn keep_to(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("pinning to CPU {cpu}"))
}
