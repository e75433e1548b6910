//! What segments have counted: the sum of their ports, those that are gone among them.
//!
//! Every frame of a segment passes one of its ports here, since none goes from one peer to
//! another, so the packet path need not count it once more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use overlay_common::abi::{Counters, DropKey};
use overlay_common::id::SegmentId;
use overlay_common::tables::Tables as _;
use overlay_control::action::Action;
use overlay_control::tables::TableSet;

use crate::dataplane::tables::KernelTables;
use crate::metrics::shown::Shown;
use crate::user_ports::UserPorts;

/// What ports had counted for their segments when they went.
#[derive(Debug)]
pub struct Gone {
    segments: HashMap<SegmentId, Counters>,
    /// Devices that have drops of their own in the metrics: those that were ports once.
    pub devices: BTreeSet<String>,
    /// Which peers have time series of their own.
    pub peers: Shown,
    /// What those others had counted that are gone.
    pub other_peers: Counters,
    /// What devices had dropped that went long ago.
    pub drops: BTreeMap<DropKey, u64>,
}

impl Gone {
    /// Nothing has gone yet; so many peers may have time series of their own.
    pub fn new(most: usize) -> Self {
        Self {
            segments: HashMap::new(),
            devices: BTreeSet::new(),
            peers: Shown::new(most),
            other_peers: Counters::default(),
            drops: BTreeMap::new(),
        }
    }

    /// Takes note of what an action is about to forget.
    pub fn before(
        &mut self,
        action: &Action,
        kernel: &KernelTables,
        by_user: &UserPorts,
        mirror: &TableSet,
    ) {
        match action {
            Action::DelPort(id) => {
                let Some(port) = mirror.port(id.0).filter(|port| port.segment != 0) else { return };
                let of_segment = self.segments.entry(SegmentId(port.segment)).or_default();
                let counted = [
                    *of_segment,
                    kernel.port_counters(id.0),
                    by_user.port_counters(id.0),
                    mirror.port_counters(id.0),
                ];
                *of_segment = counted.into_iter().sum();
            }
            Action::DelSegment(id) => drop(self.segments.remove(id)),
            Action::DelPeer(id) if !self.peers.forget(id.0) => {
                let counted = [
                    self.other_peers,
                    kernel.peer_counters(id.0),
                    by_user.peer_counters(id.0),
                    mirror.peer_counters(id.0),
                ];
                self.other_peers = counted.into_iter().sum();
            }
            _ => {}
        }
    }

    /// Adds what ports of a segment had counted that were gone before this process came.
    pub fn carry(&mut self, segment: SegmentId, counted: Counters) {
        let sum = self.segments.entry(segment).or_default();
        *sum = *sum + counted;
    }

    /// What the ports had counted that are gone, by their segments.
    pub fn segments(&self) -> impl Iterator<Item = (SegmentId, Counters)> + '_ {
        self.segments.iter().map(|(id, counters)| (*id, *counters))
    }

    /// What the ports of a segment had counted that are gone.
    pub fn of(&self, segment: SegmentId) -> Counters {
        self.segments.get(&segment).copied().unwrap_or_default()
    }
}
