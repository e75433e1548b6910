//! Where the hosts' threads run, and with them the gateways: frames cross a veth on
//! the core of the thread that sends them.

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// The cores of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Wherever the scheduler puts a thread, as by default.
    Any,
    /// One for all: what a data plane costs, without what it costs to wake another
    /// core.
    One(usize),
}

impl Cores {
    /// In a case.
    pub fn name(self) -> String {
        match self {
            Self::Any => "any".to_owned(),
            Self::One(_) => "1".to_owned(),
        }
    }

    /// Puts the calling thread where it is to run.
    pub fn enter(self) -> Result<()> {
        let Self::One(core) = self else { return Ok(()) };
        let mut set = CpuSet::new();
        set.set(core)?;
        sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("pinning to CPU {core}"))
    }
}
