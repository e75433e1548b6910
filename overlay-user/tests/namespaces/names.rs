//! Devices that change: their names, their namespace, their MTU and MAC, or that come late. The
//! gateway follows, and what it leaves is as it was before.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::frame::{self, BROADCAST, Tunnel};
use overlay_testbed::{
    Netns, RawSocket, Scratch, TwoGateways, require_root, require_tools, set_mac, set_mtu, veth,
    wait_until,
};
use serde_json::Value;

use crate::descriptors;
use crate::harness::{
    Modes, Overlay, TwoPorts, answers, attached, has_mark, marked, ping, prepare_for_xdp,
    prepare_uplinks,
};

const TOOLS: &[&str] = &["tc", "bridge", "ping"];
const RECOVERY: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_millis(300);
const MODES: [Modes; 3] = [("tc", "tc"), ("xdp", "xdp"), ("user", "user")];
const MAC_1: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Our gateway against the kernel's, with a flow that passes.
fn on_each_hook(
    name: &str,
    check: impl Fn(&TwoGateways, &mut Overlay<'_>) -> Result<()>,
) -> Result<()> {
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    // The last with filters, as on older kernels.
    for (modes, without) in MODES.map(|modes| (modes, "")).into_iter().chain([(MODES[0], "tcx")]) {
        let testbed = TwoGateways::new()?;
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        prepare_for_xdp(&testbed, &[modes])?;
        prepare_uplinks(&testbed, &[modes.0])?;
        let gateway = &testbed.gw1;
        let config = gateway.config(modes.0, modes.1, &[("kernel", TwoGateways::VTEP2)]);
        let mut ours = Overlay::start_without(without, &gateway.netns, &gateway.name, &config)?;
        ours.wait_for_peers()?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        let checked = check(&testbed, &mut ours);
        checked.with_context(|| format!("{modes:?} {without}\n{}", ours.log()))?;
    }
    Ok(())
}

fn recovers(testbed: &TwoGateways) -> Result<()> {
    let target = TwoGateways::HOST2;
    wait_until("recovery", RECOVERY, || answers(&testbed.host1, target).then_some(()))?;
    // On XDP it takes a moment until it is known again whether redirected frames arrive.
    wait_until("ten of ten echoes", RECOVERY, || ping(&testbed.host1, target).ok())
}

/// What the status says of a port, once it has a problem of this code.
fn problem(ours: &Overlay<'_>, code: &str, port: &str) -> Result<String> {
    wait_until(&format!("problem {code} of {port}"), RECOVERY, || {
        let text = ours.run(&["status", "--json"]).ok()?;
        let status: Value = serde_json::from_str(&text).ok()?;
        let is_it = |p: &&Value| p["code"] == code && p["subject"] == format!("port {port}");
        Some(status["problems"].as_array()?.iter().find(is_it)?["what"].as_str()?.to_owned())
    })
}

/// Several changes without a pause.
fn batch(netns: &Netns, lines: &str) -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.write("batch", lines)?;
    netns.exec(&format!("ip -batch {}", file.display())).map(drop)
}

/// Devices are renamed while they are down, since older kernels want that.
fn rename(from: &str, to: &str) -> String {
    format!("link set {from} down\nlink set {from} name {to}\nlink set {to} up\n")
}

/// Nothing of ours is on a device.
fn is_bare(netns: &Netns, device: &str) -> Result<()> {
    let left = attached(netns, device)?;
    let qdiscs = netns.exec(&format!("tc qdisc show dev {device}"))?;
    ensure!(left.is_empty() && !qdiscs.contains("clsact"), "{device}: {left:?} {qdiscs}");
    Ok(())
}

#[test]
fn a_port_is_the_device_that_has_its_name() -> Result<()> {
    on_each_hook("a_port_is_the_device_that_has_its_name", |testbed, ours| {
        let netns = &testbed.gw1.netns;
        for device in ["eth1", "eth0"] {
            let programs = attached(netns, device)?.len();
            batch(netns, &rename(device, "away"))?;
            let what = problem(ours, "port-missing", device)?;
            ensure!(what.contains("it is named away now"), "{what}");
            is_bare(netns, "away")?;
            ensure!(!answers(&testbed.host1, TwoGateways::HOST2), "{device} forwards on");
            batch(netns, &rename("away", device))?;
            recovers(testbed).with_context(|| device.to_owned())?;
            has_programs(netns, device, programs)?;
            // So fast that most of it has happened when it is heard of.
            let there_and_back = rename(device, "away") + &rename("away", device);
            batch(netns, &there_and_back.repeat(20))?;
            recovers(testbed).with_context(|| format!("{device}, twenty times"))?;
            has_programs(netns, device, programs)?;
        }
        Ok(())
    })
}

