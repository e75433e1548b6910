//! The devices of ports: XDP, offloads, MTUs, queues.

use overlay_common::wire::Family;
use overlay_control::config::Mode;

use super::facts::Device;
use super::{Facts, Findings, Severity};

/// Offloads that put frames together before XDP sees them, with the name that `ethtool -K` takes.
const JOINING: &[(&str, &str)] = &[("rx-lro", "lro"), ("rx-gro-hw", "rx-gro-hw")];
/// What takes tags off before XDP sees them.
const STRIPPING: &[(&str, &str)] =
    &[("rx-vlan-hw-parse", "rxvlan"), ("rx-vlan-stag-hw-parse", "rx-vlan-stag-hw-parse")];

/// What follows for each device.
pub fn examine(facts: &Facts, to: &mut Findings) {
    for device in &facts.devices {
        if device.is_port() && !device.exists {
            let what = format!("there is no interface {}", device.name);
            let why = "the port waits for it";
            to.bad(("device", Severity::Error), &device.name, what, why, "ip link");
            continue;
        }
        if device.is_port() && !device.up {
            let what = format!("interface {} is down or has no carrier", device.name);
            let fix = format!("ip link set dev {} up", device.name);
            to.bad(("device", Severity::Error), &device.name, what, "no frame passes", fix);
        }
        driver(device, to);
        offloads(device, to);
        others(device, to);
        queues(device, facts.cpus, to);
        spread(device, facts.peers, to);
        interrupts(device, facts.cpus, to);
    }
    mtus(facts, to);
}

fn driver(device: &Device, to: &mut Findings) {
    let (name, driver) = (&device.name, device.driver.as_deref().unwrap_or("unknown"));
    let Some(xdp) = device.xdp else {
        to.note("driver", name, format!("driver {driver}; it does not say whether it runs XDP"));
        return;
    };
    let yes = |can, what: &str| if can { what.to_owned() } else { format!("no {what}") };
    let can = [
        yes(xdp.basic, "XDP"),
        yes(xdp.redirect, "redirecting"),
        yes(xdp.transmit, "redirected frames"),
    ];
    let what = format!("driver {driver}: {}", can.join(", "));
    if device.mode == Mode::Xdp && !xdp.basic {
        let why = "mode = \"xdp\" asks for what the driver does not have, and the start fails";
        to.bad(
            ("driver", Severity::Error),
            name,
            what,
            why,
            "write mode = \"auto\" in the configuration",
        );
    } else if device.is_port() && device.on_xdp() && !xdp.basic {
        let why = "the port is on tc, which costs more for each packet";
        to.bad(("driver", Severity::Note), name, what, why, "use a device whose driver runs XDP");
    } else {
        to.ok("driver", name, what);
    }
    if device.is_port() && device.local && matches!(device.mode, Mode::Xdp | Mode::XdpGeneric) {
        to.bad(
            ("local-xdp", Severity::Warning),
            name,
            format!("{name} faces a local workload, and mode = \"{}\" puts it on XDP", device.mode.name()),
            "XDP loses super-frames and unfinished checksums, so TCP of local workloads suffers",
            "write mode = \"auto\" in the configuration, or switch checksums off at the far end: ethtool -K DEVICE tx off",
        );
    }
}

fn offloads(device: &Device, to: &mut Findings) {
    if !device.is_port() || !device.on_xdp() {
        return;
    }
    let name = &device.name;
    let mut clear = true;
    for (feature, option) in JOINING.iter().filter(|(feature, _)| device.has(feature)) {
        clear = false;
        to.bad(
            ("offload-joining", Severity::Warning),
            name,
            format!("{feature} is on at {name}, which is on XDP"),
            "drivers refuse XDP with it, or XDP sees frames that no wire carries",
            format!("ethtool -K {name} {option} off"),
        );
    }
    let strips = STRIPPING.iter().filter(|(feature, _)| device.tagged && device.has(feature));
    for (feature, option) in strips {
        clear = false;
        to.bad(
            ("offload-vlan", Severity::Error),
            name,
            format!("{feature} is on at {name}, whose frames are tagged"),
            "the tag is taken off before XDP sees the frame, which then belongs to no segment",
            format!("ethtool -K {name} {option} off"),
        );
    }
    if clear && !device.features.is_empty() {
        to.ok("offloads", name, format!("no offload of {name} is in the way"));
    }
}

fn others(device: &Device, to: &mut Findings) {
    for program in device.others.iter().filter(|_| device.is_port()) {
        to.bad(
            ("other-program", Severity::Warning),
            &device.name,
            format!("somebody else's {program} is on {}", device.name),
            "it sees frames before Overlay does, or takes the place that Overlay needs",
            format!("ip link set dev {} xdp off", device.name),
        );
    }
    for program in device.other_tcx.iter().filter(|_| device.is_port()) {
        to.bad(
            ("other-program", Severity::Note),
            &device.name,
            format!("somebody else's program {program} is on tc ingress of {}", device.name),
            "it sees frames before Overlay does, or those that Overlay lets pass",
            format!("bpftool net show dev {} tells which, and its owner removes it", device.name),
        );
    }
}

