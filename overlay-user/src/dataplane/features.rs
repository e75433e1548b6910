//! What the running kernel can do, found out by trying: versions say little, since
//! distributions bring features back to older kernels.
//!
//! This is the one place where kernels differ. What a kernel lacks is either needed,
//! and then the gateway does not start, or replaced by something that costs more.

use std::fmt;
use std::io;

use anyhow::{Context as _, Result, bail};
use aya::maps::MapType;
use aya::programs::{ProgramType, SchedClassifier, TcAttachType};
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported};
use overlay_common::abi::{BOUNDED_COPIES, abilities};

use super::sys::{self, Kind, instruction};

/// A feature of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Feature {
    /// Maps of devices by index.
    DevmapHash,
    /// Arrays in memory shared with user space.
    MmapableArray,
    /// Delivery into a namespace past the veth's queue.
    RedirectPeer,
    /// BPF memory is the control group's, not the process's.
    MemcgAccounting,
    /// Telling segmentation that a tunnel's inner frame has an Ethernet header.
    EncapL2Eth,
    /// Maps of devices in programs on generic XDP.
    GenericRedirect,
    /// Loops whose body is verified once.
    Loop,
    /// Running XDP programs on frames that then really leave.
    LiveFrames,
    /// XDP on frames of several buffers.
    XdpFrags,
    /// Telling `bpf_skb_adjust_room` that IPv6 comes out of IPv4.
    DecapL3,
    /// BPF links at tc.
    Tcx,
    /// Ring buffers.
    RingBuffer,
}

/// What is known of a feature.
#[derive(Debug)]
pub struct About {
    /// The feature.
    pub feature: Feature,
    /// Its name.
    pub name: &'static str,
    /// The first Linux that has it.
    pub since: &'static str,
    /// The commit that brought it.
    pub commit: &'static str,
    /// What it is used for.
    pub used_for: &'static str,
    /// What happens where it is missing; `None` where the gateway does not run then.
    pub without: Option<&'static str>,
}

/// Every feature, oldest first.
pub static ALL: [About; 12] = [
    About {
        feature: Feature::DevmapHash,
        name: "devmap-hash",
        since: "5.4",
        commit: "6f9d451ab1a3",
        used_for: "XDP redirects to devices of any index",
        without: None,
    },
    About {
        feature: Feature::MmapableArray,
        name: "mmapable-array",
        since: "5.5",
        commit: "fc9702273e2e",
        used_for: "the daemon fills tables without a system call an entry",
        without: None,
    },
    About {
        feature: Feature::RingBuffer,
        name: "ring-buffer",
        since: "5.8",
        commit: "457f44363a88",
        used_for: "nothing yet: punts go through perf buffers, which all kernels have",
        without: Some("nothing is lost"),
    },
    About {
        feature: Feature::RedirectPeer,
        name: "redirect-peer",
        since: "5.10",
        commit: "9aa1206e8f48",
        used_for: "tc delivers into a workload's namespace past the veth's queue",
        without: None,
    },
    About {
        feature: Feature::MemcgAccounting,
        name: "memcg-accounting",
        since: "5.11",
        commit: "3ac1f01b43b6",
        used_for: "tables count against the control group's memory",
        without: Some("tables count as locked memory, and the daemon raises that limit for itself"),
    },
    About {
        feature: Feature::EncapL2Eth,
        name: "encap-l2-eth",
        since: "5.13",
        commit: "d01b59c9ae94",
        used_for: "a network card segments the super-frames that tc encapsulated",
        without: Some("the kernel segments them, at a cost in CPU"),
    },
    About {
        feature: Feature::GenericRedirect,
        name: "generic-redirect",
        since: "5.15",
        commit: "2ea5eabaf04a",
        used_for: "ports on generic XDP",
        without: Some("mode = \"xdp-generic\" is refused; \"tc\" runs on any device too"),
    },
    About {
        feature: Feature::Loop,
        name: "loop",
        since: "5.17",
        commit: "e6f2dd0f8067",
        used_for: "floods to as many receivers as a segment has",
        without: Some(
            "floods reach 64 local ports and 64 peers; copies beyond are counted as copy-failed",
        ),
    },
    About {
        feature: Feature::LiveFrames,
        name: "live-frames",
        since: "5.18",
        commit: "b530e9e1063e",
        used_for: "finding out whether a veth on XDP takes redirected frames",
        without: Some("frames for veths on XDP leave through tc, which is slower"),
    },
    About {
        feature: Feature::XdpFrags,
        name: "xdp-frags",
        since: "5.18",
        commit: "c2f2cdbeffda",
        used_for: "nothing yet: frames of several buffers take the tc hook",
        without: Some("nothing is lost"),
    },
    About {
        feature: Feature::DecapL3,
        name: "decap-l3",
        since: "6.3",
        commit: "d219df60a70e",
        used_for: "tc takes IPv6 out of IPv4 in one step",
        without: Some("it takes two steps"),
    },
    About {
        feature: Feature::Tcx,
        name: "tcx",
        since: "6.6",
        commit: "e420bed02507",
        used_for: "tc programs are attached by links, in front of others",
        without: Some("they are filters of a clsact qdisc, which anyone may remove"),
    },
];

