//! Arbitrary files of what was learnt: none panics the reader, or has it take in more than the
//! file has bytes for; what it takes in is the same once it is written down again.
#![no_main]

use libfuzzer_sys::fuzz_target;

// From its own source: the crate that it is part of needs the programs.
#[path = "../../overlay-user/src/learnt/former.rs"]
mod former;
#[expect(dead_code, reason = "here is no file that has a name")]
#[path = "../../overlay-user/src/learnt/read.rs"]
mod read;
#[path = "../../overlay-user/src/learnt/record.rs"]
mod record;
#[path = "../../overlay-user/src/learnt/writer.rs"]
mod writer;

use former::{Former, Take as _};

/// The bytes of a station's record and of a neighbour's.
const STATION: usize = 20;
const NEIGHBOUR: usize = 28;

fuzz_target!(|bytes: &[u8]| {
    let Ok((head, former)) = read::all(bytes) else { return };
    let least = former.stations.len() * STATION + former.neighbours.len() * NEIGHBOUR;
    assert!(least <= bytes.len(), "more than there is room for: {former:?}");
    let again = written(head, &former);
    let (head_again, former_again) = read::all(&again[..]).expect("what was written down");
    assert_eq!((head_again, former_again), (head, former));
});

fn written(head: record::Head, former: &Former) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = writer::Writer::new(&mut bytes, head).expect("memory takes everything");
    former.stations.iter().for_each(|station| writer.station(*station));
    former.neighbours.iter().for_each(|neighbour| writer.neighbour(*neighbour));
    writer.end().expect("memory takes everything");
    bytes
}
