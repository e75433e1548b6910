//! What is known of one frame.

use overlay_common::abi::{Hook, Outcome, Sample};
use overlay_common::verdict::DropReason;
use overlay_control::watch::seen::TunnelPorts;
use overlay_control::watch::{Fate, Filter, Seen};

/// A frame's bytes at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// The first of them.
    pub captured: bytes::Bytes,
    /// How many there were.
    pub len: u32,
    /// Control information of the stripped tag, 0 for none.
    pub vlan: u16,
    /// The payload of each segment of a super-frame, else 0.
    pub gso_size: u16,
}

impl Bytes {
    /// Those behind a record.
    pub fn of(sample: &Sample, captured: bytes::Bytes) -> Self {
        Self { captured, len: sample.len, vlan: sample.vlan, gso_size: sample.gso_size }
    }

    fn seen(&self, ports: TunnelPorts) -> Seen {
        Seen::of(&self.captured, self.len, self.vlan, ports)
    }
}

/// A frame, what became of it, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// When it came in, in ns of the monotonic clock; when it was dropped, where nothing was
    /// told before.
    pub time: u64,
    /// ns until it was clear what becomes of it, where both are known.
    pub took: Option<u64>,
    /// The CPU that carried it; `None`: a thread in user space.
    pub cpu: Option<u32>,
    /// Where it came in.
    pub ifindex: u32,
    /// The device it left by; 0 for none, or several.
    pub egress: u32,
    /// Where that was decided.
    pub hook: Option<Hook>,
    /// What became of it; `None` where that was not told.
    pub outcome: Option<Outcome>,
    /// Why it was dropped.
    pub reason: Option<DropReason>,
    /// As it came in, or as it was dropped.
    pub before: Bytes,
    /// As it leaves, by the one device that it leaves by.
    pub after: Option<Bytes>,
}

impl Observed {
    /// From a record of a frame as it came in, or was dropped.
    pub fn begun(sample: &Sample, captured: bytes::Bytes) -> Self {
        Self {
            time: sample.time,
            took: None,
            cpu: Some(sample.cpu),
            ifindex: sample.ifindex,
            egress: 0,
            hook: Hook::from_u8(sample.hook),
            outcome: None,
            reason: None,
            before: Bytes::of(sample, captured),
            after: None,
        }
    }

    /// Of one that was dropped, and told of then.
    pub fn dropped(sample: &Sample, captured: bytes::Bytes) -> Self {
        let mut observed = Self::begun(sample, captured);
        observed.decide(sample);
        observed
    }

    /// With the record of what became of it.
    pub fn end(&mut self, sample: &Sample, captured: bytes::Bytes) {
        self.decide(sample);
        self.took = Some(sample.time.saturating_sub(self.time));
        let goes_on = matches!(self.outcome, Some(Outcome::Transmit | Outcome::Deliver));
        self.after = goes_on.then(|| Bytes::of(sample, captured));
    }

    fn decide(&mut self, sample: &Sample) {
        self.outcome = Outcome::from_u8(sample.outcome);
        self.egress = sample.egress;
        let is_drop = self.outcome == Some(Outcome::Drop);
        self.reason = DropReason::from_u8(sample.reason).filter(|_| is_drop);
    }

    /// Whether nothing was told of it before it was dropped, so that it may have changed by then.
    pub fn was_late(&self) -> bool {
        self.outcome == Some(Outcome::Drop) && self.took.is_none()
    }

    /// Whether a filter takes it.
    pub fn is_taken(&self, filter: &Filter, ports: TunnelPorts) -> bool {
        if *filter == Filter::All {
            return true;
        }
        let seen: Vec<Seen> =
            std::iter::once(&self.before).chain(&self.after).map(|b| b.seen(ports)).collect();
        let is_drop = self.outcome == Some(Outcome::Drop);
        let fate = Fate {
            ifindex: self.ifindex,
            egress: self.egress,
            hook: self.hook,
            dropped: is_drop.then_some(self.reason),
        };
        filter.takes(&seen, &fate)
    }
}
