//! A change that a process is about to make: what is done to what.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::Pid;

use super::super::objects;

const MAP_CREATE: u64 = 0;
const PROG_LOAD: u64 = 5;
const OBJ_PIN: u64 = 6;
const LINK_CREATE: u64 = 28;

/// Commands of `bpf` that change tables, pins and links, or make what is to be pinned.
pub const BPF_COMMANDS: &[(u64, &str)] = &[
    (MAP_CREATE, "create map"),
    (2, "update"),
    (3, "delete"),
    (PROG_LOAD, "load program"),
    (OBJ_PIN, "pin"),
    (8, "attach program"),
    (9, "detach program"),
    (21, "take"),
    (22, "freeze"),
    (26, "update many"),
    (27, "delete many"),
    (LINK_CREATE, "create link"),
    (29, "update link"),
    (34, "detach link"),
];
/// Where the table's descriptor is in the attributes of these.
const UPDATE_BATCH: u64 = 26;
const DELETE_BATCH: u64 = 27;

/// Where an instance's files are.
const PLACES: [&str; 2] = ["/sys/fs/bpf/overlay", "/run/overlay"];

/// What is done to what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// What is done.
    pub kind: &'static str,
    /// To what. Pins in one folder have the folder's name: they are done one after the other.
    pub object: String,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.object)
    }
}

impl Operation {
    /// What a thread of a process does with a system call; `None`: nothing that outlives it.
    pub fn of(process: Pid, number: u64, arguments: [u64; 6]) -> Option<Self> {
        let process = Process(process);
        let [a, b, c, d, ..] = arguments;
        let here = libc::AT_FDCWD as u64;
        let file = |kind, folder, path| {
            let path = process.path(folder, path)?;
            // What is not there is not removed or renamed, and a folder that is there not made.
            match (kind, path.symlink_metadata().is_ok()) {
                ("remove" | "rename", false) | ("make folder", true) => None,
                _ => Some(Self { kind, object: object_of(&path)? }),
            }
        };
        let open = |kind, fd| {
            let path = process.open_file(fd)?;
            Some(Self { kind, object: object_of(&path)? })
        };
        match number.cast_signed() {
            libc::SYS_bpf => process.bpf(a, b, c),
            libc::SYS_sendto => process.netlink(a, b, c),
            libc::SYS_sendmsg => process.netlink_message(a, b),
            libc::SYS_mkdirat => file("make folder", a, b),
            libc::SYS_unlinkat => file("remove", a, b),
            libc::SYS_renameat | libc::SYS_renameat2 => file("rename", a, b),
            libc::SYS_linkat => file("link", c, d),
            libc::SYS_symlinkat => file("link", b, c),
            libc::SYS_fchmodat => file("set mode of", a, b),
            libc::SYS_openat if creates(c) => file("create", a, b),
            libc::SYS_write | libc::SYS_pwrite64 => open("write", a),
            libc::SYS_ftruncate => open("truncate", a),
            libc::SYS_fchmod => open("set mode of", a),
            libc::SYS_bind => process.bind(b, c),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mkdir => file("make folder", here, a),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rmdir | libc::SYS_unlink => file("remove", here, a),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rename => file("rename", here, a),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_link | libc::SYS_symlink => file("link", here, b),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open if creates(b) => file("create", here, a),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chmod => file("set mode of", here, a),
            _ => None,
        }
    }

    /// Whether two that follow each other are the same kind of step. What a table holds is written
    /// anew by the next start, whichever table it is.
    pub fn is_like(&self, other: &Self) -> bool {
        let is_entry = |kind: &str| matches!(kind, "update" | "delete");
        self == other || is_entry(self.kind) && is_entry(other.kind)
    }

    /// Whether nothing that outlives the process comes of it.
    pub fn is_private(&self) -> bool {
        matches!(self.kind, "create map" | "load program" | "freeze")
    }
}

fn creates(flags: u64) -> bool {
    flags & (libc::O_CREAT | libc::O_TRUNC) as u64 != 0
}

/// The name within an instance's places; of a pinned map, its folder's.
fn object_of(path: &Path) -> Option<String> {
    // Where the bpffs is reached through a descriptor, the kernel says where that leads.
    let place = PLACES.iter().find(|place| path.starts_with(place))?;
    let within = path.strip_prefix(place).ok()?;
    let mut names = within.iter().map(|name| name.to_string_lossy().into_owned());
    let instance = names.next();
    if *place == "/run/overlay" {
        let file = instance.unwrap_or_default();
        // Without the instance's name, which is another in each run.
        let end = file.find(".json").or_else(|| file.rfind('.'));
        return Some(format!("/run/overlay/NAME{}", &file[end.unwrap_or(file.len())..]));
    }
    let names: Vec<_> = names.collect();
    Some(match names.as_slice() {
        [folder, _] if folder.starts_with("maps") => format!("{folder}/*"),
        names => format!("pins/{}", names.join("/")),
    })
}

/// The process, looked at from outside.
struct Process(Pid);

