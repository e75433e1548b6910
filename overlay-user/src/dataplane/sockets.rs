//! Which AF_XDP socket has the frames of a queue. The kernel takes a socket out by itself when
//! it is closed, whoever closes it; the programs leave to the kernel's stack what finds none.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData, XskMap};
use overlay_common::abi::{MAX_XSKS, Queue, maps};

use super::sys::{Command, bpf, bpf_fd};
use super::wire::Wire;

/// The sockets, by their queues.
pub struct Sockets {
    slots: BpfHashMap<MapData, Wire<Queue>, u32>,
    sockets: XskMap<MapData>,
    used: HashMap<Queue, u32>,
}

impl Sockets {
    /// Takes the maps out of a loaded object.
    ///
    /// # Errors
    ///
    /// There are no such maps in it.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self> {
        let mut take = |name: &str| {
            ebpf.take_map(name).with_context(|| format!("the BPF object has no map {name}"))
        };
        let (slots, sockets) = (take(maps::XSK_SLOTS)?, take(maps::XSKS)?);
        Ok(Self {
            slots: BpfHashMap::try_from(slots)?,
            sockets: XskMap::try_from(sockets)?,
            used: HashMap::new(),
        })
    }

    /// Hands a queue's frames to a socket that is bound to it from now on.
    ///
    /// # Errors
    ///
    /// There are too many queues, or the kernel refuses the socket.
    pub fn put(&mut self, queue: Queue, socket: BorrowedFd<'_>) -> Result<()> {
        let slot = match self.used.get(&queue) {
            Some(slot) => *slot,
            None => free_slot(&self.used)?,
        };
        self.sockets.set(slot, socket.as_raw_fd(), 0).context("the kernel refuses a socket")?;
        self.used.insert(queue, slot);
        self.slots.insert(Wire(queue), slot, 0).context("cannot add a queue to the map XSK_SLOTS")
    }

    /// No longer hands a device's frames over.
    pub fn remove(&mut self, ifindex: u32) {
        let Self { slots, sockets, used } = self;
        used.retain(|queue, slot| {
            if queue.ifindex == ifindex {
                let _ = slots.remove(&Wire(*queue));
                // It may be closed already.
                let _ = sockets.unset(*slot);
            }
            queue.ifindex != ifindex
        });
    }
}

/// One that no queue has.
fn free_slot(used: &HashMap<Queue, u32>) -> Result<u32> {
    let taken: HashSet<u32> = used.values().copied().collect();
    let free = (0..MAX_XSKS).find(|slot| !taken.contains(slot));
    free.with_context(|| format!("all devices have more than {MAX_XSKS} queues together"))
}

/// Makes a map that stands in for that of the sockets where the kernel knows no such maps, and
/// no program that uses it is loaded. Returns where it is pinned.
///
/// # Errors
///
/// The kernel's.
pub fn stand_in(directory: &Path) -> Result<PathBuf> {
    #[repr(C)]
    struct CreateAttr {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
    }
    #[repr(C)]
    struct PinAttr {
        pathname: u64,
        bpf_fd: u32,
        file_flags: u32,
    }
    const ARRAY: u32 = 2;
    let path = directory.join(maps::XSKS);
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut create =
        CreateAttr { map_type: ARRAY, key_size: 4, value_size: 4, max_entries: MAX_XSKS };
    // SAFETY: the layout is the kernel's, and nothing is pointed to.
    let map = unsafe { bpf_fd(Command::MapCreate, &mut create) }.context("cannot make a map")?;
    let bpf_fd = map.as_raw_fd().cast_unsigned();
    let mut pin = PinAttr { pathname: name.as_ptr() as u64, bpf_fd, file_flags: 0 };
    // SAFETY: the layout is the kernel's; path and map outlive the call.
    unsafe { bpf(Command::ObjPin, &mut pin) }
        .with_context(|| format!("cannot pin {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_gets_a_slot_that_no_other_has_while_there_are_any() {
        let queue = |number| Queue { ifindex: 4, number };
        let mut used: HashMap<_, _> = (0..MAX_XSKS).map(|slot| (queue(slot), slot)).collect();
        let said = free_slot(&used).unwrap_err().to_string();
        assert_eq!(said, format!("all devices have more than {MAX_XSKS} queues together"));
        used.remove(&queue(7));
        assert_eq!(free_slot(&used).unwrap(), 7);
    }
}
