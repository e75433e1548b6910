//! The rounds of a campaign: a batch of frames on the host, then by each judge.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use overlay_common::abi::Hook;
use overlay_user::dataplane::features::{Feature, Features};

use super::judge::{InKernel, Judge};
use super::said::{differences, hex, shown};
use super::seed::Seed;
use super::tally::Tally;
use super::world::World;
use super::{frames, leak};
use crate::home::Home;
use crate::host::Host;
use crate::user_space::UserSpace;
use crate::vector::Vector;

/// Frames between two comparisons of what is counted.
const BATCH: u64 = 128;
/// Frames that meet the same tables.
const WORLD: u64 = 16 * BATCH;
/// How often something is said.
const NEWS: Duration = Duration::from_secs(10);
/// What only older kernels run.
const AFTER_5_10: [Feature; 3] = [Feature::Loop, Feature::EncapL2Eth, Feature::DecapL3];

/// Kinds of numbers that follow from a seed.
const WORLDS: u64 = 1;
const FRAMES: u64 = 2;

/// A campaign that runs.
pub struct Campaign<'a> {
    seed: u64,
    home: &'a Home,
    benches: Vec<Bench<'a>>,
    /// Runs what no judge takes.
    alone: Host,
    world: Option<(u64, World)>,
    tally: Tally,
}

/// The judges of a hook, and the host's run that they are compared with.
struct Bench<'a> {
    hook: Hook,
    oracle: Host,
    judges: Vec<Box<dyn Judge + 'a>>,
}

/// Who disagrees, and how.
struct Disagreement {
    judge: String,
    /// The frame, where one is known.
    frame: Option<u64>,
    how: String,
}

impl<'a> Campaign<'a> {
    /// Loads the programs.
    pub fn new(seed: u64, home: &'a Home) -> Result<Self> {
        let own = Features::probe()?;
        let older = AFTER_5_10.into_iter().fold(own, Features::without);
        let mut tc: Vec<Box<dyn Judge>> =
            vec![Box::new(InKernel::load("tc", Hook::Tc, home, own)?)];
        if older != own {
            tc.push(Box::new(InKernel::load("tc of older kernels", Hook::Tc, home, older)?));
        }
        let xdp: Vec<Box<dyn Judge>> = vec![Box::new(InKernel::load("xdp", Hook::Xdp, home, own)?)];
        let host = |hook| Host::new(hook, home.devices.ingress);
        let user: Vec<Box<dyn Judge>> = vec![Box::new(UserSpace::new(home.devices.ingress))];
        let benches = [(Hook::Xdp, xdp), (Hook::Tc, tc), (Hook::User, user)]
            .into_iter()
            .map(|(hook, judges)| Bench { hook, oracle: host(hook), judges })
            .collect();
        let (world, tally) = (None, Tally::default());
        Ok(Self { seed, home, benches, alone: host(Hook::User), world, tally })
    }

