//! `overlay-bench`: this gateway beside other data planes, on this machine, now.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use overlay_bench::{Direction, Plan, Plane, Report, compare};

/// What this project asks of itself: its XDP rate over the kernel's.
const GOAL: f64 = 3.0;

/// Compares packets per second of one core: an untouched XDP redirect, this
/// gateway on XDP and on tc, and the kernel's bridge and vxlan device.
#[derive(Parser)]
struct Args {
    /// The `overlay` binary [default: the one beside this program].
    #[arg(long)]
    overlay: Option<PathBuf>,
    /// How often each data plane is measured, in turn with the others.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Milliseconds of each measurement.
    #[arg(long, default_value_t = 500)]
    milliseconds: u64,
    /// The core that generator, gateway and sink share [default: the last one].
    #[arg(long)]
    cpu: Option<usize>,
    /// Measures only data planes whose name contains this; may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let plan = plan(&args)?;
    let report = compare(&plan, |what| eprintln!("{what}"))?;
    if args.json {
        println!("{:#}", report.json());
    } else {
        println!("{report}");
    }
    Ok(if judge(&report) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(args: &Args) -> Result<Plan> {
    ensure!(args.rounds > 0 && args.milliseconds > 0, "nothing to measure");
    ensure!(nix::unistd::geteuid().is_root(), "namespaces and BPF programs need root");
    overlay_testbed::ensure_bpffs()?;
    let overlay = match &args.overlay {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("overlay"),
    };
    let overlay = overlay
        .canonicalize()
        .with_context(|| format!("no `overlay` binary at {}; build it first", overlay.display()))?;
    let cores = std::thread::available_parallelism()?.get();
    let cpu = args.cpu.unwrap_or(cores - 1);
    let time = Duration::from_millis(args.milliseconds);
    let planes = planes(&args.only)?;
    Ok(Plan { overlay, planes, cpu, rounds: args.rounds, time })
}

/// The data planes whose name contains one of the words; all where there is none.
fn planes(words: &[String]) -> Result<Vec<Plane>> {
    let wanted = |plane: &Plane| words.is_empty() || words.iter().any(|w| plane.name().contains(w));
    let planes: Vec<_> = Plane::ALL.into_iter().filter(wanted).collect();
    ensure!(!planes.is_empty(), "no data plane has a name with {}", words.join(" or "));
    Ok(planes)
}

/// Says whether the goal is met, in both directions.
fn judge(report: &Report) -> bool {
    let mut met = true;
    for (direction, name) in
        [(Direction::Encap, "encapsulation"), (Direction::Decap, "decapsulation")]
    {
        let Some(times) = report.times_kernel(direction) else { continue };
        let verdict = if times >= GOAL { "meets" } else { "misses" };
        eprintln!("{name}: {times:.2} × the kernel's rate, {verdict} the goal of {GOAL:.0} ×");
        met &= times >= GOAL;
    }
    met
}
