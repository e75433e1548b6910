//! Raw packet sockets: frames as they are on a device.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::libc;

use crate::netns::Netns;
use crate::wait::patient;

const LONGEST: usize = 1 << 17;
const TAG_LEN: usize = 4;
const MACS_LEN: usize = 12;
/// How long what comes too much may come behind what was expected.
const BEHIND: Duration = Duration::from_millis(30);

/// A received frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// From the Ethernet header on; a VLAN tag is in its place again, where the
    /// kernel had moved it out of the bytes.
    pub bytes: Vec<u8>,
}

/// A packet socket on one device. It sees what arrives there, for whomever it
/// is, and not what leaves.
#[derive(Debug)]
pub struct RawSocket {
    socket: OwnedFd,
    interface: String,
}

impl RawSocket {
    /// Opens a socket on a device of a namespace.
    pub fn open(netns: &Netns, interface: &str) -> Result<Self> {
        let index = netns.ifindex(interface)?;
        let socket = netns
            .enter(|| open(index))?
            .with_context(|| format!("packet socket on {interface} in {}", netns.name()))?;
        Ok(Self { socket, interface: interface.to_owned() })
    }

    /// Opens a socket that sends super-frames ([`send_super`](Self::send_super))
    /// and receives nothing.
    pub fn open_offloading(netns: &Netns, interface: &str) -> Result<Self> {
        let raw = Self::open(netns, interface)?;
        set_option(&raw.socket, libc::PACKET_VNET_HDR)
            .with_context(|| format!("offloads of a packet socket on {interface}"))?;
        Ok(raw)
    }

    /// Sends a UDP super-frame that somebody on the way, or the receiver, cuts
    /// into datagrams of `segment` bytes. Its UDP header is at `udp`; the checksum
    /// there must be that of the pseudo header, and is finished on the way.
    pub fn send_super(&self, frame: &[u8], udp: usize, segment: usize) -> Result<()> {
        const NEEDS_CHECKSUM: u8 = 1;
        const UDP_SEGMENTS: u8 = 5;
        const CHECKSUM_OFFSET: u16 = 6;
        // struct virtio_net_hdr, in the machine's byte order.
        let header = [
            &[NEEDS_CHECKSUM, UDP_SEGMENTS][..],
            &((udp + 8) as u16).to_ne_bytes(),
            &(segment as u16).to_ne_bytes(),
            &(udp as u16).to_ne_bytes(),
            &CHECKSUM_OFFSET.to_ne_bytes(),
        ];
        self.send(&[&header.concat(), frame].concat())
    }

