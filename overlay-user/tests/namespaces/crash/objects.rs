//! Maps, programs and links of the kernel by their numbers: which a process holds, which are
//! there, and what is in a map.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::libc;
use nix::unistd::Pid;

const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_GET_NEXT_KEY: libc::c_int = 4;
const OBJ_GET: libc::c_int = 7;
const PROG_GET_NEXT_ID: libc::c_int = 11;
const MAP_GET_NEXT_ID: libc::c_int = 12;
const MAP_GET_FD_BY_ID: libc::c_int = 14;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const MAP_LOOKUP_BATCH: libc::c_int = 24;
const LINK_GET_NEXT_ID: libc::c_int = 31;
const ARRAY: u32 = 2;

/// Their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    pub maps: BTreeSet<u32>,
    pub programs: BTreeSet<u32>,
    pub links: BTreeSet<u32>,
}

impl Objects {
    /// What a process has open.
    pub fn held_by(process: Pid) -> Self {
        let mut held = Self::default();
        let folder = format!("/proc/{process}/fdinfo");
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let about = std::fs::read_to_string(entry.path()).unwrap_or_default();
            for line in about.lines() {
                let Some((key, value)) = line.split_once(':') else { continue };
                let Ok(id) = value.trim().parse() else { continue };
                match key {
                    "map_id" => held.maps.insert(id),
                    "prog_id" => held.programs.insert(id),
                    "link_id" => held.links.insert(id),
                    _ => continue,
                };
            }
        }
        held
    }

    /// Those of which there is something still.
    pub fn alive(&self) -> Self {
        let alive = |ids: &BTreeSet<u32>, command| {
            ids.iter().copied().filter(|id| is_there(command, *id)).collect()
        };
        Self {
            maps: alive(&self.maps, MAP_GET_NEXT_ID),
            programs: alive(&self.programs, PROG_GET_NEXT_ID),
            links: alive(&self.links, LINK_GET_NEXT_ID),
        }
    }

    /// Those that others do not have.
    pub fn without(&self, others: &Self) -> Self {
        let rest = |own: &BTreeSet<u32>, others: &BTreeSet<u32>| own - others;
        Self {
            maps: rest(&self.maps, &others.maps),
            programs: rest(&self.programs, &others.programs),
            links: rest(&self.links, &others.links),
        }
    }

    /// Both.
    pub fn and(&self, others: &Self) -> Self {
        Self {
            maps: &self.maps | &others.maps,
            programs: &self.programs | &others.programs,
            links: &self.links | &others.links,
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The attributes of a command, up to where this program needs them.
fn bpf(command: libc::c_int, attributes: &mut [u64]) -> io::Result<libc::c_long> {
    let size = size_of_val(attributes);
    // SAFETY: the attributes are initialised and as long as is said; what they point to is the
    // caller's, who keeps it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn descriptor(command: libc::c_int, attributes: &mut [u64]) -> io::Result<OwnedFd> {
    let fd = bpf(command, attributes)?;
    // SAFETY: a descriptor that the kernel made just now, for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

fn by_id(command: libc::c_int, id: u32) -> io::Result<OwnedFd> {
    descriptor(command, &mut [u64::from(id), 0])
}

/// Whether something has this number. It is not opened for that: an array of tail calls that is
/// opened and closed once more while the kernel empties it, since nobody had it open, stays for
/// ever (`prog_array_map_clear` counts a reference for work that is queued already; seen on Linux
/// 6.18).
fn is_there(command: libc::c_int, id: u32) -> bool {
    let mut asked = [pair(id.saturating_sub(1), 0), 0];
    bpf(command, &mut asked).is_ok() && asked[0] == pair(id.saturating_sub(1), id)
}

/// Two members of 4 bytes.
fn pair(first: u32, second: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// The beginning of `struct bpf_map_info`.
#[derive(Default)]
#[repr(C)]
struct MapInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    name: [u8; 16],
}

fn info(fd: &OwnedFd) -> io::Result<MapInfo> {
    let mut info = MapInfo::default();
    let about = pair(fd.as_raw_fd().cast_unsigned(), size_of::<MapInfo>() as u32);
    bpf(OBJ_GET_INFO_BY_FD, &mut [about, (&raw mut info) as u64])?;
    Ok(info)
}

/// The name of the map with this number.
pub fn map_name(id: u32) -> Option<String> {
    let info = info(&by_id(MAP_GET_FD_BY_ID, id).ok()?).ok()?;
    let name: Vec<u8> = info.name.into_iter().take_while(|byte| *byte != 0).collect();
    Some(String::from_utf8_lossy(&name).into_owned())
}

fn open(path: &Path) -> Result<OwnedFd> {
    let name = CString::new(path.to_str().context("a path that is no text")?)?;
    descriptor(OBJ_GET, &mut [name.as_ptr() as u64, 0])
        .with_context(|| format!("opening {}", path.display()))
}

/// What is in a pinned map, by key; of an array, what is not all zeroes.
pub fn entries(path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let fd = open(path)?;
    let info = info(&fd)?;
    let read = || if info.kind == ARRAY { array(&fd, &info) } else { one_by_one(&fd, &info) };
    read().with_context(|| format!("reading {}", path.display()))
}

fn array(fd: &OwnedFd, info: &MapInfo) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let (count, size) = (info.max_entries, info.value_size.next_multiple_of(8) as usize);
    let value_size = info.value_size as usize;
    let mut keys = vec![0_u32; count as usize];
    let mut values = vec![0_u8; count as usize * size];
    let mut next = 0_u32;
    let map = pair(count, fd.as_raw_fd().cast_unsigned());
    let places = [0, (&raw mut next) as u64, keys.as_mut_ptr() as u64, values.as_mut_ptr() as u64];
    let [from, to, keys_at, values_at] = places;
    match bpf(MAP_LOOKUP_BATCH, &mut [from, to, keys_at, values_at, map, 0, 0]) {
        Ok(_) => {}
        // There are no more.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
        Err(error) => return Err(error),
    }
    let zeroes = vec![0_u8; value_size];
    let entries = keys.iter().zip(values.chunks_exact(value_size));
    let used = entries.filter(|(_, value)| **value != *zeroes);
    Ok(used.map(|(key, value)| (key.to_ne_bytes().to_vec(), value.to_vec())).collect())
}

fn one_by_one(fd: &OwnedFd, info: &MapInfo) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let map = u64::from(fd.as_raw_fd().cast_unsigned());
    let mut found = BTreeMap::new();
    let mut key: Option<Vec<u8>> = None;
    loop {
        let mut next = vec![0_u8; info.key_size as usize];
        let before = key.as_ref().map_or(0, |key| key.as_ptr() as u64);
        match bpf(MAP_GET_NEXT_KEY, &mut [map, before, next.as_mut_ptr() as u64, 0]) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(found),
            Err(error) => return Err(error),
        }
        // Room for a value of each CPU, where the map has those.
        let mut value = vec![0_u8; info.value_size.next_multiple_of(8) as usize * 256];
        let places = [next.as_ptr() as u64, value.as_mut_ptr() as u64];
        match bpf(MAP_LOOKUP_ELEM, &mut [map, places[0], places[1], 0]) {
            Ok(_) => {
                value.truncate(info.value_size as usize);
                found.insert(next.clone(), value);
            }
            // A place of an array of programs that leads nowhere.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
        key = Some(next);
    }
}
