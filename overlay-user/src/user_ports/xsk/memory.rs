//! Memory that a socket shares with the kernel.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr::NonNull;

use crate::user_ports::socket::set_option;

/// A mapping, which ends with this.
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; this gives out nothing but
// addresses in it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Memory for frames, all of it there.
    ///
    /// # Errors
    ///
    /// There is none to be had.
    pub fn frames(len: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        Self::map(len, flags, -1, 0)
    }

    /// A ring of a socket, at its page.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn ring(socket: &OwnedFd, page: libc::off_t, len: usize) -> io::Result<Self> {
        Self::map(len, libc::MAP_SHARED | libc::MAP_POPULATE, socket.as_raw_fd(), page)
    }

    fn map(len: usize, flags: i32, fd: i32, page: libc::off_t) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, page)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, len })
    }

    /// Lets a socket's frames, of `length` bytes each, be in this.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn register(&self, socket: &OwnedFd, length: usize) -> io::Result<()> {
        // SAFETY: a plain C struct for which all zeroes are valid.
        let mut about: libc::xdp_umem_reg = unsafe { std::mem::zeroed() };
        about.addr = self.start.as_ptr() as u64;
        about.len = self.len as u64;
        about.chunk_size = length as u32;
        set_option(socket, libc::SOL_XDP, libc::XDP_UMEM_REG, &about)
    }

    /// The address of what is so many bytes from the start.
    ///
    /// # Panics
    ///
    /// No `T` is there.
    pub fn at<T>(&self, offset: usize) -> NonNull<T> {
        let end = offset.checked_add(size_of::<T>());
        assert!(end.is_some_and(|end| end <= self.len), "{offset} of {}", self.len);
        // SAFETY: within the mapping.
        unsafe { self.start.add(offset).cast() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping, which nothing refers to any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
