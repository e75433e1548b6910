//! What somebody watches of the frames that pass, and what the programs tell of them. Only
//! programs that were loaded to be watched look at any of this.

use super::{PuntLimit, record};
use crate::verdict::{DropReason, Verdict};

/// What is watched, `WATCH`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Watch {
    /// The [`DropReason`]s of which every frame is told as it was when it was dropped: a bit each.
    pub reasons: u64,
    /// Whether frames are told before and after, whatever becomes of them: 1, or 0.
    pub frames: u32,
    /// When a CPU has told as many as it may, so many frames go by before it looks at one again.
    pub pause: u32,
    /// Zero.
    pub reserved: u32,
    /// The most bytes that go along with each record.
    pub captured: u32,
    /// How many frames each CPU may tell of.
    pub limit: PuntLimit,
    /// Which frames.
    pub filter: WatchFilter,
}
record!(Watch, 88);

impl Watch {
    /// Whether frames that are dropped for a reason are told.
    #[inline(always)]
    pub const fn wants(&self, reason: u8) -> bool {
        self.reasons >> (reason & 63) & 1 != 0
    }
}
const _: () = assert!(DropReason::ALL.len() <= 64);

/// Which frames are meant: those of which all [`fields`](Self::fields) hold, of the frame itself or
/// of the frame inside where it is a tunnel's. A field of both ends holds where either end is so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct WatchFilter {
    /// What is looked at, as bits: [`MAC`](Self::MAC) and the others.
    pub fields: u32,
    /// The ports that tunnels go to: VXLAN's, Geneve's; 0 for none.
    pub tunnel_ports: [u16; 2],
    /// A station's MAC.
    pub mac: [u8; 6],
    /// What an Ethernet frame carries.
    pub ethertype: u16,
    /// A port of TCP or UDP.
    pub port: u16,
    /// What an IP packet carries.
    pub protocol: u8,
    /// 4 or 6: the family of `address`.
    pub version: u8,
    /// Zero.
    pub reserved: u32,
    /// An IP address; one of IPv4 is in the lower half of the second word.
    pub address: [u64; 2],
    /// The bits of it that count.
    pub mask: [u64; 2],
}
record!(WatchFilter, 56);

impl WatchFilter {
    /// [`mac`](Self::mac) counts.
    pub const MAC: u32 = 1;
    /// [`ethertype`](Self::ethertype) counts.
    pub const ETHERTYPE: u32 = 1 << 1;
    /// [`port`](Self::port) counts.
    pub const PORT: u32 = 1 << 2;
    /// [`protocol`](Self::protocol) counts.
    pub const PROTOCOL: u32 = 1 << 3;
    /// [`address`](Self::address) counts.
    pub const ADDRESS: u32 = 1 << 4;

    /// Whether a field counts.
    #[inline(always)]
    pub const fn has(&self, field: u32) -> bool {
        self.fields & field != 0
    }
}

/// One CPU's way through the frames that are watched, `SAMPLERS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sampler {
    /// Frames that go by before the next one is looked at.
    pub left: u32,
    /// The number that the last one had.
    pub last: u32,
    /// What the limit leaves.
    pub bucket: super::PuntBucket,
}
record!(Sampler, 24);

/// What is told of a frame, with its first bytes behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sample {
    /// When, in ns of the monotonic clock.
    pub time: u64,
    /// The frame's number on this CPU: that of both its records.
    pub number: u32,
    /// The CPU.
    pub cpu: u32,
    /// The device that the frame came in on.
    pub ifindex: u32,
    /// The device that it leaves by; 0 where by none, or by several.
    pub egress: u32,
    /// The frame's length now, in bytes.
    pub len: u32,
    /// How many bytes of it follow.
    pub captured: u32,
    /// The payload bytes of each segment of a super-frame, else 0.
    pub gso_size: u16,
    /// Control information of the frame's stripped tag, 0 for none.
    pub vlan: u16,
    /// [`Stage`] as a number.
    pub stage: u8,
    /// [`Hook`](super::Hook) as a number.
    pub hook: u8,
    /// [`Outcome`] as a number; of a frame that came in, 0.
    pub outcome: u8,
    /// [`DropReason`] as a number, where it was dropped.
    pub reason: u8,
}
record!(Sample, 40);

/// When something is told of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// As it came in.
    Before = 0,
    /// As it goes on, if it does.
    After = 1,
    /// As it was when it was dropped; nothing was told before.
    Dropped = 2,
}

impl Stage {
    /// The stage of a [`Sample`].
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Before),
            1 => Some(Self::After),
            2 => Some(Self::Dropped),
            _ => None,
        }
    }
}

/// What became of a frame at one hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// The host's stack has it.
    Pass = 0,
    /// The next program has it, or the next hook.
    Defer = 1,
    /// It leaves by an uplink.
    Transmit = 2,
    /// It leaves by an access port.
    Deliver = 3,
    /// Its copies have left, or user space has it.
    Consumed = 4,
    /// It was dropped.
    Drop = 5,
}

impl Outcome {
    /// The outcome of a [`Sample`].
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Pass),
            1 => Some(Self::Defer),
            2 => Some(Self::Transmit),
            3 => Some(Self::Deliver),
            4 => Some(Self::Consumed),
            5 => Some(Self::Drop),
            _ => None,
        }
    }

    /// What an answer of the path comes to.
    #[inline(always)]
    pub const fn of(result: &Result<Verdict, DropReason>) -> Self {
        match result {
            Ok(Verdict::Pass) => Self::Pass,
            Ok(Verdict::Defer | Verdict::Route | Verdict::Flood) => Self::Defer,
            Ok(Verdict::Transmit(_)) => Self::Transmit,
            Ok(Verdict::Deliver(_)) => Self::Deliver,
            Ok(Verdict::Consumed) => Self::Consumed,
            Err(_) => Self::Drop,
        }
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "passed",
            Self::Defer => "deferred",
            Self::Transmit => "transmitted",
            Self::Deliver => "delivered",
            Self::Consumed => "consumed",
            Self::Drop => "dropped",
        }
    }
}
