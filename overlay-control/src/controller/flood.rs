//! Flood lists, replaced as a whole.
//!
//! The slots of a new generation are written first, then the segment's word that
//! names it; the slots of the old one go later, when no packet reads them any
//! more. A segment has at most two generations at a time.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use overlay_common::abi::{FloodKey, FloodList, Target};
use overlay_common::id::SegmentId;

use crate::action::Action;

#[derive(Debug, Default)]
pub struct FloodLists {
    lists: BTreeMap<SegmentId, List>,
}

#[derive(Debug, Default)]
struct List {
    generation: u16,
    ports: u16,
    targets: Vec<Target>,
    previous: Option<Previous>,
}

#[derive(Debug)]
struct Previous {
    generation: u16,
    slots: u32,
    due: Duration,
}

impl FloodLists {
    /// Writes a segment's list if it is another than before, and returns the word
    /// that names the list in force. Ports come first. The list before it may go
    /// at `due`.
    pub fn put(
        &mut self,
        segment: SegmentId,
        ports: &[Target],
        peers: &[Target],
        due: Duration,
        out: &mut VecDeque<Action>,
    ) -> FloodList {
        let list = self.lists.entry(segment).or_default();
        let same_ports = list.targets.get(..usize::from(list.ports)) == Some(ports);
        if !same_ports || &list.targets[ports.len()..] != peers {
            list.drop_previous(segment, out);
            list.replace([ports, peers].concat(), ports.len() as u16, due);
            for (slot, target) in (0..).zip(&list.targets) {
                let key = FloodKey { segment: segment.0, generation: list.generation, slot };
                out.push_back(Action::PutFlood(key, *target));
            }
        }
        FloodList::new(
            list.generation,
            list.ports,
            list.targets.len() as u32 - u32::from(list.ports),
        )
    }

    /// Removes the slots of the list before the one in force, if it is time.
    pub fn drop_due(&mut self, segment: SegmentId, now: Duration, out: &mut VecDeque<Action>) {
        if let Some(list) = self.lists.get_mut(&segment)
            && list.previous.as_ref().is_some_and(|previous| previous.due <= now)
        {
            list.drop_previous(segment, out);
        }
    }

    /// Removes all slots of a segment that is gone.
    pub fn remove(&mut self, segment: SegmentId, out: &mut VecDeque<Action>) {
        if let Some(mut list) = self.lists.remove(&segment) {
            list.drop_previous(segment, out);
            list.replace(Vec::new(), 0, Duration::ZERO);
            list.drop_previous(segment, out);
        }
    }
}

impl List {
    fn replace(&mut self, targets: Vec<Target>, ports: u16, due: Duration) {
        let slots = self.targets.len() as u32;
        let generation = self.generation;
        self.previous = (slots > 0).then_some(Previous { generation, slots, due });
        self.generation = generation.wrapping_add(1);
        self.targets = targets;
        self.ports = ports;
    }

    fn drop_previous(&mut self, segment: SegmentId, out: &mut VecDeque<Action>) {
        if let Some(Previous { generation, slots, .. }) = self.previous.take() {
            let key = |slot| FloodKey { segment: segment.0, generation, slot };
            out.extend((0..slots).map(|slot| Action::DelFlood(key(slot))));
        }
    }
}
