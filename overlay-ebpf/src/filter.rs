//! A packet's walk through access lists.

use overlay_common::abi::{Charge, Filter, FilterKey, RuleCount};
use overlay_common::wire::Family;

use crate::{maps, tables};

const LIST: u32 = 16;
const IS_V6: u32 = 1 << 31;

/// Whether lists of a segment ([`Policed`](overlay_common::abi::Policed)) deny the packet that stands in `WALK`.
#[inline(always)]
pub fn denied(segment: u16, lists: u16, family: Family, charge: Charge) -> bool {
    let family = if matches!(family, Family::V6) { IS_V6 } else { 0 };
    FilterKey::DIRECTIONS.into_iter().any(|(bit, direction)| {
        let list = segment as u32 | (direction as u32) << LIST | family;
        lists & bit != 0 && filter_denies(list, charge.packets, charge.bytes) != 0
    })
}

/// Whether a list, by its number, denies the packet that stands in `WALK`; 1 or 0. The rule
/// counts it.
///
/// It is a global function, so verifiers (from Linux 5.6 on, commit 51c39bb1d5d1) walk through it
/// once a program, and not on each of the ways that lead here.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn filter_denies(list: u32, packets: u32, bytes: u32) -> u32 {
    let key = FilterKey { segment: list as u16, direction: (list >> LIST & 1) as u16 };
    let family = if list & IS_V6 == 0 { Family::V4 } else { Family::V6 };
    // SAFETY: a record that is replaced, not changed.
    let filter = unsafe { maps::FILTERS.get(key) };
    let (Some(filter), Some(walk)) = (filter, maps::WALK.get_ptr_mut(0)) else { return 1 };
    // SAFETY: this CPU's own.
    let walk = unsafe { &mut *walk };
    walk.begin(filter.of(family));
    let mut turns = 0;
    while turns < Filter::TURNS && !walk.turn(|index| maps::FILTER_NODES.get(index)) {
        turns = tables::next(turns);
    }
    let Some(rule) = walk.rule() else { return 1 };
    if let Some(count) = maps::RULES.get_ptr_mut(rule.rule()) {
        // SAFETY: this CPU's own slot.
        unsafe { (*count).add(RuleCount { packets: packets as u64, bytes: bytes as u64 }) };
    }
    rule.denies() as u32
}
