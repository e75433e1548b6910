//! Frames that wait to be sent, all at once.
//!
//! A super-frame that goes into a tunnel is taken apart here: the kernel takes no tunnel's
//! segmentation from a packet socket, and no device takes one that it is not told of.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::PoisonError;

use overlay_common::packet::Refused;
use overlay_common::wire::{Tag, bytes_of};

use super::buffer::Outgoing;
use super::offload::Offload;
use super::xsk::exits::Exits;
use crate::forwarder::segments::Plan;

/// Frames that wait at most.
const FRAMES: usize = 256;
/// Bytes of copies and segments that do: several times those of the longest frame.
const ARENA: usize = 512 << 10;

/// How frames get to devices.
pub struct Ways {
    /// To any device ([`socket::sending`](super::socket::sending)).
    pub socket: OwnedFd,
    /// To some over AF_XDP.
    pub exits: Exits,
    /// The number of the thread among those of its port.
    pub number: usize,
}

/// No device: of a frame that is on its way.
const SENT: u32 = 0;

/// A queue of frames on their way to devices.
pub struct Outbox {
    /// `None` in tests, which look at what would be sent.
    ways: Option<Ways>,
    /// Devices that had no room for all that they were given.
    behind: Vec<u32>,
    queued: Vec<Queued>,
    arena: Box<[u8]>,
    used: usize,
    messages: Messages,
    refused: u32,
}

#[derive(Clone, Copy)]
struct Queued {
    start: *const u8,
    len: usize,
    ifindex: u32,
    offload: Offload,
}

/// What the system call wants, made once.
struct Messages {
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[[libc::iovec; 2]]>,
    addresses: Box<[libc::sockaddr_ll]>,
}

impl Outbox {
    /// Sends by these; without any, it keeps the frames.
    pub fn new(ways: Option<Ways>) -> Self {
        Self {
            ways,
            behind: Vec::new(),
            queued: Vec::with_capacity(FRAMES),
            arena: vec![0; ARENA].into_boxed_slice(),
            used: 0,
            messages: Messages::new(),
            refused: 0,
        }
    }

    /// The frames that wait, and the devices that they are for.
    pub fn frames(&self) -> impl Iterator<Item = (u32, Offload, &[u8])> {
        self.queued.iter().map(|queued| {
            // SAFETY: the bytes are those of the arena, or the caller of `put_in_place`
            // keeps them.
            let bytes = unsafe { std::slice::from_raw_parts(queued.start, queued.len) };
            (queued.ifindex, queued.offload, bytes)
        })
    }

    /// Queues a frame where it is, if it can be sent as it is.
    ///
    /// # Safety
    ///
    /// The bytes stay as they are until [`flush`](Self::flush).
    pub unsafe fn put_in_place(&mut self, ifindex: u32, frame: &Outgoing<'_>) {
        let Outgoing { bytes, offload, outer, vlan } = *frame;
        let can_stay = is_device(ifindex) && vlan.is_none();
        if can_stay && (outer.is_none() || offload.segment() == 0) {
            self.push(bytes.as_ptr(), bytes.len(), ifindex, offload);
        } else if self.put_copy(ifindex, frame).is_err() {
            self.refused += 1;
        }
    }

    /// Queues a copy of a frame.
    ///
    /// # Errors
    ///
    /// It is too long, or cannot be taken apart, or no device can have this index.
    pub fn put_copy(&mut self, ifindex: u32, frame: &Outgoing<'_>) -> Result<(), Refused> {
        let Outgoing { bytes, mut offload, outer, vlan } = *frame;
        if !is_device(ifindex) {
            return Err(Refused);
        }
        if outer.is_some() && offload.segment() != 0 {
            return self.put_segments(ifindex, frame);
        }
        match vlan {
            None => self.push_copy(ifindex, offload, &[bytes]),
            Some(tag) => {
                let (stations, rest) = bytes.split_at_checked(Tag::OFFSET).ok_or(Refused)?;
                offload.shift(Tag::LEN as i32);
                self.push_copy(ifindex, offload, &[stations, bytes_of(&tag), rest])
            }
        }
    }

