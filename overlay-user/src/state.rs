//! What an instance has attached, written down so that a later process can take
//! it over or remove it. Links are found by their pins; this holds the rest.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::dataplane::attach::Inherited;
use crate::dataplane::filter::Filter;
use crate::dataplane::hook::Hook;

/// What an instance has attached, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The network namespace that the interface indices belong to.
    pub netns: String,
    /// The devices.
    pub devices: Vec<DeviceState>,
}

/// A device that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceState {
    /// Its name.
    pub interface: String,
    /// Its index.
    pub ifindex: u32,
    /// Its MAC address, by which it is known under another name.
    #[serde(default)]
    pub mac: Option<[u8; 6]>,
    /// The name of the hook in use.
    pub hook: String,
    /// Whether promiscuous mode was switched on.
    pub made_promiscuous: bool,
    /// The tc filter, on kernels without tcx.
    pub filter: Option<FilterState>,
}

/// A tc filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterState {
    /// Its priority.
    pub priority: u16,
    /// Its handle.
    pub handle: u32,
    /// Whether the clsact qdisc was made for it.
    pub made_clsact: bool,
}

impl State {
    /// The state in a file; `None` where there is no (readable) one.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Replaces the state in a file, as a whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let new = unfinished(path);
        let write = || -> Result<()> {
            let mut file = fs::OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            fs::rename(&new, path)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes a state's file, and what a process left that was killed while it wrote one. Says
    /// whether there was a state.
    pub fn remove(path: &Path) -> bool {
        let _ = fs::remove_file(unfinished(path));
        fs::remove_file(path).is_ok()
    }

    /// What was attached to a device.
    pub fn device(&self, interface: &str, ifindex: u32) -> Option<&DeviceState> {
        self.devices.iter().find(|d| d.interface == interface && d.ifindex == ifindex)
    }
}

/// Where a state is written before it takes the place of the former.
fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("json.new")
}

impl DeviceState {
    /// In the data plane's terms.
    pub fn inherited(&self) -> Option<Inherited> {
        Some(Inherited { hook: Hook::from_name(&self.hook)?, filter: self.filter.map(Into::into) })
    }
}

impl From<Filter> for FilterState {
    fn from(filter: Filter) -> Self {
        let Filter { priority, handle, made_clsact } = filter;
        Self { priority, handle, made_clsact }
    }
}

impl From<FilterState> for Filter {
    fn from(filter: FilterState) -> Self {
        let FilterState { priority, handle, made_clsact } = filter;
        Self { priority, handle, made_clsact }
    }
}

/// Names the network namespace of this process.
pub fn own_netns() -> String {
    fs::read_link("/proc/self/ns/net")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gw1.json");
        let filter = FilterState { priority: 49152, handle: 1, made_clsact: true };
        let device = DeviceState {
            interface: "eth0".to_owned(),
            ifindex: 3,
            mac: Some([2, 0, 0, 0, 0, 3]),
            hook: "xdp-generic".to_owned(),
            made_promiscuous: true,
            filter: Some(filter),
        };
        let state = State { netns: "net:[1]".to_owned(), devices: vec![device.clone()] };
        state.write(&path).unwrap();
        assert_eq!(State::read(&path), Some(state.clone()));
        assert_eq!(state.device("eth0", 4), None);
        assert_eq!(device.inherited().map(|i| i.hook), Some(Hook::XdpGeneric));
    }

    #[test]
    fn a_state_goes_with_what_was_written_by_halves() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gw1.example.json");
        State::default().write(&path).unwrap();
        fs::write(directory.path().join("gw1.example.json.new"), "{").unwrap();
        assert!(State::remove(&path) && !State::remove(&path));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_state_that_is_not_json_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.json");
        fs::write(&path, "{").unwrap();
        assert_eq!(State::read(&path), None);
    }
}
