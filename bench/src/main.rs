//! `overlay-bench`: this gateway beside other data planes, on this machine, now.

mod args;
mod kept;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use overlay_bench::report::{comparison, report};
use overlay_bench::results::Record;
use overlay_bench::run::{Planned, Setup};
use overlay_bench::{plot, run, scenarios, targets};

use args::Args;

/// Where a run could not be begun; the same as clap's for bad usage.
const CANNOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    match execute(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(CANNOT_RUN)
        }
    }
}

/// Does what is asked for, and says whether nothing failed and no target was
/// missed.
fn execute(args: &Args) -> Result<bool> {
    if args.list {
        plan(args, &args.setup()?)?.iter().for_each(|planned| println!("{}", planned.title));
        return Ok(true);
    }
    if args.baseline || args.accept {
        ensure_root()?;
        return if args.accept { kept::accept() } else { kept::compare() };
    }
    let earlier = args.compare.as_deref().map(Record::load).transpose()?;
    let record = if args.input.is_empty() { measure(args)? } else { join(&args.input)? };
    if args.prints_json() {
        println!("{}", record.to_json()?);
    } else {
        print!("{}", report(&record));
        if let Some(earlier) = earlier {
            print!("\n{}", comparison(&earlier, &record));
        }
    }
    if let Some(folder) = &args.plots {
        for file in plot::draw(&record.series, folder)? {
            eprintln!("drawn: {}", file.display());
        }
    }
    let missed = targets::judge(&record.series).iter().any(|v| v.is_met() == Some(false));
    Ok(!missed && record.failures.is_empty())
}

fn measure(args: &Args) -> Result<Record> {
    ensure_root()?;
    overlay_testbed::ensure_bpffs()?;
    let setup = args.setup()?;
    ensure!(
        setup.overlay.is_file(),
        "no `overlay` binary at {}; build it first: cargo build --release --package overlay-user",
        setup.overlay.display()
    );
    let plan = plan(args, &setup)?;
    let mut record = Record::begin(args.options(&setup))?;
    let file = args.json.as_deref().filter(|_| !args.prints_json());
    let save = |record: &Record| file.map_or(Ok(()), |file: &Path| record.save(file));
    // Now, and not after many minutes, is the time to learn that it cannot be
    // written.
    save(&record)?;
    run::run(plan, &setup, &mut record, save)?;
    Ok(record)
}

/// Saved runs as one.
fn join(files: &[PathBuf]) -> Result<Record> {
    let mut records = files.iter().map(|file| Record::load(file));
    let mut all = records.next().context("no run to show")??;
    records.try_for_each(|record| all.join(record?))?;
    Ok(all)
}

fn ensure_root() -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "namespaces and BPF programs need root");
    Ok(())
}

/// The scenarios whose title has one of the words; all where there is none.
fn plan(args: &Args, setup: &Setup) -> Result<Vec<Planned>> {
    let is_wanted = |planned: &Planned| {
        args.only.is_empty() || args.only.iter().any(|word| planned.title.contains(word))
    };
    let plan: Vec<_> = scenarios(setup).into_iter().filter(is_wanted).collect();
    let words = || {
        format!("no scenario has a title with `{}`; --list names them", args.only.join("` or `"))
    };
    (!plan.is_empty()).then_some(plan).with_context(words)
}
