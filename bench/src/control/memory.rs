//! What it takes to hold addresses while nothing happens.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::gateway::{self, Gateway};
use super::kernel::{self, Kernel};
use super::{IDLE, MEDIUM, QUICK_IDLE, Subjects, boxed, usage};
use crate::results::{Metric, Reading};
use crate::run::Setup;
use crate::scenario::Subject;

/// The daemon's memory, mapped tables included.
const RESIDENT: Metric = Metric::lower("resident", "MiB");
/// The kernel's memory: maps, or a device's entries.
const LOCKED: Metric = Metric::lower("locked", "MiB");
/// The daemon's share of a core.
const CPU: Metric = Metric::lower("cpu", "of a core");
/// Loading is over, and the daemon's clock has ticked.
const SETTLE: Duration = Duration::from_secs(2);

/// This gateway with its table filled; and the kernel's, where the entries are many
/// enough to stand out in the system's memory.
pub fn subjects(setup: &Setup, entries: usize) -> Result<Subjects> {
    let mut gateway = Gateway::new(&setup.overlay)?;
    let config = gateway.configure(0, false)?;
    gateway.start(&config)?;
    let list = gateway.list(entries)?.to_string_lossy().into_owned();
    gateway.time(&["fdb", "load", &list])?;
    let idle = if setup.quick { QUICK_IDLE } else { IDLE };
    let mut subjects = vec![boxed(Ours { gateway, idle })];
    if entries >= MEDIUM {
        subjects.push(boxed(Kernels(Kernel::new(entries)?)));
    }
    Ok(subjects)
}

struct Ours {
    gateway: Gateway,
    idle: Duration,
}

impl Subject for Ours {
    fn plane(&self) -> &str {
        gateway::PLANE
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        let pid = self.gateway.pid()?;
        std::thread::sleep(SETTLE);
        let (begun, before) = (Instant::now(), usage::worked(pid)?);
        std::thread::sleep(self.idle);
        let worked = usage::worked(pid)?.saturating_sub(before);
        Ok(vec![
            RESIDENT.reads(usage::resident(pid)?),
            LOCKED.reads(usage::locked(self.gateway.name(), pid)?),
            CPU.reads(worked.as_secs_f64() / begun.elapsed().as_secs_f64()),
        ])
    }
}

struct Kernels(Kernel);

impl Subject for Kernels {
    fn plane(&self) -> &str {
        kernel::PLANE
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        self.0.clear()?;
        let before = usage::kernel_memory()?;
        self.0.fill()?;
        Ok(vec![LOCKED.reads(usage::kernel_memory()? - before)])
    }
}
