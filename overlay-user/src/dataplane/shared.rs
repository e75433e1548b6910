//! Hash tables in memory that the programs read and this process fills: a change
//! is a store, not a system call.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::ptr::NonNull;

use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use aya::maps::{Map, MapData};
use overlay_common::hash::{Bucket, Key, Spread, Table, Value};

/// A table's buckets, mapped into this process.
pub struct Shared {
    start: NonNull<Bucket>,
    count: usize,
}

/// A table that this process fills.
pub type SharedTable<K, V> = Table<K, V, Shared>;

/// Takes an empty table of 2 to the power of `bits` buckets out of a loaded object.
pub fn take<K: Key, V: Value>(
    ebpf: &mut Ebpf,
    name: &str,
    seed: u64,
    bits: u32,
) -> Result<SharedTable<K, V>> {
    let map = ebpf.take_map(name).with_context(|| format!("the BPF object has no map {name}"))?;
    let Map::Array(data) = map else { bail!("the map {name} is not an array") };
    let buckets = Shared::map(&data, libc::PROT_READ | libc::PROT_WRITE)
        .with_context(|| format!("cannot map the map {name}"))?;
    if buckets.count != 1 << bits {
        bail!("the map {name} has {} buckets, not {}", buckets.count, 1 << bits);
    }
    Ok(Table::empty(buckets, seed, bits))
}

/// Every entry of a pinned table, as it is now.
pub fn for_each_pinned<K: Key, V: Value>(path: &Path, mut visit: impl FnMut(K, V)) -> Result<()> {
    let data = MapData::from_pin(path)?;
    let buckets = Shared::map(&data, libc::PROT_READ)
        .with_context(|| format!("cannot map {}", path.display()))?;
    buckets.as_ref().iter().flat_map(Bucket::entries).for_each(|(key, value)| visit(key, value));
    Ok(())
}

/// A seed that nobody outside can guess.
pub fn seed() -> Result<u64> {
    let mut seed = [0; 8];
    let mut source = std::fs::File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    io::Read::read_exact(&mut source, &mut seed).context("cannot read /dev/urandom")?;
    Ok(u64::from_ne_bytes(seed))
}

/// [`Spread`] bits and buckets of a table for `entries` entries.
pub fn size_for(entries: u32) -> (u32, u32) {
    let bits = Spread::bits_for(entries);
    (bits, 1 << bits)
}

impl Shared {
    /// Maps an array of buckets that was made with `BPF_F_MMAPABLE` (Linux 5.5).
    fn map(data: &MapData, protection: libc::c_int) -> Result<Self> {
        let info = data.info()?;
        if info.value_size() as usize != size_of::<Bucket>() {
            bail!("its entries have {} bytes, not {}", info.value_size(), size_of::<Bucket>());
        }
        let count = info.max_entries() as usize;
        let fd = data.fd().as_fd().as_raw_fd();
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                count * size_of::<Bucket>(),
                protection,
                libc::MAP_SHARED,
                fd,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        let start = NonNull::new(start.cast()).context("mapped at address 0")?;
        Ok(Self { start, count })
    }
}

impl AsRef<[Bucket]> for Shared {
    fn as_ref(&self) -> &[Bucket] {
        // SAFETY: the mapping holds `count` buckets until it is dropped, starts at
        // a page, and its words are atomic, so others may change them meanwhile.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: this mapping, which nothing refers to any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.count * size_of::<Bucket>()) };
    }
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Shared {}
// SAFETY: its words are atomic.
unsafe impl Sync for Shared {}
