//! How a fuzzer's bytes become a frame and its circumstances.

use overlay_common::wire::{Tag, TagKind};
use overlay_control::frame::HostFrame;

/// The head of the fuzzer's bytes: how the rest is to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Bits that choose the circumstances.
    choices: u8,
    /// Tag control information beside the bytes, where one is chosen.
    tci: u16,
    /// Payload of a super-frame's segments, where one is chosen.
    gso_size: u16,
    /// A byte of the outer headers to change, and how.
    patch: (u8, u8),
    /// Bits that choose the tunnel.
    tunnel: u8,
    /// Bytes of link-layer padding behind the outer packet.
    pub padding: u8,
    /// The frame's bytes, or those of the inner frame.
    pub bytes: &'a [u8],
}

impl<'a> Input<'a> {
    /// `None` where there are too few bytes.
    pub fn new(data: &'a [u8]) -> Option<Self> {
        let (head, bytes) = data.split_first_chunk::<9>()?;
        let [choices, t1, t2, g1, g2, at, how, padding, tunnel] = *head;
        Some(Self {
            choices,
            tci: u16::from_be_bytes([t1, t2]),
            gso_size: u16::from_be_bytes([g1, g2]),
            patch: (at, how),
            padding,
            tunnel,
            bytes,
        })
    }

    /// Whether the hook is XDP, which sends no copies.
    pub fn is_xdp(&self) -> bool {
        self.choices & 1 != 0
    }

    /// Whether the frame comes from the second device.
    pub fn second_device(&self) -> bool {
        self.choices & 2 != 0
    }

    /// Whether the bytes are an inner frame that wants outer headers.
    pub fn wants_outer(&self) -> bool {
        self.choices & 4 != 0
    }

    /// Whether the outer checksum is made right after the patch.
    pub fn wants_checksum(&self) -> bool {
        self.choices & 8 != 0
    }

    /// Two bits that choose the sender.
    pub fn sender(&self) -> usize {
        usize::from(self.choices >> 6)
    }

    /// Which of the ways to be wrapped is chosen, out of so many.
    pub fn tunnel(&self, ways: usize) -> usize {
        usize::from(self.tunnel) % ways
    }

    /// How many words of Geneve options there are.
    pub fn option_words(&self) -> u8 {
        if self.tunnel & 0x80 == 0 { 0 } else { self.tunnel & 0x3f }
    }

    /// Changes one byte of a header, or none.
    pub fn patch(&self, header: &mut [u8]) {
        let (at, how) = self.patch;
        let len = header.len();
        if let Some(byte) = header.get_mut(usize::from(at) % len) {
            *byte ^= how;
        }
    }

    /// A buffer of `bytes` in the chosen circumstances.
    pub fn frame<const COPIES: bool>(&self, bytes: &[u8]) -> HostFrame<COPIES> {
        let mut frame = HostFrame::new(bytes);
        // Only tc sees tags beside the bytes, and super-frames.
        if COPIES && self.choices & 16 != 0 {
            let kind = TagKind::ALL[usize::from(self.tunnel >> 6 & 1)];
            frame.stripped_vlan = Some(Tag::new(kind, self.tci));
            frame.vlan_offload = true;
        }
        if COPIES && self.choices & 32 != 0 {
            frame.gso_size = u32::from(self.gso_size);
        }
        frame
    }
}
