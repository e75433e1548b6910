//! The kernel's run of a frame, through `BPF_PROG_TEST_RUN`.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aya::programs::{Program, TestRun, TestRunOptions, TestRunResult, Xdp};
use overlay_common::abi::{Hook, programs};
use overlay_common::id::{PeerId, PortId};
use overlay_control::action::Action;
use overlay_control::sample;
use overlay_testbed::patient;
use overlay_user::dataplane::Dataplane;
use overlay_user::dataplane::features::Features;
use overlay_user::dataplane::programs::{tc_programs, xdp_programs};
use overlay_user::dataplane::punts::{Punted, Readers};

use crate::home::{Home, INDEXES};
use crate::host::{Left, Observed, PuntSeen, place};
use crate::vector::{Direction, Outcome, Vector};

/// Actions of the two hooks (`<linux/bpf.h>`, `<linux/pkt_cls.h>`).
const XDP: [u32; 3] = [2, 4, 1];
/// XDP's when a frame goes out of the device that it came in by.
const XDP_TX: u32 = 3;
const TC: [u32; 3] = [u32::MAX, 7, 2];

/// A punt's way through the threads that read them.
const LATE: Duration = Duration::from_secs(2);

/// The loaded programs and their tables.
pub struct Kernel {
    dataplane: Dataplane,
    punts: Receiver<PuntSeen>,
    readers: Option<Readers>,
    _runtime: tokio::runtime::Runtime,
    before: BTreeMap<Hook, Left>,
    out: Vec<u8>,
    /// Bytes in front of XDP's frames, where headers go.
    poison: usize,
}

/// What room for headers holds before anybody writes there.
const POISON: u8 = 0xb7;
/// More than the headers of any tunnel and a tag: as much as is left of a newer kernel's
/// metadata, of which there may be 252 bytes.
const POISONED: usize = 80;

