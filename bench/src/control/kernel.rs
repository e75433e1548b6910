//! The kernel's vxlan device, filled by `bridge -batch`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use overlay_testbed::{Netns, Scratch, run};

use super::addresses::{FIRST_PEER, NETWORK, batch, mac};

/// The plane's name.
pub const PLANE: &str = "kernel";
const DEVICE: &str = "vxlan0";

/// A namespace with a vxlan device, and a file of its addresses.
pub struct Kernel {
    netns: Netns,
    file: PathBuf,
    _scratch: Scratch,
}

impl Kernel {
    /// A device without addresses.
    pub fn new(entries: usize) -> Result<Self> {
        let (netns, scratch) = (Netns::new("kernel")?, Scratch::new()?);
        let file = scratch.write("batch", batch(entries, DEVICE))?;
        let kernel = Self { netns, file, _scratch: scratch };
        kernel.make()?;
        Ok(kernel)
    }

    fn make(&self) -> Result<()> {
        let local = format!("local {NETWORK}.1 dstport 4789 nolearning");
        self.netns.exec(&format!("ip link add {DEVICE} type vxlan id 100 {local}"))?;
        self.netns.exec(&format!("ip link set {DEVICE} up")).map(drop)
    }

    /// Puts a new device in the place of the old, which is faster than removing
    /// every address.
    pub fn clear(&mut self) -> Result<()> {
        self.netns.exec(&format!("ip link del {DEVICE}"))?;
        self.make()
    }

    /// Adds every address, and says how long that took.
    pub fn fill(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        run(self.netns.command("bridge").arg("-batch").arg(&self.file))?;
        Ok(begun.elapsed())
    }

    /// Moves one address to another VTEP, and says how long that took.
    pub fn change(&mut self, number: usize, turn: usize) -> Result<Duration> {
        let (mac, peer) = (mac(number), FIRST_PEER + turn % 2);
        let begun = Instant::now();
        let change = format!("fdb replace {mac} dev {DEVICE} self dst {NETWORK}.{peer}");
        self.netns.exec(&format!("bridge {change}"))?;
        Ok(begun.elapsed())
    }

    /// How many addresses the device has.
    pub fn entries(&self) -> Result<usize> {
        Ok(self.netns.exec(&format!("bridge fdb show dev {DEVICE}"))?.lines().count())
    }
}
