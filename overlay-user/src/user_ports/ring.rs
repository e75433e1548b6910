//! A packet socket's receive ring: slots in memory shared with the kernel, which fills them
//! in turn (`TPACKET_V2`; a frame is there as soon as it came, where version 3 keeps it until
//! a block is full or a clock has ticked).
//!
//! A slot is a little longer than the device's longest packet. Super-frames, which are not
//! many but long, come by the socket's own queue, in the order in which the ring tells of
//! them.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use anyhow::{Context as _, Result};

use overlay_common::wire::{Tag, TagKind, ethertype};

use super::buffer::HEADROOM;
use super::offload::Offload;
use super::socket::{self, Group};
use super::source::{Received, Slot, Source};

/// Bytes of all slots, as far as [`LEAST_SLOTS`] and [`LONGEST_SLOT`] let it be.
const SIZE: usize = 8 << 20;
const LEAST_SLOTS: usize = 1024;
/// What is longer comes by the socket's queue.
const LONGEST_SLOT: usize = 16 << 10;
/// The kernel takes memory for slots in blocks of so many bytes.
const BLOCK: usize = 64 << 10;
/// What a slot holds beside the packet: its header and an address, the reserved room, an
/// Ethernet header with tags.
const BESIDE: usize = libc::TPACKET2_HDRLEN + HEADROOM + 64;
/// The longest super-frame, as long as nobody raises what the kernel allows of them.
const LONGEST: usize = (64 << 10) + 256;

/// Where the kind of a frame is, from a slot's header on: in an address behind that.
const KIND: usize = std::mem::offset_of!(libc::sockaddr_ll, sll_pkttype);

const KERNEL: u32 = libc::TP_STATUS_KERNEL;
const USER: u32 = libc::TP_STATUS_USER;
const COPY: u32 = libc::TP_STATUS_COPY;
const LOSING: u32 = libc::TP_STATUS_LOSING;
const VLAN_VALID: u32 = libc::TP_STATUS_VLAN_VALID;
const VLAN_TPID_VALID: u32 = libc::TP_STATUS_VLAN_TPID_VALID;

/// A ring, and its socket.
pub struct Ring {
    socket: OwnedFd,
    start: NonNull<u8>,
    slot: usize,
    slots: usize,
    /// The slot that comes next, and the first that was not given back.
    next: usize,
    held: usize,
    /// For frames that are longer than a slot.
    long: Box<[u8]>,
    losing: bool,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Opens a ring on a device whose longest packet has `mtu` bytes. Nothing comes before
    /// [`listen`](Self::listen).
    ///
    /// # Errors
    ///
    /// The process may have no packet sockets, or the kernel has no memory for the ring.
    pub fn open(ifindex: u32, mtu: u32) -> Result<Self> {
        let socket = socket::receiving()?;
        let slot = (mtu as usize + BESIDE).next_power_of_two().clamp(2048, LONGEST_SLOT);
        let slots = (SIZE / slot).max(LEAST_SLOTS);
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: (slots * slot / BLOCK) as u32,
            tp_frame_size: slot as u32,
            tp_frame_nr: slots as u32,
        };
        socket::set(&socket, libc::PACKET_RX_RING, &request)
            .with_context(|| format!("cannot have a ring of {slots} slots of {slot} bytes"))?;
        // SAFETY: a new mapping at an address of the kernel's choice, of the ring's size.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                slots * slot,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("cannot map a ring");
        }
        let start = NonNull::new(start.cast()).context("mapped at address 0")?;
        let long = vec![0; HEADROOM + LONGEST].into_boxed_slice();
        let ring = Self { socket, start, slot, slots, next: 0, held: 0, long, losing: false };
        socket::shut(&ring.socket).context("cannot keep frames out")?;
        socket::bind(&ring.socket, ifindex).context("cannot listen on the device")?;
        Ok(ring)
    }

    /// Shares the device's frames with the others of a group, or begins one.
    ///
    /// # Errors
    ///
    /// The device is down or gone, or the kernel has no groups.
    pub fn join(&self, group: Option<Group>) -> Result<Group> {
        socket::join(&self.socket, group).context("cannot share the queues of the device")
    }

    /// Takes frames from now on.
    pub fn listen(&self) -> Result<()> {
        socket::let_in(&self.socket).context("cannot let frames in")
    }

    /// The frame that a slot has no room for waits in the socket's queue.
    fn take_long(&mut self, vlan: Option<Tag>) -> Slot<'_> {
        let front = HEADROOM - Offload::LEN;
        let room = &mut self.long[front..];
        // SAFETY: pointer and length are those of one slice.
        let len = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                room.as_mut_ptr().cast(),
                room.len(),
                libc::MSG_DONTWAIT | libc::MSG_TRUNC,
            )
        };
        match usize::try_from(len).ok().and_then(|len| len.checked_sub(Offload::LEN)) {
            Some(len) if len <= LONGEST => frame(&mut self.long, HEADROOM, len, vlan, true),
            _ => Slot::Truncated,
        }
    }

    fn slot_at(&self, index: usize) -> NonNull<u8> {
        // SAFETY: the mapping has so many slots. A block is filled with whole ones.
        unsafe { self.start.add(index * self.slot) }
    }

    /// The first word of a slot, by which it changes hands.
    fn status(&self, index: usize) -> &AtomicU32 {
        // SAFETY: the word is in the mapping, aligned, and both sides write it whole.
        unsafe { AtomicU32::from_ptr(self.slot_at(index).cast().as_ptr()) }
    }
}

