//! Writing the file: beside the old one, then in its place, so that whoever is killed meanwhile
//! leaves the old one.

use std::fs::{self, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::writer::Writer;
use crate::dataplane::former;
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
    replace(path, |new| fill(&tables, new))
}

/// Has a file filled beside the old one, and puts it in its place. Nothing is left beside it.
fn replace(path: &Path, fill: impl FnOnce(&Path) -> Result<u64>) -> Result<u64> {
    let new = beside(path);
    let filled = fill(&new).with_context(|| format!("cannot write {}", new.display()));
    let put = filled.and_then(|count| {
        fs::rename(&new, path)
            .with_context(|| format!("cannot rename {} to {}", new.display(), path.display()))?;
        Ok(count)
    });
    if put.is_err() {
        let _ = fs::remove_file(&new);
    }
    put
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gw1.learnt");
        let new = directory.path().join("gw1.learnt.new");
        let fill = |text: &'static str| {
            move |new: &Path| {
                fs::write(new, text)?;
                Ok(text.len() as u64)
            }
        };
        assert_eq!(replace(&path, fill("old")).unwrap(), 3);
        let full = |new: &Path| {
            fs::write(new, "half of")?;
            anyhow::bail!("the disk is full")
        };
        let said = format!("{:#}", replace(&path, full).unwrap_err());
        assert_eq!(said, format!("cannot write {}: the disk is full", new.display()));
        assert!(!new.exists() && fs::read_to_string(&path).unwrap() == "old");

        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let said = format!("{:#}", replace(&path, fill("new")).unwrap_err());
        let words = format!("cannot rename {} to {}: ", new.display(), path.display());
        assert!(said.starts_with(&words), "{said}");
        assert!(!new.exists(), "something is left beside it");
    }
}
