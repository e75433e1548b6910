//! The kernel's run of a vector, through `BPF_PROG_TEST_RUN`.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aya::programs::{Program, TestRun, TestRunOptions, TestRunResult, Xdp};
use overlay_common::abi::{Counters, Hook, programs};
use overlay_common::id::{PeerId, PortId};
use overlay_control::action::Action;
use overlay_control::sample;
use overlay_testbed::patient;
use overlay_user::dataplane::features::Features;
use overlay_user::dataplane::punts::{Punted, Readers};
use overlay_user::dataplane::{Dataplane, tc_programs, xdp_programs};

use crate::home::{Home, INDEXES};
use crate::host::{Observed, PuntSeen, place};
use crate::vector::{Direction, Outcome, Vector};

/// Actions of the two hooks (`<linux/bpf.h>`, `<linux/pkt_cls.h>`).
const XDP: [u32; 3] = [2, 4, 1];
/// XDP's when a frame goes out of the device that it came in by.
const XDP_TX: u32 = 3;
const TC: [u32; 3] = [u32::MAX, 7, 2];

/// A punt's way through the threads that read them.
const LATE: Duration = Duration::from_secs(2);

/// The loaded programs with the sample node's tables.
pub struct Kernel {
    dataplane: Dataplane,
    punts: Receiver<PuntSeen>,
    _readers: Readers,
    _runtime: tokio::runtime::Runtime,
    before: Counted,
}

/// What was counted up to now.
#[derive(Clone, Default, PartialEq)]
pub struct Counted {
    drops: BTreeMap<(u8, u8, u32), u64>,
    /// Of the ports and peers with the indexes [`INDEXES`].
    pub ports: Vec<Counters>,
    pub peers: Vec<Counters>,
}

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
        fill(&mut dataplane, home)?;
        let before = counted(&dataplane);
        Ok(Self { dataplane, punts, _readers: readers, _runtime: runtime, before })
    }

    /// Runs a vector in the program of its direction, and waits for `punts` punts.
    pub fn run(
        &mut self,
        vector: &Vector,
        hook: Hook,
        home: &Home,
        punts: usize,
    ) -> Result<Observed> {
        fill(&mut self.dataplane, home)?;
        let [xdp_uplink, xdp_access, xdp_one_armed] = xdp_programs(self.dataplane.features(), true);
        let [tc_uplink, tc_access] = tc_programs(self.dataplane.features());
        let (name, actions) = match (hook, vector.direction) {
            (Hook::Xdp, Direction::OneArmed) => (xdp_one_armed, XDP),
            (_, Direction::OneArmed) => (programs::TC_ONE_ARMED, TC),
            (Hook::Xdp, Direction::FromAccess) => (xdp_access, XDP),
            (Hook::Xdp, Direction::FromUnderlay) => (xdp_uplink, XDP),
            (_, Direction::FromAccess) => (tc_access, TC),
            (_, Direction::FromUnderlay) => (tc_uplink, TC),
        };
        let (result, bytes) = self.test_run(name, &vector.frame)?;
        let outcome = match actions.iter().position(|action| *action == result.return_value) {
            Some(0) if bytes == vector.frame => Outcome::Untouched,
            Some(0) => bail!("{name} passed {} on, but changed it: {bytes:02x?}", vector.name),
            Some(1) => Outcome::Sent(bytes),
            Some(_) => Outcome::Ended,
            None if hook == Hook::Xdp && result.return_value == XDP_TX => Outcome::SentBack(bytes),
            None => bail!("{name} answered {} to {}", result.return_value, vector.name),
        };
        let now = counted(&self.dataplane);
        let before = std::mem::replace(&mut self.before, now.clone());
        let wanted_hook = hook as u8;
        let mut drops = BTreeMap::new();
        for ((reason, at, ifindex), count) in now.drops {
            let news = count - before.drops.get(&(reason, at, ifindex)).copied().unwrap_or(0);
            if news != 0 {
                anyhow::ensure!(at == wanted_hook, "a drop was counted at hook {at}");
                drops.insert((reason, ifindex), news);
            }
        }
        Ok(Observed {
            outcome,
            drops,
            ports: difference(&now.ports, &before.ports),
            peers: difference(&now.peers, &before.peers),
            fdb: self.dataplane.tables.fdb().map(|(k, e)| (k, place(e))).collect(),
            copies: BTreeMap::new(),
            punts: self.wait_for(punts),
        })
    }

    /// Runs a vector at XDP with so many bytes in the first buffer, and makes sure that it is
    /// passed on untouched; `false` where the kernel cannot.
    pub fn passes_scattered(&mut self, vector: &Vector, first: u32) -> Result<bool> {
        let before = counted(&self.dataplane);
        let [xdp_uplink, xdp_access, _] = xdp_programs(self.dataplane.features(), true);
        let name = match vector.direction {
            Direction::FromAccess => xdp_access,
            Direction::FromUnderlay => xdp_uplink,
            Direction::OneArmed => bail!("not run so"),
        };
        // `struct xdp_md`: data, data_end, and four more words.
        let context: Vec<u8> =
            [0, first, 0, 0, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
        let mut out = vec![0; vector.frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(&vector.frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let program: &mut Xdp =
            self.dataplane.ebpf_mut().program_mut(name).context("a program")?.try_into()?;
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
        let now = counted(&self.dataplane);
        ensure!(now == before, "{} was counted", vector.name);
        Ok(true)
    }

    /// What was counted up to now.
    pub fn counted(&self) -> Counted {
        counted(&self.dataplane)
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

    fn test_run(&mut self, name: &str, frame: &[u8]) -> Result<(TestRunResult, Vec<u8>)> {
        let mut out = vec![0; frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::default()
        };
        let program = self.dataplane.ebpf_mut().program_mut(name).context("a program")?;
        let result = match program {
            Program::Xdp(program) => program.test_run(options)?,
            Program::SchedClassifier(program) => program.test_run(options)?,
            _ => bail!("{name} is of another type"),
        };
        out.truncate(result.data_size_out as usize);
        Ok((result, out))
    }
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

fn fill(dataplane: &mut Dataplane, home: &Home) -> Result<()> {
    sample::actions(&home.devices).iter().try_for_each(|action| dataplane.tables.apply(action))
}

fn counted(dataplane: &Dataplane) -> Counted {
    let drops = dataplane.tables.drops().into_iter();
    Counted {
        drops: drops.map(|(key, n)| ((key.reason, key.hook, key.ifindex), n)).collect(),
        ports: INDEXES.map(|index| dataplane.tables.port_counters(index)).collect(),
        peers: INDEXES.map(|index| dataplane.tables.peer_counters(index)).collect(),
    }
}

fn difference(now: &[Counters], before: &[Counters]) -> Vec<Counters> {
    let minus = |(now, before): (&Counters, &Counters)| Counters {
        rx_packets: now.rx_packets - before.rx_packets,
        rx_bytes: now.rx_bytes - before.rx_bytes,
        tx_packets: now.tx_packets - before.tx_packets,
        tx_bytes: now.tx_bytes - before.tx_bytes,
    };
    now.iter().zip(before).map(minus).collect()
}
