//! What the running kernel can do, found out by trying ([`probe`]): versions say little,
//! since distributions bring features back to older kernels.
//!
//! This is the one place where kernels differ. What a kernel lacks is either needed,
//! and then the gateway does not start, or replaced by something that costs more.

mod probe;

pub use probe::raise_locked_memory;

use std::fmt;

use anyhow::{Context as _, Result, bail};
use overlay_common::abi::{BOUNDED_COPIES, abilities};

/// A feature of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Feature {
    /// Maps of AF_XDP sockets.
    XdpSockets,
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
    /// Programs that read the kernel's own structure behind their context.
    ContextCast,
    /// Drivers that tell whether they take redirected frames of several buffers.
    XdpFeatures,
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
pub static ALL: [About; 15] = [
    About {
        feature: Feature::XdpSockets,
        name: "xdp-sockets",
        since: "4.18",
        commit: "fbfc504a24f5",
        used_for: "user space has frames over AF_XDP",
        without: Some("it has them over AF_PACKET, which is slower; built without XDP_SOCKETS"),
    },
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
        without: Some("floods reach 64 local ports; copies beyond are counted as copy-failed"),
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
        used_for: "XDP on devices whose frames take several buffers (jumbo frames)",
        without: Some(
            "drivers refuse native XDP where the MTU needs several buffers; mode = \"auto\" falls \
             back to tc",
        ),
    },
    About {
        feature: Feature::ContextCast,
        name: "context-cast",
        since: "6.2",
        commit: "fd264ca02094",
        used_for: "XDP reads whether a frame goes on in further buffers",
        without: Some("it asks a helper for the length of each frame, which takes longer"),
    },
    About {
        feature: Feature::XdpFeatures,
        name: "xdp-features",
        since: "6.3",
        commit: "d3d854fd6a1d",
        used_for: "XDP redirects frames of several buffers to devices that take them",
        without: Some("frames of several buffers leave through tc, which is slower"),
    },
    About {
        feature: Feature::DecapL3,
        name: "decap-l3",
        since: "6.3",
        commit: "d219df60a70e",
        used_for: "tc takes a frame out of a tunnel over the other family in one step",
        without: Some(
            "it takes two steps; before Linux 5.14 UDP super-frames in such tunnels are dropped \
             as resize-failed",
        ),
    },
    About {
        feature: Feature::Tcx,
        name: "tcx",
        since: "6.6",
        commit: "e420bed02507",
        used_for: "tc programs are attached by links, in front of others",
        without: Some(
            "they are filters of a clsact qdisc, behind others of a smaller priority; one that is \
             removed is added again",
        ),
    },
];

const _: () = assert!(BOUNDED_COPIES == 64, "the text on `loop` names it");

/// The features that a kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(u32);

impl Features {
    /// Tries every feature, except those that `OVERLAY_WITHOUT` names (with commas
    /// between them): they count as missing. Needs the capabilities that loading programs
    /// needs.
    ///
    /// The limit of locked memory is raised before: where BPF counts against it, little
    /// fits into the usual one, probes included.
    ///
    /// # Errors
    ///
    /// It could not be found out whether something needed is there, for another reason
    /// than the kernel's age, such as a missing capability; or `OVERLAY_WITHOUT` names no
    /// feature.
    pub fn probe() -> Result<Self> {
        probe::raise_locked_memory();
        let mut found = Self(0);
        for about in &ALL {
            found = if probe::about(about)? { found.with(about.feature) } else { found };
        }
        let unwanted = std::env::var(WITHOUT).unwrap_or_default();
        Ok(named(&unwanted)?.into_iter().fold(found, Self::without))
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

/// The environment's word on what is not to be used, for a kernel whose feature has a
/// fault, and for tests of what is done without it.
const WITHOUT: &str = "OVERLAY_WITHOUT";

fn named(names: &str) -> Result<Vec<Feature>> {
    let find = |name: &str| {
        let about = ALL.iter().find(|about| about.name == name);
        about.map(|about| about.feature).with_context(|| {
            let known: Vec<_> = ALL.iter().map(|about| about.name).collect();
            format!("{WITHOUT}: no feature `{name}`; there are {}", known.join(", "))
        })
    };
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(find).collect()
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
    fn features_are_left_out_by_name() {
        assert_eq!(named("").unwrap(), []);
        assert_eq!(named("tcx, loop").unwrap(), [Feature::Tcx, Feature::Loop]);
        let error = named("tcx,lop").unwrap_err().to_string();
        assert!(error.contains("no feature `lop`") && error.contains("redirect-peer"), "{error}");
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
