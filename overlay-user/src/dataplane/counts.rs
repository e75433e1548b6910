//! What the programs counted for ports and peers.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use aya::Ebpf;
use overlay_common::abi::{Count, Counters, Direction};

use super::shared::Shared;

const POSSIBLE: &str = "/sys/devices/system/cpu/possible";

/// The counts of every port, or of every peer, on every CPU. The programs alone write
/// them: what they add is a load and a store, between which a zero of ours would be lost.
pub struct Counts<C = Shared<Count>> {
    counts: C,
    len: u32,
    /// Where an index had been another port or peer before, what that had come to.
    former: HashMap<u32, Counters>,
}

impl Counts {
    /// Takes the counts of `len` ports or peers out of a loaded object.
    pub fn take(ebpf: &mut Ebpf, name: &str, len: u32) -> Result<Self> {
        Ok(Self { counts: Shared::take_to_read(ebpf, name)?, len, former: HashMap::new() })
    }

    /// Looks at the pinned counts of `len` ports or peers of a former process.
    pub fn open(path: &Path, len: u32) -> Result<Self> {
        Ok(Self { counts: Shared::open(path)?, len, former: HashMap::new() })
    }
}

impl<C: AsRef<[Count]>> Counts<C> {
    /// What an index had come to before it was the present port's or peer's.
    pub fn former(&self, index: u32) -> Counters {
        self.former.get(&index).copied().unwrap_or_default()
    }

    /// The sum over all CPUs.
    pub fn get(&self, index: u32) -> Counters {
        self.total(index).since(self.former(index))
    }

    /// Begins at zero again, for a port or peer that no packet finds any more.
    pub fn begin_again(&mut self, index: u32) {
        let total = self.total(index);
        if total != Counters::default() {
            self.former.insert(index, total);
        }
    }

    fn total(&self, index: u32) -> Counters {
        let mut total = Counters::default();
        for count in self.of(Direction::Rx, index) {
            let (packets, bytes) = count.read();
            total.rx_packets += packets;
            total.rx_bytes += bytes;
        }
        for count in self.of(Direction::Tx, index) {
            let (packets, bytes) = count.read();
            total.tx_packets += packets;
            total.tx_bytes += bytes;
        }
        total
    }

    fn of(&self, direction: Direction, index: u32) -> impl Iterator<Item = &Count> {
        let counts = self.counts.as_ref();
        let at = move |cpu| Count::position(self.len, cpu, direction, index);
        (0..).map_while(move |cpu| counts.get(at(cpu)? as usize))
    }
}

/// How many entries the map of `len` ports or peers needs on this machine.
pub fn entries(len: u32) -> Result<u32> {
    let list = std::fs::read_to_string(POSSIBLE)
        .with_context(|| format!("cannot read {POSSIBLE}, which says how many CPUs there are"))?;
    Ok(Count::entries(len, last_cpu(&list)? + 1))
}

/// The highest number in a list such as `0-3,8-11`: programs count under the number of
/// their CPU, and numbers may be left out.
fn last_cpu(list: &str) -> Result<u32> {
    let list = list.trim();
    let last = list.rsplit([',', '-']).next().and_then(|last| last.parse().ok());
    last.with_context(|| format!("{POSSIBLE} has {list:?}, not a list of CPUs such as 0-3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_is_another_ports_begins_at_zero_for_successors_too() {
        const CPUS: u32 = 2;
        let (len, port) = (4, 3);
        let rows: Vec<_> = (0..Count::entries(len, CPUS)).map(|_| Count::default()).collect();
        let count = |counts: &Counts<Vec<Count>>, packets| {
            for cpu in 0..CPUS {
                for direction in [Direction::Rx, Direction::Tx] {
                    let at = Count::position(len, cpu, direction, port).unwrap();
                    counts.counts[at as usize].add(packets, packets * 100);
                }
            }
        };
        let twice = |packets: u64| Counters {
            rx_packets: 2 * packets,
            rx_bytes: 200 * packets,
            tx_packets: 2 * packets,
            tx_bytes: 200 * packets,
        };
        let mut counts = Counts { counts: rows, len, former: HashMap::new() };
        count(&counts, 5);
        assert_eq!((counts.get(port), counts.former(port)), (twice(5), twice(0)));
        counts.begin_again(port);
        assert_eq!((counts.get(port), counts.former(port)), (twice(0), twice(5)));
        count(&counts, 7);
        counts.begin_again(1);
        assert_eq!((counts.get(port), counts.get(1)), (twice(7), twice(0)));
        // Who finds the rows and what is to be added to them, and knows nothing else.
        let carried = twice(1000).wrapping_sub(counts.former(port));
        let successor = Counts { former: HashMap::new(), ..counts };
        assert_eq!(successor.get(port).wrapping_add(carried), twice(1007));
    }

    #[test]
    fn the_last_cpu_is_the_end_of_the_list() {
        for (list, last) in [("0\n", 0), ("0-1\n", 1), ("0-3,8-11\n", 11), ("0-3,9\n", 9)] {
            assert_eq!(last_cpu(list).unwrap(), last, "{list:?}");
        }
        for bad in ["", "\n", "0-", "a", "0-b"] {
            assert_eq!(
                last_cpu(bad).unwrap_err().to_string(),
                format!(
                    "/sys/devices/system/cpu/possible has {:?}, not a list of CPUs such as 0-3",
                    bad.trim()
                )
            );
        }
    }
}
