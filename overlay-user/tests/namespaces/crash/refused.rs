//! A change that the kernel refuses, once, whatever it is: a full memory, a full file system, a
//! device that is busy. The daemon ends with a sentence, or goes on and says what it lacks; what
//! was forwarded before is forwarded still, and the next start makes it good.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use overlay_testbed::wait_until;

use super::bed::{Bed, Version};
use super::state::State;
use super::tracer::{End, Fault, Operation, Traced};
use super::{
    CONFIGURATIONS, SOON, Tally, in_turn, plans, recovers, reference, references, steps,
    taken_over, there_and_back,
};

/// What the kernel might say.
fn errno_of(operation: &Operation) -> Errno {
    match operation.kind {
        "create map" | "load program" | "update" | "put neighbour" => Errno::ENOMEM,
        "create link" | "update link" | "detach link" => Errno::EBUSY,
        "put filter" | "put qdisc" | "delete filter" | "delete qdisc" => Errno::ENOBUFS,
        _ => Errno::ENOSPC,
    }
}

fn is_tried(operation: &Operation) -> bool {
    steps::everywhere() || !operation.is_private()
}

/// In starts where nothing was before.
pub fn starts(bed: &Bed<'_>) -> Result<()> {
    let version = Version::under_test();
    bed.write(false)?;
    let (seen, reference) = reference(bed, &version)?;
    let mut tally = Tally::new("first starts that are refused something");
    for number in steps::chosen(&seen, is_tried) {
        let errno = errno_of(&seen[number - 1]);
        let daemon = bed.launch(&version, Some((number, Fault::Refuse(errno))))?;
        let is_ready = bed.is_ready(&daemon)?;
        tally.count(&daemon);
        judge(bed, &version, &daemon, is_ready, &reference).with_context(|| of(number, &daemon))?;
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
    take_overs(bed, "restarts that are refused something", &[Version::under_test()])
}

/// In starts of a version whose tables have another layout, and of that before again.
pub fn upgrades(bed: &Bed<'_>) -> Result<()> {
    let Some(versions) = there_and_back() else { return Ok(()) };
    take_overs(bed, "upgrades and back that are refused something", &versions)
}

fn take_overs(bed: &Bed<'_>, what: &str, versions: &[Version]) -> Result<()> {
    let (references, plans, mut daemon) = taken_over(bed, versions)?;
    let mut tally = Tally::new(what);
    for (plan, number) in in_turn(&plans, is_tried) {
        let version = &versions[plan];
        let former = daemon.objects();
        daemon.signal(Signal::SIGTERM)?;
        daemon.wait(SOON)?;
        let errno = errno_of(&plans[plan][number - 1]);
        let refused = bed.launch(version, Some((number, Fault::Refuse(errno))))?;
        let is_ready = bed.is_ready(&refused)?;
        tally.count(&refused);
        let and_after = || -> Result<Traced> {
            judge(bed, version, &refused, is_ready, &references[plan])?;
            bed.forwards()?;
            let left = refused.objects().and(&former);
            if is_ready {
                refused.signal(Signal::SIGKILL)?;
                refused.wait(SOON)?;
            }
            recovers(bed, version, &left, &references[plan])
        };
        daemon = and_after().with_context(|| of(number, &refused))?;
    }
    tally.tell(&plans.concat())?;
    bed.down(&daemon.objects())
}

/// In reloads from one configuration to another, and back. One that fails leaves the former; where
/// the kernel refuses an entry of a table, the health says so, and a restart makes it good.
pub fn reloads(bed: &Bed<'_>) -> Result<()> {
    let version = Version::under_test();
    let references = references(bed, &version)?;
    let mut daemon = bed.start(&version)?;
    let plans = plans(bed, &daemon)?;
    let mut tally = Tally::new("reloads and back that are refused something");
    for (plan, number) in in_turn(&plans, is_tried) {
        bed.write(CONFIGURATIONS[plan])?;
        let errno = errno_of(&plans[plan][number - 1]);
        daemon.count_from_now(Some((number, Fault::Refuse(errno))));
        let told = bed.run(&["reload"]);
        tally.count(&daemon);
        let and_after = || -> Result<Traced> {
            bed.forwards()?;
            if let Err(error) = told {
                let said = format!("{error:#}");
                ensure!(said.contains("(os error "), "it does not say what failed: {said}");
                let mut same = Ok(());
                let came = wait_until("state as before", SOON, || {
                    same = is_of_any_history(bed, &version, &references[1 - plan]);
                    same.is_ok().then_some(())
                });
                came.with_context(|| format!("it failed, and is not what it was: {same:?}"))?;
            } else {
                let is_same = || is_of_any_history(bed, &version, &references[plan]);
                lacks_nothing_unsaid(bed, &daemon, is_same)?;
            }
            ensure!(!daemon.output().contains("panicked"), "a panic");
            daemon.signal(Signal::SIGKILL)?;
            daemon.wait(SOON)?;
            recovers(bed, &version, &daemon.objects(), &references[plan])
        };
        daemon = and_after().with_context(|| of(number, &daemon))?;
    }
    tally.tell(&plans.concat())?;
    bed.down(&daemon.objects())
}

fn of(number: usize, daemon: &Traced) -> String {
    let hit = daemon.hit().map_or_else(|| "beyond the end".to_owned(), |hit| hit.to_string());
    format!("refused change {number}: {hit}\n{}", daemon.output())
}

/// Whether a daemon took a refusal as it should.
fn judge(
    bed: &Bed<'_>,
    version: &Version,
    daemon: &Traced,
    is_ready: bool,
    reference: &State,
) -> Result<()> {
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
        let of_aya =
            "the kernel refused a BPF map of 32 bytes: it has no memory left for this process";
        let names_it = sentence.contains("(os error ") || sentence.contains(of_aya);
        ensure!(names_it, "a sentence that does not say what was refused: {sentence}");
        return Ok(());
    }
    bed.settle()?;
    lacks_nothing_unsaid(bed, daemon, || bed.state(version)?.must_be(reference))
}

/// What was tried again, or needs not be, lacks nothing; of what is lacking the health tells, or the
/// log, and why.
fn lacks_nothing_unsaid(
    bed: &Bed<'_>,
    daemon: &Traced,
    is_same: impl Fn() -> Result<()>,
) -> Result<()> {
    let mut same = Ok(());
    let is_logged = |line: &str| line.contains(" ERROR ") && line.contains("(os error ");
    let is_healthy = || bed.run(&["status"]).is_ok_and(|status| status.contains("  healthy"));
    let came = wait_until("state as configured, or a word", SOON, || {
        same = is_same();
        let is_said = || daemon.output().lines().any(is_logged) || !is_healthy();
        (same.is_ok() || is_said()).then_some(())
    });
    came.with_context(|| format!("it lacks something and does not say so: {same:?}"))
}

/// Fails unless the state is that, but for what depends on former reloads.
fn is_of_any_history(bed: &Bed<'_>, version: &Version, reference: &State) -> Result<()> {
    bed.state(version)?.of_any_history().must_be(&reference.clone().of_any_history())
}
