//! What a test needs from the machine, and how it says that it is missing.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::wait::is_emulated;

/// Whether the test may go on: root, network namespaces and a bpffs are there.
/// Otherwise prints `SKIPPED name: why`.
///
/// # Panics
///
/// Under `CI=true` a missing requirement is a failure, not a skip.
pub fn require_root(test: &str) -> bool {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    met(test, MISSING.get_or_init(missing_privilege).as_deref())
}

/// Whether every one of these programs is in the path. Says so as
/// [`require_root`] does where one is not.
///
/// # Panics
///
/// Under `CI=true` a missing program is a failure, not a skip.
pub fn require_tools(test: &str, programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| !in_path(program));
    met(test, missing.map(|program| format!("{program} is not installed")).as_deref())
}

/// What a kernel may be built without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// 802.1Q devices.
    Vlan,
    /// Geneve tunnels.
    Geneve,
    /// Virtual routing and forwarding.
    Vrf,
    /// Bonds of devices.
    Bond,
    /// WireGuard tunnels.
    WireGuard,
    /// The queueing discipline that delays, loses and disorders.
    Netem,
    /// Open vSwitch's datapath.
    OpenVSwitch,
}

impl Device {
    fn name(self) -> &'static str {
        match self {
            Self::Vlan => "802.1Q devices",
            Self::Geneve => "geneve devices",
            Self::Vrf => "vrf devices",
            Self::Bond => "bonding",
            Self::WireGuard => "wireguard devices",
            Self::Netem => "the netem qdisc",
            Self::OpenVSwitch => "Open vSwitch's datapath",
        }
    }

    /// The module that it is in, where it is not built in.
    fn module(self) -> &'static str {
        match self {
            Self::Vlan => "8021q",
            Self::Geneve => "geneve",
            Self::Vrf => "vrf",
            Self::Bond => "bonding",
            Self::WireGuard => "wireguard",
            Self::Netem => "sch_netem",
            Self::OpenVSwitch => "openvswitch",
        }
    }

    /// Programs that nothing else is set up with.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::WireGuard => &["wg"],
            Self::OpenVSwitch => crate::ovs::PROGRAMS,
            Self::Vlan | Self::Geneve | Self::Vrf | Self::Bond | Self::Netem => &[],
        }
    }

    /// Why it cannot be used here. On a machine that is somebody's, looking for it loads no
    /// module, which would stay.
    fn is_missing(self) -> Option<String> {
        if let Some(program) = self.programs().iter().find(|program| !in_path(program)) {
            return Some(format!("{program} is not installed"));
        }
        let module = self.module();
        if !is_emulated() && would_be_loaded(module) {
            return Some(format!("the module {module} is not loaded"));
        }
        (!self.can_be_made()).then(|| format!("this kernel has no {}", self.name()))
    }

    /// Makes one in a namespace; the kernel loads the module for that.
    fn can_be_made(self) -> bool {
        let Ok(netns) = crate::Netns::new("probe") else { return false };
        let made = |line: &str| netns.exec(line).is_ok();
        match self {
            Self::Vlan => {
                made("ip link add p0 type veth peer name p1")
                    && made("ip link add link p0 name v0 type vlan id 5")
            }
            Self::Geneve => made("ip link add g0 type geneve id 1 remote 192.0.2.1"),
            Self::Vrf => made("ip link add v0 type vrf table 10"),
            Self::Bond => made("ip link add b0 type bond"),
            Self::WireGuard => made("ip link add w0 type wireguard"),
            Self::Netem => made("tc qdisc add dev lo root netem delay 1ms"),
            Self::OpenVSwitch => {
                // Only its own programs can make one. Every modprobe knows this form.
                is_loaded(self.module()) || made("modprobe -q openvswitch")
            }
        }
    }
}

fn is_loaded(module: &str) -> bool {
    Path::new("/sys/module").join(module).exists()
}

/// Whether a module lies ready and is neither loaded nor built in.
fn would_be_loaded(module: &str) -> bool {
    let mut modprobe = Command::new("modprobe");
    modprobe.args(["--show-depends", module]);
    // Without that program the kernel loads nothing either.
    let shown = modprobe.output().is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().any(|line| line.starts_with("insmod "))
    });
    shown && !is_loaded(module)
}

/// Whether these can be used here. Where one cannot, the test is left to guests, which
/// have all, and says so: `LEFT TO GUESTS name: why`.
///
/// # Panics
///
/// In a guest (`OVERLAY_GUEST`) that is a failure.
pub fn require_devices(test: &str, devices: &[Device]) -> bool {
    let Some(why) = devices.iter().find_map(|device| device.is_missing()) else { return true };
    assert!(!is_emulated(), "{test} cannot run: {why}");
    println!("LEFT TO GUESTS {test}: {why}");
    false
}

fn met(test: &str, missing: Option<&str>) -> bool {
    let Some(why) = missing else { return true };
    assert!(
        std::env::var_os("CI").is_none_or(|value| value != "true"),
        "{test} cannot run: {why}; with CI=true that is a failure"
    );
    println!("SKIPPED {test}: {why}");
    false
}

fn missing_privilege() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("it needs root".into());
    }
    for program in ["ip", "ethtool"] {
        if !in_path(program) {
            return Some(format!("{program} is not installed"));
        }
    }
    if !Path::new("/proc/self/ns/net").exists() {
        return Some("this kernel has no network namespaces".into());
    }
    crate::ensure_bpffs().err().map(|error| format!("{error:#}"))
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
