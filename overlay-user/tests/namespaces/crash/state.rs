//! What a gateway is in, as far as its configuration decides it: what the commands show, what is
//! in the kernel's tables, what is pinned and attached.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use overlay_common::abi::{Access, AccessKey, FdbEntry, FdbKey, Masks, Permit, PermitKey};
use overlay_common::abi::{Vtep, VtepKey};
use overlay_testbed::Netns;
use overlay_user::dataplane::shared::for_each_pinned;
use serde_json::Value;

use super::objects;
use crate::harness::attached;

/// What is shown that passes with time and traffic. `fdb` is how many addresses a segment or a peer
/// has: a device of the peer's that says something by itself, once, is heard or not. The addresses
/// are compared one by one.
const PASSING: &[&str] = &[
    "age",
    "bytes",
    "fdb",
    "mac_age",
    "packets",
    "rx_bytes",
    "rx_packets",
    "tx_bytes",
    "tx_packets",
];
const SHOWN: &[&str] = &["ports", "segments", "peers", "fdb", "neighbours", "routes", "acls"];

/// Tables whose entries are the configuration's to the last bit.
const WHOLE: &[&str] = &[
    "PORTS",
    "SEGMENTS",
    "PEERS",
    "WAYS",
    "VTEPS6",
    "FLOOD",
    "FILTERS",
    "FILTER_NODES",
    "GUARDS",
    "FIRST_GUARDS",
    "ROUTERS",
    "ROUTES",
    "DEVICES",
    "PUNT_LIMITS",
    "XSK_SLOTS",
];
/// Tables whose values pass with time and traffic, or are numbers of programs.
const KEYS: &[&str] = &["POLICERS", "NEIGHBOURS", "TC_SIDES", "XDP_SIDES", "XDP_SIDES_ONE"];

/// A line each, in one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State(BTreeMap<String, String>);

impl State {
    /// Of the instance of this name. Tables of a binary with another layout are compared as bytes
    /// alone.
    pub fn of(
        netns: &Netns,
        name: &str,
        show: impl Fn(&str) -> Result<String>,
        is_other_layout: bool,
    ) -> Result<Self> {
        let mut state = Self::default();
        for what in SHOWN {
            let text = show(what)?;
            let rows: Vec<Value> = serde_json::from_str(&text).with_context(|| text.clone())?;
            for row in rows {
                state.put(format!("show {what}: {}", lasting(row)), "");
            }
        }
        let pins = pins_of(name);
        state.pinned(&pins, &pins)?;
        state.tables(&pins.join("maps"), is_other_layout)?;
        for file in files_of(Path::new("/run/overlay"), name) {
            // There for as long as it is written, now and then.
            if file.ends_with(".learnt.new") {
                continue;
            }
            let rest = file.strip_prefix(name).unwrap_or(&file);
            state.put(format!("file NAME{rest}"), "");
        }
        let written = std::fs::read_to_string(format!("/run/overlay/{name}.json"))?;
        state.put("what is written down".to_owned(), written);
        for device in ["eth0", "eth1", "eth2"] {
            let programs = attached(netns, device)?;
            // Their numbers are others each time.
            let kinds = programs.iter().map(|line| kind_of(line)).collect::<Vec<_>>();
            state.put(format!("attached to {device}"), format!("{kinds:?}"));
        }
        state.put("qdiscs".to_owned(), netns.exec("tc qdisc show")?);
        Ok(state)
    }

    /// Leaves out addresses of others than these.
    pub fn of_stations(mut self, stations: &[[u8; 6]]) -> Self {
        self.0.retain(|what, _| mac_in(what).is_none_or(|mac| stations.contains(&mac)));
        self
    }

    /// Leaves out what depends on what was before: where reloads have put filters, and how often a
    /// port's first guard was another.
    pub fn of_any_history(mut self) -> Self {
        let of_history = ["FILTERS ", "FILTER_NODES ", "FIRST_GUARDS "];
        self.0.retain(|what, _| !of_history.iter().any(|table| what.starts_with(table)));
        self
    }

    /// Fails with what is different.
    pub fn must_be(&self, reference: &Self) -> Result<()> {
        let mut different = String::new();
        for (what, here) in &self.0 {
            match reference.0.get(what) {
                None => writeln!(different, "too much: {what}: {here}")?,
                Some(there) if there != here => {
                    writeln!(different, "{what}:\n  is     {here}\n  not    {there}")?;
                }
                Some(_) => {}
            }
        }
        for (what, there) in self.missing(reference) {
            writeln!(different, "missing: {what}: {there}")?;
        }
        ensure!(different.is_empty(), "not what the configuration says:\n{different}");
        Ok(())
    }

