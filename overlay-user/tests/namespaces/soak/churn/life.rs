//! The first gateway's daemon dies, and is started again.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::super::bed::Bed;
use crate::harness::next_layout;

fn pause(bed: &mut Bed<'_>) {
    std::thread::sleep(Duration::from_millis(bed.below(1000) as u64));
}

/// Without warning.
pub fn killed(bed: &mut Bed<'_>) -> Result<()> {
    bed.gateways[0].kill()?;
    pause(bed);
    bed.gateways[0].restart()?;
    bed.gateways[0].wait_for_peers()
}

/// As a service manager does; every other time to another binary, with another layout of its
/// tables where there is one, and back.
pub fn terminated(bed: &mut Bed<'_>) -> Result<()> {
    let others = [None, Some(bed.gateways[0].other_binary()?), next_layout()];
    let other = others[bed.below(others.len())].clone();
    let binaries = if other.is_some() { vec![other, None] } else { vec![None] };
    for binary in binaries {
        let code = bed.gateways[0].end(Signal::SIGTERM)?;
        ensure!(code == Some(0), "the daemon ended with {code:?}");
        bed.gateways[0].use_binary(binary);
        pause(bed);
        bed.gateways[0].restart()?;
        bed.gateways[0].wait_for_peers()?;
    }
    Ok(())
}

/// As it was first started.
pub fn renewed(bed: &mut Bed<'_>) -> Result<()> {
    bed.gateways[0].end(Signal::SIGTERM)?;
    bed.gateways[0].restart()
}

/// With everything that it has attached.
pub fn removed(bed: &mut Bed<'_>) -> Result<()> {
    bed.gateways[0].down()?;
    pause(bed);
    bed.gateways[0].restart()?;
    bed.gateways[0].wait_for_peers()
}
