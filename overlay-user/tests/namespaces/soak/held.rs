//! What a process holds of the machine: memory, threads, descriptors by kind, and BPF objects by
//! their numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result};
use nix::libc;

/// Files that list sockets, and the field of a line that is the inode's number.
const SOCKETS: [(&str, usize); 9] = [
    ("netlink", 9),
    ("packet", 8),
    ("unix", 6),
    ("udp", 9),
    ("udp6", 9),
    ("tcp", 9),
    ("tcp6", 9),
    ("raw", 9),
    ("icmp", 9),
];

/// What a process holds at a moment.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Bytes that are resident, tables that are shared with programs among them.
    pub resident: u64,
    /// Of those, what no file stands behind: heap and stacks.
    pub anonymous: u64,
    pub threads: usize,
    /// How many descriptors of each kind.
    pub descriptors: BTreeMap<String, usize>,
    /// How many mappings of kernel objects: tables, rings of sockets, buffers of events.
    pub mappings: BTreeMap<String, usize>,
    pub objects: Objects,
    /// Bytes of kernel memory of the maps and programs that it has open.
    pub locked: u64,
}

/// Numbers of BPF objects, which the kernel gives out once and not again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    pub maps: BTreeSet<u32>,
    pub programs: BTreeSet<u32>,
    pub links: BTreeSet<u32>,
}

impl Held {
    /// Looks at a process.
    pub fn by(pid: u32) -> Result<Self> {
        let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
            .with_context(|| format!("memory of process {pid}"))?;
        let mut held = Self {
            resident: kibibytes(&memory, "Rss:")?,
            anonymous: kibibytes(&memory, "Anonymous:")?,
            threads: fs::read_dir(format!("/proc/{pid}/task"))?.count(),
            ..Self::default()
        };
        let sockets = sockets(pid);
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            let number = entry?.file_name().to_string_lossy().into_owned();
            let Some(target) = gone_is_none(fs::read_link(format!("/proc/{pid}/fd/{number}")))?
            else {
                continue;
            };
            let kind = kind(&target.to_string_lossy(), &sockets);
            *held.descriptors.entry(kind).or_default() += 1;
            let info = gone_is_none(fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")))?;
            held.take_object(&info.unwrap_or_default());
        }
        for line in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
            let mut words = line.split_whitespace();
            let (range, access) = (words.next().unwrap_or_default(), words.next());
            let name = words.nth(3).unwrap_or_default();
            if ["socket:", "anon_inode:"].iter().any(|start| name.starts_with(start)) {
                let (kind, access) = (kind(name, &sockets), access.unwrap_or_default());
                let what = format!("{kind}, {access}, {} KiB", length(range) >> 10);
                *held.mappings.entry(what).or_default() += 1;
            }
        }
        Ok(held)
    }

    /// How many descriptors.
    pub fn descriptors(&self) -> usize {
        self.descriptors.values().sum()
    }

    /// The BPF object that a descriptor's `fdinfo` tells of, if it does. A link's names its
    /// program, too, so that comes first.
    fn take_object(&mut self, info: &str) {
        let number = |key: &str| -> Option<u64> {
            let line = info.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().parse().ok()
        };
        let id = |key| number(key).and_then(|id| u32::try_from(id).ok());
        let is_new = if let Some(id) = id("link_id:") {
            self.objects.links.insert(id);
            false
        } else if let Some(id) = id("map_id:") {
            self.objects.maps.insert(id)
        } else if let Some(id) = id("prog_id:") {
            self.objects.programs.insert(id)
        } else {
            false
        };
        if is_new {
            self.locked += number("memlock:").unwrap_or_default();
        }
    }
}

/// The bytes of a mapping, whose range stands in hexadecimal.
fn length(range: &str) -> u64 {
    let number = |text| u64::from_str_radix(text, 16).unwrap_or_default();
    range.split_once('-').map_or(0, |(from, to)| number(to).saturating_sub(number(from)))
}

impl Objects {
    /// Adds those of another.
    pub fn extend(&mut self, other: &Self) {
        self.maps.extend(&other.maps);
        self.programs.extend(&other.programs);
        self.links.extend(&other.links);
    }

