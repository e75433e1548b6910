//! Devices: veth pairs across namespaces, and their settings.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::netns::Netns;
use crate::process::run;

/// Makes a veth pair with one end in each namespace (they may be the same), both
/// up. It disappears with either of them.
pub fn veth(a: &Netns, name_a: &str, b: &Netns, name_b: &str) -> Result<()> {
    a.exec(&format!("ip link add {name_a} type veth peer name {name_b} netns {}", b.name()))?;
    a.exec(&format!("ip link set {name_a} up"))?;
    b.exec(&format!("ip link set {name_b} up"))?;
    Ok(())
}

/// Sets a device's MTU.
pub fn set_mtu(netns: &Netns, interface: &str, mtu: u32) -> Result<()> {
    netns.exec(&format!("ip link set {interface} mtu {mtu}")).map(drop)
}

/// Sets a device's MAC address.
pub fn set_mac(netns: &Netns, interface: &str, mac: [u8; 6]) -> Result<()> {
    let [a, b, c, d, e, f] = mac;
    netns
        .exec(&format!(
            "ip link set {interface} address {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"
        ))
        .map(drop)
}

/// A device's MAC address.
pub fn mac_of(netns: &Netns, interface: &str) -> Result<[u8; 6]> {
    let text = netns.exec(&format!("ip -o link show {interface}"))?;
    let address = text
        .split_whitespace()
        .skip_while(|word| *word != "link/ether")
        .nth(1)
        .with_context(|| format!("{interface} has no MAC address: {text}"))?;
    let mut mac = [0; 6];
    let mut parts = address.split(':');
    for byte in &mut mac {
        let part = parts.next().context("a short MAC address")?;
        *byte = u8::from_str_radix(part, 16).with_context(|| format!("MAC address {address}"))?;
    }
    Ok(mac)
}

/// Which offloads [`set_offloads`] changes; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offloads {
    /// Transmit checksums.
    pub tx: Option<bool>,
    /// TCP segmentation.
    pub tso: Option<bool>,
    /// Generic receive.
    pub gro: Option<bool>,
}

/// Switches offloads on or off.
pub fn set_offloads(netns: &Netns, interface: &str, offloads: Offloads) -> Result<()> {
    let wanted = [("tx", offloads.tx), ("tso", offloads.tso), ("gro", offloads.gro)];
    for (feature, state) in wanted {
        if let Some(on) = state {
            let state = if on { "on" } else { "off" };
            netns.exec(&format!("ethtool -K {interface} {feature} {state}"))?;
        }
    }
    Ok(())
}

/// Gives a device that polls (NAPI) a thread of its own for that, before everything else on
/// the first core, as the interrupts of a wire's far end have a core of theirs. Without, it
/// polls on whatever core sent to it last: what is busy there overfills the 256 places of a
/// veth. False where the kernel has no such threads (before Linux 5.12).
pub fn poll_by_itself(netns: &Netns, interface: &str) -> Result<bool> {
    let before = pollers(interface)?;
    let key = format!("/sys/class/net/{interface}/threaded");
    let script = format!("if [ -e {key} ]; then echo 1 > {key} && echo done; fi");
    // By `ip netns exec`, since `/sys` shows the namespace that it was mounted in.
    let mut inside = Command::new("ip");
    if run(inside.args(["netns", "exec", netns.name(), "sh", "-c", &script]))?.is_empty() {
        return Ok(false);
    }
    let new: Vec<_> = pollers(interface)?.difference(&before).cloned().collect();
    ensure!(!new.is_empty(), "{interface} in {} has no thread that polls", netns.name());
    for thread in new {
        run(Command::new("taskset").args(["--pid", "--cpu-list", "0", &thread]))?;
        run(Command::new("chrt").args(["--fifo", "--pid", "1", &thread]))?;
    }
    Ok(true)
}

/// The threads that poll devices of this name, in all namespaces.
fn pollers(interface: &str) -> Result<BTreeSet<String>> {
    let start = format!("napi/{interface}-");
    let mut pollers = BTreeSet::new();
    for process in std::fs::read_dir("/proc")? {
        let process = process?;
        let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        if name.starts_with(&start) {
            pollers.extend(process.file_name().into_string());
        }
    }
    Ok(pollers)
}
