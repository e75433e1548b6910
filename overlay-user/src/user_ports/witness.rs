//! Telling those who watch of the frames that a thread carries, as programs do.

use overlay_common::abi::{Hook, Outcome, Sampler, Watch};
use overlay_common::packet::Packet as _;
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::watch::Clock;

use super::buffer::Buffer;
use crate::clock;
use crate::watch::{Bytes, Hub, Observed};

/// A thread's part in telling.
pub struct Witness<'a> {
    /// What is watched.
    pub what: Watch,
    /// What this thread has told.
    pub sampler: &'a mut Sampler,
    /// Those who watch.
    pub hub: &'a Hub,
}

struct Now;

impl Clock for Now {
    fn now(&self) -> u64 {
        clock::now()
    }
}

impl Witness<'_> {
    /// A frame has come in by a device.
    pub fn before(&mut self, frame: &Buffer<'_>, ifindex: u32) -> Option<Observed> {
        let told = self.sampler.is_due() && self.sampler.begin(&self.what, frame, &Now);
        told.then(|| self.begun(frame, ifindex))
    }

    /// It goes on, or does not.
    pub fn after(
        &mut self,
        begun: Option<Observed>,
        frame: &Buffer<'_>,
        ifindex: u32,
        result: &Result<Verdict, DropReason>,
    ) {
        let mut observed = match (begun, result) {
            (Some(begun), _) => Observed { took: Some(clock::now() - begun.time), ..begun },
            (None, Err(reason)) if self.sampler.drops(&self.what, frame, *reason as u8, &Now) => {
                self.begun(frame, ifindex)
            }
            (None, _) => return,
        };
        observed.outcome = Some(Outcome::of(result));
        observed.reason = result.err();
        if let Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) = result {
            observed.egress = egress.ifindex;
        }
        let is_whole = observed.took.is_some() && observed.egress != 0;
        observed.after = is_whole.then(|| self.bytes(frame));
        self.hub.observe(&observed);
    }

    fn begun(&self, frame: &Buffer<'_>, ifindex: u32) -> Observed {
        Observed {
            time: clock::now(),
            took: None,
            cpu: None,
            ifindex,
            egress: 0,
            hook: Some(Hook::User),
            outcome: None,
            reason: None,
            before: self.bytes(frame),
            after: None,
        }
    }

    fn bytes(&self, frame: &Buffer<'_>) -> Bytes {
        let all = frame.bytes();
        let captured = &all[..all.len().min(self.what.captured as usize)];
        Bytes {
            captured: bytes::Bytes::copy_from_slice(captured),
            len: frame.len(),
            vlan: frame.stripped_vlan(),
            gso_size: frame.gso_size() as u16,
        }
    }
}