    /// Those that are not among others', and that the kernel has nevertheless.
    pub fn left_over(&self, others: &Self) -> Result<Vec<String>> {
        let kinds = [
            ("program", BPF_PROG_GET_NEXT_ID, &self.programs, &others.programs),
            ("map", BPF_MAP_GET_NEXT_ID, &self.maps, &others.maps),
            ("link", BPF_LINK_GET_NEXT_ID, &self.links, &others.links),
        ];
        let mut left = Vec::new();
        for (name, command, all, kept) in kinds {
            for id in all.difference(kept) {
                if exists(command, *id).with_context(|| format!("asking for {name} {id}"))? {
                    left.push(format!("{name} {id}"));
                }
            }
        }
        Ok(left)
    }
}

const BPF_PROG_GET_NEXT_ID: libc::c_int = 11;
const BPF_MAP_GET_NEXT_ID: libc::c_int = 12;
const BPF_LINK_GET_NEXT_ID: libc::c_int = 31;

/// Whether the kernel has an object of this number: it is the next one behind the number before.
fn exists(command: libc::c_int, id: u32) -> Result<bool> {
    // The members of `union bpf_attr` for these commands.
    #[repr(C)]
    struct Next {
        start: u32,
        next: u32,
        flags: u32,
    }
    let mut next = Next { start: id.saturating_sub(1), next: 0, flags: 0 };
    // SAFETY: the attribute is initialised, its size is given, and it outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut next, size_of::<Next>()) };
    match nix::errno::Errno::result(result) {
        Ok(_) => Ok(next.next == id),
        Err(nix::errno::Errno::ENOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn kibibytes(text: &str, key: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
    let number = line.trim().trim_end_matches("kB").trim();
    Ok(number.parse::<u64>().with_context(|| number.to_owned())? << 10)
}

/// The sockets of a process's network namespace: what kind each inode is.
fn sockets(pid: u32) -> HashMap<u64, &'static str> {
    let mut known = HashMap::new();
    for (kind, field) in SOCKETS {
        let listed = fs::read_to_string(format!("/proc/{pid}/net/{kind}")).unwrap_or_default();
        for line in listed.lines().skip(1) {
            let inode = line.split_whitespace().nth(field).and_then(|word| word.parse().ok());
            known.extend(inode.map(|inode: u64| (inode, kind)));
        }
    }
    known
}

/// What kind of thing a descriptor leads to. Files have their name.
fn kind(target: &str, sockets: &HashMap<u64, &'static str>) -> String {
    let inside = |start: &str| target.strip_prefix(start)?.strip_suffix(']');
    if let Some(inode) = inside("socket:[") {
        let kind = inode.parse().ok().and_then(|inode: u64| sockets.get(&inode));
        return format!("socket {}", kind.copied().unwrap_or("of another kind"));
    }
    if target.starts_with("pipe:[") {
        return "pipe".to_owned();
    }
    if target.starts_with('/') && target.ends_with("/log") {
        return "log".to_owned();
    }
    // The kernel writes link with a dash or without, as it was made or found.
    let name = target.strip_prefix("anon_inode:").unwrap_or(target).trim_matches(['[', ']']);
    name.replace('_', "-")
}

/// Descriptors come and go while they are looked at.
fn gone_is_none<T>(read: std::io::Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn a_process_that_holds_more_is_seen_to() {
    let own = || Held::by(std::process::id()).expect("this process");
    let before = own();
    let ballast = vec![1_u8; 64 << 20];
    let (pipe, _sockets) = (
        nix::unistd::pipe().expect("a pipe"),
        [std::net::UdpSocket::bind("127.0.0.1:0"), std::net::UdpSocket::bind("127.0.0.1:0")],
    );
    let after = own();
    std::hint::black_box((&ballast, pipe));
    assert!(after.anonymous > before.anonymous + (32 << 20), "{before:?} {after:?}");
    // Other tests of this process open and close things, too.
    assert!(after.descriptors.contains_key("socket udp"), "{after:?}");
    assert!(after.descriptors.contains_key("pipe"), "{after:?}");
    let mut held = Held::default();
    held.take_object("link_type:\ttcx\nlink_id:\t7\nprog_id:\t8\n");
    held.take_object("map_type:\t2\nmemlock:\t4096\nmap_id:\t9\n");
    held.take_object("map_type:\t2\nmemlock:\t4096\nmap_id:\t9\n");
    assert_eq!((held.objects.links.len(), held.objects.programs.len(), held.locked), (1, 0, 4096));
}
