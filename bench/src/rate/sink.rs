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

#[cfg(test)]
mod tests {
    use aya::programs::{TestRun as _, TestRunOptions, Xdp};
    use overlay_testbed::require_root;

    use super::*;
    use crate::rate::abi::MAGIC;

    const STAMP: usize = 42;

    /// A sink that is attached to nothing.
    fn sink() -> Sink {
        let mut object = Object::new(&[("STAMP", STAMP as u32), ("ORDER", 1)]).unwrap();
        object.load_xdp("receive").unwrap();
        Sink { object }
    }

    fn receive(sink: &Sink, magic: u32, flow: u32, sequence: u64) {
        let stamp = [&magic.to_ne_bytes()[..], &flow.to_ne_bytes(), &sequence.to_ne_bytes()];
        let frame = [&[0; STAMP][..], &stamp.concat(), &[0; 6]].concat();
        let program: &Xdp = sink.object.ebpf().program("receive").unwrap().try_into().unwrap();
        program
            .test_run(TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() })
            .unwrap();
    }

    fn counts_after(sink: &mut Sink, frames: &[(u32, u64)]) -> Counts {
        sink.forget_flows().unwrap();
        let before = sink.counts().unwrap();
        frames.iter().for_each(|(flow, sequence)| receive(sink, MAGIC, *flow, *sequence));
        sink.counts().unwrap().since(before)
    }

    #[test]
    fn what_comes_late_or_twice_is_told_from_what_is_missing() {
        if !require_root("rate_sink_order") {
            return;
        }
        let mut sink = sink();
        let mut after = |frames: &[(u32, u64)]| {
            let counts = counts_after(&mut sink, frames);
            (counts.received, counts.duplicated, counts.reordered)
        };
        assert_eq!(after(&[(0, 1), (0, 2), (1, 1), (0, 3), (1, 2)]), (5, 0, 0));
        assert_eq!(after(&[(0, 1), (0, 4)]), (2, 0, 0), "lost ones are neither");
        assert_eq!(after(&[(0, 1), (0, 3), (0, 2), (0, 4)]), (4, 0, 1));
        assert_eq!(after(&[(0, 1), (0, 1), (0, 3), (0, 2), (0, 2)]), (5, 2, 1));
        assert_eq!(after(&[(0, 1), (0, 200), (0, 2), (0, 201)]), (4, 0, 1), "however late");
    }

    #[test]
    fn frames_of_others_are_not_counted() {
        if !require_root("rate_sink_magic") {
            return;
        }
        let sink = sink();
        receive(&sink, MAGIC, 0, 1);
        receive(&sink, !MAGIC, 0, 2);
        assert_eq!(sink.counts().unwrap().received, 1);
    }
}
