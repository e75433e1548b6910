//! Maps in this process's memory: hash tables that the programs read and it fills,
//! counts that they write and it reads, without a system call for each entry.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::ptr::NonNull;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use aya::maps::{Map, MapData};
use overlay_common::abi::{Count, FirstGuard};
use overlay_common::hash::{Bucket, Key, Table, Value};
use overlay_common::word::Word;

/// What a mapped array may hold.
///
/// # Safety
///
/// Words which are all atomic, without padding: programs and other processes read and
/// write them meanwhile.
pub unsafe trait Mappable {}

// SAFETY: the slots of a bucket are atomic words.
unsafe impl Mappable for Bucket {}
// SAFETY: an atomic word.
unsafe impl Mappable for Word {}
// SAFETY: atomic words.
unsafe impl Mappable for [Word; 4] {}
// SAFETY: eight atomic words.
unsafe impl Mappable for FirstGuard {}
// SAFETY: two atomic words.
unsafe impl Mappable for Count {}

/// An array's entries, mapped into this process.
pub struct Shared<T: Mappable> {
    start: NonNull<T>,
    count: usize,
    /// Programs that are loaded later name the map by its descriptor.
    kept: Option<Map>,
}

/// A table that this process fills.
pub type SharedTable<K, V> = Table<K, V, Shared<Bucket>>;

/// Takes an empty table out of a loaded object.
pub fn take<K: Key, V: Value>(ebpf: &mut Ebpf, name: &str, seed: u64) -> Result<SharedTable<K, V>> {
    Ok(Table::empty(Shared::take(ebpf, name)?, seed))
}

/// Every entry of a pinned table of `mask` + 1 buckets, as it is now.
pub fn for_each_pinned<K: Key, V: Value>(
    path: &Path,
    mask: u32,
    mut visit: impl FnMut(K, V),
) -> Result<()> {
    let buckets = Shared::<Bucket>::open(path)?;
    let in_use = buckets.as_ref().iter().take(mask as usize + 1);
    in_use.flat_map(Bucket::entries).for_each(|(key, value)| visit(key, value));
    Ok(())
}

/// A seed that nobody outside can guess.
pub fn seed() -> Result<u64> {
    let mut seed = [0; 8];
    let mut source = std::fs::File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    io::Read::read_exact(&mut source, &mut seed).context("cannot read /dev/urandom")?;
    Ok(u64::from_ne_bytes(seed))
}

/// Returns when every program that runs now has ended: `membarrier` waits for a
/// grace period of RCU, under which they run (Linux 4.3), unless there is but one CPU,
/// where no program runs beside this. A program that ran on regardless would miss
/// entries that have moved, and take none for another.
pub fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: a system call without pointers.
    if unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) } != 0 {
        // Kernels with cores free of ticks refuse it. Hardly a program runs that long.
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl<T: Mappable> Shared<T> {
    /// Takes an array out of a loaded object, to write it.
    pub fn take(ebpf: &mut Ebpf, name: &str) -> Result<Self> {
        Self::take_with(ebpf, name, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// Takes an array out of a loaded object that the programs write.
    pub fn take_to_read(ebpf: &mut Ebpf, name: &str) -> Result<Self> {
        Self::take_with(ebpf, name, libc::PROT_READ)
    }

    /// Looks at a pinned array of a former process.
    pub fn open(path: &Path) -> Result<Self> {
        Self::map(&MapData::from_pin(path)?, libc::PROT_READ)
            .with_context(|| format!("cannot map {}", path.display()))
    }

    fn take_with(ebpf: &mut Ebpf, name: &str, protection: libc::c_int) -> Result<Self> {
        let map = taken(ebpf, name)?;
        let mut mapped = Self::of(&map, protection).with_context(|| cannot_map(name))?;
        mapped.kept = Some(map);
        Ok(mapped)
    }

    fn of(map: &Map, protection: libc::c_int) -> Result<Self> {
        let Map::Array(data) = map else { bail!("it is not an array") };
        Self::map(data, protection)
    }

    /// Maps an array that was made with `BPF_F_MMAPABLE` (Linux 5.5).
    fn map(data: &MapData, protection: libc::c_int) -> Result<Self> {
        let info = data.info()?;
        // One after the other, without a gap.
        let entry = info.value_size() as usize;
        if entry == 0 || !entry.is_multiple_of(size_of::<T>()) {
            bail!("its entries have {entry} bytes, not a multiple of {}", size_of::<T>());
        }
        let count = info.max_entries() as usize * (entry / size_of::<T>());
        let fd = data.fd().as_fd().as_raw_fd();
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                count * size_of::<T>(),
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
        Ok(Self { start, count, kept: None })
    }
}

fn taken(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).with_context(|| format!("the BPF object has no map {name}"))
}

fn cannot_map(name: &str) -> String {
    format!("cannot map the map {name}")
}

/// An array that is mapped when it is first written, since what is mapped counts as memory of this
/// process.
pub struct Late<T: Mappable> {
    map: Map,
    name: &'static str,
    shared: Option<Shared<T>>,
}

impl<T: Mappable> Late<T> {
    /// Takes an array out of a loaded object.
    pub fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self> {
        Ok(Self { map: taken(ebpf, name)?, name, shared: None })
    }

    /// Its entries, to write them.
    pub fn entries(&mut self) -> Result<&[T]> {
        let shared = match self.shared.take() {
            Some(shared) => shared,
            None => Shared::of(&self.map, libc::PROT_READ | libc::PROT_WRITE)
                .with_context(|| cannot_map(self.name))?,
        };
        let shared: &Shared<T> = self.shared.insert(shared);
        Ok(shared.as_ref())
    }
}

impl<T: Mappable> AsRef<[T]> for Shared<T> {
    fn as_ref(&self) -> &[T] {
        // SAFETY: the mapping holds `count` entries until it is dropped, starts at
        // a page, and its words are atomic, so others may change them meanwhile.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl<T: Mappable> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: this mapping, which nothing refers to any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.count * size_of::<T>()) };
    }
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl<T: Mappable> Send for Shared<T> {}
// SAFETY: its words are atomic.
unsafe impl<T: Mappable> Sync for Shared<T> {}
