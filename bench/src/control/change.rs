//! One address among many moves: by another configuration file, or by a command.

use anyhow::Result;

use super::addresses::{FIRST_PEER, SEGMENT, mac};
use super::gateway::{self, Gateway};
use super::kernel::{self, Kernel};
use super::{Subjects, TIME, boxed};
use crate::results::Reading;
use crate::run::Setup;
use crate::scenario::Subject;

/// A gateway whose configuration file is read again. The kernel has none.
pub fn reloads(setup: &Setup, entries: usize) -> Result<Subjects> {
    let mut gateway = Gateway::new(&setup.overlay)?;
    let config = gateway.configure(entries, false)?;
    gateway.start(&config)?;
    Ok(vec![boxed(Reload { gateway, entries, moved: false })])
}

/// Both planes with their addresses in the tables, of which a command moves one.
pub fn commands(setup: &Setup, entries: usize) -> Result<Subjects> {
    let mut gateway = Gateway::new(&setup.overlay)?;
    let config = gateway.configure(0, false)?;
    gateway.start(&config)?;
    let list = gateway.list(entries)?.to_string_lossy().into_owned();
    gateway.time(&["fdb", "load", &list])?;
    let mut kernel = Kernel::new(entries)?;
    kernel.fill()?;
    let number = entries / 2;
    let ours = Command { gateway, number, turn: 0 };
    Ok(vec![boxed(ours), boxed(KernelsCommand { kernel, number, turn: 0 })])
}

struct Reload {
    gateway: Gateway,
    entries: usize,
    moved: bool,
}

impl Subject for Reload {
    fn plane(&self) -> &str {
        gateway::PLANE
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        self.moved = !self.moved;
        self.gateway.configure(self.entries, self.moved)?;
        Ok(vec![TIME.reads(self.gateway.time(&["reload"])?.as_secs_f64())])
    }
}

struct Command {
    gateway: Gateway,
    number: usize,
    turn: usize,
}

impl Subject for Command {
    fn plane(&self) -> &str {
        gateway::PLANE
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        self.turn += 1;
        let peer = format!("gw{}", FIRST_PEER + self.turn % 2);
        let change = ["fdb", "add", SEGMENT, &mac(self.number), "peer", &peer];
        Ok(vec![TIME.reads(self.gateway.time(&change)?.as_secs_f64())])
    }
}

struct KernelsCommand {
    kernel: Kernel,
    number: usize,
    turn: usize,
}

impl Subject for KernelsCommand {
    fn plane(&self) -> &str {
        kernel::PLANE
    }

    fn measure(&mut self) -> Result<Vec<Reading>> {
        self.turn += 1;
        let took = self.kernel.change(self.number, self.turn)?;
        Ok(vec![TIME.reads(took.as_secs_f64())])
    }
}