    fn put_segments(&mut self, ifindex: u32, frame: &Outgoing<'_>) -> Result<(), Refused> {
        let size = frame.offload.segment();
        let protocol = frame.offload.protocol().ok_or(Refused)?;
        let plan = Plan::of(frame.bytes, frame.outer, size, protocol).ok_or(Refused)?;
        for number in 0..plan.count() {
            let len = plan.len_of(number);
            let segment = self.room(len)?;
            plan.write(frame.bytes, number, segment);
            let start = segment.as_ptr();
            self.push(start, len, ifindex, Offload::default());
        }
        Ok(())
    }

    fn push_copy(
        &mut self,
        ifindex: u32,
        offload: Offload,
        parts: &[&[u8]],
    ) -> Result<(), Refused> {
        let len = parts.iter().map(|part| part.len()).sum();
        let copy = self.room(len)?;
        let start = copy.as_ptr();
        let mut rest = copy;
        for part in parts {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        self.push(start, len, ifindex, offload);
        Ok(())
    }

    /// So many bytes of the arena, and a place in the queue; what waits is sent if need be.
    fn room(&mut self, len: usize) -> Result<&mut [u8], Refused> {
        if self.queued.len() == FRAMES || ARENA - self.used < len {
            self.flush();
        }
        let place = self.used..self.used.checked_add(len).ok_or(Refused)?;
        let room = self.arena.get_mut(place).ok_or(Refused)?;
        self.used += len;
        Ok(room)
    }

    fn push(&mut self, start: *const u8, len: usize, ifindex: u32, offload: Offload) {
        if self.queued.len() == FRAMES {
            self.flush();
        }
        self.queued.push(Queued { start, len, ifindex, offload });
    }

    /// Sends what waits. A device that takes no more must not stop the frames for others.
    pub fn flush(&mut self) {
        self.flush_over_xdp();
        if let Some(ways) = &self.ways
            && !self.queued.is_empty()
        {
            self.messages.fill(&self.queued);
            self.refused += self.messages.send(&ways.socket, self.queued.len());
        }
        self.queued.clear();
        self.used = 0;
    }

    /// Sends over AF_XDP what can be, and leaves the rest: AF_XDP has no words for what is left
    /// to a device.
    fn flush_over_xdp(&mut self) {
        let Self { ways: Some(ways), queued, behind, refused, .. } = self else { return };
        let exits = ways.exits.open();
        if exits.is_empty() {
            behind.clear();
            return;
        }
        let sender = |ifindex| {
            let sender = exits.of(ifindex, ways.number)?;
            Some(sender.lock().unwrap_or_else(PoisonError::into_inner))
        };
        behind.retain(|ifindex| sender(*ifindex).is_some_and(|mut sender| sender.finish()));
        // Most frames of a batch leave through the same device.
        let mut seen_to = SENT;
        for first in 0..queued.len() {
            let ifindex = queued[first].ifindex;
            if ifindex == SENT || ifindex == seen_to {
                continue;
            }
            seen_to = ifindex;
            let Some(mut sender) = sender(ifindex) else { continue };
            sender.begin();
            for frame in &mut queued[first..] {
                let is_plain = frame.offload.is_nothing();
                if frame.ifindex != ifindex || !is_plain || frame.len > sender.longest() {
                    continue;
                }
                frame.ifindex = SENT;
                // SAFETY: the bytes are those of the arena, or the caller of `put_in_place`
                // keeps them.
                let bytes = unsafe { std::slice::from_raw_parts(frame.start, frame.len) };
                *refused += u32::from(!sender.put(bytes));
            }
            if sender.finish() && !behind.contains(&ifindex) {
                behind.push(ifindex);
            }
        }
        queued.retain(|frame| frame.ifindex != SENT);
    }

    /// Whether a device had no room for all that it was given.
    pub fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// How many frames the kernel has refused since it was asked last.
    pub fn take_refused(&mut self) -> u32 {
        std::mem::take(&mut self.refused)
    }
}

/// Devices are numbered from 1, in 31 bits.
fn is_device(ifindex: u32) -> bool {
    ifindex.cast_signed() > 0
}

impl Messages {
    fn new() -> Self {
        // SAFETY: plain C structs for which all zeroes are valid.
        unsafe {
            Self {
                headers: vec![std::mem::zeroed(); FRAMES].into_boxed_slice(),
                parts: vec![std::mem::zeroed(); FRAMES].into_boxed_slice(),
                addresses: vec![std::mem::zeroed(); FRAMES].into_boxed_slice(),
            }
        }
    }

