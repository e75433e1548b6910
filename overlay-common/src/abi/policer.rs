//! Limits on what a port, a peer or a segment may send.
//!
//! Each limit is a generic cell rate algorithm (ITU-T I.371, annex A): all that is kept is the
//! time until which what has passed is paid for. What comes while that is not too far ahead
//! passes, whole, however large; so a super-frame passes at any rate, and is paid for later.

use super::{Target, record};
use crate::verdict::DropReason;

/// Whose limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct PolicerKey {
    /// The port or peer that frames come from; zero for a segment.
    pub source: Target,
    /// Index in `SEGMENTS`; zero for a port or peer.
    pub segment: u32,
}
record!(PolicerKey, 8);

impl PolicerKey {
    /// Of what comes from a port or a peer.
    #[inline(always)]
    pub const fn source(source: Target) -> Self {
        Self { source, segment: 0 }
    }

    /// Of what enters a segment, from its ports and peers together. Segments are numbered
    /// from 1, so this is no port's key.
    #[inline(always)]
    pub const fn segment(segment: u16) -> Self {
        Self { source: Target::port(0), segment: segment as u32 }
    }
}

/// What a frame takes of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Packets: a super-frame's segments.
    pub packets: u32,
    /// Their bytes.
    pub bytes: u32,
    /// Whether it is flooded.
    pub is_flood: bool,
}

/// The limits, and how far they are used up.
///
/// Programs on several CPUs write this without a lock: of two that write at the same moment,
/// one packet may not be paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Policer {
    /// On packets.
    pub packets: Meter,
    /// On bytes.
    pub bytes: Meter,
    /// On packets that are flooded.
    pub floods: Meter,
}
record!(Policer, 72);

impl Policer {
    /// Lets a frame pass at `now` (ns, monotonic), or not, in which case nothing is taken.
    ///
    /// # Errors
    ///
    /// The limit that it is over.
    #[inline(always)]
    pub fn take(&mut self, charge: Charge, now: u64) -> Result<(), DropReason> {
        if charge.is_flood && !self.floods.has_room(now) {
            return Err(DropReason::Storm);
        }
        if !self.packets.has_room(now) || !self.bytes.has_room(now) {
            return Err(DropReason::Policed);
        }
        if charge.is_flood {
            self.floods.pay(charge.packets, now);
        }
        self.packets.pay(charge.packets, now);
        self.bytes.pay(charge.bytes, now);
        Ok(())
    }
}

/// One limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Meter {
    /// What a unit takes, in 2⁻²⁰ ns; 0 where there is no limit.
    cost: u64,
    /// How far ahead of the clock it may be paid for, in ns.
    ahead: u64,
    /// Until when what has passed is paid for, in ns of the monotonic clock.
    paid_until: u64,
}
record!(Meter, 24);

impl Meter {
    /// A frame's bytes, or a unit at the lowest rate, times the cost stay below 2⁶⁴.
    const FRACTION: u32 = 20;
    /// A tenth of a second may come at once.
    const AHEAD: u64 = 100_000_000;
    const SECOND: u64 = 1_000_000_000;

    /// No limit.
    pub const OPEN: Self = Self { cost: 0, ahead: 0, paid_until: 0 };

    /// So many units a second, from 1 (of bytes, from 1,000).
    pub const fn per_second(units: u64) -> Self {
        let units = if units == 0 { 1 } else { units };
        let cost = (Self::SECOND << Self::FRACTION) / units;
        // A limit above 10¹⁵ a second is none.
        Self { cost, ahead: Self::AHEAD, paid_until: 0 }
    }

    /// Lets nothing pass before this time, in ns of the monotonic clock.
    pub const fn shut_until(self, time: u64) -> Self {
        Self { paid_until: time, ..self }
    }

    #[inline(always)]
    fn has_room(&self, now: u64) -> bool {
        self.cost == 0 || self.paid_until <= now.wrapping_add(self.ahead)
    }

    #[inline(always)]
    fn pay(&mut self, units: u32, now: u64) {
        if self.cost == 0 {
            return;
        }
        let from = if self.paid_until > now { self.paid_until } else { now };
        self.paid_until =
            from.wrapping_add((self.cost.wrapping_mul(units as u64)) >> Self::FRACTION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = Meter::SECOND;
    const UNICAST: Charge = Charge { packets: 1, bytes: 1000, is_flood: false };
    const FLOOD: Charge = Charge { is_flood: true, ..UNICAST };

    /// How many of `charge` pass within `seconds`, where one comes every `every` ns.
    fn passed(policer: &mut Policer, charge: Charge, seconds: u64, every: u64) -> u64 {
        let start = 77 * SECOND;
        let times = (0..seconds * SECOND / every).map(|i| start + i * every);
        times.filter(|now| policer.take(charge, *now).is_ok()).count() as u64
    }

    fn is_near(found: u64, wanted: u64) -> bool {
        // The first tenth of a second comes at once, and one more that is not yet paid for.
        (wanted..=wanted + wanted / 10 + 2).contains(&found)
    }

    #[test]
    fn each_limit_lets_its_rate_pass() {
        for rate in [1, 7, 1000, 12_345] {
            let mut policer = Policer { packets: Meter::per_second(rate), ..Policer::default() };
            let found = passed(&mut policer, UNICAST, 10, 20_000);
            assert!(is_near(found, 10 * rate), "{rate} packets a second: {found}");
            let mut policer = Policer { bytes: Meter::per_second(rate * 1000), ..policer };
            policer.packets = Meter::OPEN;
            let found = passed(&mut policer, UNICAST, 10, 20_000);
            assert!(is_near(found, 10 * rate), "{rate} kB a second: {found}");
        }
    }

    #[test]
    fn what_is_slower_than_its_limit_always_passes() {
        let rate = Meter::per_second(1000);
        let mut policer = Policer { packets: rate, bytes: Meter::OPEN, floods: rate };
        assert_eq!(passed(&mut policer, FLOOD, 3, 1_000_000), 3000);
    }

    #[test]
    fn only_floods_take_of_the_limit_on_floods() {
        let mut policer = Policer { floods: Meter::per_second(10), ..Policer::default() };
        let found = passed(&mut policer, FLOOD, 2, 1_000_000);
        assert!(is_near(found, 20), "{found}");
        assert_eq!(policer.take(FLOOD, 79 * SECOND - 1), Err(DropReason::Storm));
        assert_eq!(policer.take(UNICAST, 79 * SECOND - 1), Ok(()));
    }

    #[test]
    fn what_is_dropped_takes_nothing() {
        let shut = Meter::per_second(1).shut_until(u64::MAX);
        let mut policer = Policer { packets: shut, ..Policer::default() };
        policer.floods = Meter::per_second(10);
        let before = policer;
        assert_eq!(policer.take(FLOOD, 77 * SECOND), Err(DropReason::Policed));
        assert_eq!(policer, before);
    }

    #[test]
    fn the_largest_frames_and_the_lowest_rates_do_not_overflow() {
        let mut policer = Policer {
            packets: Meter::per_second(1),
            bytes: Meter::per_second(1000),
            floods: Meter::per_second(1),
        };
        let largest = Charge { packets: 8192, bytes: 1 << 17, is_flood: true };
        assert_eq!(policer.take(largest, SECOND), Ok(()));
        assert_eq!(policer.packets.paid_until, (1 + 8192) * SECOND);
        assert_eq!(policer.bytes.paid_until, SECOND + (SECOND << 17) / 1000);
        assert_eq!(policer.take(FLOOD, 2 * SECOND), Err(DropReason::Storm));
    }
}
