//! Detaching a pinned link at once.
//!
//! Removing the pin and closing the descriptor also detaches, but some time
//! later, from a work queue of the kernel's: the device may still refuse another
//! program, or show the old one, for a while after.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::sys::{Command, bpf, bpf_fd};

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
        let mut attr = DetachAttr { link_fd: link.as_raw_fd().cast_unsigned() };
        // SAFETY: the layout is the kernel's, and nothing is pointed to.
        let _ = unsafe { bpf(Command::LinkDetach, &mut attr) };
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::error!("cannot remove {}: {error}", path.display());
        }
        Ok(()) | Err(_) => {}
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = ObjectAttr { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the layout is the kernel's; the path outlives the call.
    unsafe { bpf_fd(Command::ObjGet, &mut attr) }
}
