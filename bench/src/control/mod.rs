//! What the control side costs: filling the FDB, starting, reloading, and what it
//! takes to hold a million addresses while nothing happens.
//!
//! Beside this gateway stands the kernel's vxlan device, filled by `bridge
//! -batch`: only the device's own entry of each address is counted, though a
//! bridge over it would have to have a second one.
//!
//! - [`addresses`]: the addresses, as each plane reads them.
//! - [`gateway`], [`kernel`]: the planes.
//! - [`usage`]: memory and processor time.
//! - [`install`], [`start`], [`change`], [`memory`]: what is measured.

pub mod addresses;
pub mod change;
pub mod gateway;
pub mod install;
pub mod kernel;
pub mod memory;
pub mod start;
pub mod usage;

use std::time::Duration;

use anyhow::Result;

use crate::results::{Case, Metric};
use crate::run::{Planned, Setup};
use crate::scenario::{Scenario, Subject};

/// The scenario's name.
const CONTROL: &str = "control";
/// How long something took.
const TIME: Metric = Metric::lower("time", "s");
/// How long a daemon is watched while nothing changes.
const IDLE: Duration = Duration::from_secs(10);
const QUICK_IDLE: Duration = Duration::from_secs(3);

/// Entries of the large table.
const LARGE: usize = 1_000_000;
/// Entries of a table that a configuration file may well hold.
const MEDIUM: usize = 100_000;

/// The scenarios, each with gateways of its own.
pub fn scenarios(setup: &Setup) -> Vec<Planned> {
    let (rounds, installed, held): (_, &[usize], &[usize]) = if setup.quick {
        (2, &[MEDIUM], &[1, MEDIUM])
    } else {
        (3, &[MEDIUM, LARGE], &[1, 1000, MEDIUM, LARGE])
    };
    let mut planned = Vec::new();
    for entries in installed {
        planned.push(of("install", *entries, rounds, install::subjects));
    }
    planned.push(of("start", MEDIUM, rounds, start::subjects));
    planned.push(of("reload", MEDIUM, rounds, change::reloads));
    planned.push(of("change", MEDIUM, rounds, change::commands));
    for entries in held {
        planned.push(of("memory", *entries, 1, memory::subjects));
    }
    planned
}

/// Subjects, in the order in which they are measured.
type Subjects = Vec<Box<dyn Subject>>;

fn of(
    what: &'static str,
    entries: usize,
    rounds: usize,
    subjects: impl Fn(&Setup, usize) -> Result<Subjects> + 'static,
) -> Planned {
    Planned::new(CONTROL, format!("{CONTROL} {what} {entries}"), rounds, move |setup| {
        let subjects = subjects(setup, entries)?;
        let keys = [("what", what.to_owned()), ("entries", entries.to_string())];
        let case: Case = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Ok(Scenario { name: CONTROL, case, subjects })
    })
}

fn boxed(subject: impl Subject + 'static) -> Box<dyn Subject> {
    Box::new(subject)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use overlay_testbed::{require_root, require_tools};

    use super::kernel::Kernel;
    use super::*;

    #[test]
    fn every_size_has_its_scenario() {
        let setup = |quick| Setup {
            overlay: PathBuf::new(),
            cpu: 0,
            quick,
            features: false,
            time: Duration::from_millis(1),
        };
        let titles = |quick| -> Vec<String> {
            scenarios(&setup(quick)).into_iter().map(|planned| planned.title).collect()
        };
        assert!(titles(false).contains(&"control install 1000000".to_owned()));
        assert!(titles(false).contains(&"control memory 1000000".to_owned()));
        assert!(titles(true).iter().all(|title| !title.contains("1000000")), "too long");
    }

    #[test]
    fn the_kernels_table_is_filled_and_emptied() {
        let name = "the_kernels_table_is_filled_and_emptied";
        if !require_root(name) || !require_tools(name, &["bridge"]) {
            return;
        }
        let mut kernel = Kernel::new(100).expect("a vxlan device");
        let count = |kernel: &Kernel| kernel.entries().expect("bridge fdb show");
        kernel.fill().expect("bridge -batch");
        assert_eq!(count(&kernel), 100);
        kernel.clear().expect("a new device");
        assert_eq!(count(&kernel), 0);
    }
}
