//! Those who look at a gateway: at frames, numbers and events; with patience, and without manners.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::{Process, wait_until};

use super::super::bed::Bed;
use super::super::clients::{ask_badly, deaf as deaf_to, get, half_open};
use crate::harness::overlay;

const SOON: Duration = Duration::from_secs(20);
/// So many connections are kept open by others at most; a gateway takes 128.
const HELD: usize = 40;

/// A trace and a capture, one of which is killed.
pub fn frames(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    let name = bed.names()[side];
    let watch = |words: &[&str]| {
        let mut command = overlay(&bed.around.gateway(side).netns);
        Process::spawn(command.args(words).args(["--name", name]))
    };
    let trace = watch(&["trace", "--json", "icmp"])?;
    let capture = watch(&["capture", "--write", "/dev/null", "segment", "blue"])?;
    wait_until("frames that are told of", SOON, || {
        trace.output().contains("\"verdict\"").then_some(())
    })
    .with_context(|| format!("{}\n{}", trace.output(), bed.gateways[side].log()))?;
    let rude = bed.below(2) == 0;
    trace.signal(if rude { Signal::SIGKILL } else { Signal::SIGINT })?;
    trace.wait(SOON)?;
    capture.signal(Signal::SIGINT)?;
    let ended = capture.wait(SOON)?;
    ensure!(ended.success(), "the capture ended with {ended}: {}", capture.output());
    // Now and then the next thing happens while the last watcher's programs are still there.
    if bed.below(2) == 0 {
        let mut command = overlay(&bed.around.gateway(side).netns);
        let command = command.args(["trace", "--drops", "--name", name]);
        drop(Process::spawn(command)?);
    }
    Ok(())
}

/// Numbers and tables, all of them.
pub fn numbers(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    for _ in 0..10 {
        let page = get(bed.names()[side], "/metrics")?;
        ensure!(page.contains("overlay_build_info"), "{page}");
    }
    for what in ["ports", "segments", "peers", "fdb", "neighbours", "routes", "acls", "drops"] {
        bed.gateways[side].show(what)?;
    }
    let frame = "ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 \
                 000000000000 0a000002";
    bed.gateways[side].run(&["trace", "--simulate", frame, "--interface", "eth1"])?;
    Ok(())
}

/// Readers that ask and take nothing, while there is something to tell.
pub fn deaf(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    let readers = deaf_to(bed.names()[side], 12)?;
    super::stations::appear(bed)?;
    super::stations::appear(bed)?;
    keep_some(bed, readers);
    Ok(())
}

/// Requests that are no good, and some that never end.
pub fn bad(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    let name = bed.names()[side];
    ask_badly(name)?;
    let halves = half_open(name, 12)?;
    keep_some(bed, halves);
    Ok(())
}

/// A part of them is closed at once, the others when there are too many.
fn keep_some(bed: &mut Bed<'_>, mut streams: Vec<std::os::unix::net::UnixStream>) {
    let kept = bed.below(streams.len() + 1);
    streams.truncate(kept);
    bed.held.extend(streams);
    let more = bed.held.len().saturating_sub(HELD);
    bed.held.drain(..more);
}
