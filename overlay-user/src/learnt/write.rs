//! Writing the file: beside the old one, then in its place, so that whoever is killed meanwhile
//! leaves the old one.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use overlay_control::controller::{Restored, RestoredNeighbour, RestoredPlace};

use super::Head;
use super::record::{MAGIC, Record};
use crate::dataplane::former::{self, Take};
use crate::dataplane::pins::Pins;

/// So much is written at once.
const PART: usize = 256 << 10;

/// Writes down what the maps in use hold, for the eyes of their owner alone, and returns how many
/// stations and neighbours. Takes as long as that takes; the daemon has a thread for it.
///
/// # Errors
///
/// The maps cannot be read, or the file not written; then the old one stays.
pub fn write(pins: &Pins, path: &Path) -> Result<u64> {
    let tables = former::Tables::open(&pins.maps())?;
    let new = beside(path);
    let written = fill(&tables, &new).with_context(|| format!("cannot write {}", new.display()));
    let count = match written {
        Ok(count) => count,
        Err(error) => {
            let _ = fs::remove_file(&new);
            return Err(error);
        }
    };
    fs::rename(&new, path).with_context(|| format!("cannot rename {}", new.display()))?;
    Ok(count)
}

/// Removes the file, and what was to become one.
pub fn remove(path: &Path) {
    for path in [path.to_owned(), beside(path)] {
        let _ = fs::remove_file(path);
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("learnt.new")
}

fn fill(tables: &former::Tables, path: &Path) -> Result<u64> {
    let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    let mut writer = Writer::new(BufWriter::with_capacity(PART, file), tables.head())?;
    tables.visit(&mut writer)?;
    Ok(writer.end()?)
}

/// Writes records one after the other.
pub struct Writer<W: io::Write> {
    to: W,
    record: Vec<u8>,
    count: u64,
    places: HashMap<RestoredPlace, u32>,
    /// The first thing that went wrong; nothing is written after it.
    failure: Option<io::Error>,
}

impl<W: io::Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn new(mut to: W, head: Head) -> io::Result<Self> {
        to.write_all(&MAGIC)?;
        to.write_all(&head.bytes())?;
        Ok(Self { to, record: Vec::new(), count: 0, places: HashMap::new(), failure: None })
    }

    fn put(&mut self, record: &Record) {
        if self.failure.is_some() {
            return;
        }
        self.record.clear();
        record.put(&mut self.record);
        self.failure = self.to.write_all(&self.record).err();
        self.count += 1;
    }

    /// Ends the file, and returns how many stations and neighbours are in it.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub fn end(mut self) -> io::Result<u64> {
        let count = self.count;
        self.put(&Record::End(count));
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.to.flush().map(|()| count - self.places.len() as u64),
        }
    }
}

impl<W: io::Write> Take for Writer<W> {
    fn station(&mut self, station: Restored) {
        let next = self.places.len() as u32;
        let place = match self.places.get(&station.place) {
            Some(place) => *place,
            None => {
                self.put(&Record::Place(station.place));
                self.places.insert(station.place, next);
                next
            }
        };
        self.put(&Record::station(&station, place));
    }

    fn neighbour(&mut self, neighbour: RestoredNeighbour) {
        self.put(&Record::Neighbour(neighbour));
    }
}
