//! A daemon that is killed at each of its changes to the kernel, one after the other: in its
//! first start, in a restart, in an upgrade to other tables and back, in a reload, in its end.
//! What it forwarded before is forwarded still; and after the next start the state is what the
//! configuration says, with nothing left over.

mod bed;
mod objects;
mod refused;
mod state;
mod steps;
mod tracer;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::{TwoGateways, require_root, require_tools};

use crate::harness::{Modes, next_layout};
use bed::{Bed, Version, gone};
use objects::Objects;
use state::State;
use tracer::{End, Fault, Operation, Traced};

const TOOLS: &[&str] = &["bridge", "ethtool", "ping", "tc"];
const SOON: Duration = Duration::from_secs(20);

/// What was tried, to be told at the end.
struct Tally {
    what: String,
    begun: Instant,
    tried: u32,
    /// The process was through before it came to that many changes.
    beyond: u32,
}

impl Tally {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), begun: Instant::now(), tried: 0, beyond: 0 }
    }

    /// Of a daemon that was to be killed.
    fn count(&mut self, daemon: &Traced) {
        self.tried += 1;
        self.beyond += u32::from(daemon.hit().is_none());
    }

    fn tell(&self, seen: &[Operation]) -> Result<()> {
        println!(
            "    {}: {} of {} changes in {:.1} s, {} beyond the end",
            self.what,
            self.tried,
            seen.len(),
            self.begun.elapsed().as_secs_f64(),
            self.beyond
        );
        ensure!(self.beyond * 4 <= self.tried, "{}: hardly ever killed on its way", self.what);
        Ok(())
    }
}

#[test]
fn gateways_on_tc_that_crash_anywhere() -> Result<()> {
    let scenes: &[Scene] = &[first_starts, reloads];
    crash_anywhere("gateways_on_tc_that_crash_anywhere", ("tc", "tc"), "", scenes, EVERY_SCENE)
}

#[test]
fn gateways_on_xdp_that_crash_anywhere() -> Result<()> {
    let scenes: &[Scene] = &[restarts, upgrades];
    crash_anywhere("gateways_on_xdp_that_crash_anywhere", ("xdp", "xdp"), "", scenes, EVERY_SCENE)
}

#[test]
fn gateways_with_filters_that_crash_anywhere() -> Result<()> {
    let scenes: &[Scene] = &[ends, ends_of_the_dead];
    crash_anywhere(
        "gateways_with_filters_that_crash_anywhere",
        ("tc", "tc"),
        "tcx",
        scenes,
        EVERY_SCENE,
    )
}

#[test]
fn gateways_that_are_refused_something() -> Result<()> {
    let scenes: &[Scene] =
        &[refused::starts, refused::restarts, refused::upgrades, refused::reloads];
    crash_anywhere("gateways_that_are_refused_something", ("tc", "tc"), "", scenes, scenes)
}

