//! The benchmark's own BPF programs, loaded and attached.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aya::maps::xdp::DevMap;
use aya::maps::{Array, PerCpuArray};
use aya::programs::{
    SchedClassifier, TcAttachType, TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode,
};
use aya::{Ebpf, Pod};
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use overlay_testbed::Netns;

use crate::frames::{PLAIN_LEN, TUNNEL_LEN};

static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("OVERLAY_BENCH_EBPF_OBJECT"));

/// Frames that one batch of `BPF_PROG_TEST_RUN` holds.
const BATCH: u32 = 64;
const WORDS: usize = 16;

/// `Template` of the BPF programs.
#[repr(C)]
#[derive(Clone, Copy)]
struct Template {
    words: [u64; WORDS],
    count: u64,
}

// SAFETY: `repr(C)`, integers only, no padding.
unsafe impl Pod for Template {}

/// Makes frames and sends them out of a device.
pub struct Generator {
    ebpf: Ebpf,
    program: &'static str,
    frame: Vec<u8>,
}

impl Generator {
    /// Loads a generator of `frame` that sends out of `interface`.
    pub fn new(netns: &Netns, interface: &str, frame: Vec<u8>) -> Result<Self> {
        let program = match frame.len() {
            PLAIN_LEN => "generate_plain",
            TUNNEL_LEN => "generate_tunnel",
            other => anyhow::bail!("no generator for frames of {other} bytes"),
        };
        let mut ebpf = load_object(netns)?;
        load(&mut ebpf, program)?;
        send_to(&mut ebpf, netns, interface)?;
        let mut template = Template { words: [0; WORDS], count: 0 };
        for (word, bytes) in template.words.iter_mut().zip(frame.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_ne_bytes(whole);
        }
        let map = ebpf.map_mut("TEMPLATE").context("no map TEMPLATE")?;
        Array::try_from(map)?.set(0, template, 0)?;
        Ok(Self { ebpf, program, frame })
    }

    /// Sends `count` frames on one CPU as fast as the chain takes them, and
    /// returns the time that it took.
    pub fn run(&self, netns: &Netns, cpu: usize, count: u32) -> Result<Duration> {
        let program: &Xdp =
            self.ebpf.program(self.program).context("no such program")?.try_into()?;
        netns.enter(|| {
            pin(cpu)?;
            let options = TestRunOptions {
                data_in: Some(&self.frame),
                repeat: count,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            };
            let start = Instant::now();
            program.test_run(options).context("BPF_PROG_TEST_RUN with live frames")?;
            Ok(start.elapsed())
        })?
    }
}

/// Counts frames that arrive at a device.
pub struct Sink {
    ebpf: Ebpf,
}

impl Sink {
    /// Attaches a sink for frames of `len` bytes, on the hook that costs what is
    /// sent there the least: XDP for redirected frames, tc for socket buffers.
    pub fn new(netns: &Netns, interface: &str, len: usize, xdp: bool) -> Result<Self> {
        let mut ebpf = load_object(netns)?;
        let map = ebpf.map_mut("EXPECTED").context("no map EXPECTED")?;
        Array::try_from(map)?.set(0, len as u32, 0)?;
        if xdp {
            load(&mut ebpf, "sink")?;
            attach(&mut ebpf, netns, interface, "sink")?;
        } else {
            attach_tc(&mut ebpf, netns, interface, "sink_tc")?;
        }
        Ok(Self { ebpf })
    }

    /// Frames so far.
    pub fn received(&self) -> Result<u64> {
        let map = self.ebpf.map("RECEIVED").context("no map RECEIVED")?;
        let counts: PerCpuArray<_, u64> = PerCpuArray::try_from(map)?;
        Ok(counts.get(&0, 0)?.iter().sum())
    }
}

/// A program on a gateway's port; dropping it detaches it.
pub struct Attached {
    _ebpf: Ebpf,
}

impl Attached {
    /// The cheapest gateway: sends frames on untouched.
    pub fn redirect(netns: &Netns, from: &str, to: &str) -> Result<Self> {
        let mut ebpf = load_object(netns)?;
        load(&mut ebpf, "redirect")?;
        send_to(&mut ebpf, netns, to)?;
        attach(&mut ebpf, netns, from, "redirect")?;
        Ok(Self { _ebpf: ebpf })
    }

    /// Makes a veth take the generator's frames. So would GRO, which costs more.
    pub fn pass(netns: &Netns, interface: &str) -> Result<Self> {
        let mut ebpf = load_object(netns)?;
        load(&mut ebpf, "pass")?;
        attach(&mut ebpf, netns, interface, "pass")?;
        Ok(Self { _ebpf: ebpf })
    }
}

fn load_object(netns: &Netns) -> Result<Ebpf> {
    netns.enter(|| Ebpf::load(OBJECT))?.context("loading the BPF object")
}

fn load(ebpf: &mut Ebpf, program: &str) -> Result<()> {
    let xdp: &mut Xdp = ebpf.program_mut(program).context("no such program")?.try_into()?;
    xdp.load().with_context(|| format!("loading {program}"))
}

fn attach(ebpf: &mut Ebpf, netns: &Netns, interface: &str, program: &str) -> Result<()> {
    let index = netns.ifindex(interface)?;
    let xdp: &mut Xdp = ebpf.program_mut(program).context("no such program")?.try_into()?;
    netns
        .enter(|| xdp.attach_to_if_index(index, XdpMode::Driver))?
        .with_context(|| format!("attaching {program} to {interface}"))?;
    Ok(())
}

/// On tc ingress.
fn attach_tc(ebpf: &mut Ebpf, netns: &Netns, interface: &str, program: &str) -> Result<()> {
    let tc: &mut SchedClassifier =
        ebpf.program_mut(program).context("no such program")?.try_into()?;
    tc.load().with_context(|| format!("loading {program}"))?;
    netns
        .enter(|| tc.attach(interface, TcAttachType::Ingress))?
        .with_context(|| format!("attaching {program} to {interface}"))?;
    Ok(())
}

/// A device map takes devices of the caller's namespace.
fn send_to(ebpf: &mut Ebpf, netns: &Netns, interface: &str) -> Result<()> {
    let index = netns.ifindex(interface)?;
    let map = ebpf.map_mut("OUT").context("no map OUT")?;
    let mut out = DevMap::try_from(map)?;
    netns.enter(|| out.set(0, index, None, 0))?.context("filling the device map")
}

/// Puts the calling thread on one CPU, in front of whatever else runs there.
fn pin(cpu: usize) -> Result<()> {
    const HIGHEST: libc::c_int = -20;
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("pinning to CPU {cpu}"))?;
    // SAFETY: no pointers are passed; 0 is the calling thread.
    let raised = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, HIGHEST) };
    Errno::result(raised).map(drop).context("raising the generator's priority")
}
