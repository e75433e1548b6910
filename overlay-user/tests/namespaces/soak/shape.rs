//! What a gateway is like at rest: this has to be the same before and after.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use overlay_testbed::TwoGateways;
use serde_json::Value;

use super::clients::get;
use super::held::Held;
use crate::harness::Overlay;

/// Whose the hosts' addresses are is heard when they ask, and they ask when they like.
const HOSTS: [&str; 2] = [TwoGateways::HOST1, TwoGateways::HOST2];
/// Kernel memory of tables whose room grows with their entries: drop counters stay.
const LOCKED: u64 = 256 << 10;

/// Numbers by name, all of which have to be what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub numbers: BTreeMap<String, u64>,
    /// What is wrong, in the gateway's own words.
    pub problems: Vec<String>,
    locked: u64,
}

impl Shape {
    /// That of a gateway now.
    pub fn of(ours: &Overlay<'_>, name: &str) -> Result<(Self, Held)> {
        let held = Held::by(ours.pid().context("no daemon runs")?)?;
        let mut numbers = BTreeMap::new();
        numbers.extend(held.descriptors.iter().map(|(k, n)| (format!("fd: {k}"), *n as u64)));
        numbers.extend(held.mappings.iter().map(|(k, n)| (format!("mapping: {k}"), *n as u64)));
        let objects = &held.objects;
        for (kind, count) in [
            ("threads", held.threads),
            ("maps", objects.maps.len()),
            ("programs", objects.programs.len()),
            ("links", objects.links.len()),
        ] {
            numbers.insert(kind.to_owned(), count as u64);
        }
        for what in ["links", "maps", ""] {
            let directory = Path::new("/sys/fs/bpf/overlay").join(name).join(what);
            let pins = std::fs::read_dir(&directory).map_or(0, Iterator::count);
            numbers.insert(format!("pins in {name}/{what}"), pins as u64);
        }
        for what in ["ports", "segments", "peers", "fdb", "neighbours", "routes", "acls"] {
            let rows = ours.show(what)?;
            let of_host = |row: &&Value| HOSTS.iter().any(|host| row["ip"] == **host);
            let of_hosts = rows.iter().filter(of_host).count();
            numbers.insert(format!("show {what}"), (rows.len() - of_hosts) as u64);
        }
        let page = get(name, "/metrics")?;
        for line in page.lines().filter(|line| line.starts_with("overlay_table_entries{")) {
            if line.contains("\"neighbours\"") {
                continue;
            }
            let (series, value) = line.rsplit_once(' ').context("a series without a value")?;
            numbers.insert(series.to_owned(), value.parse::<f64>()? as u64);
        }
        let status: Value = serde_json::from_str(&ours.run(&["status", "--json"])?)?;
        let problems = status["problems"].as_array().context("no problems")?;
        let told = |problem: &Value| format!("{}: {}", problem["code"], problem["what"]);
        let problems = problems.iter().map(told).collect();
        Ok((Self { numbers, problems, locked: held.locked }, held))
    }

    /// What is different now, if anything is.
    pub fn differs(&self, now: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<_> =
            self.numbers.keys().chain(now.numbers.keys()).collect();
        let mut different: Vec<String> = names
            .into_iter()
            .map(|name| (name, self.numbers.get(name), now.numbers.get(name)))
            .filter(|(_, before, after)| before != after)
            .map(|(name, before, after)| format!("{name}: {before:?} became {after:?}"))
            .collect();
        if self.problems != now.problems {
            different.push(format!("problems: {:?} became {:?}", self.problems, now.problems));
        }
        if now.locked > self.locked + LOCKED {
            different.push(format!("BPF memory: {} became {}", self.locked, now.locked));
        }
        different
    }
}
