//! Finding out what is known of the machine. What cannot be found out is left open.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit};
use overlay_control::config::{Config, Encap};

use super::ethtool::Ethtool;
use super::facts::{Device, Facts};
use super::{facts, firewall};
use crate::dataplane::features::{Feature, Features};
use crate::dataplane::{bpffs, device_xdp};
use crate::netlink::link::Kind;
use crate::netlink::{Link, Netlink};

/// Everything that is known. Without a configuration every Ethernet device is looked at, and
/// nothing is said of what only ports must be.
pub async fn facts(config: Option<&Config>, features: Features) -> Result<Facts> {
    let netlink = Netlink::open()?;
    let links = netlink.links().await?;
    let ports = config.map(|config| config.node.ports).unwrap_or_default();
    let used = |encap: Encap| {
        config.is_none_or(|config| config.peers.iter().any(|peer| peer.encap == encap))
    };
    let tunnel_ports: Vec<u16> =
        Encap::ALL.into_iter().filter(|encap| used(*encap)).map(|encap| ports.of(encap)).collect();
    let peers = |v4: bool| {
        config.map_or(0, |c| c.peers.iter().filter(|peer| peer.vtep.is_ipv4() == v4).count())
    };
    let open_files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard);
    let locked = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(u64::MAX, |(_, hard)| hard);
    Ok(Facts {
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        jit: number("/proc/sys/net/core/bpf_jit_enable"),
        bpffs: bpffs::find().is_some(),
        memcg_accounting: features.has(Feature::MemcgAccounting),
        locked_memory: (locked != u64::MAX).then_some(locked),
        open_files,
        clocksource: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        synchronised: synchronised(),
        neighbours: ["ipv4", "ipv6"]
            .map(|family| number(&format!("/proc/sys/net/{family}/neigh/default/gc_thresh3"))),
        peers: [peers(true), peers(false)],
        tunnels: netlink.tunnels().await.unwrap_or_default(),
        rp_filter: rp_filter("all"),
        ip_forward: number("/proc/sys/net/ipv4/ip_forward").map(|value| value != 0),
        blocked: ruleset().and_then(|ruleset| firewall::blocked(&ruleset, &tunnel_ports)),
        conntrack: fs::exists("/proc/sys/net/netfilter/nf_conntrack_count").unwrap_or(false),
        tunnel_ports,
        devices: devices(config, &links, &netlink).await?,
    })
}

async fn devices(
    config: Option<&Config>,
    links: &[Link],
    netlink: &Netlink,
) -> Result<Vec<Device>> {
    let ethtool = Ethtool::open()?;
    let xdp = netlink.xdp_programs().await.unwrap_or_default();
    let interrupts = fs::read_to_string("/proc/interrupts").unwrap_or_default();
    let mut devices = match config {
        Some(config) => configured(config),
        None => {
            let named = |link: &Link| Device { name: link.name.clone(), ..Device::default() };
            links.iter().filter(|link| link.ethernet).map(named).collect()
        }
    };
    for device in &mut devices {
        let Some(link) = links.iter().find(|link| link.name == device.name) else { continue };
        let name = &link.name;
        (device.exists, device.up, device.mtu) = (true, link.up, link.mtu);
        device.local = matches!(link.kind, Kind::Veth { .. } | Kind::Tun);
        device.driver = ethtool.driver(name);
        device.features = ethtool.features(name);
        device.channels = ethtool.channels(name);
        device.spreads_ports = ethtool.spreads_ports(name);
        device.other_tcx = crate::dataplane::others_on_tcx(name);
        device.rp_filter = rp_filter(name);
        device.interrupts = irq_cpus(&interrupts, name);
        device.xdp = device_xdp(link.ifindex).ok().flatten().map(|support| facts::Xdp {
            basic: support.basic,
            redirect: support.redirect,
            transmit: support.transmit,
        });
        let theirs = xdp.iter().filter(|(ifindex, program)| {
            *ifindex == link.ifindex && !crate::dataplane::is_ours(*program)
        });
        device.others = theirs.map(|(_, program)| format!("XDP program {program}")).collect();
    }
    Ok(devices)
}

/// The devices that a configuration names.
fn configured(config: &Config) -> Vec<Device> {
    let mut devices: BTreeMap<&str, Device> = BTreeMap::new();
    for uplink in &config.uplinks {
        let device = devices.entry(&uplink.interface).or_default();
        (device.mode, device.uplink) = (uplink.mode, true);
    }
    for port in config.segments.iter().flat_map(|segment| &segment.ports) {
        let device = devices.entry(&port.interface).or_default();
        (device.mode, device.access) = (port.mode, true);
        device.tagged |= port.vlan.is_some();
    }
    let named = |(name, device): (&str, Device)| Device { name: name.to_owned(), ..device };
    devices.into_iter().map(named).collect()
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn number(path: &str) -> Option<u32> {
    line(path)?.parse().ok()
}

fn rp_filter(device: &str) -> Option<u32> {
    number(&format!("/proc/sys/net/ipv4/conf/{device}/rp_filter"))
}

/// What adjtimex(2) says of the clock.
fn synchronised() -> Option<bool> {
    // SAFETY: all zeroes is a valid `timex`, which asks and changes nothing.
    let mut time: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: a pointer to a `timex` of this function's.
    let state = unsafe { libc::adjtimex(&raw mut time) };
    (state >= 0).then_some(time.status & libc::STA_UNSYNC == 0)
}

fn ruleset() -> Option<String> {
    let output = Command::new("nft")
        .args(["-j", "list", "ruleset"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The CPUs of each interrupt of a device, as far as it is named in `/proc/interrupts`.
fn irq_cpus(interrupts: &str, device: &str) -> Vec<Vec<usize>> {
    let numbers = interrupts.lines().filter_map(|line| irq_of(line, device));
    numbers
        .filter_map(|irq| cpu_list(&line(&format!("/proc/irq/{irq}/smp_affinity_list"))?))
        .collect()
}

/// The number of a line's interrupt, if it is this device's: `eth0`, `eth0-rx-1`, `drv-eth0:2`.
fn irq_of(line: &str, device: &str) -> Option<u32> {
    let (number, rest) = line.split_once(':')?;
    let name = rest.split_whitespace().last()?;
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_');
    parts.into_iter().any(|part| part == device).then(|| number.trim().parse().ok())?
}

/// A list such as `0-3,8`.
fn cpu_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        cpus.extend(first..=last.min(first + 4095));
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_a_devices_if_they_name_it() {
        let line = " 24:  1  2  PCI-MSI 49152-edge      eth0-rx-0";
        assert_eq!(irq_of(line, "eth0"), Some(24));
        assert_eq!(irq_of(line, "eth"), None);
        assert_eq!(irq_of("NMI:  0  0  Non-maskable interrupts", "interrupts"), None);
        assert_eq!(irq_of("            CPU0       CPU1", "CPU1"), None);
        assert_eq!(cpu_list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(cpu_list("x"), None);
    }
}