    /// Sends a frame as it is, from the Ethernet header on.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        // SAFETY: pointer and length are those of one slice.
        let sent =
            unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error())
                .with_context(|| format!("sending {} bytes on {}", frame.len(), self.interface));
        }
        Ok(())
    }

    /// Makes room for frames that come faster than they are taken: so many bytes, of which a
    /// short frame takes some 800.
    pub fn set_room(&self, bytes: usize) -> Result<()> {
        let size = libc::c_int::try_from(bytes)?;
        set_value(&self.socket, (libc::SOL_SOCKET, libc::SO_RCVBUFFORCE), size)
            .with_context(|| format!("a buffer of {bytes} bytes on {}", self.interface))
    }

    /// Hands over every frame while `take` wants more, and until none has come for exactly
    /// `quiet`: for very many of them. What is longer than `longest` is cut off, and a VLAN tag
    /// may be missing.
    pub fn each(
        &self,
        quiet: Duration,
        longest: usize,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<()> {
        let mut buffer = vec![0; longest];
        loop {
            // SAFETY: pointer and length are those of one slice.
            let length = unsafe {
                let flags = libc::MSG_DONTWAIT;
                libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), longest, flags)
            };
            if length >= 0 {
                if !take(&buffer[..length.unsigned_abs()]) {
                    return Ok(());
                }
                continue;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(error).with_context(|| format!("receiving on {}", self.interface));
            }
            if !self.waits_for_one(quiet) {
                return Ok(());
            }
        }
    }

    /// How many frames found no room since this was last asked.
    pub fn missed(&self) -> Result<u32> {
        let mut counts = [0_u32; 2];
        let mut length = size_of_val(&counts) as libc::socklen_t;
        // SAFETY: a `tpacket_stats` is two such integers, and `length` is their size.
        let got = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                counts.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        nix::errno::Errno::result(got).with_context(|| format!("counts of {}", self.interface))?;
        Ok(counts[1])
    }

    /// The next frame, or `None` when none comes within exactly `timeout`.
    pub fn receive(&self, timeout: Duration) -> Result<Option<Received>> {
        if !self.waits_for_one(timeout) {
            return Ok(None);
        }
        receive_now(&self.socket).with_context(|| format!("receiving on {}", self.interface))
    }

    fn waits_for_one(&self, timeout: Duration) -> bool {
        let mut wanted =
            libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let milliseconds = timeout.as_micros().div_ceil(1000).try_into().unwrap_or(i32::MAX);
        // SAFETY: one initialised `pollfd`, as the count says.
        unsafe { libc::poll(&raw mut wanted, 1, milliseconds) > 0 }
    }

    /// Every frame that `matches`, until none has come for exactly `quiet`: for frames
    /// that should not come.
    pub fn collect(
        &self,
        quiet: Duration,
        mut matches: impl FnMut(&[u8]) -> bool,
    ) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        while let Some(frame) = self.receive(quiet)? {
            if matches(&frame.bytes) {
                frames.push(frame.bytes);
            }
        }
        Ok(frames)
    }

    /// The frames that `matches` where `count` should come within `timeout` (see
    /// [`patient`]): these are waited for, and what comes right behind them is taken too.
    /// It is the caller who judges how many came.
    pub fn expect(
        &self,
        count: usize,
        timeout: Duration,
        mut matches: impl FnMut(&[u8]) -> bool,
    ) -> Result<Vec<Vec<u8>>> {
        let deadline = Instant::now() + patient(timeout);
        let mut frames = Vec::new();
        while frames.len() < count {
            match self.receive_until(deadline)? {
                Some(frame) if matches(&frame) => frames.push(frame),
                Some(_) => {}
                None => return Ok(frames),
            }
        }
        frames.extend(self.collect(BEHIND, matches)?);
        Ok(frames)
    }

    /// The first frame that `matches`, which should come; `None` after `timeout` (see
    /// [`patient`]).
    pub fn find(
        &self,
        timeout: Duration,
        mut matches: impl FnMut(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + patient(timeout);
        loop {
            match self.receive_until(deadline)? {
                Some(frame) if !matches(&frame) => {}
                found => return Ok(found),
            }
        }
    }

    /// Every frame in front of the first that is `last`: of one that was sent behind what
    /// must not arrive. No clock has to say for how long that might still have come.
    ///
    /// # Errors
    ///
    /// `last` does not come within `timeout` (see [`patient`]).
    pub fn before(
        &self,
        timeout: Duration,
        mut last: impl FnMut(&[u8]) -> bool,
    ) -> Result<Vec<Vec<u8>>> {
        let deadline = Instant::now() + patient(timeout);
        let mut frames = Vec::new();
        while let Some(frame) = self.receive_until(deadline)? {
            if last(&frame) {
                return Ok(frames);
            }
            frames.push(frame);
        }
        bail!("the frame behind all others did not come to {}, {frames:02x?} did", self.interface)
    }

    fn receive_until(&self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        let left = deadline.saturating_duration_since(Instant::now());
        Ok(self.receive(left)?.map(|frame| frame.bytes))
    }
}