    /// A message for each frame: what is left to the device, then the frame.
    fn fill(&mut self, queued: &[Queued]) {
        let rows = self.headers.iter_mut().zip(&mut self.parts).zip(&mut self.addresses);
        for (((header, parts), address), frame) in rows.zip(queued) {
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_ifindex = frame.ifindex.cast_signed();
            let note = (&raw const frame.offload).cast_mut();
            parts[0] = libc::iovec { iov_base: note.cast(), iov_len: Offload::LEN };
            let bytes = frame.start.cast_mut();
            parts[1] = libc::iovec { iov_base: bytes.cast(), iov_len: frame.len };
            header.msg_hdr.msg_name = (&raw mut *address).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            header.msg_hdr.msg_iov = parts.as_mut_ptr();
            header.msg_hdr.msg_iovlen = 2;
        }
    }

    /// Sends the first `count` messages, and returns how many were refused.
    fn send(&mut self, socket: &OwnedFd, count: usize) -> u32 {
        let (mut done, mut refused) = (0, 0);
        while done < count {
            let rest = &mut self.headers[done..count];
            // SAFETY: `fill` made so many messages, whose parts and addresses are in `self`
            // and whose frames are where `put_in_place` and the arena have them.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as libc::c_uint,
                    libc::MSG_DONTWAIT,
                )
            };
            match usize::try_from(sent) {
                Ok(sent) if sent > 0 => done += sent,
                _ => {
                    let error = std::io::Error::last_os_error();
                    if error.kind() != std::io::ErrorKind::Interrupted {
                        tracing::debug!(%error, "a frame could not be sent");
                        refused += 1;
                        done += 1;
                    }
                }
            }
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_common::wire::{Family, TagKind};

    fn outgoing(bytes: &[u8]) -> Outgoing<'_> {
        Outgoing { bytes, offload: Offload::default(), outer: None, vlan: None }
    }

    #[test]
    fn a_copy_is_the_frame_as_it_was_with_its_tag() {
        let mut outbox = Outbox::new(None);
        let mut frame = [7; 60];
        let offload = Offload::with_checksum(34, 16);
        let tagged = Outgoing {
            vlan: Some(Tag::new(TagKind::Service, 0x600a)),
            offload,
            ..outgoing(&frame)
        };
        outbox.put_copy(3, &tagged).unwrap();
        frame.fill(8);
        let (ifindex, offload, bytes) = outbox.frames().next().unwrap();
        assert_eq!((ifindex, bytes.len(), offload.checksum()), (3, 64, Some((38, 16))));
        assert_eq!(bytes[10..18], [7, 7, 0x88, 0xa8, 0x60, 0x0a, 7, 7]);
        outbox.flush();
        assert_eq!(outbox.frames().count(), 0);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_and_counted() {
        let mut outbox = Outbox::new(None);
        let long = vec![0; ARENA + 1];
        assert_eq!(outbox.put_copy(3, &outgoing(&long)), Err(Refused));
        let offload = Offload::with_checksum(84, 16).with_tcp_segments(100);
        for nowhere in [0, u32::MAX] {
            assert_eq!(outbox.put_copy(nowhere, &outgoing(&[0; 60])), Err(Refused));
        }
        let no_tcp = Outgoing { offload, outer: Some(Family::V4), ..outgoing(&[0; 300]) };
        // SAFETY: nothing is queued.
        unsafe { outbox.put_in_place(3, &no_tcp) };
        assert_eq!((outbox.frames().count(), outbox.take_refused()), (0, 1));
        assert_eq!(outbox.take_refused(), 0);
    }
}