    fn missing<'r>(&self, reference: &'r Self) -> Vec<(&'r String, &'r String)> {
        reference.0.iter().filter(|(what, _)| !self.0.contains_key(*what)).collect()
    }

    fn put(&mut self, what: String, is: impl Into<String>) {
        self.0.insert(what, is.into());
    }

    fn pinned(&mut self, pins: &Path, folder: &Path) -> Result<()> {
        for entry in std::fs::read_dir(folder)?.flatten() {
            let path = entry.path();
            let name = path.strip_prefix(pins)?.display().to_string();
            self.put(format!("pin {name}"), "");
            if entry.file_type()?.is_dir() {
                self.pinned(pins, &path)?;
            }
        }
        Ok(())
    }

    fn tables(&mut self, maps: &Path, is_other_layout: bool) -> Result<()> {
        for name in WHOLE {
            for (key, value) in objects::entries(&maps.join(name))? {
                // What was never there, or was and is no more.
                if value.iter().all(|byte| *byte == 0) {
                    continue;
                }
                self.put(format!("{name} {key:02x?}"), format!("{value:02x?}"));
            }
        }
        for name in KEYS {
            for key in objects::entries(&maps.join(name))?.into_keys() {
                self.put(format!("{name} {key:02x?}"), "");
            }
        }
        if is_other_layout {
            return Ok(());
        }
        let masks = masks(&maps.join("NODE"))?;
        let line = |name: &str, entry: &dyn std::fmt::Debug| format!("{name} {entry:?}");
        for_each_pinned(&maps.join("ACCESS"), masks.access, |key: AccessKey, value: Access| {
            self.put(line("ACCESS", &(key, value)), "");
        })?;
        for_each_pinned(&maps.join("VTEPS"), masks.vteps, |key: VtepKey, value: Vtep| {
            self.put(line("VTEPS", &(key, value)), "");
        })?;
        for_each_pinned(&maps.join("PERMITS"), masks.permits, |key: PermitKey, value: Permit| {
            self.put(line("PERMITS", &(key, value)), "");
        })?;
        for_each_pinned(&maps.join("FDB"), masks.fdb, |key: FdbKey, value: FdbEntry| {
            let seen = FdbEntry { seen: 0, ..value };
            self.put(line("FDB", &(key, seen)), "");
        })
    }
}

/// How large the tables are.
fn masks(path: &Path) -> Result<Masks> {
    let entries = objects::entries(path)?;
    let node = entries.values().next().context("the node is in no table")?;
    let at = std::mem::offset_of!(overlay_common::abi::Node, masks);
    let word = |at: usize| -> Result<u32> {
        let bytes = node.get(at..).and_then(|rest| rest.first_chunk());
        Ok(u32::from_ne_bytes(*bytes.context("a short node")?))
    };
    let offset = |within: usize| word(at + within);
    Ok(Masks {
        access: offset(std::mem::offset_of!(Masks, access))?,
        vteps: offset(std::mem::offset_of!(Masks, vteps))?,
        permits: offset(std::mem::offset_of!(Masks, permits))?,
        fdb: offset(std::mem::offset_of!(Masks, fdb))?,
    })
}

/// Where an instance's pins are.
pub fn pins_of(name: &str) -> PathBuf {
    Path::new("/sys/fs/bpf/overlay").join(name)
}

/// The files of an instance in a folder.
pub fn files_of(folder: &Path, name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_ours = |file: &String| {
        file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut files: Vec<_> = names.filter(is_ours).collect();
    files.sort();
    files
}

fn lasting(mut row: Value) -> String {
    if let Some(row) = row.as_object_mut() {
        row.retain(|key, _| !PASSING.contains(&key.as_str()));
    }
    row.to_string()
}

/// `prog/xdp id 12`, `tcx ingress 12`, `filter … id 12 …`: without the number.
fn kind_of(line: &str) -> String {
    let words = line.split_whitespace();
    let kept = words.filter(|word| !word.chars().all(|c| c.is_ascii_digit()));
    // A tag belongs to the program as it was built, `jited` and the like to the kernel.
    kept.take(8).collect::<Vec<_>>().join(" ")
}

/// Everything that an instance may leave on a machine when it is gone.
pub fn left(netns: &Netns, name: &str) -> Result<Vec<String>> {
    let mut left = files_of(Path::new("/run/overlay"), name);
    left.extend(files_of(Path::new("/sys/fs/bpf/overlay"), name));
    for device in ["eth0", "eth1", "eth2"] {
        let programs = attached(netns, device)?;
        left.extend(programs.into_iter().map(|program| format!("{device}: {program}")));
    }
    let qdiscs = netns.exec("tc qdisc show")?;
    left.extend(qdiscs.lines().filter(|line| line.contains("clsact")).map(str::to_owned));
    let links = netns.exec("ip -d -o link")?;
    left.extend(links.lines().filter(|line| line.contains("promiscuity 1")).map(str::to_owned));
    Ok(left)
}

/// The station that a line of the FDB is about.
fn mac_in(line: &str) -> Option<[u8; 6]> {
    let is_of_fdb = line.starts_with("FDB ") || line.starts_with("show fdb");
    let (_, shown) = line.split_once("\"mac\":\"").or_else(|| line.split_once("mac: ["))?;
    let (radix, between) = if line.starts_with("show") { (16, ':') } else { (10, ',') };
    let digits = shown.split(['"', ']']).next()?.split(between);
    let bytes: Vec<u8> =
        digits.map(|d| u8::from_str_radix(d.trim(), radix)).collect::<Result<_, _>>().ok()?;
    is_of_fdb.then(|| bytes.try_into().ok()).flatten()
}

#[test]
fn lines_of_the_fdb_name_their_station() {
    let mac = Some([2, 0, 0, 0, 2, 0x22]);
    let shown = r#"show fdb: {"mac":"02:00:00:00:02:22","segment":"blue"}"#;
    assert_eq!(mac_in(shown), mac);
    let key = FdbKey::new(overlay_common::wire::Mac([2, 0, 0, 0, 2, 0x22]), 1);
    assert_eq!(mac_in(&format!("FDB {:?}", (key, FdbEntry::default()))), mac);
    assert_eq!(mac_in(r#"show neighbours: {"mac":"02:00:00:00:02:22"}"#), None);
}
