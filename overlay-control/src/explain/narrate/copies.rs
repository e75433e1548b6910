//! Copies to everybody: who gets one, and who does not.

use overlay_common::abi::{Direction, Target};
use overlay_common::verdict::DropReason;

use super::{Narrator, Stage};
use crate::explain::event::Event;

impl Narrator<'_> {
    pub(super) fn copy(&mut self, at: usize, target: Option<Target>) {
        self.start_of_flood();
        let Some(target) = target else { return };
        let name = self.words.target(target);
        match fate(&self.pass.events, at) {
            Fate::Sent => self.step(Stage::Flood, name, "a copy"),
            Fate::Dropped(reason) => {
                self.end(Stage::Flood, name, format!("none: {}", reason.name()))
            }
            Fate::Skipped => self.step(Stage::Flood, name, "none: it came from there"),
        }
    }

    fn start_of_flood(&mut self) {
        if self.place.is_flooded {
            return;
        }
        self.opened();
        self.place.is_flooded = true;
        let to = self.destination();
        if let Some(mac) = to.filter(|mac| mac.is_group() && !self.place.is_routed) {
            let kind =
                if mac == overlay_common::wire::Mac::BROADCAST { "broadcast" } else { "multicast" };
            let segment = self.words.segment(self.place.segment);
            let reach = match self.place.peer {
                Some(_) => "every port of it here; never another peer",
                None => "every port and peer of it",
            };
            self.step(Stage::Resolve, format!("{mac} in {segment}"), format!("{kind}: {reach}"));
        }
    }
}

/// What became of a copy.
pub(in crate::explain) enum Fate {
    /// It is sent.
    Sent,
    /// It is not.
    Dropped(DropReason),
    /// The slot is that of the port that the frame came from, or of nobody.
    Skipped,
}

/// What became of the copy for the slot that this event is of.
pub(in crate::explain) fn fate(events: &[Event], at: usize) -> Fate {
    for event in events.iter().skip(at + 1) {
        match event {
            Event::Counted(_, Direction::Tx) => return Fate::Sent,
            Event::CopyDropped(reason) => return Fate::Dropped(*reason),
            Event::Port(..) | Event::Peer(..) | Event::Way(_) => {}
            _ => return Fate::Skipped,
        }
    }
    Fate::Skipped
}
