//! A campaign: generated frames through the host's path and the kernel's programs. It is
//! started by `cargo xtask campaign`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use overlay_proof::campaign::{self, Plan};

/// Sends generated frames through the host's path and the kernel's programs, which must agree.
#[derive(Parser)]
#[command(name = "cargo xtask campaign")]
struct Args {
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// What everything follows from; the clock's by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Run this frame of the seed alone.
    #[arg(long, requires = "seed")]
    frame: Option<u64>,
}

fn main() -> ExitCode {
    let Args { minutes, seed, frame } = Args::parse();
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let time = Duration::from_secs_f64(60.0 * minutes.clamp(0.0, 1e6));
    match campaign::run(&Plan { seed: seed.unwrap_or_else(clock), time, frame }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
