//! Figures of the programs that the repository keeps.

use anyhow::Result;
use overlay_bench::micro::{self, Baseline};

/// Compares them with those of the programs as they are, and says whether none
/// has grown.
pub fn compare() -> Result<bool> {
    let kept = Baseline::read(&Baseline::path())?;
    let now = micro::deterministic()?;
    if kept.kernel != now.kernel {
        println!("{} and {}: figures of two kernels are not compared", kept.kernel, now.kernel);
        return Ok(true);
    }
    let grown = micro::compare(&kept, &now);
    grown.iter().for_each(|growth| println!("{growth}"));
    if !grown.is_empty() {
        println!(
            "Where it is worth that: `cargo xtask bench --accept`, and commit {} with the change.",
            Baseline::path().display()
        );
    }
    Ok(grown.is_empty())
}

/// Keeps those of the programs as they are.
pub fn accept() -> Result<bool> {
    micro::deterministic()?.write(&Baseline::path())?;
    println!("written: {}", Baseline::path().display());
    Ok(true)
}