    /// Runs batches until the time is up.
    pub fn go(&mut self, time: Duration) -> Result<()> {
        println!("campaign with seed {}: {}", self.seed, self.judges().join(", "));
        let start = Instant::now();
        let (mut number, mut news) = (0, start);
        while start.elapsed() < time {
            if let Some(found) = self.batch(number, BATCH)? {
                let found = self.narrow(number, found)?;
                return self.report(&found);
            }
            number += BATCH;
            if news.elapsed() >= NEWS {
                news = Instant::now();
                let rate = number as f64 / start.elapsed().as_secs_f64();
                println!("    {number} frames, {rate:.0} a second");
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{number} frames in {seconds:.0} s ({:.0} a second): no disagreement, no leak",
            number as f64 / seconds
        );
        println!("{}", self.tally);
        self.tally.judge()
    }

    fn judges(&self) -> Vec<String> {
        let judges = self.benches.iter().flat_map(|bench| &bench.judges);
        judges.map(|judge| judge.name().to_owned()).collect()
    }

    /// Runs one frame.
    pub fn replay(&mut self, number: u64) -> Result<()> {
        match self.batch(number, 1)? {
            Some(found) => self.report(&Disagreement { frame: Some(number), ..found }),
            None => {
                println!("{} no disagreement at this frame", self.describe(number));
                Ok(())
            }
        }
    }

    /// Moves to the tables that a frame is to meet; there is nothing left behind then.
    fn enter(&mut self, number: u64) -> Result<()> {
        let wanted = number / WORLD;
        if self.world.as_ref().is_some_and(|(known, _)| *known == wanted) {
            return Ok(());
        }
        let world = World::new(&mut Seed::new(self.seed, WORLDS, wanted), &self.home.devices);
        let former = self.world.take().map(|(_, world)| world);
        for bench in &mut self.benches {
            bench.oracle.enter(&world, former.as_ref())?;
            for judge in &mut bench.judges {
                judge.enter(&world, former.as_ref())?;
            }
        }
        self.alone.enter(&world, former.as_ref())?;
        self.world = Some((wanted, world));
        Ok(())
    }

    fn frame(&self, number: u64) -> Vector {
        let (_, world) = self.world.as_ref().expect("entered");
        frames::frame(&mut Seed::new(self.seed, FRAMES, number), world)
    }

    /// Runs some frames that meet the same tables.
    fn batch(&mut self, first: u64, count: u64) -> Result<Option<Disagreement>> {
        self.enter(first)?;
        let frames: Vec<Vector> = (first..first + count).map(|n| self.frame(n)).collect();
        let (_, world) = self.world.as_ref().expect("entered");
        for bench in &mut self.benches {
            let taken: Vec<bool> =
                frames.iter().map(|frame| bench.judges.iter().all(|it| it.takes(frame))).collect();
            let mut outcomes = Vec::with_capacity(frames.len());
            for (at, (frame, taken)) in (first..).zip(frames.iter().zip(&taken)) {
                let host = if *taken { &mut bench.oracle } else { &mut self.alone };
                outcomes.push(host.run(frame));
                if let Err(how) = leak::check(world, frame, host.sent()) {
                    let judge = format!("host as {}", bench.hook.name());
                    return Ok(Some(Disagreement { judge, frame: Some(at), how }));
                }
            }
            let mut expected = bench.oracle.left();
            // Copies to the loopback device are not listened to.
            expected.copies.remove(&self.home.devices.ingress);
            self.tally.add(bench.hook, &frames, &outcomes, &expected);
            for judge in &mut bench.judges {
                let runs = (first..).zip(frames.iter().zip(&outcomes)).zip(&taken);
                for ((at, (frame, host)), _) in runs.filter(|(_, taken)| **taken) {
                    let found = judge.run(frame)?;
                    if found != *host {
                        let left = differences(&judge.left(&expected)?, &expected);
                        let how =
                            format!("\n  judge {}\n  host  {}\n{left}", shown(&found), shown(host));
                        let judge = judge.name().to_owned();
                        return Ok(Some(Disagreement { judge, frame: Some(at), how }));
                    }
                }
                let left = judge.left(&expected)?;
                if left != expected {
                    let (judge, how) = (judge.name().to_owned(), differences(&left, &expected));
                    return Ok(Some(Disagreement { judge, frame: None, how }));
                }
            }
        }
        self.alone.left();
        Ok(None)
    }

    /// Runs a batch again, each frame by itself, to tell which one it is.
    fn narrow(&mut self, first: u64, found: Disagreement) -> Result<Disagreement> {
        if found.frame.is_some() {
            return Ok(found);
        }
        self.benches = Self::new(self.seed, self.home)?.benches;
        self.world = None;
        for number in first..first + BATCH {
            if let Some(narrower) = self.batch(number, 1)? {
                return Ok(Disagreement { frame: Some(number), ..narrower });
            }
        }
        let how = format!("{}\n(and not when each frame of the batch runs by itself)", found.how);
        Ok(Disagreement { how, ..found })
    }

    fn report(&self, found: &Disagreement) -> Result<()> {
        let Disagreement { judge, frame, how } = found;
        println!("DISAGREEMENT: {judge}: {how}");
        match frame {
            Some(number) => {
                println!("{}", self.describe(*number));
                let again = format!("cargo xtask campaign --seed {} --frame {number}", self.seed);
                bail!("{judge} disagrees about frame {number}; again: {again}")
            }
            None => bail!("{judge} disagrees about a batch; the seed is {}", self.seed),
        }
    }

    fn describe(&self, number: u64) -> String {
        let Vector { name, direction, frame, .. } = self.frame(number);
        let (world, len) = (number / WORLD, frame.len());
        let hex = hex(&frame);
        format!("frame {number}, {name}, {direction:?}, tables {world}, {len} bytes:\n{hex}")
    }
}
