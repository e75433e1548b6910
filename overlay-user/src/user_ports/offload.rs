//! What a packet socket says of a frame beside its bytes: a checksum that is left to the
//! device, a segmentation that is.

use overlay_common::wire::{Ethernet, protocol};

/// `struct virtio_net_hdr` of `<linux/virtio_net.h>`, in the machine's byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Offload {
    flags: u8,
    segments: u8,
    headers: u16,
    segment: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

const _: () = assert!(size_of::<Offload>() == Offload::LEN);

/// The checksum is the sum of the pseudo-header alone.
const NEEDS_CHECKSUM: u8 = 1;
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
const UDP: u8 = 5;
/// A flag beside the kind of segments: congestion is marked in the first alone.
const ECN: u8 = 0x80;

impl Offload {
    /// 10 bytes.
    pub const LEN: usize = 10;

    /// A frame whose checksum, `offset` bytes behind the start of its transport header at
    /// `start`, is left to the device.
    pub const fn with_checksum(start: u16, offset: u16) -> Self {
        Self {
            flags: NEEDS_CHECKSUM,
            segments: 0,
            headers: 0,
            segment: 0,
            checksum_start: start,
            checksum_offset: offset,
        }
    }

    /// The same for a super-frame of TCP over IPv4 with `segment` payload bytes a segment.
    pub const fn with_tcp_segments(self, segment: u16) -> Self {
        Self { segments: TCP_V4, segment, headers: self.checksum_start + 20, ..self }
    }

    /// The header in front of a received frame. What it says that a sender need not know is
    /// left out.
    pub fn read(bytes: [u8; Self::LEN]) -> Self {
        let [flags, segments, rest @ ..] = bytes;
        let [headers, segment, start, offset] =
            [[rest[0], rest[1]], [rest[2], rest[3]], [rest[4], rest[5]], [rest[6], rest[7]]]
                .map(u16::from_ne_bytes);
        Self {
            flags: flags & NEEDS_CHECKSUM,
            segments,
            headers,
            segment,
            checksum_start: start,
            checksum_offset: offset,
        }
    }

    /// The payload bytes of each segment of a super-frame, else 0.
    pub fn segment(&self) -> usize {
        if self.segments & !ECN == 0 { 0 } else { usize::from(self.segment) }
    }

    /// The transport protocol of a super-frame's segments.
    pub fn protocol(&self) -> Option<u8> {
        match self.segments & !ECN {
            TCP_V4 | TCP_V6 => Some(protocol::TCP),
            UDP => Some(protocol::UDP),
            _ => None,
        }
    }

    /// Where the transport header begins whose checksum is left to the device, and where in
    /// it that is.
    pub fn checksum(&self) -> Option<(usize, usize)> {
        let (start, offset) = (usize::from(self.checksum_start), usize::from(self.checksum_offset));
        (self.flags & NEEDS_CHECKSUM != 0).then_some((start, offset))
    }

    /// Whether nothing is left to a device.
    pub fn is_nothing(&self) -> bool {
        self.flags & NEEDS_CHECKSUM == 0 && self.segment() == 0
    }

    /// The checksum is finished.
    pub fn finish(&mut self) {
        self.flags = 0;
        self.checksum_start = 0;
        self.checksum_offset = 0;
    }

    /// It is no super-frame any more.
    pub fn forget_segments(&mut self) {
        self.segments = 0;
        self.segment = 0;
        self.headers = 0;
    }

    /// So many bytes were put in front of what this speaks of, or, negative, taken away. What
    /// spoke of bytes that are gone is gone with them.
    pub fn shift(&mut self, by: i32) {
        let moved = |at: u16| u16::try_from(i32::from(at) + by).ok();
        self.headers = moved(self.headers).unwrap_or(0);
        if self.flags & NEEDS_CHECKSUM == 0 {
            return;
        }
        match moved(self.checksum_start) {
            Some(start) if usize::from(start) >= Ethernet::LEN => self.checksum_start = start,
            _ => self.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_received_header_is_read_and_what_only_a_receiver_needs_left_out() {
        let mut bytes = [0; Offload::LEN];
        bytes[0] = 3;
        bytes[1] = TCP_V6 | ECN;
        for (at, value) in [(2, 74_u16), (4, 1428), (6, 54), (8, 16)] {
            bytes[at..at + 2].copy_from_slice(&value.to_ne_bytes());
        }
        let offload = Offload::read(bytes);
        assert_eq!((offload.segment(), offload.protocol()), (1428, Some(protocol::TCP)));
        assert_eq!((offload.checksum(), offload.flags), (Some((54, 16)), 1));
        assert_eq!(Offload::read([0; 10]), Offload::default());
        assert!(!offload.is_nothing() && Offload::default().is_nothing());
    }

    #[test]
    fn notes_move_with_their_bytes_and_go_with_them() {
        let mut inner = Offload::with_checksum(84, 16);
        inner.shift(-50);
        assert_eq!(inner.checksum(), Some((34, 16)));
        inner.shift(4);
        assert_eq!(inner.checksum(), Some((38, 16)));
        // The note was about the outer UDP header.
        let mut outer = Offload::with_checksum(34, 6);
        outer.shift(-50);
        assert_eq!(outer, Offload::default());
        let mut outer = Offload::with_checksum(54, 6);
        outer.shift(-50);
        assert_eq!(outer, Offload::default());
        // Nothing remains nothing.
        outer.shift(50);
        assert!(outer.is_nothing());
    }
}
