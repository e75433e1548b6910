//! What the path answers for a packet.

use crate::abi::Egress;

/// What is to be done with a packet that was not dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not the overlay's: the host's own stack gets it, untouched.
    Pass,
    /// Untouched so far, and more than this program does: another one takes it from the
    /// start. XDP leaves it to the tc program of the same port, tc to the one that does what few
    /// frames need ([`Tables::APART`](crate::tables::Tables::APART)).
    Defer,
    /// Untouched so far, and sent to a router: another program routes it, which is told what there
    /// is to know of it ([`Tables::hand_on`](crate::tables::Tables::hand_on)).
    Route,
    /// Untouched so far, and to be flooded by another program
    /// ([`Tables::APART`](crate::tables::Tables::APART)).
    Flood,
    /// Encapsulated and finished: send it out of the uplink.
    Transmit(Egress),
    /// An inner frame: send it out of an access port.
    Deliver(Egress),
    /// Every receiver has its copy, or user space has the frame; nothing
    /// remains to be done with this buffer.
    Consumed,
}

/// What the path answers, in one word. Of an enum, compilers keep what only some variants have in
/// places that the others leave unset, and verifiers before Linux 6.3 (commit 6715df8d5d24) refuse a
/// program that looks there, whatever becomes of what it sees. So what is kept while something else
/// is done is this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer(u64);

impl Answer {
    const KIND: u32 = 56;
    const FLAGS: u32 = 32;

    /// The word of an answer. (The flags of an [`Egress`] are few.)
    #[inline(always)]
    pub(crate) fn of(result: Result<Verdict, DropReason>) -> Self {
        let (kind, content) = match result {
            Ok(Verdict::Pass) => (0, 0),
            Ok(Verdict::Defer) => (1, 0),
            Ok(Verdict::Route) => (2, 0),
            Ok(Verdict::Flood) => (3, 0),
            Ok(Verdict::Transmit(egress)) => (4, Self::egress(egress)),
            Ok(Verdict::Deliver(egress)) => (5, Self::egress(egress)),
            Ok(Verdict::Consumed) => (6, 0),
            Err(reason) => (7, looked_at(reason as u32) as u64),
        };
        Self(kind << Self::KIND | content)
    }

    /// With each half made another number.
    #[inline(always)]
    pub(crate) fn map(self, half: impl Fn(u32) -> u32) -> Self {
        Self((half((self.0 >> 32) as u32) as u64) << 32 | half(self.0 as u32) as u64)
    }

    #[inline(always)]
    fn egress(egress: Egress) -> u64 {
        let [ifindex, flags] = [egress.ifindex, egress.flags].map(|word| looked_at(word) as u64);
        (flags & 0xff_ffff) << Self::FLAGS | ifindex
    }

    /// The answer again.
    #[inline(always)]
    pub(crate) const fn result(self) -> Result<Verdict, DropReason> {
        let egress =
            Egress { ifindex: self.0 as u32, flags: (self.0 >> Self::FLAGS) as u32 & 0xff_ffff };
        Ok(match self.0 >> Self::KIND {
            0 => Verdict::Pass,
            1 => Verdict::Defer,
            2 => Verdict::Route,
            3 => Verdict::Flood,
            4 => Verdict::Transmit(egress),
            5 => Verdict::Deliver(egress),
            6 => Verdict::Consumed,
            _ => {
                return Err(match DropReason::from_u8(self.0 as u8) {
                    Some(reason) => reason,
                    None => DropReason::TableInconsistent,
                });
            }
        })
    }
}

/// The same number, at which the compiler looks nowhere but here: it would look before it knows which
/// variant there is.
#[inline(always)]
fn looked_at(number: u32) -> u32 {
    #[cfg(not(target_arch = "bpf"))]
    return number;
    #[cfg(target_arch = "bpf")]
    {
        let mut word = number as u64;
        // SAFETY: arithmetic on a register.
        unsafe {
            core::arch::asm!("{word} += 0", word = inout(reg) word, options(nomem, nostack));
        }
        word as u32
    }
}

