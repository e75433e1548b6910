//! Counting frames that arrive at a device.

use anyhow::{Context, Result};
use aya::Pod;
use aya::maps::PerCpuArray;
use overlay_testbed::Netns;

use super::abi::{FLOWS, Seen, counts};
use super::bpf::Object;

// SAFETY: `repr(C)`, integers only, no padding.
unsafe impl Pod for Seen {}

/// What has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames.
    pub received: u64,
    /// Those among them that came before.
    pub duplicated: u64,
    /// Those among them that came behind a later one of their flow.
    pub reordered: u64,
}

impl Counts {
    /// What has arrived at either.
    pub fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
        }
    }

    /// What has arrived since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            received: self.received - before.received,
            duplicated: self.duplicated - before.duplicated,
            reordered: self.reordered - before.reordered,
        }
    }
}

/// What a sink is to do.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// Where the stamp is in a frame that was treated as it should.
    pub stamp: usize,
    /// Whether frames come by an XDP redirect, and not as socket buffers.
    pub xdp: bool,
    /// Whether to look at sequence numbers.
    pub order: bool,
}

/// Counts frames that arrive at a device, and drops them.
pub struct Sink {
    object: Object,
}

impl Sink {
    /// Attaches a sink on the hook that costs what is sent there the least.
    pub fn new(netns: &Netns, interface: &str, watch: Watch) -> Result<Self> {
        let constants = [("STAMP", watch.stamp as u32), ("ORDER", u32::from(watch.order))];
        let mut object = Object::new(&constants)?;
        if watch.xdp {
            object.attach_xdp("receive", netns, interface)?;
        } else {
            object.attach_tc("receive_tc", netns, interface)?;
        }
        Ok(Self { object })
    }

    /// What has arrived so far.
    pub fn counts(&self) -> Result<Counts> {
        let map = self.object.ebpf().map("COUNTS").context("no map COUNTS")?;
        let map: PerCpuArray<_, u64> = PerCpuArray::try_from(map)?;
        let sum = |index: u32| -> Result<u64> { Ok(map.get(&index, 0)?.iter().sum()) };
        Ok(Counts {
            received: sum(counts::RECEIVED)?,
            duplicated: sum(counts::DUPLICATED)?,
            reordered: sum(counts::REORDERED)?,
        })
    }

    /// Expects every flow to begin anew.
    pub fn forget_flows(&mut self) -> Result<()> {
        let nothing = Seen { highest: 0, window: 0 };
        (0..FLOWS as u32).try_for_each(|flow| self.object.set("SEEN", flow, nothing))
    }
}