/// Packets of tunnels to and from one peer differ in their source ports alone (RFC 7348, section
/// 4.1), which cards leave out by default: fragments of UDP packets have none.
fn spread(device: &Device, peers: [usize; 2], to: &mut Findings) {
    let name = &device.name;
    let queues = device.channels.map_or(0, |channels| channels.combined + channels.receive);
    let flows = [("udp4", peers[0]), ("udp6", peers[1])];
    for ((flow, peers), spreads) in flows.into_iter().zip(device.spreads_ports) {
        if device.uplink && queues > 1 && peers > 0 && spreads == Some(false) {
            to.bad(
                ("receive-hash", Severity::Warning),
                name,
                format!("{name} spreads UDP packets over its {queues} queues by address alone"),
                "all that one peer sends goes through one queue, and one CPU handles it",
                format!("ethtool -N {name} rx-flow-hash {flow} sdfn"),
            );
        }
    }
}

fn queues(device: &Device, cpus: usize, to: &mut Findings) {
    let (name, Some(channels)) = (&device.name, device.channels) else { return };
    let (used, most) =
        (channels.combined + channels.receive, channels.max_combined.max(channels.max_receive));
    let wanted = u32::try_from(cpus).unwrap_or(u32::MAX).min(most);
    if device.is_port() && used < wanted {
        let kind = if channels.max_combined > 0 { "combined" } else { "rx" };
        to.bad(
            ("queues", Severity::Note),
            name,
            format!("{name} receives through {used} queues, and there are {cpus} CPUs"),
            "packets of all flows are handled by as many CPUs as there are queues",
            format!("ethtool -L {name} {kind} {wanted}"),
        );
    }
}

fn interrupts(device: &Device, cpus: usize, to: &mut Findings) {
    let (name, first) = (&device.name, device.interrupts.first());
    let one =
        first.is_some_and(|cpus| cpus.len() == 1 && device.interrupts.iter().all(|i| i == cpus));
    if device.is_port() && device.interrupts.len() > 1 && cpus > 1 && one {
        to.bad(
            ("interrupts", Severity::Warning),
            name,
            format!("all {} interrupts of {name} are handled by one CPU", device.interrupts.len()),
            "its queues are of no use: one CPU handles every packet",
            "systemctl start irqbalance",
        );
    }
}

