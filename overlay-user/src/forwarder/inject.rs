//! Sending finished frames: a packet socket, which puts them on a device as
//! they are.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};

/// What may be on its way to devices, in bytes.
const SEND_BUFFER: usize = 8 << 20;

/// A packet socket that only sends.
pub struct Injector {
    socket: OwnedFd,
}

impl Injector {
    /// Opens the socket. Protocol 0: it receives nothing.
    pub fn open() -> Result<Self> {
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
            .context("cannot open a packet socket")?;
        // A frame for a thousand peers is a thousand frames at once.
        let _ = setsockopt(&socket, sockopt::SndBufForce, &SEND_BUFFER);
        Ok(Self { socket })
    }

    /// Sends a frame, Ethernet header first, out of a device.
    pub fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        // SAFETY: `sockaddr_ll` is a plain C struct for which all zeroes are
        // valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = ifindex.cast_signed();
        // SAFETY: frame and address outlive the call, and their lengths are
        // theirs.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                // A full device queue must not stop the frames for others.
                libc::MSG_DONTWAIT,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
