//! The devices that the kernel's runs need, and the comparison itself.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result};
use overlay_common::abi::Hook;
use overlay_control::sample::Devices;
use overlay_testbed::{Netns, RawSocket, patient};
use overlay_user::dataplane::features::Features;

use crate::host;
use crate::kernel::{Counted, Kernel};
use crate::vector::Vector;

/// The indexes of ports and peers whose counters are compared.
pub const INDEXES: RangeInclusive<u32> = 1..=11;

/// What left through each device.
type Copies = BTreeMap<u32, Vec<Vec<u8>>>;

/// Between veths a frame arrives at once, unless the machine has other things to do.
const LATE: Duration = Duration::from_secs(1);

/// A namespace in which frames that the programs copy really leave.
pub struct Home {
    pub devices: Devices,
    netns: Option<Netns>,
    far_ends: Vec<(u32, RawSocket)>,
}

impl Home {
    /// Devices that exist on paper, for runs on the host alone.
    pub fn imagined() -> Self {
        Self { devices: Devices::default(), netns: None, far_ends: Vec::new() }
    }

    /// A namespace with five veths whose far ends are listened on. Test frames
    /// come in on the loopback device, as `BPF_PROG_TEST_RUN` has them.
    pub fn new() -> Result<Self> {
        let netns = Netns::new("conform")?;
        let mut indexes = Vec::new();
        let mut far_ends = Vec::new();
        for number in 0..5 {
            let (near, far) = (format!("n{number}"), format!("f{number}"));
            netns.exec(&format!("ip link add {near} type veth peer name {far}"))?;
            netns.exec(&format!("ip link set {near} up"))?;
            netns.exec(&format!("ip link set {far} up"))?;
            let index = netns.ifindex(&near)?;
            indexes.push(index);
            far_ends.push((index, RawSocket::open(&netns, &far)?));
        }
        let [a, b, c, d, e] = indexes.try_into().ok().context("five devices")?;
        let devices = Devices { ingress: netns.ifindex("lo")?, ports: [a, b, c], uplinks: [d, e] };
        Ok(Self { devices, netns: Some(netns), far_ends })
    }

    /// Runs every vector in the programs of its direction on these hooks and on the
    /// host, and describes what differs.
    pub fn compare(
        &self,
        vectors: &[Vector],
        hooks: &[Hook],
        features: Features,
    ) -> (usize, Vec<String>) {
        let netns = self.netns.as_ref().expect("a namespace");
        netns
            .enter(|| self.compare_inside(vectors, hooks, features))
            .expect("entered the namespace")
    }

    /// Runs every vector, then removes every port and peer; what was counted before
    /// that, and what is after.
    pub fn remove_everything(&self, vectors: &[Vector]) -> Result<[Counted; 2]> {
        let netns = self.netns.as_ref().context("a namespace")?;
        netns.enter(|| {
            let mut kernel = Kernel::load(self, Features::probe()?)?;
            for vector in vectors.iter().filter(|vector| can_run(vector, Hook::Tc)) {
                kernel.run(vector, Hook::Tc, self, 0)?;
            }
            let before = kernel.counted();
            kernel.remove_everything()?;
            Ok([before, kernel.counted()])
        })?
    }

    /// Runs vectors at XDP with few bytes of each frame in the first buffer. Every one must
    /// be passed on untouched, uncounted. `None` where the kernel makes no such frames
    /// (before Linux 6.18, commit fe9544ed1a2e).
    pub fn run_scattered(&self, vectors: &[Vector], features: Features) -> Result<Option<usize>> {
        let netns = self.netns.as_ref().context("a namespace")?;
        netns.enter(|| {
            let mut kernel = Kernel::load(self, features)?;
            let mut count = 0;
            for vector in vectors {
                for first in [14, 64, 128, 300] {
                    if !kernel.passes_scattered(vector, first)? {
                        return Ok(None);
                    }
                    count += 1;
                }
            }
            Ok(Some(count))
        })?
    }

    fn compare_inside(
        &self,
        vectors: &[Vector],
        hooks: &[Hook],
        features: Features,
    ) -> (usize, Vec<String>) {
        let mut kernel = Kernel::load(self, features).expect("the programs loaded");
        let (mut compared, mut differences) = (0, Vec::new());
        for vector in vectors {
            for hook in hooks.iter().copied().filter(|hook| can_run(vector, *hook)) {
                let expected = host::run(vector, hook, self);
                let mut observed = kernel
                    .run(vector, hook, self, expected.punts.len())
                    .unwrap_or_else(|error| panic!("{}: {error:#}", vector.name));
                observed.copies = self.copies(&expected.copies);
                // Copies to the loopback device are not listened to.
                let mut expected = expected;
                expected.copies.remove(&self.devices.ingress);
                if observed != expected {
                    differences.push(format!(
                        "{} on {}:\nkernel {observed:?}\nhost   {expected:?}\nframe  {:02x?}",
                        vector.name,
                        hook.name(),
                        vector.frame
                    ));
                }
                compared += 1;
            }
        }
        (compared, differences)
    }

    /// The copies that arrived: as many as are expected are waited for, and what has come
    /// beyond them is taken too.
    fn copies(&self, expected: &Copies) -> Copies {
        let mut copies = Copies::new();
        for (index, socket) in &self.far_ends {
            let wanted = expected.get(index).map_or(0, Vec::len);
            let mut frames = Vec::new();
            loop {
                let wait = if frames.len() < wanted { patient(LATE) } else { Duration::ZERO };
                let Some(frame) = socket.receive(wait).expect("received") else { break };
                frames.push(frame.bytes);
            }
            if !frames.is_empty() {
                copies.insert(*index, frames);
            }
        }
        copies
    }
}

/// `BPF_PROG_TEST_RUN` wants an Ethernet header, and makes no socket buffer of an
/// IP packet without its header.
pub fn can_run(vector: &Vector, hook: Hook) -> bool {
    let ethertype = vector.frame.get(12..14);
    let least = match (hook, ethertype) {
        (Hook::Tc, Some([0x08, 0x00])) => 34,
        (Hook::Tc, Some([0x86, 0xdd])) => 54,
        _ => 14,
    };
    vector.frame.len() >= least
}
