//! Where an instance's links and maps are pinned: `BPFFS/overlay/NAME/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::link;

/// How the directories of maps begin that a start left which came to no end.
const KEPT: &str = "maps-kept-";
/// Of those. A daemon that is started again and again, and each time dies while it attaches its
/// programs, must not fill the kernel's memory.
const MOST_KEPT: usize = 8;

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
        for directory in [self.links(), self.maps_to_fill()] {
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

    /// The directory of maps that are being filled, and that no program which is attached uses.
    pub fn maps_to_fill(&self) -> PathBuf {
        self.instance.join("maps-filling")
    }

    /// The directory of maps whose programs take the places of others.
    fn new_maps(&self) -> PathBuf {
        self.instance.join("maps-new")
    }

    /// Directories of maps that programs may go on using, with their numbers, the oldest first.
    fn kept_maps(&self) -> Vec<(u32, PathBuf)> {
        let entries = fs::read_dir(&self.instance).into_iter().flatten().flatten();
        let number = |entry: &fs::DirEntry| {
            entry.file_name().to_str()?.strip_prefix(KEPT)?.parse::<u32>().ok()
        };
        let mut kept: Vec<_> =
            entries.filter_map(|entry| Some((number(&entry)?, entry.path()))).collect();
        kept.sort_unstable();
        kept
    }

    /// Where maps of former processes are, those in use first.
    pub fn former_maps(&self) -> Vec<PathBuf> {
        let kept = self.kept_maps().into_iter().rev().map(|(_, path)| path);
        [self.maps(), self.new_maps()].into_iter().chain(kept).collect()
    }

    /// The same, without those that came to be after [`keep_new_maps`](Self::keep_new_maps), in no
    /// order.
    pub fn maps_before(&self) -> Vec<PathBuf> {
        let kept = self.kept_maps().into_iter().map(|(_, path)| path);
        kept.chain([self.maps()]).filter(|maps| maps.exists()).collect()
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

    /// Takes note that programs which use the new maps are about to be attached.
    pub fn use_new_maps(&self) -> Result<()> {
        rename(&self.maps_to_fill(), &self.new_maps())
    }

    /// Puts the new maps in the place of those of a former process, whose maps are whole until
    /// the new ones are there.
    pub fn commit_maps(&self) -> Result<()> {
        self.use_new_maps()?;
        self.keep(&self.maps())?;
        rename(&self.new_maps(), &self.maps())?;
        self.kept_maps().iter().try_for_each(|(_, path)| remove_tree(path))
    }

    /// Makes room for new maps. What a start left that came to no end while it attached its
    /// programs stays until others are in use: those programs may go on, and lose their tail
    /// calls with the last name of their maps.
    pub fn keep_new_maps(&self) -> Result<()> {
        remove_tree(&self.maps_to_fill())?;
        self.keep(&self.new_maps())
    }

    /// Gives maps a name that nothing else will have.
    fn keep(&self, maps: &Path) -> Result<()> {
        let kept = self.kept_maps();
        // Each device has programs of one start alone, mostly of the first and of the last.
        let too_many = (kept.len() + 1).saturating_sub(MOST_KEPT);
        kept.iter().take(too_many).try_for_each(|(_, path)| remove_tree(path))?;
        let number = kept.last().map_or(0, |(last, _)| last + 1);
        rename(maps, &self.instance.join(format!("{KEPT}{number}")))
    }

    /// Removes maps that never came into use.
    pub fn discard_new_maps(&self) -> Result<()> {
        remove_tree(&self.maps_to_fill())?;
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

/// Gives what is there another name.
fn rename(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| {
            format!("cannot rename the pinned maps {} to {}", from.display(), to.display())
        }),
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

    /// Maps with a pin in them, which are being filled, or in use, or kept.
    fn filled(pins: &Pins, mark: &str) {
        pins.keep_new_maps().unwrap();
        pins.create().unwrap();
        fs::write(pins.maps_to_fill().join(mark), "").unwrap();
    }

    fn marks(pins: &Pins) -> Vec<String> {
        let mut marks: Vec<_> = pins
            .former_maps()
            .iter()
            .flat_map(|maps| fs::read_dir(maps).into_iter().flatten().flatten())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        marks.sort();
        marks
    }

    #[test]
    fn maps_that_programs_may_use_stay_until_others_are_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::new(directory.path(), "x");
        filled(&pins, "first");
        pins.commit_maps().unwrap();
        assert_eq!(pins.former_maps()[0], pins.maps());
        // Killed before it attached anything: nobody uses its maps.
        filled(&pins, "unused");
        assert_eq!(marks(&pins), ["first"]);
        for mark in ["second", "third"] {
            filled(&pins, mark);
            pins.use_new_maps().unwrap();
        }
        filled(&pins, "fourth");
        assert_eq!(marks(&pins), ["first", "second", "third"]);
        pins.use_new_maps().unwrap();
        assert_eq!(marks(&pins), ["first", "fourth", "second", "third"]);
        assert_eq!(pins.maps_before().len(), 3, "the new ones are not among them");
        pins.discard_new_maps().unwrap();
        assert_eq!(marks(&pins), ["first", "second", "third"]);
        filled(&pins, "fourth");
        pins.commit_maps().unwrap();
        assert_eq!(marks(&pins), ["fourth"]);
        assert_eq!(fs::read_dir(pins.instance()).unwrap().count(), 2, "links and maps");
    }

    #[test]
    fn maps_that_cannot_have_their_name_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::new(directory.path(), "x");
        filled(&pins, "first");
        fs::write(pins.new_maps(), "no directory").unwrap();
        let said = format!("{:#}", pins.commit_maps().unwrap_err());
        let (from, to) = (pins.maps_to_fill(), pins.new_maps());
        assert_eq!(
            said,
            format!(
                "cannot rename the pinned maps {} to {}: Not a directory (os error 20)",
                from.display(),
                to.display()
            )
        );
    }

    #[test]
    fn starts_that_never_come_to_an_end_do_not_fill_the_memory() {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::new(directory.path(), "x");
        for number in 10..40 {
            filled(&pins, &number.to_string());
            pins.use_new_maps().unwrap();
        }
        let expected: Vec<_> = (31..40).map(|number| number.to_string()).collect();
        assert_eq!(marks(&pins), expected);
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
