//! Giving back what was needed for a moment: reading a configuration or a list of
//! a million addresses takes many times what is kept of it.

/// Large blocks, in bytes, come from the system and go back to it.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1 << 20;

/// Has every large block returned to the system when it is freed. Of itself, glibc
/// keeps larger and larger ones.
#[cfg(target_env = "gnu")]
pub fn prepare() {
    // SAFETY: mallopt takes integers and the allocator's own locks.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Returns what is free of the small blocks to the system.
#[cfg(target_env = "gnu")]
pub fn release() {
    // SAFETY: malloc_trim has no preconditions; it takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators than glibc's are left to themselves.
#[cfg(not(target_env = "gnu"))]
pub fn prepare() {}

/// Other allocators than glibc's are left to themselves.
#[cfg(not(target_env = "gnu"))]
pub fn release() {}
