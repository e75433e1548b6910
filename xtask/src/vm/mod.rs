//! `cargo xtask test --vm`: the privileged tests on the kernels that users run.
//!
//! Debian's kernels are booted under QEMU's emulation, which needs no hardware's help and
//! no privilege of this machine's, with an initramfs of this machine's programs and of
//! the tests, linked statically.
//!
//! - [`kernels`]: which kernels, and the cache of them.
//! - [`image`]: what a guest finds.
//! - [`plan`]: what it runs.
//! - [`guest`]: a boot, until it ends or does not live any more.
//! - [`said`]: what the guest said in it.
//! - [`verdict`]: what that means for a section.
//! - [`row`]: the boots of one kernel, and what they come to.
//! - [`record`]: what is kept of it in the repository.
//! - [`faults`]: guests that are made to fail, to see whether they are found out.
//! - [`table`], [`mod@side_by_side`]: for printing, and for several guests at a time.

mod faults;
mod guest;
mod image;
mod kernels;
mod plan;
mod record;
mod row;
mod said;
mod side_by_side;
mod table;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use overlay_testbed::Scratch;

use faults::Guest;
use guest::{Machine, Section};
use kernels::{Look, Ready};
use plan::COLUMNS;
use record::Record;
use row::Row;
use side_by_side::{AT_ONCE, side_by_side};

use crate::setup::{self, Scope};
use crate::step::step;
use crate::tools::{OPEN_VSWITCH, VM_PACKAGES};
use crate::workspace::Workspace;

/// Arguments of `cargo xtask test` that have to do with guests.
#[derive(clap::Args, Default)]
pub struct VmArgs {
    /// Run the privileged tests in virtual machines of these kernels (such as 6.1); all
    /// where none is named.
    #[arg(long, value_name = "KERNEL", num_args = 0..)]
    pub vm: Option<Vec<String>>,
    /// Look for newer kernels than those in the cache.
    #[arg(long, requires = "vm")]
    newer: bool,
    /// Keep what was found in `docs/`, beside what is there of other kernels.
    #[arg(long, requires = "vm")]
    accept: bool,
    /// Fill only this column of the matrix, such as `loads`.
    #[arg(long, requires = "vm", value_name = "COLUMN",
          value_parser = COLUMNS.map(|column| column.title))]
    only: Option<String>,
    /// Try the rarer peers and devices on the newest kernel only.
    #[arg(long, requires = "vm", conflicts_with = "accept")]
    brief: bool,
    /// Afterwards, make guests fail and see that each failure is called what it is.
    #[arg(long, requires = "vm")]
    faults: bool,
    /// Where to write everything that the guests said.
    #[arg(long, requires = "vm", value_name = "FOLDER")]
    logs: Option<PathBuf>,
    /// Look for newer kernels where nobody has for a fortnight.
    #[arg(skip)]
    fortnightly: bool,
}

impl VmArgs {
    /// What `cargo xtask ci` asks for.
    pub fn every_change() -> Self {
        let vm = kernels::EVERY_CHANGE.iter().map(|series| (*series).to_owned()).collect();
        Self { vm: Some(vm), brief: true, faults: true, fortnightly: true, ..Self::default() }
    }

    fn look(&self) -> Look {
        const FORTNIGHT: Duration = Duration::from_secs(14 * 86_400);
        match (self.newer, self.fortnightly) {
            (true, _) => Look::Now,
            (false, true) => Look::After(FORTNIGHT),
            (false, false) => Look::WhereMissing,
        }
    }

    /// What a kernel is to run.
    fn sections(&self, series: &str) -> Vec<Section> {
        let is_wanted = |title: &str| self.only.as_deref().is_none_or(|only| only == title);
        let columns = COLUMNS.iter().filter(|column| is_wanted(column.title));
        columns.map(|column| column.section(self.brief, kernels::is_newest(series))).collect()
    }
}

/// A guest says every two seconds that it lives.
const SILENCE: Duration = Duration::from_secs(60);

/// Boots the kernels that are asked for, and fails where one is not as it should be.
pub fn run(workspace: &Workspace, args: &VmArgs) -> Result<()> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "--vm boots kernels for x86-64 with programs of this machine, which is another"
    );
    let wanted = kernels::named(args.vm.as_deref().unwrap_or_default())?;
    let oldest = kernels::KERNELS[0].series;
    ensure!(
        !args.faults || wanted.iter().any(|kernel| kernel.series == oldest),
        "--faults needs Linux {oldest} among the kernels: newer ones refuse no program of ours"
    );
    setup::run(Scope::Test)?;
    setup::also(VM_PACKAGES)?;
    setup::also_without_starting(&OPEN_VSWITCH)?;
    let scratch = Scratch::new()?;
    let base = scratch.path().join("base.cpio");
    plan::check(&image::base(workspace, &base)?)?;

    let (mut ready, mut troubles) = (Vec::new(), Vec::new());
    for (series, kernel) in kernels::prepare(&wanted, args.look(), scratch.path())? {
        match kernel {
            Ok(kernel) => ready.push(kernel),
            Err(error) => troubles.push((series, format!("not to be had: {error:#}"))),
        }
    }
    let booted = boot(&ready, &base, args)?;
    let mut rows = Vec::new();
    for (kernel, result) in ready.iter().zip(booted.rows) {
        match result {
            Ok(row) => rows.push(row),
            Err(error) => troubles.push((kernel.series, format!("not booted: {error:#}"))),
        }
    }
    println!("{}", matrix(&rows, &troubles));
    let mut troubles: Vec<String> = troubles
        .into_iter()
        .map(|(series, trouble)| format!("Linux {series}: {trouble}"))
        .collect();
    for row in &rows {
        row.explain();
        troubles.extend(row.troubles());
        if let Some(folder) = &args.logs {
            row.write_logs(folder)?;
        }
    }
    troubles.extend(booted.missed);
    judge(workspace, args, Record::of(&rows), troubles)
}