const _: () = assert!(BOUNDED_COPIES == 64, "the text on `loop` names it");

/// The features that a kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(u32);

impl Features {
    /// Tries every feature. Needs the capabilities that loading programs needs.
    ///
    /// Where BPF counts as locked memory, the limit of that is raised before: little
    /// fits into the usual one, probes included.
    ///
    /// # Errors
    ///
    /// A probe failed for another reason than the kernel's age, such as a missing
    /// capability.
    pub fn probe() -> Result<Self> {
        if !probe(Feature::MemcgAccounting)? {
            raise_locked_memory()?;
        }
        let mut found = Self(0);
        for About { feature, name, .. } in &ALL {
            let has = probe(*feature)
                .with_context(|| format!("cannot find out whether this kernel has {name}"))?;
            found = if has { found.with(*feature) } else { found };
        }
        Ok(found)
    }

    /// Whether a feature is there.
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u8 != 0
    }

    /// The same with a feature, for tests of what comes of believing in it.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Self {
        Self(self.0 | 1 << feature as u8)
    }

    /// The same without a feature, as on an older kernel.
    #[must_use]
    pub const fn without(self, feature: Feature) -> Self {
        Self(self.0 & !(1 << feature as u8))
    }

    /// What is missing.
    pub fn missing(self) -> impl Iterator<Item = &'static About> {
        ALL.iter().filter(move |about| !self.has(about.feature))
    }

    /// Fails where something is missing that the gateway cannot do without.
    ///
    /// # Errors
    ///
    /// Names the kernel and what it lacks.
    pub fn suffice(self) -> Result<()> {
        let needed: Vec<String> = self
            .missing()
            .filter(|about| about.without.is_none())
            .map(|about| format!("{} (Linux {})", about.name, about.since))
            .collect();
        if needed.is_empty() {
            return Ok(());
        }
        bail!(
            "this kernel is {}; it lacks {}; Overlay needs Linux 5.10 or newer",
            release(),
            needed.join(", ")
        )
    }

    /// What the programs are told ([`abilities`]).
    pub fn abilities(self) -> u32 {
        [(Feature::EncapL2Eth, abilities::ENCAP_L2_ETH), (Feature::DecapL3, abilities::DECAP_L3)]
            .into_iter()
            .filter(|(feature, _)| self.has(*feature))
            .fold(0, |all, (_, ability)| all | ability)
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.missing().map(|about| about.name).collect();
        match names[..] {
            [] => f.write_str("everything"),
            _ => write!(f, "everything but {}", names.join(", ")),
        }
    }
}

/// The kernel's release, such as `6.1.0-56-cloud-amd64`.
pub fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn probe(feature: Feature) -> Result<bool> {
    let helper = |helper| Ok(is_helper_supported(ProgramType::SchedClassifier, helper)?);
    match feature {
        Feature::DevmapHash => Ok(is_map_supported(MapType::DevMapHash)?),
        Feature::RingBuffer => Ok(is_map_supported(MapType::RingBuf)?),
        Feature::MmapableArray => mmapable(),
        Feature::RedirectPeer => helper(BpfHelper::BPF_FUNC_redirect_peer),
        // Of the same release; there is no other trace of it (as libbpf does).
        Feature::MemcgAccounting => helper(BpfHelper::BPF_FUNC_ktime_get_coarse_ns),
        // Of the same release; nothing less than attaching to a device would show it.
        Feature::GenericRedirect => helper(BpfHelper::BPF_FUNC_timer_init),
        Feature::Loop => helper(BpfHelper::BPF_FUNC_loop),
        Feature::EncapL2Eth => adjust_room(50, ENCAP_L2_ETH),
        Feature::DecapL3 => adjust_room(-50, DECAP_L3_IPV6),
        Feature::LiveFrames => live_frames(),
        Feature::XdpFrags => accepted(sys::load(Kind::Xdp, &DROP, BPF_F_XDP_HAS_FRAGS)),
        Feature::Tcx => tcx(),
    }
}

