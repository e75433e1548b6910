//! What the benchmark's BPF programs and their loader share.

/// Directions that one generator can alternate between.
pub const LANES: u32 = 2;
/// Templates of a lane at most: IMIX is twelve frames of three lengths.
pub const TEMPLATES: u32 = 12;
/// Flows that a generator goes round; a power of two.
pub const FLOWS: u64 = 256;
/// Frames between two looks at the clock of a generator that is not paced; a power
/// of two.
pub const CLOCK: u64 = 64;
/// How far a paced generator may fall behind, in nanoseconds. What it owes beyond
/// that is never sent.
pub const PATIENCE: u64 = 1_000_000;
/// 64-bit words of a template: 112 bytes, the headers of a frame in a tunnel and
/// its stamp.
pub const TEMPLATE_WORDS: usize = 14;
/// Marks the frames of this benchmark.
pub const MAGIC: u32 = 0x6265_6e63;

/// The beginning of a frame, up to and with its stamp, and its length.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Template {
    /// The bytes. What differs from frame to frame holds its base value.
    pub words: [u64; TEMPLATE_WORDS],
    /// Of the whole frame.
    pub len: u64,
}

/// What a lane's frames look like, and among how many things they choose.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Lane {
    /// [`Lane::PLAIN`], [`Lane::TAGGED`] or [`Lane::TUNNEL`].
    pub shape: u32,
    /// How many of the lane's templates there are.
    pub templates: u32,
    /// Remote hosts.
    pub entries: u32,
    /// Local hosts of each segment.
    pub hosts: u32,
    /// The first segment's VNI.
    pub vni: u32,
    /// The first peer's VTEP. Those of all are alike in their upper half.
    pub vtep: u32,
    /// Segments for each remote host, in units of 2⁻³².
    pub segments: u64,
    /// Peers for each remote host, in units of 2⁻³².
    pub peers: u64,
}

impl Lane {
    /// From a local host to a remote one.
    pub const PLAIN: u32 = 0;
    /// The same with an 802.1Q tag.
    pub const TAGGED: u32 = 1;
    /// From a remote host to a local one, in a peer's tunnel.
    pub const TUNNEL: u32 = 2;
}

/// A generator's state.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Generator {
    /// The state of the pseudo-random numbers, not 0.
    pub random: u64,
    /// Frames generated so far.
    pub count: u64,
    /// The lane, where there is one.
    pub lane: u32,
    /// 1 to alternate between both lanes, else 0.
    pub alternate: u32,
    /// Nanoseconds between two frames; 0 for as fast as can be.
    pub interval: u64,
    /// When the next frame is due.
    pub due: u64,
    /// When the first frame was generated; 0 before.
    pub first: u64,
    /// When the latest frame was, to [`CLOCK`] frames.
    pub last: u64,
}

/// In each frame, behind its inner UDP header.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Stamp {
    /// [`MAGIC`].
    pub magic: u32,
    /// Which of [`FLOWS`].
    pub flow: u32,
    /// Which frame of the flow, from 1 on.
    pub sequence: u64,
}

/// What a sink remembers of a flow.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Seen {
    /// The highest sequence number so far.
    pub highest: u64,
    /// Which of the 64 up to the highest came; bit 0 is the highest itself.
    pub window: u64,
}

/// Where a sink counts what.
pub mod counts {
    /// Frames with a stamp.
    pub const RECEIVED: u32 = 0;
    /// Those among them that came before.
    pub const DUPLICATED: u32 = 1;
    /// Those among them that came behind a later one of their flow (RFC 4737).
    pub const REORDERED: u32 = 2;
    /// How many there are.
    pub const LEN: u32 = 3;
}
