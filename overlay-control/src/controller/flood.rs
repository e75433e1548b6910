//! Flood lists, replaced as a whole.
//!
//! The slots of a new generation are written first, then the segment's word that
//! names it; the slots of the old one go later, when no packet reads them any
//! more. A segment has at most two generations at a time.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use overlay_common::abi::{FloodKey, FloodList, KERNEL_COPIES, Target};
use overlay_common::id::SegmentId;
use overlay_common::wire::Family;

use crate::action::Action;

#[derive(Debug, Default)]
pub struct FloodLists {
    lists: BTreeMap<SegmentId, List>,
}

/// Who gets the copies.
#[derive(Debug, Default)]
pub struct Receivers {
    pub ports: Vec<Target>,
    /// Over IPv4.
    pub v4: Vec<Target>,
    /// Over IPv6.
    pub v6: Vec<Target>,
}

/// How many receivers of each kind there are, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    ports: u16,
    family: Family,
    peers: u16,
    rest: u16,
}

impl Shape {
    const EMPTY: Self = Self { ports: 0, family: Family::V4, peers: 0, rest: 0 };
}

impl Receivers {
    /// Local ports, then as many peers of the larger family as the kernel sends to, then
    /// the others.
    fn in_order(&self) -> (Vec<Target>, Shape) {
        let (family, first, second) = match self.v6.len() > self.v4.len() {
            true => (Family::V6, &self.v6, &self.v4),
            false => (Family::V4, &self.v4, &self.v6),
        };
        let peers = first.len().min(KERNEL_COPIES as usize);
        let rest = first.len() - peers + second.len();
        let targets = [&self.ports[..], first, second].concat();
        let ports = self.ports.len() as u16;
        (targets, Shape { ports, family, peers: peers as u16, rest: rest as u16 })
    }
}

#[derive(Debug)]
struct List {
    generation: u16,
    shape: Shape,
    targets: Vec<Target>,
    previous: Option<Previous>,
}

impl Default for List {
    fn default() -> Self {
        Self { generation: 0, shape: Shape::EMPTY, targets: Vec::new(), previous: None }
    }
}

#[derive(Debug)]
struct Previous {
    generation: u16,
    slots: u32,
    due: Duration,
}

impl FloodLists {
    /// Writes a segment's list if it is another than before, and returns the word
    /// that names the list in force. The list before it may go at `due`.
    pub fn put(
        &mut self,
        segment: SegmentId,
        receivers: &Receivers,
        due: Duration,
        out: &mut VecDeque<Action>,
    ) -> FloodList {
        let list = self.lists.entry(segment).or_default();
        let (targets, shape) = receivers.in_order();
        if list.targets != targets || list.shape != shape {
            list.drop_previous(segment, out);
            list.replace(targets, shape, due);
            for (slot, target) in (0..).zip(&list.targets) {
                let key = FloodKey { segment: segment.0, generation: list.generation, slot };
                out.push_back(Action::PutFlood(key, *target));
            }
        }
        let Shape { ports, family, peers, rest } = list.shape;
        FloodList::new(list.generation, ports, family, peers, rest)
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
            list.replace(Vec::new(), Shape::EMPTY, Duration::ZERO);
            list.drop_previous(segment, out);
        }
    }
}

impl List {
    fn replace(&mut self, targets: Vec<Target>, shape: Shape, due: Duration) {
        let slots = self.targets.len() as u32;
        let generation = self.generation;
        self.previous = (slots > 0).then_some(Previous { generation, slots, due });
        self.generation = generation.wrapping_add(1);
        self.targets = targets;
        self.shape = shape;
    }

    fn drop_previous(&mut self, segment: SegmentId, out: &mut VecDeque<Action>) {
        if let Some(Previous { generation, slots, .. }) = self.previous.take() {
            let key = |slot| FloodKey { segment: segment.0, generation, slot };
            out.extend((0..slots).map(|slot| Action::DelFlood(key(slot))));
        }
    }
}
