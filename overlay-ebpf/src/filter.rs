//! A packet's walk through access lists.

use overlay_common::abi::{Charge, Comparisons, Filter, FilterKey, FilterNode, RuleCount, walk};
use overlay_common::wire::Family;
use overlay_common::word::Word;

use crate::maps::Block;
use crate::{maps, tables};

const IS_V6: u32 = 1 << 31;

/// The comparisons of all lists. What a walk looks at is not asked for by its index each time: that
/// would go through memory, and each turn would wait for it.
struct Nodes(&'static Block);

impl Comparisons for Nodes {
    #[inline(always)]
    fn at(&self, place: u32) -> Option<&FilterNode> {
        let Self(first) = self;
        let place = place as usize;
        let block = match place / size_of::<Block>() {
            0 => first,
            number => maps::FILTER_NODES.get(number as u32)?,
        };
        Some(within(block, place))
    }

    #[inline(always)]
    fn next(turn: u64) -> u64 {
        tables::next(turn)
    }
}

/// What stands at a place of a block. The mask is for the verifier: it is known of a number whatever
/// becomes of comparisons.
#[inline(always)]
fn within(block: &Block, place: usize) -> &FilterNode {
    let place = place & (size_of::<Block>() - size_of::<FilterNode>());
    // SAFETY: it lies in the block whole, and what is read of it may be anything.
    unsafe {
        let node = core::ptr::from_ref(block).byte_add(place).cast::<FilterNode>();
        core::hint::assert_unchecked(!node.is_null());
        &*node
    }
}

const _: () = assert!(size_of::<Block>().is_power_of_two());

/// Whether lists of a segment ([`Policed`](overlay_common::abi::Policed)) deny the packet that
/// stands in `FLOW`.
#[inline(always)]
pub fn denied(segment: u16, lists: u16, family: Family, charge: Charge) -> bool {
    let family = if matches!(family, Family::V6) { IS_V6 } else { 0 };
    FilterKey::DIRECTIONS.into_iter().any(|(bit, direction)| {
        let list = FilterKey { segment, direction }.index() | family;
        lists & bit != 0 && filter_denies(list, charge.packets, charge.bytes) != 0
    })
}

/// Whether a list, by its number, denies the packet that stands in `FLOW`; 1 or 0. The rule
/// counts it.
///
/// It is a global function, so verifiers (from Linux 5.6 on, commit 51c39bb1d5d1) walk through it
/// once a program, and not on each of the ways that lead here.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn filter_denies(list: u32, packets: u32, bytes: u32) -> u32 {
    let family = if list & IS_V6 == 0 { Family::V4 } else { Family::V6 };
    let filter = maps::FILTERS.get(list & !IS_V6).map_or(0, Word::get);
    let (Some(root), Some(flow), Some(first)) =
        (Filter::root(filter, family), maps::FLOW.get(0), maps::FILTER_NODES.get(0))
    else {
        return 1;
    };
    let Some(rule) = walk(root, flow, &Nodes(first)) else { return 1 };
    if let Some(count) = maps::RULES.get_ptr_mut(rule.rule()) {
        // SAFETY: this CPU's own slot.
        unsafe { (*count).add(RuleCount { packets: packets as u64, bytes: bytes as u64 }) };
    }
    rule.denies() as u32
}
