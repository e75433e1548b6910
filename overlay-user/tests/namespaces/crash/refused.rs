//! A change that the kernel refuses, once, whatever it is: a full memory, a full file system, a
//! device that is busy. The daemon ends with a sentence, or goes on and says what it lacks; what
//! was forwarded before is forwarded still, and the next start makes it good.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::bed::{Bed, Version, gone};
use super::state::State;
use super::tracer::{End, Fault, Operation, Traced};
use super::{SOON, Tally, recovers, reference, steps};

/// What the kernel might say.
fn errno_of(operation: &Operation) -> Errno {
    match operation.kind {
        "create map" | "load program" | "update" | "put neighbour" => Errno::ENOMEM,
        "create link" | "update link" | "detach link" => Errno::EBUSY,
        "put filter" | "put qdisc" | "delete filter" | "delete qdisc" => Errno::ENOBUFS,
        _ => Errno::ENOSPC,
    }
}

/// In starts, of which every other one takes over from a daemon that was killed.
pub fn starts(bed: &Bed<'_>) -> Result<()> {
    let version = Version::under_test();
    bed.write(false)?;
    let (seen, reference) = reference(bed, &version)?;
    let mut tally = Tally::new("first starts that are refused something");
    for number in steps::chosen(&seen, |operation| steps::everywhere() || !operation.is_private()) {
        let errno = errno_of(&seen[number - 1]);
        let daemon = bed.launch(&version, Some((number, Fault::Refuse(errno))))?;
        let is_ready = bed.is_ready(&daemon)?;
        tally.count(&daemon);
        judge(bed, &daemon, is_ready, &reference).with_context(|| of(number, &daemon))?;
        let held = daemon.objects();
        if is_ready {
            bed.down(&held).with_context(|| of(number, &daemon))?;
        } else {
            bed.is_clean(&held).with_context(|| of(number, &daemon))?;
        }
    }
    tally.tell(&seen)
}

/// In starts that take over from a daemon that was stopped.
pub fn restarts(bed: &Bed<'_>) -> Result<()> {
    let version = Version::under_test();
    bed.write(false)?;
    let (_, reference) = reference(bed, &version)?;
    bed.start(&version)?.signal(Signal::SIGKILL)?;
    let mut daemon = bed.start(&version)?;
    let seen = daemon.counted();
    let mut tally = Tally::new("restarts that are refused something");
    for number in steps::chosen(&seen, |operation| steps::everywhere() || !operation.is_private()) {
        let former = daemon.objects();
        daemon.signal(Signal::SIGTERM)?;
        daemon.wait(SOON)?;
        let errno = errno_of(&seen[number - 1]);
        let refused = bed.launch(&version, Some((number, Fault::Refuse(errno))))?;
        let is_ready = bed.is_ready(&refused)?;
        tally.count(&refused);
        let and_after = || -> Result<Traced> {
            judge(bed, &refused, is_ready, &reference)?;
            bed.forwards()?;
            let left = refused.objects().and(&former);
            if is_ready {
                refused.signal(Signal::SIGKILL)?;
                refused.wait(SOON)?;
            }
            let daemon = recovers(bed, &version, &left, &reference)?;
            gone(&left.without(&daemon.objects()))?;
            Ok(daemon)
        };
        daemon = and_after().with_context(|| of(number, &refused))?;
    }
    tally.tell(&seen)?;
    bed.down(&daemon.objects())
}

fn of(number: usize, daemon: &Traced) -> String {
    let hit = daemon.hit().map_or_else(|| "beyond the end".to_owned(), |hit| hit.to_string());
    format!("refused change {number}: {hit}\n{}", daemon.output())
}

/// Whether a daemon took a refusal as it should.
fn judge(bed: &Bed<'_>, daemon: &Traced, is_ready: bool, reference: &State) -> Result<()> {
    let said = daemon.output();
    ensure!(!said.contains("panicked"), "a panic");
    if daemon.hit().is_none() {
        return Ok(());
    }
    if !is_ready {
        let end = daemon.wait(SOON)?;
        ensure!(end == End::Code(1), "it ended with {end:?}, not with 1");
        let sentence = said.lines().rfind(|line| line.starts_with("overlay: "));
        let sentence = sentence.context("it ended without a word")?;
        let names_it = sentence.contains("(os error ");
        ensure!(names_it, "a sentence that does not say what was refused: {sentence}");
        return Ok(());
    }
    bed.settle()?;
    // What was tried again, or needs not be, lacks nothing.
    let same = bed.must_be(&Version::under_test(), reference);
    let status = bed.run(&["status"])?;
    if same.is_err() {
        ensure!(!status.contains("  healthy"), "it lacks something and does not say so: {same:?}");
    }
    Ok(())
}