/// What happens to a gateway.
type Scene = fn(&Bed<'_>) -> Result<()>;

const EVERY_SCENE: &[Scene] = &[first_starts, restarts, upgrades, reloads, ends, ends_of_the_dead];

fn crash_anywhere(
    name: &str,
    modes: Modes,
    without: &'static str,
    few: &[Scene],
    every: &[Scene],
) -> Result<()> {
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    println!("{modes:?}, without {without:?}:");
    for scene in if steps::everywhere() { every } else { few } {
        let testbed = TwoGateways::new()?;
        let bed = Bed::new(&testbed, modes, without)?;
        scene(&bed)?;
    }
    Ok(())
}

/// Kept in mind while a fault is tried.
fn at(number: usize, daemon: &Traced) -> String {
    let hit = daemon.hit().map_or_else(|| "beyond the end".to_owned(), |hit| hit.to_string());
    format!("killed before change {number}: {hit}\n{}", daemon.output())
}

/// What a start that nobody disturbs does where nothing was before, and what it comes to.
fn reference(bed: &Bed<'_>, version: &Version) -> Result<(Vec<Operation>, State)> {
    let daemon = bed.start(version)?;
    let seen = daemon.counted();
    let state = bed.state(version)?;
    bed.down(&daemon.objects())?;
    Ok((seen, state))
}

/// The next start after a death comes to what it should, and of the dead nothing is left.
fn recovers(bed: &Bed<'_>, version: &Version, dead: &Objects, reference: &State) -> Result<Traced> {
    let daemon = bed.start(version).context("the next start")?;
    bed.must_be(version, reference)?;
    gone(&dead.without(&daemon.objects()))?;
    Ok(daemon)
}

/// Where nothing was before. Every other time `down` comes in place of a start.
fn first_starts(bed: &Bed<'_>) -> Result<()> {
    let version = Version::under_test();
    bed.write(false)?;
    let (seen, reference) = reference(bed, &version)?;
    let mut tally = Tally::new("first starts");
    let numbers = steps::chosen(&seen, is_seen_after);
    for (turn, number) in numbers.into_iter().enumerate() {
        if turn.is_multiple_of(2) || steps::everywhere() {
            let dead = bed.start_and_die(&version, number)?;
            tally.count(&dead);
            bed.down(&dead.objects()).with_context(|| at(number, &dead))?;
        }
        if !turn.is_multiple_of(2) || steps::everywhere() {
            let dead = bed.start_and_die(&version, number)?;
            tally.count(&dead);
            let and_after = || {
                let daemon = recovers(bed, &version, &dead.objects(), &reference)?;
                bed.down(&daemon.objects()).context("down")
            };
            and_after().with_context(|| at(number, &dead))?;
        }
    }
    tally.tell(&seen)
}

/// Over what a process left that was killed or stopped, by the same binary.
fn restarts(bed: &Bed<'_>) -> Result<()> {
    let version = Version::under_test();
    take_overs(bed, "restarts", &[version])
}

/// To a binary whose tables have another layout, and back.
fn upgrades(bed: &Bed<'_>) -> Result<()> {
    let Some(versions) = there_and_back() else { return Ok(()) };
    take_overs(bed, "upgrades and back", &versions)
}

/// A version whose tables have another layout, and the one under test.
fn there_and_back() -> Option<[Version; 2]> {
    let next = next_layout();
    if next.is_none() {
        println!("SKIPPED upgrades that crash: OVERLAY_NEXT names no binary with another layout");
    }
    Some([Version::next(next?), Version::under_test()])
}

/// Has each of these versions take over from the one before, undisturbed. Returns what each comes to,
/// what it does for that, and the daemon of the last.
fn taken_over(
    bed: &Bed<'_>,
    versions: &[Version],
) -> Result<(Vec<State>, Vec<Vec<Operation>>, Traced)> {
    bed.write(false)?;
    let references = versions.iter().map(|version| Ok(reference(bed, version)?.1));
    let references = references.collect::<Result<Vec<_>>>()?;
    let mut daemon = bed.start(versions.last().context("a version")?)?;
    let mut plans = Vec::new();
    for version in versions {
        daemon.signal(Signal::SIGTERM)?;
        daemon.wait(SOON)?;
        daemon = bed.start(version)?;
        plans.push(daemon.counted());
    }
    Ok((references, plans, daemon))
}

/// Has each of these versions take over from the one before, in turn, and die on its way.
fn take_overs(bed: &Bed<'_>, what: &str, versions: &[Version]) -> Result<()> {
    let (references, plans, mut daemon) = taken_over(bed, versions)?;
    let mut tally = Tally::new(what);
    let mut counted = bed.counted()?;
    for (turn, (plan, number)) in in_turn(&plans, is_seen_after).into_iter().enumerate() {
        let version = &versions[plan];
        let former = daemon.objects();
        daemon.signal([Signal::SIGKILL, Signal::SIGTERM][turn / plans.len() % 2])?;
        daemon.wait(SOON)?;
        let dead = bed.start_and_die(version, number)?;
        tally.count(&dead);
        let left = dead.objects().and(&former);
        let mut and_after = || {
            bed.forwards().context("without a daemon")?;
            let daemon = recovers(bed, version, &left, &references[plan])?;
            bed.has_counted_on(&mut counted).map(|()| daemon)
        };
        daemon = and_after().with_context(|| at(number, &dead))?;
    }
    tally.tell(&plans.concat())?;
    bed.down(&daemon.objects())
}

/// Of two configurations, which one is the second. Reloads go from one to the other, and back.
const CONFIGURATIONS: [bool; 2] = [true, false];

/// What gateways of both come to.
fn references(bed: &Bed<'_>, version: &Version) -> Result<Vec<State>> {
    let of = |is_second| {
        bed.write(is_second)?;
        Ok(reference(bed, version)?.1)
    };
    CONFIGURATIONS.into_iter().map(of).collect()
}

/// What reloads to both do that nobody disturbs.
fn plans(bed: &Bed<'_>, daemon: &Traced) -> Result<Vec<Vec<Operation>>> {
    let of = |is_second| {
        bed.write(is_second)?;
        daemon.count_from_now(None);
        bed.run(&["reload"])?;
        Ok(daemon.counted())
    };
    CONFIGURATIONS.into_iter().map(of).collect()
}

/// Whether it may be seen once its process is dead.
fn is_seen_after(operation: &Operation) -> bool {
    !operation.is_private()
}

/// Of several plans, which numbers are tried at which turn, and of which plan: as many of each, so
/// that one leads to the other.
fn in_turn(plans: &[Vec<Operation>], of: fn(&Operation) -> bool) -> Vec<(usize, usize)> {
    let chosen: Vec<_> = plans.iter().map(|plan| steps::chosen(plan, of)).collect();
    let longest = chosen.iter().map(Vec::len).max().unwrap_or(0);
    let turn = |turn: usize| {
        let of = move |(plan, numbers): (usize, &Vec<usize>)| {
            Some((plan, *numbers.get(turn).or(numbers.last())?))
        };
        chosen.iter().enumerate().filter_map(of).collect::<Vec<_>>()
    };
    (0..longest).flat_map(turn).collect()
}

/// From one configuration to another, and back.
fn reloads(bed: &Bed<'_>) -> Result<()> {
    let version = Version::under_test();
    let references = references(bed, &version)?;
    let mut daemon = bed.start(&version)?;
    let plans = plans(bed, &daemon)?;
    let mut tally = Tally::new("reloads and back");
    for (plan, number) in in_turn(&plans, is_seen_after) {
        bed.write(CONFIGURATIONS[plan])?;
        daemon.count_from_now(Some((number, Fault::Kill)));
        let told = bed.run(&["reload"]);
        let dead = killed(daemon)?;
        tally.count(&dead);
        let and_after = || {
            ensure!(told.is_err() || dead.hit().is_none(), "a reload that was cut off is good");
            bed.forwards().context("without a daemon")?;
            recovers(bed, &version, &dead.objects(), &references[plan])
        };
        daemon = and_after().with_context(|| at(number, &dead))?;
    }
    tally.tell(&plans.concat())?;
    bed.down(&daemon.objects())
}

/// A daemon that is about to be killed at a change, or else is killed now.
fn killed(daemon: Traced) -> Result<Traced> {
    if daemon.hit().is_none() {
        daemon.signal(Signal::SIGKILL)?;
    }
    let end = daemon.wait(SOON)?;
    ensure!(end == End::Signal(Signal::SIGKILL), "it ended by itself: {}", daemon.output());
    Ok(daemon)
}

/// `overlay down`, by a daemon that is killed meanwhile.
fn ends(bed: &Bed<'_>) -> Result<()> {
    let version = Version::under_test();
    bed.write(false)?;
    let (_, reference) = reference(bed, &version)?;
    let daemon = bed.start(&version)?;
    daemon.count_from_now(None);
    bed.down(&daemon.objects())?;
    ended(&daemon)?;
    let seen = daemon.counted();
    let mut tally = Tally::new("ends");
    let mut daemon = bed.start(&version)?;
    for (turn, number) in steps::chosen(&seen, |_| true).into_iter().enumerate() {
        daemon.count_from_now(Some((number, Fault::Kill)));
        let _ = bed.run(&["down"]);
        let dead = if daemon.hit().is_some() { killed(daemon)? } else { daemon };
        dead.wait(SOON)?;
        tally.count(&dead);
        daemon = after_an_end(bed, turn, &dead.objects(), &reference)
            .with_context(|| at(number, &dead))?;
    }
    tally.tell(&seen)?;
    bed.down(&daemon.objects())
}

/// The same in place of a daemon that was killed before, by a command that is killed.
fn ends_of_the_dead(bed: &Bed<'_>) -> Result<()> {
    let version = Version::under_test();
    bed.write(false)?;
    let (_, reference) = reference(bed, &version)?;
    let left = killed(bed.start(&version)?)?.objects();
    let command = bed.follow(&["down"], None)?;
    ended(&command)?;
    let seen = command.counted();
    bed.is_clean(&left)?;
    let mut tally = Tally::new("ends of the dead");
    let mut daemon = bed.start(&version)?;
    for (turn, number) in steps::chosen(&seen, |_| true).into_iter().enumerate() {
        let left = killed(daemon)?.objects();
        let command = bed.follow(&["down"], Some((number, Fault::Kill)))?;
        command.wait(SOON)?;
        tally.count(&command);
        daemon =
            after_an_end(bed, turn, &left, &reference).with_context(|| at(number, &command))?;
    }
    tally.tell(&seen)?;
    bed.down(&daemon.objects())
}

fn ended(process: &Traced) -> Result<()> {
    let end = process.wait(SOON)?;
    ensure!(end == End::Code(0), "it ended with {end:?}:\n{}", process.output());
    Ok(())
}

/// An end that was cut off is made good by another, or by a start.
fn after_an_end(bed: &Bed<'_>, turn: usize, left: &Objects, reference: &State) -> Result<Traced> {
    if turn.is_multiple_of(2) {
        bed.down(left).context("down once more")?;
    }
    recovers(bed, &Version::under_test(), left, reference)
}
