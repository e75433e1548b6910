//! What counters go on with when programs and their tables are replaced.
//!
//! The programs count under indices, which are assigned anew at each start. Here user space says
//! what an index is of, and what is to be added to what the programs have counted under it. A
//! successor needs this map and those of the counters, and none of the others: it goes on with the
//! counters of tables of any layout, as long as these have its [`FORM`](CarriedKey::FORM).

use super::{Counters, DropKey, record};

/// What an entry is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct CarriedKey {
    /// One of the kinds below.
    pub kind: u16,
    /// Of a drop counter: `DropReason` as a number; else 0.
    pub reason: u8,
    /// Of a drop counter: [`Hook`](super::Hook) as a number; else 0.
    pub hook: u8,
    /// An index, a VNI or an ifindex, by the kind.
    pub number: u32,
}
record!(CarriedKey, 8);

impl CarriedKey {
    /// The form of this map and of those of the counters: [`Count`](super::Count),
    /// [`RuleCount`](super::RuleCount), [`DropKey`], and how many ports and peers there are room
    /// for. Whoever changes one of these counts on from here.
    pub const FORM: u64 = 1;

    /// One entry: [`FORM`](Self::FORM), and 1 once everything is in that former tables held.
    pub const HEAD: u16 = 0;
    /// A port, by its index.
    pub const PORT: u16 = 1;
    /// A peer, by its index.
    pub const PEER: u16 = 2;
    /// A rule, by its index.
    pub const RULE: u16 = 3;
    /// The ports of a segment that are gone, by its VNI.
    pub const SEGMENT: u16 = 4;
    /// One entry: peers that are gone, and had no time series of their own.
    pub const OTHER_PEERS: u16 = 5;
    /// Packets that were dropped, by the ifindex.
    pub const DROP: u16 = 6;
    /// The name of a device that has dropped some, by its ifindex.
    pub const DEVICE: u16 = 7;

    /// The entry of this kind and number.
    pub const fn new(kind: u16, number: u32) -> Self {
        Self { kind, reason: 0, hook: 0, number }
    }

    /// The entry of a drop counter.
    pub const fn of_drop(key: DropKey) -> Self {
        Self { kind: Self::DROP, reason: key.reason, hook: key.hook, number: key.ifindex }
    }

    /// The drop counter that it is of.
    pub const fn as_drop(self) -> DropKey {
        DropKey { ifindex: self.number, reason: self.reason, hook: self.hook, reserved: 0 }
    }
}

/// Whose counter it is, and what it goes on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Carried {
    /// A device's name with zeroes behind it, a VTEP as IPv6 has it, or the digest of a rule.
    pub name: [u8; 16],
    /// The VNI of a port's segment; 0 on an uplink.
    pub vni: u32,
    /// The VLAN of a port, as [`Vlan::word`](crate::id::Vlan::word).
    pub vlan: u16,
    /// Of a peer: 1 where it has no time series of its own, but is counted among others; else 0.
    pub hidden: u16,
    /// To be added, with wrapping, to what the programs counted: packets and bytes taken in, packets
    /// and bytes sent. Rules have the first two alone, drop counters the first.
    pub counters: [u64; 4],
}
record!(Carried, 56);

impl Carried {
    /// The same with these counters.
    #[must_use]
    pub const fn with(mut self, counters: Counters) -> Self {
        let Counters { rx_packets, rx_bytes, tx_packets, tx_bytes } = counters;
        self.counters = [rx_packets, rx_bytes, tx_packets, tx_bytes];
        self
    }

    /// The counters.
    pub const fn counters(&self) -> Counters {
        let [rx_packets, rx_bytes, tx_packets, tx_bytes] = self.counters;
        Counters { rx_packets, rx_bytes, tx_packets, tx_bytes }
    }
}
