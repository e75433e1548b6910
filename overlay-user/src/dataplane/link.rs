//! Detaching a pinned link at once.
//!
//! Removing the pin and closing the descriptor also detaches, but some time
//! later, from a work queue of the kernel's: the device may still refuse another
//! program, or show the old one, for a while after.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

const BPF_OBJ_GET: libc::c_long = 7;
/// Linux 5.9.
const BPF_LINK_DETACH: libc::c_long = 34;

/// The `bpf_attr` of `BPF_OBJ_GET`.
#[repr(C)]
struct ObjectAttr {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// The `bpf_attr` of `BPF_LINK_DETACH`.
#[repr(C)]
struct DetachAttr {
    link_fd: u32,
}

/// Detaches the link that is pinned at `path`, if there is one, and removes the
/// pin. A link whose device is gone is detached already.
pub fn remove(path: &Path) {
    if let Ok(link) = open(path) {
        let _ = bpf(BPF_LINK_DETACH, DetachAttr { link_fd: link.as_raw_fd().cast_unsigned() });
    }
    let _ = fs::remove_file(path);
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attr = ObjectAttr { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    let fd = bpf(BPF_OBJ_GET, attr)?;
    // SAFETY: the call has just made this descriptor, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<A>(command: libc::c_long, mut attr: A) -> io::Result<i32> {
    // SAFETY: `attr` is the command's part of `bpf_attr`, as long as is said, and
    // what it points to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr, size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
