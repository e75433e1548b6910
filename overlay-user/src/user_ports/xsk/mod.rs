//! AF_XDP: a program in the driver puts a queue's frames into memory of this process, and the
//! driver sends from there; where it cannot, the kernel copies between that memory and its own.
//!
//! A socket a queue, with memory of its own in frames of one size: some that the kernel
//! receives into, some that are sent from. Either half has two rings: one of full frames, one
//! of empty ones.
//!
//! - [`queue`]: a ring.
//! - [`memory`]: what is shared with the kernel.
//! - [`receiver`], [`sender`]: the halves, which are used by different threads.
//! - [`exits`]: which device has senders.

pub mod exits;
mod memory;
pub mod queue;
pub mod receiver;
pub mod sender;

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt;

use super::socket::{option, set_option};
use memory::Mapping;
use queue::{Consumer, Place, Producer};
use receiver::Receiver;
use sender::Sender;

/// Frames that may wait to be received, and so many to be sent.
const FRAMES: u32 = 2048;
/// What the kernel leaves free in front of what it receives (`XDP_PACKET_HEADROOM`), which
/// has room for a tunnel's headers.
const HEADROOM: usize = 256;
/// The lengths that the kernel takes for a frame.
const LENGTHS: [usize; 2] = [2048, 4096];
/// What a packet has in front: an Ethernet header with two tags.
const BESIDE: usize = 22;
/// What may be on its way to the device, in bytes of socket buffers.
const SEND_BUFFER: usize = 8 << 20;
/// How many frames a system call may send (Linux 6.18; before, 32).
const SEND_AT_ONCE: u32 = 256;
/// `XDP_MAX_TX_SKB_BUDGET`.
const SEND_BUDGET: libc::c_int = 9;

/// How long a queue is waited for that is another socket's, and how long between two tries.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(5);

/// How long a frame's memory has to be for packets of `mtu` bytes; `None` where no frame
/// holds them.
pub fn frame_for(mtu: u32) -> Option<usize> {
    LENGTHS.into_iter().find(|len| HEADROOM + BESIDE + mtu as usize <= *len)
}

/// A device's queue, bound.
pub struct Ends {
    /// The queue's number.
    pub number: u32,
    /// What comes in.
    pub receiver: Receiver,
    /// What goes out.
    pub sender: Sender,
}

/// A socket, and the memory that it shares.
struct Socket {
    fd: OwnedFd,
    frames: Mapping,
    /// The bytes of a frame.
    length: usize,
    is_zero_copy: bool,
    _rings: [Mapping; 4],
}

/// Binds a socket to each queue of a device, of which there may be `queues`.
///
/// # Errors
///
/// The device's packets are too long, or the kernel refuses a socket.
pub fn open(ifindex: u32, mtu: u32, queues: u32) -> Result<Vec<Ends>> {
    let length = frame_for(mtu).with_context(|| {
        let most = LENGTHS[LENGTHS.len() - 1] - HEADROOM - BESIDE;
        format!("its MTU is {mtu}, and a frame of AF_XDP holds {most}")
    })?;
    let mut ends = Vec::new();
    for number in 0..queues.max(1) {
        match Socket::open(ifindex, number, length) {
            Ok(opened) => ends.push(opened),
            // Fewer queues are in use than there may be.
            Err(error) if number > 0 && is_no_queue(&error) => break,
            Err(error) => return Err(error.context(format!("no AF_XDP on queue {number}"))),
        }
    }
    Ok(ends)
}

fn is_no_queue(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.and_then(io::Error::raw_os_error) == Some(libc::EINVAL)
}