/// Waits for so many programs: frames may also pass on the way through the names in between.
fn has_programs(netns: &Netns, device: &str, count: usize) -> Result<()> {
    let what = format!("{count} programs at {device}");
    wait_until(&what, RECOVERY, || (attached(netns, device).ok()?.len() == count).then_some(()))
}

/// A daemon that is dead does not see it; the next one does.
#[test]
fn a_device_that_is_renamed_while_nobody_looks() -> Result<()> {
    on_each_hook("a_device_that_is_renamed_while_nobody_looks", |testbed, ours| {
        let netns = &testbed.gw1.netns;
        // A device that is made promiscuous, in the place of a veth.
        batch(
            netns,
            "link add br7 type bridge\nlink set eth1 name behind\nlink set behind master br7\n\
             link set br7 up\nlink set br7 name eth1\n",
        )?;
        let is_promiscuous = |device: &str| -> Result<bool> {
            Ok(netns.exec(&format!("ip -d link show dev {device}"))?.contains("PROMISC"))
        };
        let modes = ours.hook("eth0")?;
        if modes == "xdp" {
            // A bridge has no native XDP, which is another test's.
            return Ok(());
        }
        recovers(testbed).context("over a bridge")?;
        ensure!(is_promiscuous("eth1")?, "a bridge as access port is promiscuous");
        ours.kill()?;
        batch(netns, &rename("eth1", "away"))?;
        // Another device takes the name, so that what is written down of the first is replaced.
        batch(netns, "link add eth1 type bridge\nlink set eth1 up\n")?;
        ours.restart()?;
        is_bare(netns, "away")?;
        ensure!(!is_promiscuous("away")?, "it is as it was before");
        ensure!(is_promiscuous("eth1")?, "another device has the name now");
        batch(netns, "link del eth1\n")?;
        batch(netns, &rename("away", "eth1"))?;
        recovers(testbed)?;
        // The same while the daemon lives.
        batch(netns, &rename("eth1", "away"))?;
        problem(ours, "port-missing", "eth1")?;
        is_bare(netns, "away")?;
        ensure!(!is_promiscuous("away")?, "it is as it was before");
        Ok(())
    })
}

#[test]
fn a_device_goes_to_another_namespace_and_comes_back() -> Result<()> {
    on_each_hook("a_device_goes_to_another_namespace_and_comes_back", |testbed, ours| {
        let netns = &testbed.gw1.netns;
        let elsewhere = Netns::new("elsewhere")?;
        for device in ["eth1", "eth0"] {
            netns.exec(&format!("ip link set {device} netns {}", elsewhere.name()))?;
            problem(ours, "port-missing", device)?;
            elsewhere.exec(&format!("ip link set {device} up"))?;
            is_bare(&elsewhere, device)?;
            elsewhere.exec(&format!("ip link set {device} netns {}", netns.name()))?;
            if device == "eth0" {
                testbed.gw1.add_address(device)?;
            }
            netns.exec(&format!("ip link set {device} up"))?;
            recovers(testbed).with_context(|| device.to_owned())?;
        }
        Ok(())
    })
}

#[test]
fn mtu_and_mac_are_followed() -> Result<()> {
    on_each_hook("mtu_and_mac_are_followed", |testbed, ours| {
        let netns = &testbed.gw1.netns;
        let fits = |payload: u32| {
            let target = TwoGateways::HOST2;
            testbed.host1.exec(&format!("ping -n -q -M do -c 1 -W 1 -s {payload} {target}")).is_ok()
        };
        let wait_for = |mtu: u32| {
            wait_until(&format!("a peer of {mtu}"), RECOVERY, || {
                (ours.show("peers").ok()?[0]["mtu"] == mtu).then_some(())
            })
        };
        for (underlay, inner) in [(1400, 1350), (1300, 1250), (1550, 1500)] {
            set_mtu(netns, "eth0", underlay)?;
            wait_for(inner)?;
            testbed.host1.exec("ip route flush cache")?;
            ensure!(!fits(inner - 27), "{inner}: too much fits");
            let known = testbed.host1.exec(&format!("ip route get {}", TwoGateways::HOST2))?;
            if inner < 1500 {
                ensure!(known.contains(&format!("mtu {inner}")), "no PTB said {inner}: {known}");
            }
            ensure!(fits(inner - 28), "{inner}: what fits is lost\n{:?}", ours.drops());
        }
        let wire = RawSocket::open(&testbed.gw2.netns, "eth0")?;
        let host = RawSocket::open(&testbed.host1, "eth0")?;
        for last in [1, 2] {
            let mac = [2, 0, 0, 0, 0x0e, last];
            set_mac(netns, "eth0", mac)?;
            let outer = wait_until("the new MAC in outer headers", RECOVERY, || {
                let mark = format!("from {last}");
                host.send(&marked(BROADCAST, MAC_1, &mark)).ok()?;
                let is_it = |f: &[u8]| f[6..12] == mac && has_mark(f, &mark);
                wire.find(QUIET, is_it).ok()?
            })?;
            ensure!(Tunnel::unwrap(&outer).is_some());
            set_mac(netns, "eth1", [2, 0, 0, 0, 0x0f, last])?;
            recovers(testbed)?;
        }
        Ok(())
    })
}