/// Full frames of access ports fit the uplinks with the tunnel around them.
fn mtus(facts: &Facts, to: &mut Findings) {
    let access = facts.devices.iter().filter(|d| d.access && !d.uplink && d.exists);
    let Some(longest) = access.max_by_key(|device| device.mtu) else { return };
    let family = if facts.peers[1] > 0 { Family::V6 } else { Family::V4 };
    let needed = longest.mtu.saturating_add(family.tunnel_len() as u32);
    for uplink in facts.devices.iter().filter(|d| d.uplink && d.exists) {
        let name = &uplink.name;
        if uplink.mtu < needed {
            to.bad(
                ("mtu", Severity::Warning),
                name,
                format!(
                    "uplink {name} has MTU {}; full frames of {} (MTU {}) need {needed}",
                    uplink.mtu, longest.name, longest.mtu
                ),
                "senders are told to send less, and what cannot be told is cut up or dropped",
                format!("ip link set dev {name} mtu {needed}"),
            );
        } else {
            to.ok("mtu", name, format!("full frames fit uplink {name}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Channels, Xdp};
    use super::super::{Finding, examine};
    use super::*;

    fn wire(name: &str) -> Device {
        let xdp = Some(Xdp { basic: true, redirect: true, transmit: true });
        Device {
            name: name.to_owned(),
            exists: true,
            up: true,
            mtu: 1500,
            xdp,
            ..Device::default()
        }
    }

    fn bad(device: Device) -> Vec<(&'static str, String)> {
        let facts = Facts { cpus: 8, devices: vec![device], ..Facts::default() };
        let of_device = |finding: &Finding| finding.fix.is_some() && !finding.subject.is_empty();
        let found = examine(&facts).into_iter().filter(of_device);
        found.map(|finding| (finding.code, finding.fix.unwrap())).collect()
    }

    #[test]
    fn offloads_hurt_on_xdp_and_nowhere_else() {
        let on = ["rx-lro", "rx-vlan-hw-parse"].map(|name| (name.to_owned(), true)).into();
        let device = Device { access: true, features: on, ..wire("eth1") };
        let lro = ("offload-joining", "ethtool -K eth1 lro off".to_owned());
        assert_eq!(bad(device.clone()), std::slice::from_ref(&lro));
        let tagged = Device { tagged: true, ..device.clone() };
        assert_eq!(bad(tagged), [("offload-vlan", "ethtool -K eth1 rxvlan off".to_owned()), lro]);
        assert_eq!(bad(Device { mode: Mode::Tc, ..device.clone() }), []);
        assert_eq!(bad(Device { access: false, ..device }), [], "no port");
    }

    #[test]
    fn drivers_without_xdp_are_told() {
        let bare = Device { uplink: true, xdp: Some(Xdp::default()), ..wire("eth0") };
        assert_eq!(bad(bare.clone())[0].0, "driver");
        let asked = Facts { devices: vec![Device { mode: Mode::Xdp, ..bare }], ..Facts::default() };
        assert!(
            examine(&asked).iter().any(|f| f.code == "driver" && f.severity == Severity::Error)
        );
        let veth = Device { local: true, access: true, mode: Mode::Xdp, ..wire("veth0") };
        assert_eq!(bad(veth)[0].0, "local-xdp");
    }

    #[test]
    fn queues_and_interrupts_are_spread() {
        let channels = Channels { combined: 2, max_combined: 4, ..Channels::default() };
        let few = Device { uplink: true, channels: Some(channels), ..wire("eth0") };
        assert_eq!(bad(few), [("queues", "ethtool -L eth0 combined 4".to_owned())]);
        let one = Device { uplink: true, interrupts: vec![vec![0], vec![0]], ..wire("eth0") };
        assert_eq!(bad(one)[0].0, "interrupts");
        let spread = Device { uplink: true, interrupts: vec![vec![0], vec![1]], ..wire("eth0") };
        assert_eq!(bad(spread), []);
    }

    #[test]
    fn tunnels_are_spread_by_their_source_ports() {
        let channels = Some(Channels { combined: 8, max_combined: 8, ..Channels::default() });
        let spreads_ports = [Some(false); 2];
        let uplink = Device { uplink: true, channels, spreads_ports, ..wire("eth0") };
        let found = |device: &Device, peers| {
            let facts = Facts { cpus: 8, devices: vec![device.clone()], peers, ..Facts::default() };
            let found = examine(&facts).into_iter().filter(|f| f.code == "receive-hash");
            found.filter_map(|finding| finding.fix).collect::<Vec<_>>()
        };
        let fix = |flow| format!("ethtool -N eth0 rx-flow-hash {flow} sdfn");
        assert_eq!(found(&uplink, [1, 0]), [fix("udp4")]);
        assert_eq!(found(&uplink, [1, 1]), [fix("udp4"), fix("udp6")]);
        let spread = Device { spreads_ports: [Some(true), None], ..uplink.clone() };
        assert_eq!(found(&spread, [1, 1]), [""; 0]);
        let access = Device { uplink: false, access: true, ..uplink.clone() };
        assert_eq!(found(&access, [1, 1]), [""; 0], "no tunnels there");
        let channels = Some(Channels { combined: 1, max_combined: 1, ..Channels::default() });
        assert_eq!(found(&Device { channels, ..uplink }, [1, 1]), [""; 0]);
    }

    #[test]
    fn an_uplink_is_wide_enough_for_the_tunnel() {
        let uplink = Device { uplink: true, ..wire("eth0") };
        let access = Device { access: true, ..wire("eth1") };
        let mut facts = Facts { devices: vec![uplink, access], ..Facts::default() };
        let mtu = |facts: &Facts| {
            let found = examine(facts).into_iter().find(|finding| finding.code == "mtu").unwrap();
            found.fix
        };
        assert_eq!(mtu(&facts), Some("ip link set dev eth0 mtu 1550".to_owned()));
        facts.peers = [0, 1];
        assert_eq!(mtu(&facts), Some("ip link set dev eth0 mtu 1570".to_owned()));
        facts.devices[0].mtu = 1570;
        assert_eq!(mtu(&facts), None);
    }

    #[test]
    fn what_is_missing_or_down_is_an_error() {
        let missing = Device { uplink: true, exists: false, ..wire("eth0") };
        assert_eq!(bad(missing), [("device", "ip link".to_owned())]);
        let down = Device { uplink: true, up: false, ..wire("eth0") };
        assert_eq!(bad(down), [("device", "ip link set dev eth0 up".to_owned())]);
        let other =
            Device { uplink: true, others: vec!["XDP program 7".to_owned()], ..wire("eth0") };
        assert_eq!(bad(other), [("other-program", "ip link set dev eth0 xdp off".to_owned())]);
        let fix = "bpftool net show dev eth0 tells which, and its owner removes it".to_owned();
        let beside = Device { uplink: true, other_tcx: vec![7], ..wire("eth0") };
        assert_eq!(bad(beside), [("other-program", fix)]);
    }
}
