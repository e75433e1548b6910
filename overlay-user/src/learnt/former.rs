//! What is taken over of a predecessor, wherever it is read.

use overlay_control::controller::{Restored, RestoredNeighbour};

/// What is taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Former {
    /// Learnt and loaded addresses.
    pub stations: Vec<Restored>,
    /// IP addresses that were heard of.
    pub neighbours: Vec<RestoredNeighbour>,
}

/// What takes in what maps or files hold, one after the other.
pub trait Take {
    /// A learnt or loaded address.
    fn station(&mut self, station: Restored);
    /// An IP address that was heard of.
    fn neighbour(&mut self, neighbour: RestoredNeighbour);
}

impl Take for Former {
    fn station(&mut self, station: Restored) {
        self.stations.push(station);
    }

    fn neighbour(&mut self, neighbour: RestoredNeighbour) {
        self.neighbours.push(neighbour);
    }
}
