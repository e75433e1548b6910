//! Nothing is lost when software changes: a flow in each direction, by the numbers of its frames,
//! while a gateway's daemon is killed, stopped, started, replaced and reloaded. None may be lost,
//! and none may come twice.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::{TwoGateways, poll_by_itself, require_root, require_tools};

use crate::harness::{
    Flow, Modes, Overlay, Run, alone, both_ours, next_layout, ping, prepare_for_xdp,
};

/// A second, in each direction, where the machine carries so many.
const RATE: u32 = 100_000;
/// How often each thing happens.
const TIMES: u32 = 10;
/// What others do on this machine costs the flow a frame now and then, in one try. What a change
/// costs it, it costs it in each.
const TRIES: u32 = 3;
const RELOADS: u32 = 1000;
/// Of the flow before a change, and after it.
const AROUND: Duration = Duration::from_millis(300);

struct Bed<'n> {
    flows: [Flow; 2],
    ours: Overlay<'n>,
    config: String,
    rate: u32,
}

/// Something that happens to the first gateway.
type Change = fn(&mut Overlay<'_>, &str, u32) -> Result<()>;

const CHANGES: [(&str, Change); 5] = [
    ("SIGKILL, and a start", |ours, _, _| {
        ours.kill()?;
        std::thread::sleep(AROUND);
        ours.restart()
    }),
    ("SIGTERM, and a start", |ours, _, _| {
        let code = ours.end(Signal::SIGTERM)?;
        ensure!(code == Some(0), "the daemon ended with {code:?}");
        std::thread::sleep(AROUND);
        ours.restart()
    }),
    ("reloads of what the flow does not use", |ours, config, number| {
        for form in [added(config, number), changed(config, number), config.to_owned()] {
            ours.reload(&form)?;
        }
        Ok(())
    }),
    ("another binary with the same layout", |ours, _, _| {
        let other = ours.other_binary()?;
        upgrade(ours, Some(other))?;
        upgrade(ours, None)
    }),
    ("a binary with another layout, and back", |ours, _, _| {
        let next = next_layout().context("no binary with another layout")?;
        upgrade(ours, Some(next))?;
        upgrade(ours, None)
    }),
];

/// The old process ends, and the new one starts: what a package's upgrade does.
fn upgrade(ours: &mut Overlay<'_>, binary: Option<PathBuf>) -> Result<()> {
    ours.end(Signal::SIGTERM)?;
    ours.use_binary(binary);
    ours.restart()?;
    ours.wait_for_peers()
}

/// With a segment, a peer and an access list that were not there before.
fn added(config: &str, number: u32) -> String {
    let (vni, host) = (1000 + number, 100 + number);
    format!(
        "{config}\n[[segment]]\nname = \"red\"\nvni = {vni}\n\
         [[segment.acl]]\ndirection = \"in\"\naction = \"deny\"\nprotocol = \"tcp\"\n\
         destination_port = 22\n\
         [[peer]]\nname = \"more\"\nvtep = \"192.0.2.{host}\"\nsegments = [\"red\"]\n"
    )
}

/// The same, with other values.
fn changed(config: &str, number: u32) -> String {
    let added = added(config, number + 50);
    added
        .replace("destination_port = 22", "destination_port = 23")
        .replace("\"deny\"", "\"permit\"")
}

#[test]
fn no_change_of_software_loses_a_frame() -> Result<()> {
    let name = "no_change_of_software_loses_a_frame";
    if !require_root(name) || !require_tools(name, &["ping"]) || !require_next(name) {
        return Ok(());
    }
    let _alone = alone();
    for modes in [("tc", "tc"), ("xdp", "xdp")] {
        let testbed = TwoGateways::new()?;
        let (mut bed, _theirs) = Bed::new(&testbed, modes)?;
        println!("{modes:?}: {} a second each way", bed.rate);
        for (what, change) in CHANGES {
            let mut worst = (0, 0);
            for number in 0..TIMES {
                let runs = bed
                    .lossless(|ours, config| change(ours, config, number))
                    .with_context(|| format!("{modes:?}: {what}, time {number}"))?;
                worst = (worst.0 + runs[0].sent, worst.1 + runs[1].sent);
            }
            println!(
                "    {what}, {TIMES} times: {} and {} frames, 0 lost, 0 twice",
                worst.0, worst.1
            );
        }
        let begun = Instant::now();
        let runs = bed.lossless(|ours, config| {
            (0..RELOADS).try_for_each(|number| {
                let form =
                    if number % 2 == 0 { added(config, number % 100) } else { config.to_owned() };
                ours.reload(&form).map(drop)
            })
        })?;
        println!(
            "    {RELOADS} reloads in {:.1} s: {} and {} frames, 0 lost, 0 twice",
            begun.elapsed().as_secs_f64(),
            runs[0].sent,
            runs[1].sent
        );
    }
    Ok(())
}

/// `cargo xtask test` builds the binary; where somebody else runs the tests, there may be none.
fn require_next(name: &str) -> bool {
    let is_there = next_layout().is_some();
    if !is_there {
        println!("SKIPPED {name}: OVERLAY_NEXT names no binary with another layout");
    }
    is_there
}

impl<'n> Bed<'n> {
    fn new(testbed: &'n TwoGateways, modes: Modes) -> Result<(Self, Overlay<'n>)> {
        prepare_for_xdp(testbed, &[modes])?;
        let [ours, theirs] = both_ours(testbed, modes, modes)?;
        if modes.0 == "xdp" {
            for gateway in [&testbed.gw1, &testbed.gw2] {
                if !poll_by_itself(&gateway.netns, "eth0")? {
                    println!("the underlay polls on the senders' core");
                }
            }
        }
        ping(&testbed.host1, TwoGateways::HOST2)?;
        let config = std::fs::read_to_string(ours.config())?;
        let mut flows = [Flow::new(testbed)?, Flow::back(testbed)?];
        let mut rate = RATE;
        // Each alone, then both together at what each carries.
        for flow in &mut flows {
            rate = flow.carried(rate)?.0;
        }
        Ok((Self { flows, ours, config, rate }, theirs))
    }

    /// The flows, while a change happens. A frame that this machine lost is told from one that the
    /// change lost by trying again.
    fn lossless(
        &mut self,
        change: impl Fn(&mut Overlay<'_>, &str) -> Result<()>,
    ) -> Result<[Run; 2]> {
        for number in 1.. {
            let runs = self.run(&change)?;
            for run in &runs {
                ensure!(run.twice == 0, "frames came twice: {runs:?}\n{}", self.ours.log());
            }
            if runs.iter().all(|run| run.lost == 0) {
                return Ok(runs);
            }
            println!("    try {number} of {TRIES}: {runs:?}");
            ensure!(number < TRIES, "frames were lost: {runs:?}\n{}", self.ours.log());
        }
        unreachable!()
    }

    fn run(&mut self, change: &impl Fn(&mut Overlay<'_>, &str) -> Result<()>) -> Result<[Run; 2]> {
        let Self { flows: [there, back], ours, config, rate } = self;
        let done = AtomicBool::new(false);
        let more = |_| !done.load(Ordering::Relaxed);
        std::thread::scope(|scope| {
            let there = scope.spawn(|| there.run_while(*rate, more));
            let back = scope.spawn(|| back.run_while(*rate, more));
            std::thread::sleep(AROUND);
            let changed = change(ours, config);
            std::thread::sleep(AROUND);
            done.store(true, Ordering::Relaxed);
            let ended = [there.join(), back.join()];
            changed?;
            let [there, back] = ended.map(|run| run.ok().context("a flow")?);
            Ok([there?, back?])
        })
    }
}
