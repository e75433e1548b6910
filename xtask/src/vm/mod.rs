//! `cargo xtask test --vm`: the privileged tests on the kernels that users run.
//!
//! Debian's kernels are booted under QEMU's emulation, which needs no hardware's help and
//! no privilege of this machine's, with an initramfs of this machine's programs and of
//! the tests, linked statically.
//!
//! - [`kernels`]: which kernels, and the cache of them.
//! - [`image`]: what a guest finds.
//! - [`plan`]: what it runs.
//! - [`guest`]: a boot, and what the guest said.
//! - [`verdict`]: what that means.
//! - [`record`]: what is kept of it in the repository.
//! - [`faults`]: guests that are made to fail, to see whether they are found out.

mod faults;
mod guest;
mod image;
pub mod kernels;
mod plan;
mod record;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use overlay_testbed::Scratch;

use guest::{Boot, Section};
use kernels::Ready;
use plan::COLUMNS;
use record::Record;
use verdict::{Verdict, judge, judge_column};

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
}

impl VmArgs {
    /// What `cargo xtask ci` asks for.
    pub fn every_change() -> Self {
        let vm = kernels::EVERY_CHANGE.iter().map(|series| (*series).to_owned()).collect();
        Self { vm: Some(vm), brief: true, faults: true, ..Self::default() }
    }
}

/// What became of a kernel.
struct Row {
    series: &'static str,
    release: String,
    boots: Vec<Boot>,
    verdicts: Vec<Verdict>,
}

impl Row {
    fn took(&self) -> Duration {
        self.boots.iter().map(|boot| boot.took).sum()
    }
}

/// Boots the kernels that are asked for, and fails where one is not as it should be.
pub fn run(workspace: &Workspace, args: &VmArgs) -> Result<()> {
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
    let look = if args.newer { kernels::Look::Now } else { kernels::Look::WhereMissing };
    let ready = kernels::prepare(&wanted, look, scratch.path())?
        .into_iter()
        .map(|(_, kernel)| kernel)
        .collect::<Result<Vec<Ready>>>()?;
    let base = scratch.path().join("base.cpio");
    image::base(workspace, &base)?;

    let rows = step(&format!("boot {} kernels, {AT_ONCE} at a time", ready.len()), || {
        side_by_side(&ready, |kernel| row(kernel, &base, args))
    })?;
    if let Some(folder) = &args.logs {
        write_logs(folder, &rows)?;
    }
    println!("{}", matrix(&rows));
    rows.iter().for_each(explain);
    let found = Record::of(&rows);
    let kept = Record::read(workspace)?;
    println!("{}", found.costs());
    let mut troubles: Vec<String> = rows
        .iter()
        .filter(|row| !row.verdicts.iter().all(Verdict::is_good))
        .map(|row| format!("Linux {} fails", row.release))
        .collect();
    if args.accept {
        found.over(kept).write(workspace)?;
    } else {
        troubles.extend(found.costlier_than(&kept));
    }
    if args.faults {
        let proven =
            step("guests that are made to fail are found out", || faults::prove(&ready, &base));
        troubles.extend(proven.err().map(|error| format!("{error:#}")));
    }
    if troubles.is_empty() {
        return Ok(());
    }
    bail!("{}", troubles.join("; "))
}

/// Guests use a core each.
const AT_ONCE: usize = 2;

