//! What a start takes over of its predecessor: from the pinned maps, or, where their layout is
//! another, from the file. Either way ages go on while no daemon is there.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use overlay_control::controller::Restored;

use super::{Former, Head, boot, milliseconds, read};
use crate::dataplane::former::{self, Tables};
use crate::dataplane::pins::Pins;

/// What is taken over.
#[derive(Debug, Default)]
pub struct Found {
    /// It, with ages as they were when an ageing clock last stood beside them.
    pub former: Former,
    /// How long ago that was.
    behind: Duration,
    /// When that was found out.
    read: Option<Instant>,
    /// What was seen in that clock's last second may have been seen ever since: the programs go
    /// on to stamp with that.
    is_stamped: bool,
}

impl Found {
    fn new(former: Former, behind: Duration, is_stamped: bool) -> Self {
        Self { former, behind, read: Some(Instant::now()), is_stamped }
    }

    /// Stations as old as they are now, by a rule for all of them.
    pub fn ageing(&self) -> impl Fn(Restored) -> Restored + use<> {
        /// An age and the clock beside it count whole seconds: each leaves half of one, on average.
        const LEFT: Duration = Duration::from_secs(1);
        let behind = self.behind + self.read.map(|read| read.elapsed()).unwrap_or_default();
        let more = u32::try_from((behind + LEFT).as_secs()).unwrap_or(u32::MAX);
        let spares_fresh = self.is_stamped;
        move |station| match station.age {
            0 if spares_fresh => station,
            age => Restored { age: age.saturating_add(more), ..station },
        }
    }
}

/// What the predecessor had learnt; nothing, which is said, where neither can be read. Whoever was
/// killed while it put new maps in the place of the old left the ones or the others.
pub fn restore(pins: &Pins, file: &Path) -> Found {
    let head = read::head(file).filter(|head| head.boot == boot());
    for directory in pins.former_maps() {
        if !directory.exists() {
            continue;
        }
        let refusal = match from_maps(&directory, head) {
            Ok(found) => return found,
            Err(refusal) => refusal,
        };
        match from_file(&directory, file) {
            Ok(found) => {
                tracing::info!(
                    "{}: {refusal:#}; taken from {}: {} addresses, {} neighbours",
                    directory.display(),
                    file.display(),
                    found.former.stations.len(),
                    found.former.neighbours.len()
                );
                return found;
            }
            Err(error) => tracing::warn!(
                "the addresses in {} are lost, loaded ones too: {refusal:#}; {error:#}",
                directory.display()
            ),
        }
    }
    Found::default()
}

fn from_maps(directory: &Path, head: Option<Head>) -> Result<Found> {
    let tables = Tables::open(directory)?;
    let mut former = Former::default();
    tables.visit(&mut former)?;
    let now = tables.head();
    let then = head.filter(|head| head.tables == now.tables);
    Ok(Found::new(former, then.map(|then| silence(then, now)).unwrap_or_default(), true))
}

/// For how long the ageing clock of the same tables has stood still.
fn silence(then: Head, now: Head) -> Duration {
    let ran = Duration::from_secs(now.epoch.wrapping_sub(then.epoch).into());
    since(then, now.time).saturating_sub(ran)
}

fn since(then: Head, now: u64) -> Duration {
    Duration::from_millis(now.saturating_sub(then.time))
}

/// The file, if it is about those maps.
fn from_file(directory: &Path, file: &Path) -> Result<Found> {
    let (head, former) = read::file(file)?;
    ensure!(head.boot == boot(), "{} is of another run of the kernel", file.display());
    let tables = former::number(directory).context("cannot tell whose maps these are")?;
    is_about(head, tables).with_context(|| file.display().to_string())?;
    Ok(Found::new(former, since(head, milliseconds()), false))
}

fn is_about(head: Head, tables: u32) -> Result<()> {
    ensure!(head.tables == tables, "it is about maps of number {}, not {tables}", head.tables);
    Ok(())
}

#[cfg(test)]
mod tests {
    use overlay_common::wire::Mac;
    use overlay_control::controller::RestoredPlace;

    use super::super::writer::Writer;
    use super::*;

    #[test]
    fn the_clock_stood_still_for_what_it_did_not_count() {
        let head = |epoch, time: u64| Head { boot: [0; 16], tables: 1, epoch, time: time * 1000 };
        let seconds = |then, now| silence(then, now).as_secs();
        assert_eq!(seconds(head(10, 1000), head(40, 1030)), 0, "it never did");
        assert_eq!(seconds(head(10, 1000), head(40, 1130)), 100);
        assert_eq!(seconds(head(u32::MAX, 1000), head(4, 1015)), 10, "it begins again at 0");
        assert_eq!(seconds(head(10, 1000), head(9, 1100)), 0, "it ran backwards: no sense");
        assert_eq!(seconds(head(10, 1000), head(10, 900)), 0);
    }

    #[test]
    fn what_may_have_been_seen_ever_since_is_fresh() {
        let place = RestoredPlace::Port { ifindex: 1, vlan: 0 };
        let of = |age| Restored { vni: 1, mac: Mac([2; 6]), place, age, is_loaded: false };
        let found = |is_stamped| {
            let behind = Duration::from_secs(100);
            Found { behind, is_stamped, ..Found::default() }.ageing()
        };
        assert_eq!([0, 1, u32::MAX].map(|age| found(true)(of(age)).age), [0, 102, u32::MAX]);
        assert_eq!([0, 1].map(|age| found(false)(of(age)).age), [101, 102]);
    }

    #[test]
    fn a_file_that_is_not_about_these_maps_is_told_from_one_that_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gw1.learnt");
        let said = |head| {
            let writer = Writer::new(std::fs::File::create(&file).unwrap(), head).unwrap();
            writer.end().unwrap();
            format!("{:#}", from_file(directory.path(), &file).unwrap_err())
        };
        let head = Head::now(7, 0);
        let other = Head { boot: [1; 16], ..head };
        assert_eq!(said(other), format!("{} is of another run of the kernel", file.display()));
        let nobodys = said(head);
        assert!(nobodys.starts_with("cannot tell whose maps these are: "), "{nobodys}");
        let said = is_about(head, 8).unwrap_err().to_string();
        assert_eq!(said, "it is about maps of number 7, not 8");
        assert!(is_about(head, 7).is_ok());
    }
}