fn open(index: u32) -> io::Result<OwnedFd> {
    let every_protocol = u16::to_be(libc::ETH_P_ALL as u16);
    let flags = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let socket = unsafe { libc::socket(libc::AF_PACKET, flags, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // Options come before the protocol, so that no frame arrives without them.
    set_option(&socket, libc::PACKET_AUXDATA)?;
    set_option(&socket, libc::PACKET_IGNORE_OUTGOING)?;
    // SAFETY: all zeros is a valid `sockaddr_ll`.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = every_protocol;
    address.sll_ifindex = index.cast_signed();
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is initialised and `length` is its size.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

fn set_option(socket: &OwnedFd, option: libc::c_int) -> io::Result<()> {
    set_value(socket, (libc::SOL_PACKET, option), 1)
}

fn set_value(
    socket: &OwnedFd,
    (level, option): (libc::c_int, libc::c_int),
    value: libc::c_int,
) -> io::Result<()> {
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the value is an initialised integer and `length` is its size.
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length)
    };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn receive_now(socket: &OwnedFd) -> io::Result<Option<Received>> {
    let mut bytes = vec![0_u8; LONGEST];
    let mut control = [0_u64; 16];
    let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all zeros is a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the message points at buffers that live through the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    if length < 0 {
        let error = io::Error::last_os_error();
        let nothing = matches!(error.kind(), io::ErrorKind::WouldBlock)
            || error.raw_os_error() == Some(libc::ENETDOWN);
        return if nothing { Ok(None) } else { Err(error) };
    }
    bytes.truncate(length.unsigned_abs());
    if let Some((protocol, tci)) = stripped_tag(&message)
        && bytes.len() >= MACS_LEN
    {
        let mut tag = [0; TAG_LEN];
        tag[..2].copy_from_slice(&protocol.to_be_bytes());
        tag[2..].copy_from_slice(&tci.to_be_bytes());
        bytes.splice(MACS_LEN..MACS_LEN, tag);
    }
    Ok(Some(Received { bytes }))
}

/// Protocol and control information of a VLAN tag that the kernel keeps beside
/// the frame.
fn stripped_tag(message: &libc::msghdr) -> Option<(u16, u16)> {
    // SAFETY: the kernel filled the control buffer and its length.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: the macros keep the header inside the control buffer.
        let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
        if level == libc::SOL_PACKET && kind == libc::PACKET_AUXDATA {
            // SAFETY: the data of this kind is a `tpacket_auxdata`; it may be
            // unaligned.
            let aux =
                unsafe { libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned() };
            if aux.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
                return Some((aux.tp_vlan_tpid, aux.tp_vlan_tci));
            }
        }
        // SAFETY: as above.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ethernet;
    use crate::{require_root, veth};

    const SOON: Duration = Duration::from_secs(2);

    #[test]
    fn what_should_come_is_waited_for_and_what_comes_beside_it_is_told() -> Result<()> {
        if !require_root("raw_socket_waits") {
            return Ok(());
        }
        let netns = Netns::new("raw")?;
        veth(&netns, "near", &netns, "far")?;
        let (near, far) = (RawSocket::open(&netns, "near")?, RawSocket::open(&netns, "far")?);
        let frame = |number: u8| ethernet([2; 6], [4; 6], 0x88b5, &[number; 46]);
        let is = |wanted: u8| move |frame: &[u8]| frame.last() == Some(&wanted);
        let send =
            |numbers: &[u8]| numbers.iter().try_for_each(|number| near.send(&frame(*number)));

        send(&[1, 2, 1, 3])?;
        assert_eq!(far.before(SOON, is(3))?, [1, 2, 1].map(frame));
        send(&[1, 2, 1])?;
        assert_eq!(far.expect(1, SOON, is(1))?, [1, 1].map(frame), "one too many is told");
        send(&[1, 2])?;
        assert_eq!(far.find(SOON, is(2))?, Some(frame(2)));

        far.set_room(1 << 20)?;
        send(&[4; 500])?;
        let mut lengths = Vec::new();
        for most in [400, 1000] {
            far.each(SOON / 20, 20, |frame| {
                lengths.push(frame.len());
                lengths.len() < most
            })?;
            assert_eq!(lengths.len(), most.min(500));
        }
        assert_eq!((lengths, far.missed()?), (vec![20; 500], 0));

        let short = Duration::from_millis(1);
        assert!(far.expect(1, short, is(1))?.is_empty());
        assert!(far.before(short, is(1)).is_err());
        assert_eq!(far.find(short, is(1))?, None);
        Ok(())
    }
}