/// Does something for each item, some at a time, and returns the results in their order.
fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = Mutex::new(0..items.len());
    let mut results: Vec<(usize, Result<R>)> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let index = next.lock().expect("no worker panics here").next();
                let Some(index) = index else { return done };
                done.push((index, work(&items[index])));
            }
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker's results")).collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Boots a kernel; where tests fail, once more for these alone.
fn row(kernel: &Ready, base: &Path, args: &VmArgs) -> Result<Row> {
    println!("    Linux {} boots", kernel.release);
    let is_wanted = |title: &str| args.only.as_deref().is_none_or(|only| only == title);
    let brief = args.brief && !kernels::is_newest(kernel.series);
    let section = |column: &plan::Column| column.section(brief);
    let wanted: Vec<Section> =
        COLUMNS.iter().filter(|column| is_wanted(column.title)).map(section).collect();
    let boot = guest::boot(kernel, base, &wanted)?;
    let mut verdicts = judge(&boot);
    for (verdict, column) in verdicts.iter_mut().zip(&COLUMNS) {
        if !is_wanted(column.title) {
            *verdict = Verdict::LeftOut;
        }
    }
    let mut boots = vec![boot];
    let again: Vec<usize> =
        (0..COLUMNS.len()).filter(|index| verdicts[*index].may_be_a_flake()).collect();
    if !again.is_empty() {
        println!("    Linux {} boots once more, for what failed", kernel.release);
        let sections: Vec<Section> = again.iter().map(|index| section(&COLUMNS[*index])).collect();
        let boot = guest::boot(kernel, base, &sections)?;
        for index in again {
            let first = std::mem::replace(&mut verdicts[index], Verdict::NotRun);
            verdicts[index] = first.and_again(judge_column(&boot, &COLUMNS[index]));
        }
        boots.push(boot);
    }
    let row = Row { series: kernel.series, release: kernel.release.clone(), boots, verdicts };
    println!("    Linux {} took {:.0} s", row.release, row.took().as_secs_f32());
    Ok(row)
}

fn write_logs(folder: &Path, rows: &[Row]) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    for row in rows {
        for (number, boot) in row.boots.iter().enumerate() {
            let section = |report: &guest::Report| {
                format!("==> {} ({:?})\n{}\n", report.name, report.code, report.output)
            };
            let text: String = boot.sections.iter().map(section).collect();
            let text = format!("{text}==> {:?}\n{}\n", boot.ending, boot.tail);
            std::fs::write(folder.join(format!("{}.{}", row.release, number + 1)), text)?;
        }
    }
    Ok(())
}

/// Kernel by column.
fn matrix(rows: &[Row]) -> String {
    let mut lines = vec![{
        let titles = COLUMNS.iter().map(|column| column.title.to_owned());
        std::iter::once("kernel".to_owned()).chain(titles).chain(["s".to_owned()]).collect()
    }];
    for row in rows {
        let mut line: Vec<String> = vec![row.release.clone()];
        line.extend(row.verdicts.iter().map(Verdict::to_string));
        line.push(format!("{:.0}", row.took().as_secs_f32()));
        lines.push(line);
    }
    record::aligned(&lines)
}

/// Says what is behind every field that is not simply good.
fn explain(row: &Row) {
    for (column, verdict) in COLUMNS.iter().zip(&row.verdicts) {
        let name = format!("Linux {}, {}", row.release, column.title);
        match verdict {
            Verdict::Passed(_) | Verdict::LeftOut => {}
            Verdict::Flaky(tests) => {
                println!("flake: {name}: {} failed, and passed in a second boot", tests.join(", "));
            }
            Verdict::Refused(words) => println!("refused: {name}: {words}"),
            Verdict::Failed(tests) => {
                println!("failed: {name}: {}", tests.join(", "));
                let outputs = row.boots.iter().rev().flat_map(|boot| &boot.sections);
                if let Some(report) = { outputs }.find(|report| report.name == column.title) {
                    println!("{}", report.output);
                }
            }
            Verdict::OverTime => println!("too slow: {name}"),
            Verdict::Panicked(words) => println!("panic: {name}: {words}"),
            Verdict::Hung => println!("hung: {name}: the guest fell silent"),
            Verdict::NotRun => println!("not run: {name}"),
        }
    }
    if let Some(boot) = row.boots.iter().find(|boot| boot.ending != guest::Ending::Done) {
        println!("Linux {} ended: {:?}. Its last words:\n{}", row.release, boot.ending, boot.tail);
    }
}
