//! Where an instance's links and maps are pinned: `BPFFS/overlay/NAME/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::link;

/// The program types that are pinned for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// The XDP program's link.
    Xdp,
    /// The tc program's link.
    Tc,
}

/// An instance's directory of pins.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
    instance: PathBuf,
}

impl Pins {
    /// The pins of instance `name` in the bpffs at `bpffs`.
    pub fn new(bpffs: &Path, name: &str) -> Self {
        let root = bpffs.join("overlay");
        // bpffs keeps names with a dot for the kernel.
        let instance = root.join(name.replace('%', "%25").replace('.', "%2E"));
        Self { root, instance }
    }

    /// Whether anything is pinned.
    pub fn exist(&self) -> bool {
        self.instance.exists()
    }

    /// Makes the directories for links and for the maps that are to come.
    pub fn create(&self) -> Result<()> {
        for directory in [self.links(), self.new_maps()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        Ok(())
    }

    /// The directory of the instance.
    pub fn instance(&self) -> &Path {
        &self.instance
    }

    /// The directory of links.
    pub fn links(&self) -> PathBuf {
        self.instance.join("links")
    }

    /// The directory of the maps in use.
    pub fn maps(&self) -> PathBuf {
        self.instance.join("maps")
    }

    /// The directory of maps that are being filled.
    pub fn new_maps(&self) -> PathBuf {
        self.instance.join("maps-new")
    }

    /// The directory of maps that a start filled which came to no end.
    fn kept_maps(&self) -> PathBuf {
        self.instance.join("maps-kept")
    }

    /// A device's link.
    pub fn link(&self, kind: LinkKind, ifindex: u32) -> PathBuf {
        let kind = match kind {
            LinkKind::Xdp => "xdp",
            LinkKind::Tc => "tc",
        };
        self.links().join(format!("{kind}-{ifindex}"))
    }

    /// Every pinned link: kind, device index, path.
    pub fn pinned_links(&self) -> Vec<(LinkKind, u32, PathBuf)> {
        let Ok(entries) = fs::read_dir(self.links()) else { return Vec::new() };
        let parse = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let (kind, ifindex) = name.to_str()?.split_once('-')?;
            let kind = match kind {
                "xdp" => LinkKind::Xdp,
                "tc" => LinkKind::Tc,
                _ => return None,
            };
            Some((kind, ifindex.parse().ok()?, entry.path()))
        };
        entries.flatten().filter_map(parse).collect()
    }

    /// Puts the new maps in the place of those of a former process.
    pub fn commit_maps(&self) -> Result<()> {
        remove_tree(&self.maps())?;
        fs::rename(self.new_maps(), self.maps()).context("cannot rename the pinned maps")?;
        remove_tree(&self.kept_maps())
    }

    /// Makes room for new maps. What a start left that came to no end stays until others
    /// come into use: programs that go on may use it.
    pub fn keep_new_maps(&self) -> Result<()> {
        if !self.new_maps().exists() {
            return Ok(());
        }
        remove_tree(&self.kept_maps())?;
        fs::rename(self.new_maps(), self.kept_maps()).context("cannot rename the pinned maps")
    }

    /// Removes maps that never came into use.
    pub fn discard_new_maps(&self) -> Result<()> {
        remove_tree(&self.new_maps())
    }

    /// Removes the links, which detaches their programs, and then the rest.
    pub fn remove(&self) -> Result<()> {
        for (_, _, path) in self.pinned_links() {
            link::remove(&path);
        }
        remove_tree(&self.links())?;
        remove_tree(&self.instance)?;
        // Other instances may have pins beside these.
        let _ = fs::remove_dir(&self.root);
        Ok(())
    }
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("cannot remove {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_directory_has_no_dot_and_names_stay_apart() {
        let pins = |name| Pins::new(Path::new("/b"), name).instance;
        assert_eq!(pins("gw1.example"), Path::new("/b/overlay/gw1%2Eexample"));
        assert_ne!(pins("a.b"), pins("a%2Eb"));
    }

    #[test]
    fn maps_of_a_start_that_came_to_no_end_stay_until_others_are_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::new(directory.path(), "x");
        pins.create().unwrap();
        fs::write(pins.new_maps().join("TC_SIDES"), "").unwrap();
        pins.keep_new_maps().unwrap();
        pins.create().unwrap();
        assert!(!pins.new_maps().join("TC_SIDES").exists());
        pins.discard_new_maps().unwrap();
        pins.keep_new_maps().unwrap();
        assert!(pins.kept_maps().join("TC_SIDES").exists());
        pins.create().unwrap();
        pins.commit_maps().unwrap();
        assert!(pins.maps().exists() && !pins.kept_maps().exists());
    }

    #[test]
    fn pinned_links_are_found_by_kind_and_device() {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::new(directory.path(), "x");
        pins.create().unwrap();
        fs::write(pins.link(LinkKind::Xdp, 12), "").unwrap();
        fs::write(pins.links().join("strange"), "").unwrap();
        let found = pins.pinned_links();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, found[0].1), (LinkKind::Xdp, 12));
        pins.remove().unwrap();
        assert!(!pins.exist());
    }
}
