//! What becomes of a frame, and why, in words.
//!
//! [`explain`] runs a frame through the packet path over the live tables as they are, and changes
//! nothing there: it learns, counts and stamps nothing, hands nothing over and takes nothing of
//! limits. What the path asks of the tables is written down ([`watched`]), told stage by stage
//! ([`narrate`]), and where the frame is dropped, with what would let it pass ([`reasons`]).
//!
//! It goes the whole way: what XDP leaves to tc, what routers do, who gets copies and who not, and
//! what user space makes of what is handed to it ([`run`], `slow`). In the kernel, parts of the tc
//! path are programs of their own; here they are one, which the conformance tests show to be the
//! same.
//!
//! A frame that the kernel has had already ([`Capture::said`]) is explained likewise: what the
//! kernel did stands, and where the tables would have it otherwise now, that is said.

mod event;
mod headers;
mod narrate;
mod outcome;
mod reasons;
mod run;
mod slow;
mod watched;
mod words;

use overlay_common::abi::{Hook, Policer, PolicerKey};
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::Tag;

use crate::controller::{Controller, Role};
use crate::tables::TableSet;

pub use headers::Headers;
pub use outcome::{Missed, Outcome, Output};
pub use reasons::Advice;
pub use run::{Ran, carry};
pub(crate) use words::listed;

/// A frame, and how it came in.
#[derive(Clone, Debug)]
pub struct Capture<'a> {
    /// The bytes as they were first seen, Ethernet header first, without FCS.
    pub frame: &'a [u8],
    /// The whole frame's length, where only its beginning was captured.
    pub len: u32,
    /// The device that it came in by.
    pub ifindex: u32,
    /// What that is.
    pub role: Role,
    /// The hook there.
    pub hook: Hook,
    /// A tag beside the bytes.
    pub stripped_vlan: Option<Tag>,
    /// The payload of each segment of a super-frame, else 0.
    pub gso_size: u32,
    /// What the kernel did, where it has had the frame.
    pub said: Option<Result<Verdict, DropReason>>,
}

impl<'a> Capture<'a> {
    /// A whole frame that nobody has had yet.
    pub const fn new(frame: &'a [u8], ifindex: u32, role: Role, hook: Hook) -> Self {
        let len = frame.len() as u32;
        let (stripped_vlan, gso_size, said) = (None, 0, None);
        Self { frame, len, ifindex, role, hook, stripped_vlan, gso_size, said }
    }
}

/// The longest frame that is looked at, in bytes: the longest that any hook sees.
pub const LONGEST: u32 = 256 * 1024;

/// What frames are explained by.
pub struct Live<'a> {
    /// The tables.
    pub tables: &'a TableSet,
    /// Whose tables they are; without it things have numbers for names.
    pub controller: Option<&'a Controller>,
    /// The time, in ns of the monotonic clock.
    pub now: u64,
    /// How far limits are used up where frames are held against them, if that is not in
    /// these tables.
    pub levels: &'a dyn Fn(&PolicerKey) -> Option<Policer>,
}

impl Live<'_> {
    /// Limits, and how far they are used up.
    fn policer(&self, key: &PolicerKey) -> Option<Policer> {
        let own = self.tables.policer(key)?;
        Some((self.levels)(key).unwrap_or(own))
    }
}

/// A stage of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Port and VLAN, or outer headers.
    Classify,
    /// Whether it may come in.
    Admit,
    /// Where it goes.
    Resolve,
    /// Answered here, in the place of who was asked.
    Answer,
    /// From segment to segment.
    Route,
    /// Access lists and limits.
    Police,
    /// Out of the tunnel.
    Decap,
    /// Into the tunnel.
    Encap,
    /// Copies to everybody.
    Flood,
    /// Out of an uplink.
    Transmit,
    /// Out of an access port.
    Deliver,
    /// Taken note of.
    Learn,
    /// Left to another program.
    Defer,
    /// Handed to user space.
    Punt,
    /// Left to the host.
    Pass,
}

impl Stage {
    /// The name in commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Admit => "admit",
            Self::Resolve => "resolve",
            Self::Answer => "answer",
            Self::Route => "route",
            Self::Police => "police",
            Self::Decap => "decap",
            Self::Encap => "encap",
            Self::Flood => "flood",
            Self::Transmit => "transmit",
            Self::Deliver => "deliver",
            Self::Learn => "learn",
            Self::Defer => "defer",
            Self::Punt => "punt",
            Self::Pass => "pass",
        }
    }
}

/// What one stage did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub stage: Stage,
    /// What it looked at or for.
    pub asked: String,
    /// What it found, and what follows.
    pub found: String,
    /// Whether the frame, or this copy of it, ended here.
    pub is_end: bool,
}

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The frame, in a line.
    pub frame: String,
    /// What its tunnel carries, in a line.
    pub inner: Option<String>,
    /// The device that it came in by.
    pub interface: String,
    /// The hook there.
    pub hook: Hook,
    /// What each stage did, in the packet's order.
    pub steps: Vec<Step>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was dropped, or its sender told of an error.
    pub reason: Option<DropReason>,
    /// What happened, in a sentence or two.
    pub cause: String,
    /// What would let it pass; or, where it passes, what should be seen to all the same.
    pub fix: Option<String>,
    /// The frames that leave, in their order.
    pub outputs: Vec<Output>,
    /// Who gets no copy, and why.
    pub missed: Vec<Missed>,
    /// What has to be kept in mind: what the tables cannot tell, and where the kernel did
    /// otherwise.
    pub notes: Vec<String>,
}

/// Explains a frame.
pub fn explain(capture: &Capture<'_>, live: &Live<'_>) -> Explanation {
    let ran = carry(capture, live);
    outcome::tell(capture, live, &ran)
}
