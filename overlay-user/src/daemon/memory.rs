//! Giving back what was needed for a moment: reading a configuration or a list of
//! a million addresses takes many times what is kept of it.

/// Returns free memory to the system.
#[cfg(target_env = "gnu")]
pub fn release() {
    // SAFETY: malloc_trim has no preconditions; it takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators than glibc's are left to themselves.
#[cfg(not(target_env = "gnu"))]
pub fn release() {}