/// Two ports of one segment, one without and one with a tag.
fn with_a_trunk(bed: &TwoPorts, mode: &str) -> String {
    let config = bed.config("", &format!("mode = \"{mode}\""), "", "");
    let trunk = format!("interface = \"eth2\"\nvlan = 10\nmode = \"{mode}\"");
    config.replace("interface = \"eth2\"", &trunk)
}

/// Whether frames pass from the one port to the other and back, tagged where the second is.
fn passes(bed: &TwoPorts, (plain, tagged): (usize, usize), mark: &str) -> Result<bool> {
    let there = marked(BROADCAST, MAC_1, mark);
    bed.ends[plain].send(&there)?;
    let wanted = frame::tagged(&there, 10);
    if bed.ends[tagged].find(QUIET, |frame| frame == wanted)?.is_none() {
        return Ok(false);
    }
    let mark = format!("{mark}, back");
    let back = marked(BROADCAST, [2, 0, 0, 0, 0, 9], &mark);
    bed.ends[tagged].send(&frame::tagged(&back, 10))?;
    Ok(bed.ends[plain].find(QUIET, |frame| frame == back)?.is_some())
}

fn wait_to_pass(bed: &TwoPorts, ends: (usize, usize), what: &str) -> Result<()> {
    let mut number = 0;
    wait_until(what, RECOVERY, || {
        number += 1;
        passes(bed, ends, &format!("{what} {number}")).ok()?.then_some(())
    })
}

const SWAP: &str = "link set eth1 down\nlink set eth2 down\nlink set eth1 name tmp\n\
                    link set eth2 name eth1\nlink set tmp name eth2\n\
                    link set eth1 up\nlink set eth2 up\n";

#[test]
fn two_ports_swap_their_names() -> Result<()> {
    if !require_root("two_ports_swap_their_names") {
        return Ok(());
    }
    for mode in ["tc", "xdp", "user"] {
        let bed = TwoPorts::new()?;
        let ours = bed.run(&with_a_trunk(&bed, mode))?;
        let check = || -> Result<()> {
            wait_to_pass(&bed, (0, 1), "before")?;
            let programs = [attached(&bed.gateway, "eth1")?, attached(&bed.gateway, "eth2")?];
            batch(&bed.gateway, SWAP)?;
            wait_to_pass(&bed, (1, 0), "swapped")?;
            ensure!(!passes(&bed, (0, 1), "as before")?, "a tag is not asked for any more");
            batch(&bed.gateway, &SWAP.repeat(9))?;
            wait_to_pass(&bed, (0, 1), "ten times")?;
            let [first, second] = programs.map(|programs| programs.len());
            has_programs(&bed.gateway, "eth1", first)?;
            has_programs(&bed.gateway, "eth2", second)
        };
        check().with_context(|| format!("{mode}\n{}", ours.log()))?;
    }
    Ok(())
}

/// More happens than the kernel keeps for the daemon, which is asleep: names are swapped, a
/// device is replaced by another.
#[test]
fn news_that_were_lost_are_read_again() -> Result<()> {
    if !require_root("news_that_were_lost_are_read_again") {
        return Ok(());
    }
    let mut noise = String::new();
    for number in 0..12_000 {
        let _ = writeln!(noise, "link set lo alias number-{number}");
    }
    for mode in ["tc", "xdp"] {
        let bed = TwoPorts::new()?;
        let ours = bed.run(&with_a_trunk(&bed, mode))?;
        let check = || -> Result<()> {
            wait_to_pass(&bed, (0, 1), "before")?;
            // What there is room for is undone by what is lost.
            asleep(&ours, || {
                batch(&bed.gateway, SWAP)?;
                batch(&bed.gateway, &noise)?;
                batch(&bed.gateway, SWAP)
            })?;
            std::thread::sleep(SOON);
            wait_to_pass(&bed, (0, 1), "there and back")?;
            ensure!(ours.log().contains("netlink messages were lost"), "nothing was lost");
            let hosts = Netns::new("more")?;
            asleep(&ours, || {
                batch(&bed.gateway, &noise)?;
                bed.gateway.exec("ip link del eth1")?;
                veth(&bed.gateway, "eth1", &hosts, "eth1")
            })?;
            let fresh = RawSocket::open(&hosts, "eth1")?;
            let mut number = 0;
            wait_until("another eth1", RECOVERY, || {
                number += 1;
                let frame = marked(BROADCAST, MAC_1, &format!("another {number}"));
                bed.ends[1].send(&frame::tagged(&frame, 10)).ok()?;
                fresh.find(QUIET, |seen| seen == frame).ok()?.map(drop)
            })
        };
        check().with_context(|| format!("{mode}\n{}", ours.log()))?;
    }
    Ok(())
}