impl Kernel {
    /// Loads the programs; must be called in the home's namespace.
    pub fn load(home: &Home, features: Features) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut dataplane, punts, readers) = {
            let _inside = runtime.enter();
            let mut dataplane = Dataplane::load_for(features, 1 << 12, None)?;
            let (sender, punts) = channel();
            let readers = dataplane.read_punts(move |punted| match punted {
                Punted::Frame(punt, frame) => {
                    let _ = sender.send(PuntSeen::new(&punt, &frame));
                }
                Punted::Lost(count) => panic!("{count} punts were lost"),
            })?;
            (dataplane, punts, readers)
        };
        for ifindex in home.devices.ports.iter().chain(&home.devices.uplinks) {
            dataplane.tables.set_redirected(*ifindex, true)?;
        }
        dataplane.tables.set_redirected(home.devices.ingress, true)?;
        let (readers, before, out) = (Some(readers), BTreeMap::new(), vec![0; 1 << 16]);
        Ok(Self { dataplane, punts, readers, _runtime: runtime, before, out, poison: 0 })
    }

    /// Fills the room in front of XDP's frames with bytes that no header has there, where this
    /// kernel takes so much metadata: when headers are put in front, it is moved on, and what
    /// it was stays. Socket buffers have no such place. Returns whether it does.
    pub fn poison(&mut self) -> bool {
        self.poison = POISONED;
        let foreign = [2; 64];
        let runs = self.run_frame(Direction::FromUnderlay, Hook::Xdp, &foreign).is_ok();
        self.poison = if runs { POISONED } else { 0 };
        runs
    }

    /// Runs a vector on the sample node's tables in the program of its direction, and waits
    /// for `punts` punts. Its copies are on their way to the home's devices.
    pub fn run(
        &mut self,
        vector: &Vector,
        hook: Hook,
        home: &Home,
        punts: usize,
    ) -> Result<Observed> {
        if vector.given.nobody_reads {
            // The buffers go with their readers.
            self.readers = None;
        }
        self.apply(&sample::actions(&home.devices))?;
        self.apply(&vector.given.tables)?;
        // The other hook may have counted meanwhile.
        let before = self.counted(hook)?;
        self.before.insert(hook, before);
        let outcome = self.run_frame(vector.direction, hook, &vector.frame)?;
        let left = self.left(hook, punts)?;
        let undone: Vec<Action> = vector.given.tables.iter().filter_map(undo).collect();
        self.apply(&undone)?;
        Ok(Observed { outcome, left })
    }

    /// Changes the tables.
    pub fn apply(&mut self, actions: &[Action]) -> Result<()> {
        actions.iter().try_for_each(|action| self.dataplane.tables.apply(action))
    }

    /// Runs a frame on the tables as they are.
    pub fn run_frame(&mut self, direction: Direction, hook: Hook, frame: &[u8]) -> Result<Outcome> {
        let [xdp_uplink, xdp_access, xdp_one_armed] = xdp_programs(self.dataplane.features(), true);
        let [tc_uplink, tc_access, _] = tc_programs(self.dataplane.features());
        let (name, actions) = match (hook, direction) {
            (Hook::Xdp, Direction::OneArmed) => (xdp_one_armed, XDP),
            (_, Direction::OneArmed) => (programs::TC_ONE_ARMED, TC),
            (Hook::Xdp, Direction::FromAccess) => (xdp_access, XDP),
            (Hook::Xdp, Direction::FromUnderlay) => (xdp_uplink, XDP),
            (_, Direction::FromAccess) => (tc_access, TC),
            (_, Direction::FromUnderlay) => (tc_uplink, TC),
        };
        let (result, bytes) = self.test_run(name, frame)?;
        match actions.iter().position(|action| *action == result.return_value) {
            Some(0) if bytes == frame => Ok(Outcome::Untouched),
            Some(0) => bail!("{name} passed a frame on, but changed it: {bytes:02x?}"),
            Some(1) => Ok(Outcome::Sent(bytes.to_vec())),
            Some(_) => Ok(Outcome::Ended),
            None if hook == Hook::Xdp && result.return_value == XDP_TX => {
                Ok(Outcome::SentBack(bytes.to_vec()))
            }
            None => bail!("{name} answered {}", result.return_value),
        }
    }

    /// Runs a vector at XDP with so many bytes in the first buffer, and makes sure that it is
    /// passed on untouched; `false` where the kernel cannot.
    pub fn passes_scattered(&mut self, vector: &Vector, first: u32) -> Result<bool> {
        let before = self.counted(Hook::Xdp)?;
        let [xdp_uplink, xdp_access, _] = xdp_programs(self.dataplane.features(), true);
        let name = match vector.direction {
            Direction::FromAccess => xdp_access,
            Direction::FromUnderlay => xdp_uplink,
            Direction::OneArmed => bail!("not run so"),
        };
        // `struct xdp_md`: data, data_end, and four more words.
        let context = [0, first, 0, 0, 0, 0].map(u32::to_ne_bytes).concat();
        let mut out = vec![0; vector.frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(&vector.frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let program: &mut Xdp = self.dataplane.program(name)?.try_into()?;
        let result = match program.test_run(options) {
            Ok(result) => result,
            Err(error) => match os_error(&error) {
                Some(libc::EINVAL) => return Ok(false),
                _ => return Err(error.into()),
            },
        };
        out.truncate(result.data_size_out as usize);
        ensure!(result.return_value == XDP[0], "{}: {}", vector.name, result.return_value);
        ensure!(out == vector.frame, "{} was changed", vector.name);
        ensure!(self.counted(Hook::Xdp)? == before, "{} was counted", vector.name);
        Ok(true)
    }

    /// What the runs at a hook since the last call left behind, of the copies apart; waits for
    /// so many punts.
    pub fn left(&mut self, hook: Hook, punts: usize) -> Result<Left> {
        let now = self.counted(hook)?;
        let before = self.before.insert(hook, now.clone()).unwrap_or_default();
        let mut left = now.since(&before);
        left.fdb = self.dataplane.tables.fdb().map(|(k, e)| (k, place(e))).collect();
        left.punts = self.wait_for(punts);
        Ok(left)
    }

    /// What was counted up to now, the drops at this hook.
    ///
    /// # Errors
    ///
    /// A drop was counted at a hook where no program ran.
    pub fn counted(&self, hook: Hook) -> Result<Left> {
        let tables = &self.dataplane.tables;
        let mut drops = BTreeMap::new();
        for (key, count) in tables.drops() {
            let known = [Hook::Xdp as u8, Hook::Tc as u8];
            anyhow::ensure!(known.contains(&key.hook), "a drop was counted at hook {}", key.hook);
            if key.hook == hook as u8 {
                drops.insert((key.reason, key.ifindex), count);
            }
        }
        Ok(Left {
            drops,
            ports: INDEXES.map(|index| tables.port_counters(index)).collect(),
            peers: INDEXES.map(|index| tables.peer_counters(index)).collect(),
            ..Left::default()
        })
    }

    /// Removes all ports and peers.
    pub fn remove_everything(&mut self) -> Result<()> {
        for index in INDEXES {
            self.dataplane.tables.apply(&Action::DelPort(PortId(index)))?;
            self.dataplane.tables.apply(&Action::DelPeer(PeerId(index)))?;
        }
        Ok(())
    }

    /// Punts come by way of the readers' threads.
    fn wait_for(&self, punts: usize) -> Vec<PuntSeen> {
        let mut seen = Vec::new();
        while seen.len() < punts {
            let Ok(punt) = self.punts.recv_timeout(patient(LATE)) else { break };
            seen.push(punt);
        }
        seen.extend(self.punts.try_iter());
        seen
    }

    fn test_run(&mut self, name: &str, frame: &[u8]) -> Result<(TestRunResult, &[u8])> {
        let out = &mut self.out;
        let program = self.dataplane.program(name)?;
        let (result, start) = match program {
            Program::Xdp(program) => (run_poisoned(program, frame, out, self.poison)?, self.poison),
            Program::SchedClassifier(program) => {
                let data_out = Some(&mut out[..]);
                let options =
                    TestRunOptions { data_in: Some(frame), data_out, ..Default::default() };
                (program.test_run(options)?, 0)
            }
            _ => bail!("{name} is of another type"),
        };
        let len = result.data_size_out as usize;
        Ok((result, self.out.get(start..len).context("a frame behind its metadata")?))
    }
}

/// Runs an XDP program on a frame with so many bytes of metadata in front.
fn run_poisoned(
    program: &mut Xdp,
    frame: &[u8],
    out: &mut [u8],
    poison: usize,
) -> Result<TestRunResult> {
    if poison == 0 {
        let options =
            TestRunOptions { data_in: Some(frame), data_out: Some(out), ..Default::default() };
        return Ok(program.test_run(options)?);
    }
    let bytes = [&[POISON; POISONED][..poison], frame].concat();
    // `struct xdp_md`: data, data_end, data_meta, and three that are left out.
    let context = [poison as u32, bytes.len() as u32, 0, 0, 0, 0].map(u32::to_ne_bytes).concat();
    let options = TestRunOptions {
        data_in: Some(&bytes),
        data_out: Some(out),
        ctx_in: Some(&context),
        ..TestRunOptions::default()
    };
    Ok(program.test_run(options)?)
}

fn os_error(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.raw_os_error();
        }
        cause = error.source();
    }
    None
}

/// What takes an entry away again that the sample node does not have. What it has comes back
/// when its tables are filled again.
fn undo(action: &Action) -> Option<Action> {
    match *action {
        Action::PutAccess(key, _) => Some(Action::DelAccess(key)),
        Action::PutVtep(key, _) => Some(Action::DelVtep(key)),
        Action::PutVtep6(key, _) => Some(Action::DelVtep6(key)),
        Action::PutPermit(key, _) => Some(Action::DelPermit(key)),
        Action::PutFlood(key, _) => Some(Action::DelFlood(key)),
        Action::PutFdb(key, _) => Some(Action::DelFdb(key)),
        Action::PutRoute(key, _) => Some(Action::DelRoute(key)),
        Action::PutGuard(key) => Some(Action::DelGuard(key)),
        _ => None,
    }
}
