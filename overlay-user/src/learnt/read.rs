//! Reading the file. Whatever stands in it, reading ends, and takes no more memory than a full
//! table does.

use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use overlay_common::abi::{MAX_PEERS, MAX_PORTS};
use overlay_control::controller::{Restored, RestoredPlace};

use super::former::{Former, Take as _};
use super::record::{Head, MAGIC, Record};

/// How much is taken.
struct Most {
    stations: usize,
    neighbours: usize,
    places: usize,
}

const MOST: Most = Most {
    // For so many addresses `node.fdb_entries` has room.
    stations: 1 << 24,
    neighbours: 1 << 20,
    // Each port, with VLANs of their own, and each peer is a place.
    places: (MAX_PORTS + MAX_PEERS) as usize,
};

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
    Head::read(from).context("it has no head")
}

/// The same of bytes from anywhere.
///
/// # Errors
///
/// As of [`fn@file`].
pub fn all(from: impl Read) -> Result<(Head, Former)> {
    no_more_than(&MOST, from)
}

fn no_more_than(most: &Most, mut from: impl Read) -> Result<(Head, Former)> {
    let head = begin(&mut from)?;
    let mut former = Former::default();
    let mut places: Vec<RestoredPlace> = Vec::new();
    let mut number = 0_u64;
    loop {
        let mut kind = [0];
        from.read_exact(&mut kind)
            .with_context(|| format!("it has no end behind {number} records"))?;
        let record = Record::read(kind[0], &mut from);
        match record.with_context(|| format!("record {number}"))? {
            Record::Place(place) => {
                let most = most.places;
                ensure!(places.len() < most, "record {number}: more than {most} places");
                places.push(place);
            }
            Record::Station { vni, mac, place, age, is_loaded } => {
                let most = most.stations;
                ensure!(former.stations.len() < most, "record {number}: more than {most} stations");
                let known = places.get(place as usize).copied();
                let place = known.with_context(|| format!("record {number}: no place {place}"))?;
                former.station(Restored { vni, mac, place, age, is_loaded });
            }
            Record::Neighbour(neighbour) => {
                let most = most.neighbours;
                let count = former.neighbours.len();
                ensure!(count < most, "record {number}: more than {most} neighbours");
                former.neighbour(neighbour);
            }
            Record::End(count) => {
                ensure!(count == number, "it ends behind {number} records, not {count}");
                return Ok((head, former));
            }
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use overlay_common::abi::Neighbour;
    use overlay_common::wire::Mac;
    use overlay_control::controller::RestoredNeighbour;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::writer::Writer;
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

    const PLACE: Record = Record::Place(RestoredPlace::Port { ifindex: 4, vlan: 0 });
    const NEIGHBOUR: Record = Record::Neighbour(RestoredNeighbour {
        vni: 1,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        neighbour: Neighbour::new(Mac([2; 6])),
    });

    fn station(place: u32) -> Record {
        Record::Station { vni: 1, mac: Mac([2; 6]), place, age: 0, is_loaded: false }
    }

    /// A file of these records, as they stand, and these bytes.
    fn of(records: &[Record], more: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(head().bytes());
        records.iter().for_each(|record| record.put(&mut bytes));
        bytes.extend(more);
        bytes
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let no_more = "failed to fill whole buffer";
        let whole = of(&[Record::End(0)], &[]);
        let mut other = whole.clone();
        other[7] = 2;
        for (bytes, sentence) in [
            (&b""[..], format!("it has no beginning: {no_more}")),
            (&b"ovlearn"[..], format!("it has no beginning: {no_more}")),
            (&other, "it is of another form".to_owned()),
            (&whole[..8], format!("it has no head: {no_more}")),
            (&whole[..39], format!("it has no head: {no_more}")),
            (&whole[..40], format!("it has no end behind 0 records: {no_more}")),
            (&of(&[PLACE], &[]), format!("it has no end behind 1 records: {no_more}")),
            (&whole[..41], format!("record 0: {no_more}")),
            (&of(&[PLACE], &[3, 1, 2]), format!("record 1: {no_more}")),
            (&of(&[PLACE], &[0]), "record 1: no record is of kind 0".to_owned()),
            (&of(&[], &[6]), "record 0: no record is of kind 6".to_owned()),
            (&of(&[PLACE, station(1)], &[]), "record 1: no place 1".to_owned()),
            (&of(&[Record::End(3)], &[]), "it ends behind 0 records, not 3".to_owned()),
            (
                &of(&[PLACE, station(0), Record::End(1)], &[]),
                "it ends behind 2 records, not 1".to_owned(),
            ),
            (&of(&[PLACE; 4], &[]), "record 3: more than 3 places".to_owned()),
            (
                &of(&[PLACE, station(0), station(0), station(0)], &[]),
                "record 3: more than 2 stations".to_owned(),
            ),
            (&of(&[NEIGHBOUR; 2], &[]), "record 1: more than 1 neighbours".to_owned()),
        ] {
            let most = Most { stations: 2, neighbours: 1, places: 3 };
            let said = format!("{:#}", no_more_than(&most, bytes).unwrap_err());
            assert_eq!(said, sentence);
        }
    }

    #[test]
    fn places_are_bounded() {
        let count = MOST.places;
        let places = vec![PLACE; count + 1];
        let said = format!("{:#}", all(&of(&places, &[])[..]).unwrap_err());
        assert_eq!(said, format!("record {count}: more than {count} places"));
        assert!(all(&of(&[&places[1..], &[Record::End(count as u64)]].concat(), &[])[..]).is_ok());
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gw1.learnt");
        let said = || format!("{:#}", file(&path).unwrap_err());
        let none =
            format!("cannot open {}: No such file or directory (os error 2)", path.display());
        assert_eq!(said(), none);
        std::fs::write(&path, "ovlearn").unwrap();
        let name = path.display();
        let cut = format!("cannot read {name}: it has no beginning: failed to fill whole buffer");
        assert_eq!(said(), cut);
    }
}
