//! Writing the configuration file, as a whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};
use overlay_control::config::edit::MAX_TEXT;

/// Tells the new files of one process from each other.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Reads a configuration file.
pub fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(MAX_TEXT as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_TEXT {
        let message = format!("it is longer than {MAX_TEXT} bytes");
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

/// A text that is on the disk beside the file that it is to replace; dropping it removes it.
#[derive(Debug)]
pub struct Staged {
    new: PathBuf,
    file: PathBuf,
    /// What the file has to say still.
    before: std::sync::Arc<str>,
    is_done: bool,
}

/// Why a file is not written.
#[derive(Debug)]
pub enum Refusal {
    /// Somebody has edited it.
    Edited,
    /// The system's reason.
    Failed(anyhow::Error),
}

impl Staged {
    /// Writes a text beside a file, with its mode and owner. A file that is a symbolic link stays
    /// one.
    pub fn write(file: &Path, before: std::sync::Arc<str>, text: &str) -> Result<Self> {
        let file = fs::canonicalize(file)
            .with_context(|| format!("cannot find {} any more", file.display()))?;
        let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else {
            bail!("{} has no directory", file.display());
        };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let (name, pid) = (name.to_string_lossy(), std::process::id());
        let new = directory.join(format!(".{name}.{pid}-{count}.new"));
        let staged = Self { new, before, is_done: false, file };
        staged.fill(text).with_context(|| {
            format!("cannot write {}, beside {}", staged.new.display(), staged.file.display())
        })?;
        Ok(staged)
    }

    fn fill(&self, text: &str) -> Result<()> {
        let like = fs::metadata(&self.file)?;
        let mut new =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.new)?;
        let own = new.metadata()?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            fchown(&new, Some(like.uid()), Some(like.gid()))?;
        }
        new.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        Ok(())
    }

    /// Whether the file still says what it said.
    pub fn check(&self) -> Result<(), Refusal> {
        match read(&self.file) {
            Ok(text) if *text == *self.before => Ok(()),
            Ok(_) => Err(Refusal::Edited),
            Err(error) => {
                let name = self.file.display().to_string();
                Err(Refusal::Failed(
                    anyhow::Error::new(error).context(format!("cannot read {name}")),
                ))
            }
        }
    }

    /// Replaces the file.
    pub fn commit(mut self) -> Result<()> {
        fs::rename(&self.new, &self.file)
            .with_context(|| format!("cannot replace {}", self.file.display()))?;
        self.is_done = true;
        // So that it is the new one also after a power failure.
        if let Some(directory) = self.file.parent() {
            let _ = File::open(directory).and_then(|directory| directory.sync_all());
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let said = |file: &Path| format!("{:#}", Staged::write(file, "".into(), "").unwrap_err());
        assert_eq!(said(Path::new("/")), "/ has no directory");
        assert!(said(Path::new("/nonesuch/a.toml")).starts_with("cannot find /nonesuch/a.toml"));
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("a.toml"), directory.path().join("link.toml"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Staged::write(&link, "old".into(), "new").unwrap().commit().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let staged = Staged::write(&file, "old".into(), "newer").unwrap();
        assert!(matches!(staged.check(), Err(Refusal::Edited)));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
        drop(staged);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }
}
