//! What was measured while everything changed, and whether it rises.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::held::Held;

/// A median may rise by so many bytes from the second quarter of the time to the last, ...
const RISE: u64 = 2 << 20;
/// ... where that is short, by so many: a heap takes minutes to be as large as it will be, the
/// log of events until it is full. In half an hour it swings by as much about a median that stays,
/// and within two minutes a swing may last for most of a quarter.
const RISE_AT_FIRST: u64 = 16 << 20;
/// What is short.
const SHORT: Duration = Duration::from_secs(600);
/// ... or by this share of itself.
const SHARE: u64 = 20;

/// One look at both gateways; `None`: its daemon was away.
pub struct Look {
    /// Since the churn began.
    pub at: Duration,
    pub held: [Option<Held>; 2],
}

/// A figure of a look that is followed.
type Figure = (&'static str, &'static str, u64, fn(&Held) -> u64);

const FIGURES: [Figure; 8] = [
    ("anonymous", "MiB", 1 << 20, |held| held.anonymous),
    ("BPF memory", "MiB", 1 << 20, |held| held.locked),
    ("resident", "MiB", 1 << 20, |held| held.resident),
    ("descriptors", "", 1, |held| held.descriptors() as u64),
    ("threads", "", 1, |held| held.threads as u64),
    ("maps", "", 1, |held| held.objects.maps.len() as u64),
    ("programs", "", 1, |held| held.objects.programs.len() as u64),
    ("links", "", 1, |held| held.objects.links.len() as u64),
];
/// How many of the figures are memory, which must not rise. The others must be what they were
/// once everything is at rest, which says more.
const MEMORY: usize = 3;

/// All looks, in their order.
#[derive(Default)]
pub struct Series(pub Vec<Look>);

impl Series {
    /// The values of a figure at a gateway within a part of the time: quarter 1 to 4.
    fn quarter(&self, gateway: usize, number: u32, figure: fn(&Held) -> u64) -> Vec<u64> {
        let end = self.0.last().map_or(Duration::ZERO, |look| look.at);
        let part = |number: u32| end * number / 4;
        let (from, to) = (part(number - 1), part(number));
        let within = self.0.iter().filter(|look| from < look.at && look.at <= to);
        within.filter_map(|look| look.held[gateway].as_ref().map(figure)).collect()
    }

    /// A table: a line for each figure of each gateway.
    pub fn table(&self, names: [&str; 2]) -> String {
        let mut text = format!(
            "| gateway | figure | first | median of 2nd quarter | of 3rd | of last | most |\n\
             | --- | --- | --- | --- | --- | --- | --- | {} looks\n",
            self.0.len()
        );
        for (gateway, name) in names.iter().enumerate() {
            for (figure, unit, scale, of) in FIGURES {
                let all: Vec<u64> =
                    self.0.iter().filter_map(|look| look.held[gateway].as_ref().map(of)).collect();
                let first = all.first().copied();
                let medians = [2, 3, 4].map(|number| median(self.quarter(gateway, number, of)));
                let cells = [first, medians[0], medians[1], medians[2], all.into_iter().max()];
                let cells = cells.map(|cell| shown(cell, unit, scale));
                let _ = writeln!(text, "| {name} | {figure} | {} |", cells.join(" | "));
            }
        }
        text
    }

    /// Sees that no figure of memory has risen from the second quarter of the time to the last.
    pub fn judge(&self, names: [&str; 2]) -> Result<()> {
        let time = self.0.last().map_or(Duration::ZERO, |look| look.at);
        // What is resident is also pages of files and tables that somebody has looked at for the
        // first time. There are so many, and how many mappings is compared at rest.
        let (room, followed) =
            if time < SHORT { (RISE_AT_FIRST, MEMORY - 1) } else { (RISE, MEMORY) };
        for (gateway, name) in names.iter().enumerate() {
            for (figure, unit, scale, of) in &FIGURES[..followed] {
                let [early, late] = [2, 4].map(|number| median(self.quarter(gateway, number, *of)));
                let (Some(early), Some(late)) = (early, late) else { continue };
                ensure!(
                    late <= early + room.max(early / SHARE),
                    "{name}: {figure} rises, from {} to {}\n{}",
                    shown(Some(early), unit, *scale),
                    shown(Some(late), unit, *scale),
                    self.table(names)
                );
            }
        }
        Ok(())
    }
}

fn shown(value: Option<u64>, unit: &str, scale: u64) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if scale == 1 => value.to_string(),
        Some(value) => format!("{:.2} {unit}", value as f64 / scale as f64),
    }
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[test]
fn what_rises_is_told_from_what_swings() {
    let series = |bytes: fn(u64) -> u64| {
        let look = |second: u64| {
            let held = Held { resident: 60 << 20, anonymous: bytes(second), ..Held::default() };
            Look { at: Duration::from_secs(second), held: [Some(held), None] }
        };
        Series((0..1200).map(look).collect())
    };
    let names = ["gw1", "gw2"];
    assert!(series(|second| (20 << 20) + ((second % 10) << 20)).judge(names).is_ok());
    assert!(series(|second| (20 << 20) + second.min(240) * (1 << 17)).judge(names).is_ok());
    let rises = series(|second| (20 << 20) + second * (1 << 13)).judge(names);
    assert!(rises.is_err_and(|error| format!("{error}").contains("gw1: anonymous rises")));
}
