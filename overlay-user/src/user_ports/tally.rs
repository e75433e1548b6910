//! What a thread counts: words that it alone adds to, and that others read meanwhile.

use overlay_common::abi::{Count, Counters, Direction, MAX_PEERS, MAX_PORTS};
use overlay_common::verdict::DropReason;
use overlay_common::word::Word;

/// The counts of one thread.
pub struct Tally {
    ports: Counts<{ MAX_PORTS }>,
    peers: Counts<{ MAX_PEERS }>,
    drops: Box<[Word]>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            ports: Counts::default(),
            peers: Counts::default(),
            drops: DropReason::ALL.iter().map(|_| Word::default()).collect(),
        }
    }
}

impl Tally {
    /// Packets and bytes at ports, by their index.
    pub fn ports(&self) -> &Counts<{ MAX_PORTS }> {
        &self.ports
    }

    /// The same at peers.
    pub fn peers(&self) -> &Counts<{ MAX_PEERS }> {
        &self.peers
    }

    /// Counts dropped packets.
    pub fn count_drop(&self, reason: DropReason, packets: u32) {
        if let Some(count) = self.drops.get(reason as usize) {
            count.add(u64::from(packets));
        }
    }

    /// The drops that there were.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> {
        let counts = DropReason::ALL.iter().copied().zip(self.drops.iter().map(Word::get));
        counts.filter(|(_, packets)| *packets != 0)
    }

    /// Begins to count drops at zero again; only while nobody counts.
    pub fn clear_drops(&self) {
        self.drops.iter().for_each(|count| count.set(0));
    }
}

/// Packets and bytes of each of `LEN` ports or peers.
pub struct Counts<const LEN: u32>(Box<[Count]>);

impl<const LEN: u32> Default for Counts<LEN> {
    fn default() -> Self {
        Self((0..Count::entries(LEN, 1)).map(|_| Count::default()).collect())
    }
}

impl<const LEN: u32> Counts<LEN> {
    /// Counts so many more.
    #[inline(always)]
    pub fn add(&self, index: u32, direction: Direction, packets: u32, bytes: u32) {
        if let Some(count) = self.of(index, direction) {
            count.add(packets, bytes);
        }
    }

    /// What was counted.
    pub fn get(&self, index: u32) -> Counters {
        let read = |direction| self.of(index, direction).map_or((0, 0), Count::read);
        let (rx_packets, rx_bytes) = read(Direction::Rx);
        let (tx_packets, tx_bytes) = read(Direction::Tx);
        Counters { rx_packets, rx_bytes, tx_packets, tx_bytes }
    }

    /// Begins at zero again, for a port or peer that is another; only while nobody counts.
    pub fn clear(&self, index: u32) {
        for direction in [Direction::Rx, Direction::Tx] {
            self.of(index, direction).into_iter().for_each(Count::clear);
        }
    }

    fn of(&self, index: u32, direction: Direction) -> Option<&Count> {
        self.0.get(Count::position(LEN, 0, direction, index)? as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_apart_and_cleared() {
        let tally = Tally::default();
        tally.ports().add(1, Direction::Rx, 2, 200);
        tally.ports().add(MAX_PORTS, Direction::Rx, 2, 200);
        tally.peers().add(1, Direction::Tx, 1, 50);
        let rx = Counters { rx_packets: 2, rx_bytes: 200, ..Counters::default() };
        let tx = Counters { tx_packets: 1, tx_bytes: 50, ..Counters::default() };
        assert_eq!((tally.ports().get(1), tally.peers().get(1)), (rx, tx));
        assert_eq!(tally.ports().get(MAX_PORTS), Counters::default());
        tally.ports().clear(1);
        assert_eq!((tally.ports().get(1), tally.peers().get(1)), (Counters::default(), tx));
        tally.count_drop(DropReason::TooBig, 3);
        assert_eq!(tally.drops().collect::<Vec<_>>(), [(DropReason::TooBig, 3)]);
        tally.clear_drops();
        assert_eq!(tally.drops().count(), 0);
    }
}
