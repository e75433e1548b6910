//! The devices that the kernel's runs need, and the comparison itself.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result};
use overlay_common::abi::Hook;
use overlay_common::verdict::DropReason;
use overlay_control::sample::Devices;
use overlay_testbed::{Netns, RawSocket, patient};
use overlay_user::dataplane::features::Features;

use crate::host::{self, Copies, Left};
use crate::kernel::Kernel;
use crate::vector::{Direction, Vector};

/// The indexes of ports and peers whose counters are compared.
pub const INDEXES: RangeInclusive<u32> = 1..=14;

/// Between veths a frame arrives at once, unless the machine has other things to do.
const LATE: Duration = Duration::from_secs(1);

/// `BPF_PROG_TEST_RUN` makes socket buffers of a page.
const LONGEST_OF_TC: usize = 3000;

/// And has so many pages for XDP, on kernels that take frames of several buffers.
const LONGEST_OF_XDP: usize = 16_384;

/// Of every device.
const MTU: u32 = 9200;

/// Where a reason for a drop was given: by the program of a direction at a hook.
pub type Reason = (Direction, Hook, DropReason);

/// What a comparison found.
#[derive(Default)]
pub struct Compared {
    /// How many runs were compared.
    pub runs: usize,
    /// What differs, in words.
    pub differences: Vec<String>,
    /// The reasons that the kernel's programs gave.
    pub reasons: BTreeSet<Reason>,
}

/// A namespace in which frames that the programs copy really leave.
pub struct Home {
    /// The devices of the tables.
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
            // It is the tables that say how long a frame may be.
            netns.exec(&format!("ip link set {near} mtu {MTU} up"))?;
            netns.exec(&format!("ip link set {far} mtu {MTU} up"))?;
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
    pub fn compare(&self, vectors: &[Vector], hooks: &[Hook], features: Features) -> Compared {
        self.enter(|| self.compare_inside(vectors, hooks, features)).expect("entered the namespace")
    }

    /// Runs something in the namespace.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> Result<T> {
        self.netns.as_ref().context("devices on paper only")?.enter(inside)
    }

    /// Runs every vector, then removes every port and peer; what was counted before
    /// that, and what is after.
    pub fn remove_everything(&self, vectors: &[Vector]) -> Result<[Left; 2]> {
        self.enter(|| {
            let mut kernel = Kernel::load(self, Features::probe()?)?;
            for vector in vectors.iter().filter(|vector| can_run(vector, Hook::Tc)) {
                kernel.run(vector, Hook::Tc, self, 0)?;
            }
            let before = kernel.counted(Hook::Tc)?;
            kernel.remove_everything()?;
            Ok([before, kernel.counted(Hook::Tc)?])
        })?
    }

    /// Runs vectors at XDP with few bytes of each frame in the first buffer. Every one must
    /// be passed on untouched, uncounted. `None` where the kernel makes no such frames
    /// (before Linux 6.18, commit fe9544ed1a2e).
    pub fn run_scattered(&self, vectors: &[Vector], features: Features) -> Result<Option<usize>> {
        self.enter(|| {
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

    fn compare_inside(&self, vectors: &[Vector], hooks: &[Hook], features: Features) -> Compared {
        let mut kernel = Kernel::load(self, features).expect("the programs loaded");
        let mut compared = Compared::default();
        // Readers do not come back.
        let last = |vector: &&Vector| vector.given.nobody_reads;
        let read = vectors.iter().filter(|vector| !last(vector));
        for vector in read.chain(vectors.iter().filter(last)) {
            for hook in hooks.iter().copied().filter(|hook| can_run(vector, *hook)) {
                let mut expected = host::run(vector, hook, self);
                let mut observed = kernel
                    .run(vector, hook, self, expected.left.punts.len())
                    .unwrap_or_else(|error| panic!("{}: {error:#}", vector.name));
                // Copies to the loopback device are not listened to.
                expected.left.copies.remove(&self.devices.ingress);
                observed.left.copies = self.copies(&expected.left.copies);
                let given =
                    observed.left.drops.keys().filter_map(|(why, _)| DropReason::from_u8(*why));
                compared.reasons.extend(given.map(|why| (vector.direction, hook, why)));
                if observed != expected {
                    compared.differences.push(format!(
                        "{} on {}:\nkernel {observed:?}\nhost   {expected:?}\nframe  {:02x?}",
                        vector.name,
                        hook.name(),
                        vector.frame
                    ));
                }
                compared.runs += 1;
            }
        }
        compared
    }

    /// The copies that arrived: as many as are expected are waited for, and what has come
    /// beyond them is taken too.
    pub fn copies(&self, expected: &Copies) -> Copies {
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
/// IP packet without its header. Nothing is beside its frames' bytes.
pub fn can_run(vector: &Vector, hook: Hook) -> bool {
    if vector.given.gso_size != 0 || vector.given.stripped_vlan.is_some() {
        return false;
    }
    let ethertype = vector.frame.get(12..14);
    let least = match (hook, ethertype) {
        (Hook::Tc, Some([0x08, 0x00])) => 34,
        (Hook::Tc, Some([0x86, 0xdd])) => 54,
        _ => 14,
    };
    let longest = if hook == Hook::Xdp { LONGEST_OF_XDP } else { LONGEST_OF_TC };
    (least..=longest).contains(&vector.frame.len())
}