/// Declares [`DropReason`] with the label and the explanation of each reason in
/// one place.
macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $label:literal;)*) => {
        /// Why a packet was dropped. Dense, never renumbered: the number indexes
        /// counters, the name is the label in metrics, commands and documents.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[$doc])* $variant = $number,)*
        }

        impl DropReason {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The label in metrics, commands and documents.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// The reason with this number.
            pub const fn from_u8(value: u8) -> Option<Self> {
                match value { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

drop_reasons! {
    /// The programs have no node, port, segment or peer entry that another
    /// table points to: a table is being changed, or the ABI does not match.
    TableInconsistent = 0, "table-inconsistent";
    /// The frame ends before the headers that it announces.
    Truncated = 1, "truncated";
    /// An outer length field contradicts another one or the frame.
    BadLength = 2, "bad-length";
    /// The outer IPv4 header's checksum is wrong (RFC 1122, 3.2.1.2).
    BadChecksum = 3, "bad-checksum";
    /// Retired: outer IPv4 headers with options go through the host's stack.
    OuterOptions = 4, "outer-options";
    /// Retired: outer fragments go through the host's stack.
    OuterFragment = 5, "outer-fragment";
    /// The VXLAN header's I flag is clear (RFC 7348, section 5).
    NoVniFlag = 6, "no-vni-flag";
    /// No configured peer has this outer source address.
    UnknownVtep = 7, "unknown-vtep";
    /// No segment of this node has this VNI.
    UnknownVni = 8, "unknown-vni";
    /// The segment exists, but not for this peer.
    VniNotPermitted = 9, "vni-not-permitted";
    /// The inner frame is shorter than an Ethernet header.
    InnerTruncated = 10, "inner-truncated";
    /// The source MAC is zero, broadcast or multicast.
    InvalidSource = 11, "invalid-source";
    /// The inner frame carries a VLAN tag (RFC 7348, 6.1).
    InnerVlan = 12, "inner-vlan";
    /// Sent to 01:80:C2:00:00:0X, which bridges do not forward (IEEE 802.1Q,
    /// table 8-1).
    LinkLocalGroup = 13, "link-local-group";
    /// Congestion was marked on a tunnel whose inner packet cannot say so (RFC
    /// 6040, 4.2).
    EcnNotCapable = 14, "ecn-not-capable";
    /// No segment of this port takes the frame's VLAN.
    UnknownVlan = 15, "unknown-vlan";
    /// The destination is behind the port that the frame came from.
    SamePort = 16, "same-port";
    /// From one peer to another: split horizon.
    SplitHorizon = 17, "split-horizon";
    /// Route or next hop of the peer is not known.
    PeerUnresolved = 18, "peer-unresolved";
    /// The frame is longer than its way out allows.
    TooBig = 19, "too-big";
    /// The kernel refused to add or remove outer headers.
    ResizeFailed = 20, "resize-failed";
    /// The kernel refused to send a copy of a flooded frame.
    CopyFailed = 21, "copy-failed";
    /// The segment has no other port and no peer to flood to.
    NoReceiver = 22, "no-receiver";
    /// A punt was over its reason's rate.
    PuntLimited = 23, "punt-limited";
    /// User space was too slow to take a punt, or is not there.
    PuntQueueFull = 24, "punt-queue-full";
    /// The port that leads to the destination has no device now.
    PortDown = 25, "port-down";
    /// The peer wraps its frames otherwise: VXLAN from a Geneve peer, or the reverse.
    EncapMismatch = 26, "encap-mismatch";
    /// A Geneve version that is not 0 (RFC 8926, 3.4).
    GeneveVersion = 27, "geneve-version";
    /// Geneve's C bit is set: an option that is not known has to be (RFC 8926, 3.4).
    GeneveCritical = 28, "geneve-critical";
    /// Geneve carries something that is no Ethernet frame.
    GeneveProtocol = 29, "geneve-protocol";
    /// Over the limit on flooded frames of its port, peer or segment.
    Storm = 30, "storm";
    /// Over the limit on packets or bits of its port, peer or segment.
    Policed = 31, "policed";
    /// Sent to a router that routes no such packet: it is not IP, its header is wrong, or its
    /// addresses are none that go beyond a segment (RFC 1812, 5.3.7; RFC 4291, 2.5.6).
    NotRoutable = 32, "not-routable";
    /// The VRF has no route to the destination, or one that leads nowhere.
    NoRoute = 33, "no-route";
    /// The packet was routed as often as its TTL or hop limit allows.
    TtlExceeded = 34, "ttl-exceeded";
    /// Nobody answers for the next hop's address.
    NeighbourUnresolved = 35, "neighbour-unresolved";
    /// The source is no address that a host behind this port may use.
    SourceGuard = 36, "source-guard";
    /// A rule of an access list of the segment, or its default, denies the packet.
    AclDenied = 37, "acl-denied";
}

impl DropReason {
    /// Given no more. Their numbers and names stay taken, for the counters of older versions.
    pub const RETIRED: &'static [Self] = &[Self::OuterOptions, Self::OuterFragment];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_dense_and_their_names_unique() {
        for (i, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
            assert_eq!(DropReason::from_u8(i as u8), Some(*reason));
            let same = DropReason::ALL.iter().filter(|r| r.name() == reason.name()).count();
            assert_eq!(same, 1, "{}", reason.name());
        }
        assert_eq!(DropReason::from_u8(DropReason::ALL.len() as u8), None);
    }

    #[test]
    fn an_answer_is_the_same_as_a_word() {
        let flags = Egress::XDP | Egress::PEER | Egress::FRAGS | Egress::TX;
        let egress = Egress { ifindex: u32::MAX, flags };
        let verdicts = [
            Verdict::Pass,
            Verdict::Defer,
            Verdict::Route,
            Verdict::Flood,
            Verdict::Transmit(egress),
            Verdict::Deliver(egress),
            Verdict::Consumed,
        ];
        let reasons = DropReason::ALL.iter().map(|reason| Err(*reason));
        for answer in verdicts.map(Ok).into_iter().chain(reasons) {
            assert_eq!(Answer::of(answer).map(|half| half).result(), answer);
        }
    }
}
