//! What is seen of the gateways after each turn: what they hold, what they log, what they tell.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::bed::Bed;
use super::explained::{is_explained, unexplained_lines};
use super::held::{Held, Objects};
use super::losses::Losses;
use super::series::{Look, Series};

/// Of what nothing explains so many are told.
const TOLD: usize = 40;

/// Everything that was seen.
#[derive(Default)]
pub struct Witness {
    pub rounds: u32,
    /// What nothing explains.
    pub faults: Vec<String>,
    begun: Option<Instant>,
    turns: BTreeMap<&'static str, (u32, Duration)>,
    series: Series,
    /// Every object that a gateway has ever been seen with.
    seen: [Objects; 2],
    /// Bytes of each log that were read.
    read: [usize; 2],
    /// The process whose events were read, and up to which.
    events: [(u32, u64); 2],
    told: BTreeMap<String, u64>,
}

impl Witness {
    /// From here on memory is followed.
    pub fn begin(&mut self) {
        self.begun = Some(Instant::now());
    }

    /// Looks at the gateways after something happened that took so long.
    pub fn look(&mut self, what: &'static str, took: Duration, bed: &Bed<'_>) -> Result<()> {
        let count = self.turns.entry(what).or_default();
        *count = (count.0 + 1, count.1.max(took));
        let held = bed.gateways.each_ref().map(|ours| ours.pid().map(Held::by));
        let [one, two] = held.map(Option::transpose);
        let held = [one?, two?];
        for (seen, held) in self.seen.iter_mut().zip(&held) {
            held.iter().for_each(|held| seen.extend(&held.objects));
        }
        if let Some(begun) = self.begun {
            self.series.0.push(Look { at: begun.elapsed(), held });
        }
        for side in 0..2 {
            self.read_log(what, side, bed);
            self.read_events(what, side, bed)?;
        }
        Ok(())
    }

    fn read_log(&mut self, what: &str, side: usize, bed: &Bed<'_>) {
        let log = bed.gateways[side].whole_log();
        let new = log.get(self.read[side]..).unwrap_or_default();
        // A line that is still being written is read next time.
        let whole = new.rfind('\n').map_or(0, |end| end + 1);
        let lines = unexplained_lines(&new[..whole]);
        self.faults.extend(lines.into_iter().map(|line| format!("{what}: gw{}: {line}", side + 1)));
        self.read[side] += whole;
    }

    fn read_events(&mut self, what: &str, side: usize, bed: &Bed<'_>) -> Result<()> {
        let ours = &bed.gateways[side];
        let pid = ours.pid().unwrap_or_default();
        if self.events[side].0 != pid {
            self.events[side] = (pid, 0);
        }
        let since = self.events[side].1.to_string();
        for line in ours.run(&["events", "--json", "--since", &since])?.lines() {
            let event: Value = serde_json::from_str(line)?;
            let kind = event["kind"].as_str().unwrap_or_default();
            *self.told.entry(kind.to_owned()).or_default() += 1;
            let sequence = event["sequence"].as_u64().unwrap_or_default();
            self.events[side].1 = self.events[side].1.max(sequence);
            if !is_explained(&event) {
                self.faults.push(format!("{what}: gw{}: event {event}", side + 1));
            }
        }
        Ok(())
    }

    /// Objects that the gateways had once, have no more, and that are there nevertheless.
    pub fn left_over(&self, bed: &Bed<'_>) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for (side, ours) in bed.gateways.iter().enumerate() {
            let Some(pid) = ours.pid() else { continue };
            let now = Held::by(pid)?;
            let objects = self.seen[side].left_over(&now.objects)?;
            left.extend(objects.into_iter().map(|object| format!("gw{}: {object}", side + 1)));
        }
        Ok(left)
    }

    /// Fails where memory rose, or something was said that nothing explains.
    pub fn judge(&self, names: [&str; 2]) -> Result<()> {
        self.series.judge(names)?;
        let (count, some) = (self.faults.len(), self.faults.iter().take(TOLD));
        let some: Vec<&str> = some.map(String::as_str).collect();
        ensure!(count == 0, "{count} things that nothing explains:\n{}", some.join("\n"));
        Ok(())
    }

    /// One line on how far it is.
    pub fn progress(&self, after: Duration, losses: &Losses) -> String {
        let turns: u32 = self.turns.values().map(|(count, _)| count).sum();
        let mut text = format!(
            "{:4} s: {turns} turns, {} frames, {} lost ({} explained), {} faults;",
            after.as_secs(),
            losses.sent,
            losses.lost,
            losses.explained,
            self.faults.len()
        );
        let last = self.series.0.last();
        for (side, held) in last.iter().flat_map(|look| look.held.iter().enumerate()) {
            let Some(held) = held else { continue };
            let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let _ = write!(
                text,
                " gw{}: {:.1} MiB ({:.1} anonymous), {} descriptors, {} threads, {} maps, {} \
                 programs, {} links;",
                side + 1,
                mebibytes(held.resident),
                mebibytes(held.anonymous),
                held.descriptors(),
                held.threads,
                held.objects.maps.len(),
                held.objects.programs.len(),
                held.objects.links.len()
            );
        }
        text
    }

    /// Everything, for whoever reads it at the end.
    pub fn report(&self, losses: &Losses) -> String {
        let mut text = self.series.table(["gw1", "gw2"]);
        let _ = writeln!(text, "\nflow: {losses:?}; objects seen: ");
        for (side, seen) in self.seen.iter().enumerate() {
            let (maps, programs, links) = (seen.maps.len(), seen.programs.len(), seen.links.len());
            let _ =
                writeln!(text, "gw{}: {maps} maps, {programs} programs, {links} links", side + 1);
        }
        let _ = writeln!(text, "\nturns, how often, and the longest:");
        for (name, (count, longest)) in &self.turns {
            let _ = writeln!(text, "{count:6} {:6.1} s {name}", longest.as_secs_f64());
        }
        let _ = writeln!(text, "\nevents: {:?}\nfaults: {}", self.told, self.faults.len());
        self.faults.iter().take(TOLD).for_each(|fault| text += &format!("  {fault}\n"));
        text
    }
}
