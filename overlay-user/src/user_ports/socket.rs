//! Packet sockets: their options, by what they are for; and how any socket has options.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, anyhow};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};

use super::buffer::HEADROOM;

/// What may be on its way to devices, in bytes.
const SEND_BUFFER: usize = 8 << 20;
/// What may wait of frames that are too long for a slot, in bytes.
const RECEIVE_BUFFER: usize = 16 << 20;

/// A socket that only sends: each message begins with an [`Offload`](super::offload::Offload).
///
/// # Errors
///
/// The process may not have packet sockets, which takes `CAP_NET_RAW`.
pub fn sending() -> Result<OwnedFd> {
    let socket = open()?;
    let _ = setsockopt(&socket, sockopt::SndBufForce, &SEND_BUFFER);
    set(&socket, libc::PACKET_VNET_HDR, &1).context("cannot send with offloads")?;
    Ok(socket)
}

/// A socket that is to receive into a ring, each frame with what is left to the device in
/// front of it, and room in front of that. It takes nothing that this host sends.
///
/// # Errors
///
/// As for [`sending`].
pub fn receiving() -> Result<OwnedFd> {
    let socket = open()?;
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER);
    set(&socket, libc::PACKET_VERSION, &VERSION_2).context("cannot use a ring of version 2")?;
    set(&socket, libc::PACKET_VNET_HDR, &1).context("cannot receive with offloads")?;
    set(&socket, libc::PACKET_RESERVE, &(HEADROOM as libc::c_int))
        .context("cannot reserve room in front of frames")?;
    set(&socket, libc::PACKET_COPY_THRESH, &1).context("cannot have long frames beside a ring")?;
    set(&socket, libc::PACKET_IGNORE_OUTGOING, &1)
        .context("cannot leave out what is sent (Linux 4.20)")?;
    Ok(socket)
}

/// Lets nothing in until [`let_in`].
pub fn shut(socket: &OwnedFd) -> io::Result<()> {
    let mut nothing =
        libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 };
    let program = libc::sock_fprog { len: 1, filter: &raw mut nothing };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Lets in what comes from now on.
pub fn let_in(socket: &OwnedFd) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0)
}

/// A group of sockets that share a device's frames, each those of some of its queues.
#[derive(Clone, Copy, Debug)]
pub struct Group(u16);

/// Joins a group, or makes one. The socket must be bound.
pub fn join(socket: &OwnedFd, group: Option<Group>) -> io::Result<Group> {
    let kind = libc::PACKET_FANOUT_QM | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
    let (id, flags) = match group {
        Some(Group(id)) => (u32::from(id), 0),
        None => (0, libc::PACKET_FANOUT_FLAG_UNIQUEID),
    };
    set(socket, libc::PACKET_FANOUT, &(id | (kind | flags) << 16))?;
    // The lower half of what is answered.
    let word: u32 = option(socket, libc::SOL_PACKET, libc::PACKET_FANOUT)?;
    Ok(Group(word as u16))
}

/// `TPACKET_V2`.
const VERSION_2: libc::c_int = 1;

fn open() -> Result<OwnedFd> {
    // Protocol 0: it receives nothing until it is bound.
    socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).map_err(|error| {
        anyhow!("cannot open a packet socket, which takes CAP_NET_RAW: {}", error.desc())
    })
}

/// Sets an option of packet sockets.
pub fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    set_option(socket, libc::SOL_PACKET, option, value)
}

/// Sets an option of a level.
pub fn set_option<T>(
    socket: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: a live socket; the value is as long as it is said to be, and outlives the call.
    let code = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks for an option of a level.
pub fn option<T: Plain>(
    socket: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
) -> io::Result<T> {
    // SAFETY: integers, for which all zeroes are valid.
    let mut value: T = unsafe { std::mem::zeroed() };
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the value is as long as it is said to be, and outlives the call.
    let code = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut len)
    };
    if code == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// What an option may be.
///
/// # Safety
///
/// Integers, for which every bit pattern is valid.
pub unsafe trait Plain {}

// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: two integers.
unsafe impl Plain for libc::tpacket_stats {}
// SAFETY: integers.
unsafe impl Plain for libc::xdp_mmap_offsets {}
// SAFETY: integers.
unsafe impl Plain for libc::xdp_statistics {}

/// Begins to receive every frame that comes in on a device.
pub fn bind(socket: &OwnedFd, ifindex: u32) -> io::Result<()> {
    // SAFETY: a plain C struct for which all zeroes are valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = ifindex.cast_signed();
    // SAFETY: the address outlives the call, and its length is its own.
    let code = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many frames found no room since this was asked last.
pub fn take_lost(socket: &OwnedFd) -> u32 {
    option::<libc::tpacket_stats>(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS)
        .map_or(0, |found| found.tp_drops)
}
