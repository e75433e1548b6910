//! The gateway's programs, loaded but not attached, with the sample node's tables.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use aya::programs::{Program, TestRun as _, TestRunOptions, TestRunResult};
use overlay_common::abi::{FdbEntry, FdbKey, Target, programs};
use overlay_control::action::Action;
use overlay_control::sample::{self, Devices};
use overlay_testbed::Netns;
use overlay_user::dataplane::Dataplane;
use overlay_user::dataplane::features::Features;
use overlay_user::dataplane::punts::Readers;
use tokio::runtime::Runtime;

use super::branches;
use super::vectors::{Answer, Run};
use crate::rate::pin::keep_to;

/// The programs that are measured.
pub const NAMES: [&str; 4] =
    [programs::XDP_UPLINK, programs::XDP_ACCESS, programs::TC_UPLINK, programs::TC_ACCESS];
/// Room for addresses.
const FDB_ENTRIES: u32 = 1 << 12;
/// Runs that are timed, and those before that warm the caches.
const RUNS: usize = 5_000;
const WARM_UP: usize = 500;

/// Figures of one program, by their names.
pub type Figures = BTreeMap<String, u64>;

/// The programs, in a namespace with the devices that the tables name.
pub struct Programs {
    dataplane: Dataplane,
    // Held: a punt that nobody takes costs less than one that is taken.
    _readers: Readers,
    _runtime: Runtime,
    netns: Netns,
}

impl Programs {
    /// Loads the programs and fills the tables.
    pub fn load() -> Result<Self> {
        Self::load_form(Dataplane::load)
    }

    /// The same with programs that could tell of frames, and are asked for none.
    pub fn load_watched() -> Result<Self> {
        Self::load_form(|entries| Dataplane::load_watched_for(Features::probe()?, entries))
    }

    fn load_form(form: impl FnOnce(u32) -> Result<Dataplane> + Send) -> Result<Self> {
        let netns = Netns::new("micro")?;
        let devices = devices(&netns)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (dataplane, readers) = netns.enter(|| {
            let _inside = runtime.enter();
            let mut dataplane = form(FDB_ENTRIES)?;
            let readers = dataplane.read_punts(|_| ())?;
            let Devices { ingress, ports, uplinks } = devices;
            for ifindex in ports.iter().chain(&uplinks).chain([&ingress]) {
                dataplane.tables.set_redirected(*ifindex, true)?;
            }
            for action in sample::actions(&devices).into_iter().chain([guarded()]) {
                dataplane.tables.apply(&action)?;
            }
            anyhow::Ok((dataplane, readers))
        })??;
        Ok(Self { dataplane, _readers: readers, _runtime: runtime, netns })
    }

    /// The time of a run, in nanoseconds: the kernel's own, with what it costs to
    /// read its clock twice; the mean without a twentieth at either end. That clock's steps are
    /// coarse: of the middle half, nearly all may lie on one.
    ///
    /// Every run is a call by itself. In one call of many runs a program would
    /// see what it made of the frame before: a tunnel within a tunnel.
    pub fn time(&mut self, name: &str, run: &Run, cpu: usize) -> Result<f64> {
        let Self { dataplane, netns, .. } = self;
        let program = dataplane.program(name)?;
        let mut times = netns.enter(|| {
            keep_to(cpu)?;
            let once = || {
                let result = test_run(program, &run.frame)?;
                let answer = answer(program, result.return_value)?;
                ensure!(
                    answer == run.answer,
                    "{name}: {answer:?} where {:?} was expected",
                    run.answer
                );
                Ok(result.duration.as_nanos() as u64)
            };
            (0..WARM_UP + RUNS).map(|_| once()).skip(WARM_UP).collect::<Result<Vec<_>>>()
        })??;
        times.sort_unstable();
        let middle = &times[RUNS / 20..RUNS - RUNS / 20];
        Ok(middle.iter().sum::<u64>() as f64 / middle.len() as f64)
    }

    /// What the compiler and the kernel say of a program.
    pub fn figures(&mut self, name: &str) -> Result<Figures> {
        let program = self.dataplane.program(name)?;
        let info = match program {
            Program::Xdp(program) => program.info(),
            Program::SchedClassifier(program) => program.info(),
            _ => bail!("{name} is of another type"),
        };
        let info = info.with_context(|| format!("asking about {name}"))?;
        let branches = branches::of(overlay_user::dataplane::object(), name)?;
        let known = [
            ("branches", Some(branches)),
            ("jited_bytes", Some(info.size_jitted())),
            ("translated_bytes", info.size_translated()),
            ("verified_instructions", info.verified_instruction_count()),
        ];
        let figure = |(figure, value): (&str, Option<u32>)| {
            let value = value.filter(|value| *value > 0);
            let value = value.with_context(|| format!("{figure} of {name} are not known"))?;
            Ok((figure.to_owned(), u64::from(value)))
        };
        known.into_iter().map(figure).collect()
    }
}

/// The station behind the guarded port is known, as those behind other ports are.
fn guarded() -> Action {
    let key = FdbKey::new(sample::station(sample::GUARDED_PORT as u8), 1);
    let target = Target::port(sample::GUARDED_PORT);
    Action::PutFdb(key, FdbEntry { target, seen: sample::EPOCH, ..FdbEntry::default() })
}

/// Test frames come in on the loopback device, as `BPF_PROG_TEST_RUN` has them.
fn devices(netns: &Netns) -> Result<Devices> {
    let mut indexes = [0; 5];
    for (number, index) in indexes.iter_mut().enumerate() {
        netns.exec(&format!("ip link add n{number} type veth peer name f{number}"))?;
        netns.exec(&format!("ip link set n{number} up"))?;
        netns.exec(&format!("ip link set f{number} up"))?;
        *index = netns.ifindex(&format!("n{number}"))?;
    }
    let [a, b, c, d, e] = indexes;
    Ok(Devices { ingress: netns.ifindex("lo")?, ports: [a, b, c], uplinks: [d, e] })
}

fn test_run(program: &Program, frame: &[u8]) -> Result<TestRunResult> {
    let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
    let result = match program {
        Program::Xdp(program) => program.test_run(options),
        Program::SchedClassifier(program) => program.test_run(options),
        _ => bail!("neither XDP nor tc"),
    };
    result.context("BPF_PROG_TEST_RUN")
}

/// Actions of the two hooks (`<linux/bpf.h>`, `<linux/pkt_cls.h>`).
fn answer(program: &Program, action: u32) -> Result<Answer> {
    const TC_UNSPECIFIED: u32 = u32::MAX;
    Ok(match (program, action) {
        (Program::Xdp(_), 2) | (Program::SchedClassifier(_), TC_UNSPECIFIED) => Answer::Passed,
        (Program::Xdp(_), 4) | (Program::SchedClassifier(_), 7) => Answer::Sent,
        (Program::Xdp(_), 1) | (Program::SchedClassifier(_), 2) => Answer::Ended,
        _ => bail!("an unknown action, {action}"),
    })
}
