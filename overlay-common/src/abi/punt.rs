//! Frames and news handed to user space, and the limits on them.

use super::{Target, record};

/// Why something was handed to user space. Dense and never renumbered: it
/// indexes the limits and buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PuntReason {
    /// A source MAC that the FDB has not, or has elsewhere. Only the record is
    /// sent; the frame itself is forwarded as usual.
    Learn = 0,
    /// The peer's next hop is not resolved yet; the frame is sent along.
    PeerUnresolved = 1,
    /// A flooded frame has receivers that the kernel does not send to; the frame is sent
    /// along, without the tag of its port.
    Flood = 2,
    /// A Geneve control packet (RFC 8926, 3.4: the O bit), outer headers and all.
    Control = 3,
    /// ARP or neighbour discovery says of an address what the neighbour table has not, or has
    /// otherwise. Only the record is sent, as for [`Learn`](Self::Learn).
    Neighbour = 4,
    /// An IPv4 packet that is too big, and may be cut up; the frame is sent along, without the
    /// tag of its port.
    Fragment = 5,
    /// A packet that was sent to a router, which asks for more than routing it: it is the
    /// router's own, its next hop is not known, or an error is to be told of it. The frame is
    /// sent along, plain.
    Router = 6,
}

impl PuntReason {
    /// How many reasons there are.
    pub const COUNT: usize = 7;
    /// Every reason, in the order of its number.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Learn,
        Self::PeerUnresolved,
        Self::Flood,
        Self::Control,
        Self::Neighbour,
        Self::Fragment,
        Self::Router,
    ];

    /// The name in commands and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Learn => "learn",
            Self::PeerUnresolved => "peer-unresolved",
            Self::Flood => "flood",
            Self::Control => "control",
            Self::Neighbour => "neighbour",
            Self::Fragment => "fragment",
            Self::Router => "router",
        }
    }

    /// The reason of a [`Punt`].
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Learn),
            1 => Some(Self::PeerUnresolved),
            2 => Some(Self::Flood),
            3 => Some(Self::Control),
            4 => Some(Self::Neighbour),
            5 => Some(Self::Fragment),
            6 => Some(Self::Router),
            _ => None,
        }
    }

    /// Whether each source has a share of its own: what many may send all the time is not to
    /// be crowded out by one of them.
    #[inline(always)]
    pub const fn is_shared_out(self) -> bool {
        matches!(self, Self::Learn | Self::Neighbour | Self::Router)
    }
}

/// The record in front of a punted frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Punt {
    /// [`PuntReason`] as a number.
    pub reason: u8,
    /// [`Hook`](super::Hook) as a number.
    pub hook: u8,
    /// Index in `SEGMENTS`.
    pub segment: u16,
    /// The device the frame came in on.
    pub ifindex: u32,
    /// Where the frame came from: an access port or a peer.
    pub source: Target,
    /// The frame's length, in bytes; 0 where it does not go along.
    pub frame_len: u32,
    /// How many bytes of the frame follow this record.
    pub captured: u32,
    /// The inner source MAC; zero where a [`Neighbour`](PuntReason::Neighbour)'s is not told.
    pub mac: [u8; 6],
    /// Control information of the frame's stripped tag, 0 for none.
    pub vlan: u16,
    /// The payload bytes of each segment where the frame is a super-frame, else 0.
    pub gso_size: u16,
    /// [`FloodList::generation`](super::FloodList::generation) of a flooded frame; of one that is
    /// to be cut up, the longest frame that fits; of a neighbour, 1 where it is a router; of a
    /// router's, the [`DropReason`](crate::verdict::DropReason) that its sender is to be told, as
    /// a number; else 0.
    pub generation: u16,
    /// [`NeighbourKey::bytes`](super::NeighbourKey::bytes) of a neighbour, else 0.
    pub address: [u8; 16],
}
record!(Punt, 48);

impl Punt {
    /// The longest frame that goes along. The size of a perf record has 16 bits, which the
    /// kernel does not check; the record itself and what perf puts in front take some of them.
    pub const LONGEST: u32 = 65_000;

    /// As [`generation`](Self::generation) of a frame that is routed: a part of one that was cut up,
    /// and held against access lists as a whole before.
    pub const PART: u16 = 1 << 15;

    /// Whether a neighbour is a router.
    pub const fn is_router(&self) -> bool {
        self.generation != 0
    }
}

/// A token bucket's size and rate, for one reason, or one port, on one CPU; where the sources
/// have shares ([`PuntReason::is_shared_out`]), for each of [`PuntBucket::SHARES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PuntLimit {
    /// Tokens a second; 0 stops the reason altogether.
    pub per_second: u32,
    /// The most that may come at once.
    pub burst: u32,
}
record!(PuntLimit, 8);

/// A token bucket's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PuntBucket {
    /// Nano-tokens at hand: 10⁹ are one punt.
    pub nano_tokens: u64,
    /// When they were counted, in ns of the monotonic clock.
    pub stamp: u64,
}
record!(PuntBucket, 16);

impl PuntBucket {
    /// How many shares a reason has.
    pub const SHARES: u32 = 16;
    /// Buckets of all reasons and shares.
    pub const COUNT: u32 = PuntReason::COUNT as u32 * Self::SHARES;

    /// Where the bucket is for a reason's punts from a port or peer.
    #[inline(always)]
    pub const fn position(reason: PuntReason, source: Target) -> u32 {
        let share = if reason.is_shared_out() { source.share(Self::SHARES) } else { 0 };
        reason as u32 * Self::SHARES + share
    }

    const TOKEN: u64 = 1_000_000_000;
    /// Longer gaps fill any bucket; the bound keeps the product below 2⁶⁴.
    const LONGEST_GAP: u64 = 4_000_000_000;

    /// Takes a token at `now` (ns, monotonic), and says whether there was one.
    #[inline(always)]
    pub fn take(&mut self, limit: PuntLimit, now: u64) -> bool {
        let mut gap = now.wrapping_sub(self.stamp);
        if gap > Self::LONGEST_GAP {
            gap = Self::LONGEST_GAP;
        }
        self.stamp = now;
        let full = limit.burst as u64 * Self::TOKEN;
        let mut tokens = self.nano_tokens.wrapping_add(gap.wrapping_mul(limit.per_second as u64));
        if tokens > full {
            tokens = full;
        }
        let taken = tokens >= Self::TOKEN;
        if taken {
            tokens -= Self::TOKEN;
        }
        self.nano_tokens = tokens;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_starts_full_then_follows_its_rate() {
        let limit = PuntLimit { per_second: 10, burst: 3 };
        let mut bucket = PuntBucket::default();
        let start = 100_000_000_000;
        let first = (0..5).filter(|_| bucket.take(limit, start)).count();
        assert_eq!(first, 3, "a burst of 3 at once");
        let later = (1..=10).filter(|i| bucket.take(limit, start + i * 50_000_000)).count();
        assert_eq!(later, 5, "10 a second over half a second");
    }

    #[test]
    fn rate_zero_stops_a_reason() {
        let limit = PuntLimit { per_second: 0, burst: 0 };
        let mut bucket = PuntBucket::default();
        assert!(!bucket.take(limit, u64::MAX));
    }

    #[test]
    fn largest_values_do_not_overflow() {
        let limit = PuntLimit { per_second: u32::MAX, burst: u32::MAX };
        let mut bucket = PuntBucket::default();
        assert!(bucket.take(limit, u64::MAX));
        assert!(bucket.take(limit, u64::MAX - 1));
    }
}