/// Lets this process lock as much memory as it likes.
fn raise_locked_memory() -> Result<()> {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error()).context(
            "cannot raise the limit of locked memory, against which this kernel counts BPF maps; \
             CAP_SYS_RESOURCE would do",
        );
    }
    Ok(())
}

/// `r0 = XDP_DROP; exit`.
const DROP: [u64; 2] = [instruction(MOV_IMM, 0, 1), instruction(EXIT, 0, 0)];

const MOV_IMM: u8 = 0xb7;
const LOAD_IMM: u8 = 0x18;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
const SKB_ADJUST_ROOM: i32 = 50;
const ROOM_MAC: i32 = 1;
/// `BPF_F_ADJ_ROOM_…` of `<linux/bpf.h>`: fixed GSO, encapsulation in IPv4 and UDP, an
/// inner header of 14 bytes that is Ethernet.
const ENCAP_L2_ETH: u64 = 1 | 1 << 1 | 1 << 4 | 1 << 6 | 14 << 56;
/// Fixed GSO, IPv6 comes out.
const DECAP_L3_IPV6: u64 = 1 | 1 << 8;

/// Whether `bpf_skb_adjust_room` takes these flags for an IPv4 packet.
fn adjust_room(delta: i32, flags: u64) -> Result<bool> {
    let program = [
        instruction(MOV_IMM, 2, delta),
        instruction(MOV_IMM, 3, ROOM_MAC),
        instruction(LOAD_IMM, 4, flags as i32),
        instruction(0, 0, (flags >> 32) as i32),
        instruction(CALL, 0, SKB_ADJUST_ROOM),
        instruction(EXIT, 0, 0),
    ];
    let program = sys::load(Kind::Tc, &program, 0)?;
    Ok(sys::test_run(&program, &ipv4_frame(), 0)? == 0)
}

fn ipv4_frame() -> [u8; 160] {
    let mut frame = [0; 160];
    frame[12] = 0x08;
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&146_u16.to_be_bytes());
    frame
}

fn live_frames() -> Result<bool> {
    let program = sys::load(Kind::Xdp, &DROP, 0)?;
    accepted(sys::test_run(&program, &ipv4_frame(), BPF_F_TEST_XDP_LIVE_FRAMES))
}

/// The loopback device is there in every network namespace.
fn tcx() -> Result<bool> {
    match SchedClassifier::query_tcx("lo", TcAttachType::Ingress) {
        Ok(_) => Ok(true),
        Err(error) if os_error(&error) == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn mmapable() -> Result<bool> {
    use sys::{Command, bpf_fd};
    #[repr(C)]
    struct Attr {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
    }
    const ARRAY: u32 = 2;
    const BPF_F_MMAPABLE: u32 = 1 << 10;
    let mut attr = Attr {
        map_type: ARRAY,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        map_flags: BPF_F_MMAPABLE,
    };
    // SAFETY: the layout is the kernel's, and nothing is pointed to.
    accepted(unsafe { bpf_fd(Command::MapCreate, &mut attr) })
}

/// `EINVAL` is how kernels answer to what they do not know.
fn accepted<T>(result: io::Result<T>) -> Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn os_error(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_what_is_needed_is_named_with_what_it_lacks() {
        let all = ALL.iter().fold(Features(0), |all, about| all.with(about.feature));
        assert!(all.suffice().is_ok());
        assert_eq!(all.to_string(), "everything");
        let less = all.without(Feature::Loop).without(Feature::Tcx);
        assert!(less.suffice().is_ok());
        assert_eq!(less.to_string(), "everything but loop, tcx");
        let error = less.without(Feature::RedirectPeer).suffice().unwrap_err().to_string();
        assert!(error.contains("redirect-peer (Linux 5.10)"), "{error}");
        assert!(!error.contains("tcx"), "{error}");
    }

    #[test]
    fn the_book_has_every_feature() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/kernels.md");
        let text = std::fs::read_to_string(page).unwrap();
        for About { name, since, commit, .. } in &ALL {
            let row = format!("| `{name}` | {since} | {commit} |");
            assert!(text.contains(&row), "docs/src/kernels.md lacks: {row}");
        }
    }

    #[test]
    fn each_feature_is_listed_once_and_in_the_order_of_kernels() {
        let bits = ALL.iter().fold(0_u32, |bits, about| bits | 1 << about.feature as u8);
        assert_eq!(bits.count_ones() as usize, ALL.len());
        let version = |about: &About| {
            let (major, minor) = about.since.split_once('.').unwrap();
            (major.parse::<u32>().unwrap(), minor.parse::<u32>().unwrap())
        };
        assert!(ALL.is_sorted_by_key(version));
    }
}
