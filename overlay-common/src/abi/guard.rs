//! Source guard: which addresses the hosts behind a port may use.

use super::record;
use crate::wire::Mac;
use crate::word::Word;

/// An address of a station behind a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct GuardKey {
    /// The IP address, as in a [`NeighbourKey`](super::NeighbourKey); zero for the MAC address alone.
    pub address: [u64; 2],
    /// The station.
    pub mac: [u8; 6],
    /// Index in `PORTS`.
    pub port: u16,
}
record!(GuardKey, 24);

impl GuardKey {
    /// Of a station's MAC address alone.
    #[inline(always)]
    pub const fn station(port: u32, mac: Mac) -> Self {
        Self { address: [0; 2], mac: mac.0, port: port as u16 }
    }

    /// Station and port as a word, which is never 0.
    #[inline(always)]
    const fn station_word(&self) -> u64 {
        let [a, b, c, d, e, f] = self.mac;
        u64::from_be_bytes([a, b, c, d, e, f, 0, 0]) | (self.port as u64 + 1)
    }
}

/// The first station behind a port and the first of its addresses, also in `GUARDS`: most ports
/// have no more, and what is found here need not be asked of the kernel's hash map.
///
/// Whoever reads does so between two looks at the number of changes. While addresses are written
/// the station is not there, and the number has grown before the first of them is.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct FirstGuard {
    /// [`GuardKey::station_word`]; 0: none.
    station: Word,
    /// Zero: none.
    addresses: [[Word; 2]; FirstGuard::ADDRESSES],
    changes: Word,
}
const _: () = assert!(size_of::<FirstGuard>() == 64);
const _: () = assert!(super::MAX_PORTS < u16::MAX as u32);

impl FirstGuard {
    /// An IPv4 address, one of IPv6, and the link-local one.
    const ADDRESSES: usize = 3;

    /// Whether it is known from this alone that a station may use an address.
    #[inline(always)]
    pub fn holds(&self, key: &GuardKey) -> bool {
        let changes = self.changes.get();
        if self.station.get() != key.station_word() {
            return false;
        }
        let [first, second, third] = &self.addresses;
        let is_its = key.address == [0; 2]
            || is(first, key.address)
            || is(second, key.address)
            || is(third, key.address);
        is_its && self.changes.get() == changes
    }

    /// Takes what a station may use, if there is room.
    #[cfg(not(target_arch = "bpf"))]
    pub fn put(&self, key: &GuardKey) {
        let station = key.station_word();
        match self.station.get() {
            0 if key.address == [0; 2] => self.station.set(station),
            its if its == station && !self.holds(key) => self.replace([0; 2], key.address),
            _ => {}
        }
    }

    /// Leaves out what a station may not use any more.
    #[cfg(not(target_arch = "bpf"))]
    pub fn remove(&self, key: &GuardKey) {
        if !self.holds(key) {
            return;
        }
        if key.address != [0; 2] {
            return self.replace(key.address, [0; 2]);
        }
        self.begin_change();
        self.addresses.iter().flatten().for_each(|word| word.set(0));
    }

    #[cfg(not(target_arch = "bpf"))]
    fn replace(&self, old: [u64; 2], [high, low]: [u64; 2]) {
        let Some(address) = self.addresses.iter().find(|address| is(address, old)) else { return };
        let station = self.station.get();
        self.begin_change();
        address[0].set(high);
        address[1].set(low);
        self.station.set(station);
    }

    /// Whoever has begun to read finds out.
    #[cfg(not(target_arch = "bpf"))]
    fn begin_change(&self) {
        self.station.set(0);
        self.changes.set(self.changes.get() + 1);
    }
}

#[inline(always)]
fn is(words: &[Word; 2], [high, low]: [u64; 2]) -> bool {
    words[0].get() == high && words[1].get() == low
}

/// That it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bound(pub u32);
record!(Bound, 4);

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    const STATION: GuardKey = GuardKey::station(0, Mac([2, 0, 0, 0, 0, 1]));

    fn address(last: u64) -> GuardKey {
        GuardKey { address: [0xfe80, last], ..STATION }
    }

    #[test]
    fn a_port_without_a_station_holds_nothing() {
        let first = FirstGuard::default();
        assert!(!first.holds(&GuardKey::default()));
        first.put(&address(1));
        assert!(!first.holds(&STATION) && !first.holds(&address(1)));
    }

    #[test]
    fn one_station_is_held_and_as_many_addresses_as_there_is_room_for() {
        let first = FirstGuard::default();
        for key in [STATION, address(1), address(2), address(1), address(3), address(4)] {
            first.put(&key);
        }
        let held = [STATION, address(1), address(2), address(3), address(4)];
        assert_eq!(held.map(|key| first.holds(&key)), [true, true, true, true, false]);
        let others = [
            GuardKey { mac: [2, 0, 0, 0, 0, 2], ..STATION },
            GuardKey { port: 1, ..STATION },
            GuardKey { address: [0xfe80, 0], ..STATION },
            GuardKey { address: [0, 1], ..STATION },
            GuardKey { mac: [2, 0, 0, 0, 0, 2], ..address(1) },
        ];
        for other in &others {
            first.put(&GuardKey { address: [0; 2], ..*other });
            assert!(!first.holds(other), "{other:?}");
        }
    }

    /// Readers on another core never see an address of which only a half was ever there.
    #[test]
    fn halves_of_two_addresses_make_no_third() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let (first, done) = (FirstGuard::default(), AtomicBool::new(false));
        let own = |high: u64, low: u64| GuardKey { address: [high, low], ..STATION };
        let seen = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = 0_u32;
                while !done.load(Ordering::Relaxed) {
                    let halves = [own(1, 0), own(0, 1), own(1, 2), own(2, 1), own(2, 0), own(0, 2)];
                    seen += halves.iter().map(|key| u32::from(first.holds(key))).sum::<u32>();
                }
                seen
            });
            first.put(&STATION);
            for _ in 0..200_000 {
                for key in [own(1, 1), own(2, 2)] {
                    first.put(&key);
                    assert!(first.holds(&key));
                    first.remove(&key);
                }
            }
            done.store(true, Ordering::Relaxed);
            reader.join().expect("the reader")
        });
        assert_eq!(seen, 0);
    }

    #[test]
    fn what_is_removed_makes_room() {
        let first = FirstGuard::default();
        for key in [STATION, address(1), address(2), address(3)] {
            first.put(&key);
        }
        first.remove(&address(4));
        first.remove(&address(2));
        assert!(first.holds(&STATION) && first.holds(&address(3)) && !first.holds(&address(2)));
        first.put(&address(4));
        assert!(first.holds(&address(4)));
        let other = GuardKey::station(0, Mac([2, 0, 0, 0, 0, 2]));
        first.remove(&other);
        first.remove(&STATION);
        assert!([STATION, address(1), address(4)].iter().all(|key| !first.holds(key)));
        first.put(&other);
        assert!(first.holds(&other) && !first.holds(&GuardKey { address: [0xfe80, 1], ..other }));
    }
}
