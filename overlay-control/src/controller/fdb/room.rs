//! Whether one more address may be learnt: nobody who sends from many pushes out another's.

use overlay_common::abi::{FdbKey, Target};

use super::Fdb;
use super::entries::Origin;

/// What the configuration says of an address and where it comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// The most addresses that are learnt from this port or peer.
    pub source: Option<u32>,
    /// The most addresses that are learnt in this segment.
    pub segment: Option<u32>,
}

/// Why an address is not learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room for what its source would still put in.
    Full,
    /// Its source, or its segment, has as many as it may have.
    Limited,
}

impl Fdb {
    /// Whether `target` may have another address that was elsewhere.
    pub(super) fn may_move(&self, target: Target, bounds: Bounds) -> Result<(), Refused> {
        if is_reached(bounds.source, self.entries.learned_from(target)) {
            return Err(Refused::Limited);
        }
        Ok(())
    }

    /// Whether `target` may have an address that was nowhere.
    pub fn may_add(&self, key: FdbKey, target: Target, bounds: Bounds) -> Result<(), Refused> {
        self.may_move(target, bounds)?;
        if is_reached(bounds.segment, self.entries.learned_in(key.segment)) {
            return Err(Refused::Limited);
        }
        if self.entries.len() >= self.capacity || self.has_its_share(target) {
            return Err(Refused::Full);
        }
        Ok(())
    }

    /// The last quarter of the room for learnt addresses is for sources that have less than
    /// an equal share of it.
    fn has_its_share(&self, target: Target) -> bool {
        let learned = self.entries.of_origin(Origin::Learned);
        let room = self.capacity - (self.entries.len() - learned).min(self.capacity);
        if learned < room - room / 4 {
            return false;
        }
        let own = self.entries.learned_from(target);
        let sources = self.entries.sources() + usize::from(own == 0);
        own >= room.div_ceil(sources)
    }
}

fn is_reached(most: Option<u32>, count: usize) -> bool {
    most.is_some_and(|most| count >= most as usize)
}