impl Socket {
    fn open(ifindex: u32, number: u32, length: usize) -> Result<Ends> {
        // SAFETY: a system call without pointers.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        ensure!(fd >= 0, "cannot open a socket: {}", io::Error::last_os_error());
        // SAFETY: the call has just made this descriptor, and nobody else owns it.
        let fd = unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) };
        let _ = setsockopt(&fd, sockopt::SndBufForce, &SEND_BUFFER);
        let _ = set_option(&fd, libc::SOL_XDP, SEND_BUDGET, &SEND_AT_ONCE);

        let frames = Mapping::frames(2 * FRAMES as usize * length)?;
        frames.register(&fd, length).context("cannot share memory with the kernel")?;
        for ring in [
            libc::XDP_RX_RING,
            libc::XDP_TX_RING,
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
        ] {
            set_option(&fd, libc::SOL_XDP, ring, &FRAMES).context("cannot make a ring")?;
        }
        let offsets: libc::xdp_mmap_offsets =
            option(&fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS).context("cannot ask for rings")?;
        let (rx_map, rx) = map(&fd, libc::XDP_PGOFF_RX_RING, &offsets.rx)?;
        let (tx_map, tx) = map(&fd, libc::XDP_PGOFF_TX_RING, &offsets.tx)?;
        let (fill_map, fill) =
            map(&fd, libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t, &offsets.fr)?;
        let (done_map, done) =
            map(&fd, libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t, &offsets.cr)?;
        // SAFETY: the kernel is the other side of these new rings, and this the one user of
        // each; they are mapped for as long as the socket is.
        let (received, empty, to_send, sent) = unsafe {
            (Consumer::new(rx), Producer::new(fill), Producer::new(tx), Consumer::new(done))
        };
        bind_patiently(&fd, ifindex, number)?;
        let options: u32 = option(&fd, libc::SOL_XDP, libc::XDP_OPTIONS).unwrap_or(0);
        let is_zero_copy = options & libc::XDP_OPTIONS_ZEROCOPY != 0;
        let rings = [rx_map, tx_map, fill_map, done_map];
        let socket = Arc::new(Self { fd, frames, length, is_zero_copy, _rings: rings });
        let receiver = Receiver::new(Arc::clone(&socket), received, empty);
        let sender = Sender::new(socket, to_send, sent);
        Ok(Ends { number, receiver, sender })
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Wakes the kernel, so that it looks for empty frames.
    fn wake_receiving(&self) {
        // SAFETY: no buffer, of no length.
        unsafe {
            libc::recvfrom(
                self.fd.as_raw_fd(),
                std::ptr::null_mut(),
                0,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            );
        }
    }

    /// Has the kernel send.
    fn wake_sending(&self) -> io::Result<()> {
        // SAFETY: no buffer, of no length.
        let code = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                std::ptr::null(),
                0,
                libc::MSG_DONTWAIT,
                std::ptr::null(),
                0,
            )
        };
        if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

fn map<T>(
    fd: &OwnedFd,
    page: libc::off_t,
    offsets: &libc::xdp_ring_offset,
) -> Result<(Mapping, Place<T>)> {
    let len = offsets.desc as usize + FRAMES as usize * size_of::<T>();
    let mapping = Mapping::ring(fd, page, len).context("cannot map a ring")?;
    let place = Place {
        producer: mapping.at(offsets.producer as usize),
        consumer: mapping.at(offsets.consumer as usize),
        flags: mapping.at(offsets.flags as usize),
        entries: mapping.at(offsets.desc as usize),
        size: FRAMES,
    };
    Ok((mapping, place))
}

/// A socket that was closed, here or by a process that is dead, leaves its queue a moment later
/// (`xp_release_deferred` of the kernel).
fn bind_patiently(fd: &OwnedFd, ifindex: u32, number: u32) -> io::Result<()> {
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        match bind(fd, ifindex, number) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(PAUSE),
            bound => return bound,
        }
    }
    bind(fd, ifindex, number)
}

/// The kernel takes the driver's zero-copy mode where there is one, and copies elsewhere.
fn bind(fd: &OwnedFd, ifindex: u32, number: u32) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_USE_NEED_WAKEUP,
        sxdp_ifindex: ifindex,
        sxdp_queue_id: number,
        sxdp_shared_umem_fd: 0,
    };
    // SAFETY: the address outlives the call, and its length is its own.
    let code = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_xdp>() as libc::socklen_t,
        )
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_long_as_packets_want_them() {
        assert_eq!(frame_for(1500), Some(2048));
        assert_eq!(frame_for(2048 - 278), Some(2048));
        assert_eq!(frame_for(2048 - 277), Some(4096));
        assert_eq!(frame_for(4096 - 278), Some(4096));
        assert_eq!(frame_for(4096 - 277), None);
        assert_eq!(frame_for(u32::MAX), None);
    }
}