/// Nothing can be read at once either; later it can.
#[test]
fn news_that_were_lost_are_read_again_once_that_is_possible() -> Result<()> {
    if !require_root("news_that_were_lost_are_read_again_once_that_is_possible") {
        return Ok(());
    }
    let mut noise = String::new();
    for number in 0..12_000 {
        let _ = writeln!(noise, "link set lo alias number-{number}");
    }
    let bed = TwoPorts::new()?;
    let ours = bed.run(&with_a_trunk(&bed, "tc"))?;
    let check = || -> Result<()> {
        wait_to_pass(&bed, (0, 1), "before")?;
        let pid = ours.pid().context("no daemon")?;
        let may_have = descriptors::leave(&ours, 0)?;
        let hosts = Netns::new("more")?;
        asleep(&ours, || {
            batch(&bed.gateway, &noise)?;
            bed.gateway.exec("ip link del eth1")?;
            veth(&bed.gateway, "eth1", &hosts, "eth1")
        })?;
        let words = "cannot follow changes over netlink: Too many open files";
        wait_until(words, RECOVERY, || ours.log().contains(words).then_some(()))?;
        // The tick tries and fails, too, and does not say so each time.
        std::thread::sleep(SOON);
        ensure!(ours.log().matches(words).count() == 1, "it is said again and again");
        descriptors::allow(pid, may_have)?;
        wait_until("another eth1", RECOVERY, || {
            (attached(&bed.gateway, "eth1").ok()?.len() == 1).then_some(())
        })
    };
    check().with_context(|| ours.log())
}

/// While the daemon gets no time.
fn asleep(ours: &Overlay<'_>, change: impl Fn() -> Result<()>) -> Result<()> {
    ours.signal(Signal::SIGSTOP)?;
    let changed = change();
    ours.signal(Signal::SIGCONT)?;
    changed
}

/// Neither the uplink, nor its address, nor the access port are there when the gateway starts.
#[test]
fn devices_that_come_late_are_waited_for() -> Result<()> {
    let name = "devices_that_come_late_are_waited_for";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for modes in MODES {
        let testbed = TwoGateways::new()?;
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        prepare_for_xdp(&testbed, &[modes])?;
        prepare_uplinks(&testbed, &[modes.0])?;
        let gateway = &testbed.gw1;
        let netns = &gateway.netns;
        batch(netns, &(rename("eth0", "late0") + &rename("eth1", "late1")))?;
        netns.exec("ip addr flush dev late0")?;
        let config = gateway.config(modes.0, modes.1, &[("kernel", TwoGateways::VTEP2)]);
        let refused = Overlay::start(netns, &gateway.name, &config).err().context("it started")?;
        ensure!(format!("{refused:#}").contains("eth0 does not exist"), "{refused:#}");
        let config = config.replace("[node]", "[node]\nwait_for_interfaces = true");
        let ours = Overlay::start(netns, &gateway.name, &config)?;
        let check = || -> Result<()> {
            for device in ["eth0", "eth1"] {
                let what = problem(&ours, "port-missing", device)?;
                ensure!(what.contains("does not exist"), "{what}");
            }
            ensure!(ours.run(&["status", "--check"]).is_err(), "it says that it is healthy");
            // A reload does not mind, either.
            ours.reload(&config.replace("learning = true", "learning = false"))?;
            ours.reload(&config)?;
            batch(netns, &rename("late1", "eth1"))?;
            batch(netns, &rename("late0", "eth0"))?;
            gateway.add_address("eth0")?;
            recovers(&testbed)?;
            wait_until("health", RECOVERY, || ours.run(&["status", "--check"]).ok())?;
            // What a running gateway has had is waited for without being told.
            ours.reload(&config.replace("wait_for_interfaces = true", ""))?;
            batch(netns, &rename("eth1", "late1"))?;
            problem(&ours, "port-missing", "eth1")?;
            ours.run(&["reload"])?;
            batch(netns, &rename("late1", "eth1"))?;
            recovers(&testbed)
        };
        check().with_context(|| format!("{modes:?}\n{}", ours.log()))?;
    }
    Ok(())
}
