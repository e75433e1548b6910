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

use anyhow::{Context as _, Result};

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
    if let Err(error) = unpin(path) {
        tracing::error!("{error:#}");
    }
}

fn unpin(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", path.display())),
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = ObjectAttr { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the layout is the kernel's; the path outlives the call.
    unsafe { bpf_fd(Command::ObjGet, &mut attr) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_stays_is_told_of_and_one_that_is_not_there_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        unpin(&path.join("none")).unwrap();
        let error = format!("{:#}", unpin(path).unwrap_err());
        let expected = format!("cannot remove {}: Is a directory (os error 21)", path.display());
        assert_eq!(error, expected);
    }
}