/// What became of all guests.
struct Booted {
    /// Of each kernel.
    rows: Vec<Result<Row>>,
    /// What was not found out of the guests that were made to fail.
    missed: Vec<String>,
}

/// A guest's work.
enum Job<'a> {
    Kernel(&'a Ready),
    Fault(&'static Guest),
}

/// What came of it.
enum Done {
    Kernel(Result<Row>),
    Fault(Result<()>),
}

fn boot(ready: &[Ready], base: &Path, args: &VmArgs) -> Result<Booted> {
    let faults = if args.faults { &faults::GUESTS[..] } else { &[] };
    // The newest may have most to do, and the oldest is slowest: they begin. Guests that
    // are made to fail take least, and fill what time is left at the end.
    let mut order: Vec<&Ready> = ready.iter().collect();
    let one = order.len().min(1);
    order.rotate_right(one);
    let jobs: Vec<Job> =
        order.into_iter().map(Job::Kernel).chain(faults.iter().map(Job::Fault)).collect();
    let mut what = format!("boot {} kernels, {AT_ONCE} at a time", ready.len());
    if args.faults {
        what += ", and guests that are made to fail and must be found out";
    }
    step(&what, || {
        let done = side_by_side(&jobs, |job| match job {
            Job::Kernel(kernel) => {
                let machine = Machine { kernel, base, silence: SILENCE };
                Done::Kernel(Row::of(&machine, args.sections(kernel.series), true))
            }
            Job::Fault(guest) => Done::Fault(guest.prove(ready, base)),
        });
        let mut booted = Booted { rows: Vec::new(), missed: Vec::new() };
        for done in done {
            match done {
                Done::Kernel(row) => booted.rows.push(row),
                Done::Fault(proven) => {
                    booted.missed.extend(proven.err().map(|error| format!("{error:#}")));
                }
            }
        }
        booted.rows.rotate_left(one);
        Ok(booted)
    })
}

/// Compares with what is kept, or keeps what was found where nothing is wrong with it.
fn judge(
    workspace: &Workspace,
    args: &VmArgs,
    found: Record,
    mut troubles: Vec<String>,
) -> Result<()> {
    let kept = Record::read(workspace)?;
    println!("{}", found.costs());
    if !args.accept {
        let compared = found.beside(&kept);
        compared.notes.iter().for_each(|note| println!("note: {note}"));
        troubles.extend(compared.troubles);
    }
    if !troubles.is_empty() {
        bail!("{}", troubles.join("\n       "));
    }
    if args.accept {
        found.over(kept)?.write(workspace)?;
    }
    Ok(())
}

/// Kernel by column; a kernel that was not booted says why in a word.
fn matrix(rows: &[Row], troubles: &[(&'static str, String)]) -> String {
    let mut lines = vec![{
        let titles = COLUMNS.iter().map(|column| column.title.to_owned());
        std::iter::once("kernel".to_owned()).chain(titles).chain(["s".to_owned()]).collect()
    }];
    // In their order, those that were not booted among the others.
    for kernel in kernels::KERNELS {
        for row in rows.iter().filter(|row| row.series == kernel.series) {
            let mut line: Vec<String> = vec![row.release.clone()];
            line.extend(COLUMNS.iter().map(|column| row.verdict(column.title).to_string()));
            line.push(format!("{:.0}", row.took().as_secs_f32()));
            lines.push(line);
        }
        for (series, why) in troubles.iter().filter(|(series, _)| *series == kernel.series) {
            let word = why.split(':').next().unwrap_or_default().to_uppercase();
            lines.push(vec![(*series).to_owned(), word]);
        }
    }
    table::aligned(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_is_not_to_be_had_is_a_row() {
        let table = matrix(&[], &[("6.1", "not to be had: the suite has moved".to_owned())]);
        assert!(table.contains("\n6.1     NOT TO BE HAD\n"), "{table}");
    }

    #[test]
    fn what_every_change_is_tested_on_is_looked_for_once_a_fortnight() {
        assert!(matches!(VmArgs::every_change().look(), Look::After(_)));
        assert_eq!(VmArgs::default().look(), Look::WhereMissing);
    }
}
