//! Reading the file. Whatever stands in it, reading ends, and takes no more memory than a full
//! table does.

use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use overlay_common::abi::{MAX_PEERS, MAX_PORTS};
use overlay_control::controller::{Restored, RestoredPlace};

use super::Head;
use super::record::{MAGIC, Record};
use crate::dataplane::former::{Former, Take as _};

/// The most addresses that `node.fdb_entries` has room for.
const MOST_STATIONS: usize = 1 << 24;
/// The most neighbours beside them.
const MOST_NEIGHBOURS: usize = 1 << 20;
/// Each port, with VLANs of their own, and each peer is a place.
const MOST_PLACES: usize = (MAX_PORTS + MAX_PEERS) as usize;

/// Whose tables the file is about; `None` where there is none that can be read.
pub fn head(path: &Path) -> Option<Head> {
    let mut file = std::fs::File::open(path).ok()?;
    begin(&mut file).ok()
}

/// Everything in the file.
///
/// # Errors
///
/// There is no file, it is none of this form, or it ends too early.
pub fn file(path: &Path) -> Result<(Head, Former)> {
    let file =
        std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    all(io::BufReader::with_capacity(256 << 10, file))
        .with_context(|| format!("cannot read {}", path.display()))
}

fn begin(from: &mut impl Read) -> Result<Head> {
    let mut magic = [0; MAGIC.len()];
    from.read_exact(&mut magic).context("it has no beginning")?;
    ensure!(magic == MAGIC, "it is of another form");
    let mut head = [0; Head::LEN];
    from.read_exact(&mut head).context("it has no head")?;
    Head::read(head).context("it has no head")
}

/// The same of bytes from anywhere.
///
/// # Errors
///
/// As of [`fn@file`].
pub fn all(mut from: impl Read) -> Result<(Head, Former)> {
    let head = begin(&mut from)?;
    let mut former = Former::default();
    let mut places: Vec<RestoredPlace> = Vec::new();
    for number in 0_u64.. {
        let record = next(&mut from).with_context(|| format!("record {number}"))?;
        match record {
            Record::Place(place) => {
                ensure!(
                    places.len() < MOST_PLACES,
                    "record {number}: more than {MOST_PLACES} places"
                );
                places.push(place);
            }
            Record::Station { vni, mac, place, age, is_loaded } => {
                ensure!(
                    former.stations.len() < MOST_STATIONS,
                    "more than {MOST_STATIONS} stations"
                );
                let known = places.get(place as usize).copied();
                let place = known.with_context(|| format!("record {number}: no place {place}"))?;
                former.station(Restored { vni, mac, place, age, is_loaded });
            }
            Record::Neighbour(neighbour) => {
                ensure!(
                    former.neighbours.len() < MOST_NEIGHBOURS,
                    "more than {MOST_NEIGHBOURS} neighbours"
                );
                former.neighbour(neighbour);
            }
            Record::End(count) => {
                ensure!(count == number, "it ends behind {number} records, not {count}");
                return Ok((head, former));
            }
        }
    }
    bail!("it has no end")
}

fn next(from: &mut impl Read) -> Result<Record> {
    /// Longer than any record.
    const ROOM: usize = 32;
    let mut kind = [0];
    from.read_exact(&mut kind)?;
    let len = Record::len(kind[0]).with_context(|| format!("no record is of kind {}", kind[0]))?;
    let mut room = [0; ROOM];
    let bytes = room.get_mut(..len).context("a record is too long")?;
    from.read_exact(bytes)?;
    Record::read(kind[0], bytes).context("it makes no sense")
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use overlay_common::abi::Neighbour;
    use overlay_common::wire::Mac;
    use overlay_control::controller::RestoredNeighbour;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::write::Writer;
    use super::*;

    fn address() -> impl Strategy<Value = IpAddr> {
        let v6 = any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).to_canonical());
        prop_oneof![any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits))), v6]
    }

    fn place() -> impl Strategy<Value = RestoredPlace> {
        let port = (0..4_u32, 0..3_u16);
        prop_oneof![
            address().prop_map(RestoredPlace::Peer),
            port.prop_map(|(ifindex, vlan)| RestoredPlace::Port { ifindex, vlan }),
        ]
    }

    fn former() -> impl Strategy<Value = Former> {
        let station = (0_u32..1 << 24, any::<[u8; 6]>(), place(), any::<u32>(), any::<bool>());
        let station = station.prop_map(|(vni, mac, place, age, is_loaded)| Restored {
            vni,
            mac: Mac(mac),
            place,
            age,
            is_loaded,
        });
        let neighbour = (0_u32..1 << 24, address(), any::<[u8; 6]>(), any::<bool>());
        let neighbour = neighbour.prop_map(|(vni, address, mac, is_router)| RestoredNeighbour {
            vni,
            address,
            neighbour: Neighbour::new(Mac(mac)).with_router(is_router),
        });
        (vec(station, 0..50), vec(neighbour, 0..50))
            .prop_map(|(stations, neighbours)| Former { stations, neighbours })
    }

    fn head() -> Head {
        Head { boot: [7; 16], tables: 11, epoch: 100, time: 1 << 40 }
    }

    fn written(former: &Former) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, head()).unwrap();
        former.stations.iter().for_each(|station| writer.station(*station));
        former.neighbours.iter().for_each(|neighbour| writer.neighbour(*neighbour));
        let count = writer.end().unwrap();
        assert_eq!(count as usize, former.stations.len() + former.neighbours.len());
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(former in former()) {
            let (head_again, again) = all(&written(&former)[..]).unwrap();
            prop_assert_eq!(head_again, head());
            prop_assert_eq!(again.stations, former.stations);
            prop_assert_eq!(again.neighbours, former.neighbours);
        }

        #[test]
        fn a_file_that_was_cut_short_is_none(former in former(), cut in any::<prop::sample::Index>()) {
            let bytes = written(&former);
            prop_assert!(all(&bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn whatever_is_read_comes_to_an_end(
            former in former(),
            flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            garbage in vec(any::<u8>(), 0..300),
        ) {
            let mut bytes = written(&former);
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            bytes.extend(&garbage);
            if let Ok((_, read)) = all(&bytes[..]) {
                // A file of so many bytes holds no more than that.
                prop_assert!(read.stations.len() * 20 + read.neighbours.len() * 28 <= bytes.len());
            }
            let _ = all(&garbage[..]);
        }
    }

    #[test]
    fn another_form_is_told_from_a_broken_one() {
        let mut bytes = written(&Former::default());
        bytes[7] = 2;
        let said = format!("{:#}", all(&bytes[..]).unwrap_err());
        assert_eq!(said, "it is of another form");
        let place =
            Record::Station { vni: 1, mac: Mac([2; 6]), place: 3, age: 0, is_loaded: false };
        let mut bytes = written(&Former::default());
        bytes.truncate(bytes.len() - 9);
        place.put(&mut bytes);
        let said = format!("{:#}", all(&bytes[..]).unwrap_err());
        assert_eq!(said, "record 0: no place 3");
    }

    #[test]
    fn places_are_bounded() {
        let mut bytes = written(&Former::default());
        bytes.truncate(bytes.len() - 9);
        for ifindex in 0..=MOST_PLACES as u32 {
            Record::Place(RestoredPlace::Port { ifindex, vlan: 0 }).put(&mut bytes);
        }
        let said = format!("{:#}", all(&bytes[..]).unwrap_err());
        assert!(said.contains("places"), "{said}");
    }
}
