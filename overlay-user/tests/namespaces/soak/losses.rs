//! The steady flow, what it lost, and what the machine's own queues lost meanwhile.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use overlay_testbed::Netns;

use super::bed::{Around, Bed};
use super::churn::Turn;
use crate::harness::{Flow, Run};

/// A second, each way: what waits while a core is busy for half a second fits every queue.
const RATE: u32 = 400;
/// Of the flow before a turn, and after it.
const AROUND: Duration = Duration::from_millis(100);

/// Over all turns.
#[derive(Debug, Default)]
pub struct Losses {
    pub sent: u64,
    pub lost: u64,
    /// Of the lost, those that queues of this machine had no room for.
    pub explained: u64,
}

impl Losses {
    /// Runs a turn beside the flow, and says what of it nothing explains.
    pub fn beside(
        &mut self,
        turn: &Turn,
        flows: &mut [Flow; 2],
        bed: &mut Bed<'_>,
    ) -> Result<Option<String>> {
        let around = bed.around;
        let before = overflown(around)?;
        let runs = beside(flows, || (turn.run)(bed))?;
        let dropped = overflown(around)? - before;
        let lost: usize = runs.iter().map(|run| run.lost).sum();
        let twice: u32 = runs.iter().map(|run| run.twice).sum();
        self.sent += runs.iter().map(|run| u64::from(run.sent)).sum::<u64>();
        self.lost += lost as u64;
        self.explained += (lost as u64).min(dropped);
        let is_explained = lost as u64 <= dropped && twice == 0;
        Ok((!is_explained).then(|| {
            format!(
                "{lost} frames of the flow were lost, {dropped} of them for want of room in the \
                 machine's queues, and {twice} came twice: {runs:?}; drops: {:?}",
                bed.gateways.each_ref().map(|ours| ours.drops().ok())
            )
        }))
    }
}

/// Both flows, while something is done.
fn beside(flows: &mut [Flow; 2], work: impl FnOnce() -> Result<()>) -> Result<[Run; 2]> {
    let done = AtomicBool::new(false);
    let more = |_| !done.load(Ordering::Relaxed);
    let [there, back] = flows;
    std::thread::scope(|scope| {
        let there = scope.spawn(|| there.run_while(RATE, more));
        let back = scope.spawn(|| back.run_while(RATE, more));
        std::thread::sleep(AROUND);
        let worked = work();
        std::thread::sleep(AROUND);
        done.store(true, Ordering::Relaxed);
        let ended = [there.join(), back.join()];
        worked?;
        let [there, back] = ended.map(|run| run.ok().context("a flow")?);
        Ok([there?, back?])
    })
}

/// How many frames found no room since the machine was started: in the queues of its cores, which
/// everybody shares, and in those between the devices on the flow's way.
fn overflown(around: &Around) -> Result<u64> {
    let text = fs::read_to_string("/proc/net/softnet_stat")?;
    let of_core = |line: &str| u64::from_str_radix(line.split(' ').nth(1)?, 16).ok();
    let mut sum: u64 = text.lines().filter_map(of_core).sum();
    for side in 0..2 {
        for (netns, interface) in [
            (around.host(side), "eth0"),
            (&around.gateway(side).netns, "eth0"),
            (&around.gateway(side).netns, "eth1"),
        ] {
            sum += full(netns, interface)?;
        }
    }
    Ok(sum)
}

/// What a device could not give to its far end.
fn full(netns: &Netns, interface: &str) -> Result<u64> {
    let text = netns.exec(&format!("ip -s -j link show dev {interface}"))?;
    let told: serde_json::Value = serde_json::from_str(&text)?;
    told[0]["stats64"]["tx"]["dropped"].as_u64().context("no count of dropped frames")
}
