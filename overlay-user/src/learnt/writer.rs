//! Writing records, to a file or to memory.

use std::collections::HashMap;
use std::io;

use overlay_control::controller::{Restored, RestoredNeighbour, RestoredPlace};

use super::former::Take;
use super::record::{Head, MAGIC, Record};

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
