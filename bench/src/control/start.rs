//! From nothing to a gateway that forwards, with addresses in its configuration.
//! The kernel's gateway is a device that is made and filled.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use super::gateway::{self, Gateway};
use super::kernel::{self, Kernel};
use super::{Subjects, TIME, boxed};
use crate::results::Reading;
use crate::run::Setup;
use crate::scenario::Subject;

/// Both planes, stopped.
pub fn subjects(setup: &Setup, entries: usize) -> Result<Subjects> {
    let gateway = Gateway::new(&setup.overlay)?;
    let config = gateway.configure(entries, false)?;
    Ok(vec![boxed(Ours { gateway, config }), boxed(Kernels(Kernel::new(entries)?))])
}

struct Ours {
    gateway: Gateway,
    config: PathBuf,
}

impl Subject for Ours {
    fn plane(&self) -> &str {
        gateway::PLANE
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        self.gateway.stop();
        Ok(vec![TIME.reads(self.gateway.start(&self.config)?.as_secs_f64())])
    }
}

struct Kernels(Kernel);

impl Subject for Kernels {
    fn plane(&self) -> &str {
        kernel::PLANE
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        let begun = Instant::now();
        self.0.clear()?;
        self.0.fill()?;
        Ok(vec![TIME.reads(begun.elapsed().as_secs_f64())])
    }
}