impl Process {
    fn bytes(&self, address: u64, count: usize) -> Option<Vec<u8>> {
        let memory = File::open(format!("/proc/{}/mem", self.0)).ok()?;
        let mut bytes = vec![0; count];
        let read = memory.read_at(&mut bytes, address).ok()?;
        bytes.truncate(read);
        Some(bytes)
    }

    fn text(&self, address: u64) -> Option<String> {
        const LONGEST: usize = 512;
        let bytes = self.bytes(address, LONGEST)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    fn path(&self, folder: u64, path: u64) -> Option<PathBuf> {
        let path = PathBuf::from(self.text(path)?);
        let folder = folder as i32;
        if path.is_absolute() || folder == libc::AT_FDCWD {
            return Some(path);
        }
        Some(self.open_file(folder as u64)?.join(path))
    }

    fn open_file(&self, fd: u64) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/{}/fd/{}", self.0, fd as i32)).ok()
    }

    /// A value of an object's description.
    fn about(&self, fd: u32, key: &str) -> Option<String> {
        let about = std::fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", self.0)).ok()?;
        let line = about.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }

    fn bpf(&self, command: u64, attributes: u64, size: u64) -> Option<Operation> {
        let (_, kind) = BPF_COMMANDS.iter().find(|(number, _)| *number == command)?;
        let bytes = self.bytes(attributes, usize::try_from(size).ok()?.min(64))?;
        let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let name = |at: usize| {
            let name = bytes.get(at..at + 16).unwrap_or_default();
            let name: Vec<u8> = name.iter().copied().take_while(|byte| *byte != 0).collect();
            String::from_utf8_lossy(&name).into_owned()
        };
        let map = |fd: u32| {
            let id = self.about(fd, "map_id")?.parse().ok()?;
            objects::map_name(id)
        };
        let object = match command {
            MAP_CREATE => name(28),
            PROG_LOAD => name(48),
            OBJ_PIN => object_of(&PathBuf::from(self.text(long(0)?)?))?,
            LINK_CREATE => {
                let (device, kind) = (word(4)?.cast_signed(), word(8)?);
                // Whether the kernel has such links is asked with none.
                (device >= 0).then(|| format!("of kind {kind} on device {device}"))?
            }
            UPDATE_BATCH | DELETE_BATCH => map(word(36)?)?,
            2 | 3 | 21 | 22 => map(word(0)?)?,
            // Links and programs that are attached without one.
            _ => self.about(word(0)?, "link_type").unwrap_or_default(),
        };
        Some(Operation { kind, object })
    }

    /// A socket's name.
    fn bind(&self, address: u64, length: u64) -> Option<Operation> {
        let bytes = self.bytes(address, usize::try_from(length).ok()?.min(128))?;
        let family = u16::from_ne_bytes(*bytes.first_chunk()?);
        let path = (i32::from(family) == libc::AF_UNIX).then(|| bytes.get(2..)).flatten()?;
        let path: Vec<u8> = path.iter().copied().take_while(|byte| *byte != 0).collect();
        let path = PathBuf::from(String::from_utf8_lossy(&path).into_owned());
        Some(Operation { kind: "create", object: object_of(&path)? })
    }

    fn netlink_message(&self, fd: u64, header: u64) -> Option<Operation> {
        // `msg_iov` is the third member of `struct msghdr`, behind two of 8 bytes.
        let iov = u64::from_ne_bytes(*self.bytes(header + 16, 8)?.first_chunk()?);
        let part = self.bytes(iov, 16)?;
        let start = u64::from_ne_bytes(*part.first_chunk()?);
        let length = u64::from_ne_bytes(*part.get(8..)?.first_chunk()?);
        self.netlink(fd, start, length)
    }

    /// A request to a routing socket, unless it only asks.
    fn netlink(&self, fd: u64, start: u64, length: u64) -> Option<Operation> {
        let inode = self.open_file(fd)?;
        let inode = inode.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
        let sockets = std::fs::read_to_string(format!("/proc/{}/net/netlink", self.0)).ok()?;
        let is_routing = |line: &str| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.last() == Some(&inode.as_str()) && words.get(1) == Some(&"0")
        };
        sockets.lines().find(|line| is_routing(line))?;
        let bytes = self.bytes(start, usize::try_from(length).ok()?.min(64))?;
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        // Links, neighbours, qdiscs and filters have the device in one place.
        let device = u32::from_ne_bytes(*bytes.get(20..)?.first_chunk()?);
        let kind = match kind {
            libc::RTM_NEWLINK | libc::RTM_SETLINK => "set device",
            libc::RTM_DELLINK => "delete device",
            libc::RTM_NEWNEIGH => "put neighbour",
            libc::RTM_DELNEIGH => "delete neighbour",
            libc::RTM_NEWQDISC => "put qdisc",
            libc::RTM_DELQDISC => "delete qdisc",
            libc::RTM_NEWTFILTER => "put filter",
            libc::RTM_DELTFILTER => "delete filter",
            // The third of each four is a question.
            kind if kind >= libc::RTM_NEWLINK && kind & 3 != 2 => "ask routing to change",
            _ => return None,
        };
        Some(Operation { kind, object: format!("on device {device}") })
    }
}
