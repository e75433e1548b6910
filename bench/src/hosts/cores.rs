//! Where the hosts' threads run, and with them the gateways: frames cross a veth on
//! the core of the thread that sends them.

use anyhow::Result;

use crate::rate::pin::keep_to;

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

    /// Does a thread's work where it is to run.
    pub fn run<T>(self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if let Self::One(cpu) = self {
            keep_to(cpu)?;
        }
        work()
    }
}
