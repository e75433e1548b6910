//! From a file of addresses to a full table.

use anyhow::Result;

use super::gateway::{self, Gateway};
use super::kernel::{self, Kernel};
use super::{Subjects, TIME, boxed};
use crate::results::Reading;
use crate::run::Setup;
use crate::scenario::Subject;

/// Both planes, with empty tables.
pub fn subjects(setup: &Setup, entries: usize) -> Result<Subjects> {
    let mut gateway = Gateway::new(&setup.overlay)?;
    let config = gateway.configure(0, false)?;
    gateway.start(&config)?;
    let list = gateway.list(entries)?.to_string_lossy().into_owned();
    Ok(vec![boxed(Ours { gateway, list }), boxed(Kernels(Kernel::new(entries)?))])
}

struct Ours {
    gateway: Gateway,
    list: String,
}

impl Subject for Ours {
    fn plane(&self) -> &str {
        gateway::PLANE
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        self.gateway.time(&["fdb", "flush"])?;
        let took = self.gateway.time(&["fdb", "load", &self.list])?;
        Ok(vec![TIME.reads(took.as_secs_f64())])
    }
}

struct Kernels(Kernel);

impl Subject for Kernels {
    fn plane(&self) -> &str {
        kernel::PLANE
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        self.0.clear()?;
        Ok(vec![TIME.reads(self.0.fill()?.as_secs_f64())])
    }
}