impl Source for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn held(&self) -> usize {
        self.held
    }

    fn take(&mut self) -> Option<Slot<'_>> {
        if self.held == self.slots {
            return None;
        }
        let base = self.slot_at(self.next);
        let status = self.status(self.next).load(Ordering::Relaxed);
        if status & USER == 0 {
            return None;
        }
        // The frame is read behind the note that it is there.
        fence(Ordering::Acquire);
        self.next = (self.next + 1) % self.slots;
        self.held += 1;
        self.losing |= status & LOSING != 0;
        // SAFETY: the slot is this process's until it is given back, and begins with the
        // header; a reader of it is none of those that are made below.
        let header: libc::tpacket2_hdr = unsafe { base.cast().read() };
        // SAFETY: the slot's bytes behind its header, which nobody else refers to.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(
                base.as_ptr().add(size_of::<libc::tpacket2_hdr>()),
                self.slot - size_of::<libc::tpacket2_hdr>(),
            )
        };
        // A group of an older kernel takes those, too.
        if bytes.get(KIND) == Some(&libc::PACKET_OUTGOING) {
            if status & COPY != 0 {
                let _ = self.take_long(None);
            }
            return Some(Slot::Own);
        }
        let vlan = (status & VLAN_VALID != 0).then(|| stripped(status, &header));
        if status & COPY != 0 {
            return Some(self.take_long(vlan));
        }
        if header.tp_snaplen != header.tp_len {
            return Some(Slot::Truncated);
        }
        let start = usize::from(header.tp_mac) - size_of::<libc::tpacket2_hdr>();
        Some(frame(bytes, start, header.tp_len as usize, vlan, false))
    }

    fn release(&mut self) {
        for _ in 0..self.held {
            let index = (self.next + self.slots - self.held) % self.slots;
            self.status(index).store(KERNEL, Ordering::Release);
            self.held -= 1;
        }
    }

    fn take_lost(&mut self) -> u32 {
        if !std::mem::take(&mut self.losing) {
            return 0;
        }
        socket::take_lost(&self.socket)
    }
}

/// The tag that the kernel moved out of a slot's frame.
fn stripped(status: u32, header: &libc::tpacket2_hdr) -> Tag {
    let is_service =
        status & VLAN_TPID_VALID != 0 && header.tp_vlan_tpid == ethertype::SERVICE_VLAN;
    let kind = if is_service { TagKind::Service } else { TagKind::Customer };
    Tag::new(kind, header.tp_vlan_tci)
}

/// A frame behind what is left to the device.
fn frame(
    bytes: &mut [u8],
    start: usize,
    len: usize,
    vlan: Option<Tag>,
    is_borrowed: bool,
) -> Slot<'_> {
    let note = start.checked_sub(Offload::LEN).and_then(|at| bytes.get(at..start));
    let note = note.and_then(|note| note.try_into().ok());
    match note.map(Offload::read) {
        Some(offload) if start + len <= bytes.len() => {
            Slot::Frame(Received { bytes, range: (start, start + len), vlan, offload, is_borrowed })
        }
        _ => Slot::Truncated,
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this mapping, which nothing refers to any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.slots * self.slot) };
    }
}
