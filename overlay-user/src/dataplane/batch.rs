//! Whole tables in few system calls.
//!
//! Walking a million entries key by key costs two calls an entry; a batch
//! (Linux 5.6) reads thousands in one.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use overlay_common::abi::Record;

const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
/// Entries a call. A bucket that has more is refused with ENOSPC, and the call
/// repeated with room for twice as many.
const ENTRIES: usize = 8192;

/// The `batch` member of the kernel's `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Calls `visit` for every entry of a hash map with these key and value types.
/// Entries that come or go meanwhile may be missed.
pub fn for_each<K: Record, V: Record>(
    map: BorrowedFd<'_>,
    mut visit: impl FnMut(K, V),
) -> io::Result<()> {
    let mut keys: Vec<K> = Vec::with_capacity(ENTRIES);
    let mut values: Vec<V> = Vec::with_capacity(ENTRIES);
    let mut position: Option<u64> = None;
    loop {
        let room = keys.capacity().min(values.capacity());
        let mut next = 0u64;
        let before = position.unwrap_or_default();
        let mut attr = BatchAttr {
            in_batch: if position.is_some() { &raw const before as u64 } else { 0 },
            out_batch: &raw mut next as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: room as u32,
            map_fd: map.as_raw_fd().cast_unsigned(),
            ..BatchAttr::default()
        };
        // SAFETY: every pointer in `attr` is valid for as long as the call: the
        // two vectors have room for `count` elements, and the kernel's batch
        // position is a u32 for hash maps, for which `next` has room.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_MAP_LOOKUP_BATCH,
                &raw mut attr,
                size_of::<BatchAttr>(),
            )
        };
        let error = (result < 0).then(io::Error::last_os_error);
        let code = error.as_ref().and_then(io::Error::raw_os_error);
        if code == Some(libc::ENOSPC) {
            keys.reserve(room * 2);
            values.reserve(room * 2);
            continue;
        }
        let last = code == Some(libc::ENOENT);
        if let Some(error) = error
            && !last
        {
            return Err(error);
        }
        let count = (attr.count as usize).min(room);
        // SAFETY: the kernel has written `count` keys and values, and every bit
        // pattern is a valid `Record`.
        unsafe {
            keys.set_len(count);
            values.set_len(count);
        }
        for (key, value) in keys.drain(..).zip(values.drain(..)) {
            visit(key, value);
        }
        if last {
            return Ok(());
        }
        position = Some(next);
    }
}
