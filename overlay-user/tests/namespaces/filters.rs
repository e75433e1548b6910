//! tc programs without tcx, as filters of a clsact qdisc: what others do to them, and what
//! they must not do to others'.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use overlay_testbed::{
    Netns, Process, TwoGateways, require_root, require_tools, set_mtu, wait_until,
};

use crate::harness::{Echoes, Overlay, attached, ping};

const TOOLS: &[&str] = &["tc", "bridge", "ping"];
/// Their place, and a part of their names.
const PLACE: &str = "pref 4789 bpf chain 0 handle 0x1 tc_";
const SOON: Duration = Duration::from_secs(5);
const DEVICES: [&str; 2] = ["eth0", "eth1"];

/// A gateway without tcx against the kernel's.
fn with_filters(
    test: &str,
    body: impl FnOnce(&TwoGateways, Overlay<'_>) -> Result<()>,
) -> Result<()> {
    if !require_root(test) || !require_tools(test, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    let gateway = &testbed.gw1;
    let config = config(&testbed, "tc");
    let ours = Overlay::start_without("tcx", &gateway.netns, &gateway.name, &config)?;
    ours.wait_for_peers()?;
    ping(&testbed.host1, TwoGateways::HOST2)?;
    body(&testbed, ours)
}

fn config(testbed: &TwoGateways, uplink: &str) -> String {
    testbed.gw1.config(uplink, "tc", &[("kernel", TwoGateways::VTEP2)])
}

/// The programs that are a device's filters.
fn filters(netns: &Netns, device: &str) -> Result<Vec<String>> {
    let text = netns.exec(&format!("tc filter show dev {device} ingress"))?;
    Ok(text.lines().filter(|line| line.contains(" handle ")).map(str::to_owned).collect())
}

/// Each device has one filter, in its place.
fn one_each(netns: &Netns) -> Result<()> {
    for device in DEVICES {
        let found = filters(netns, device)?;
        ensure!(found.len() == 1 && found[0].contains(PLACE), "{device}: {found:?}");
    }
    Ok(())
}

fn nothing_left(netns: &Netns) -> Result<()> {
    for device in DEVICES {
        let qdiscs = netns.exec(&format!("tc qdisc show dev {device}"))?;
        ensure!(!qdiscs.contains("clsact"), "{device}: {qdiscs}");
    }
    Ok(())
}

#[test]
fn a_filter_that_somebody_removes_comes_back() -> Result<()> {
    with_filters("a_filter_that_somebody_removes_comes_back", |testbed, mut ours| {
        let netns = &testbed.gw1.netns;
        for line in ["qdisc del dev eth1 clsact", "filter del dev eth0 ingress"] {
            netns.exec(&format!("tc {line}"))?;
            wait_until("filter", SOON, || one_each(netns).ok())
                .with_context(|| format!("{line}\n{}", ours.log()))?;
            ping(&testbed.host1, TwoGateways::HOST2).with_context(|| line.to_owned())?;
        }
        ensure!(ours.log().contains("was removed by somebody"), "{}", ours.log());
        // While nobody looks, too.
        ours.kill()?;
        netns.exec("tc qdisc del dev eth1 clsact")?;
        netns.exec("tc filter del dev eth0 ingress")?;
        ours.restart()?;
        ours.wait_for_peers()?;
        one_each(netns)?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        ours.down()?;
        nothing_left(netns)
    })
}

#[test]
fn a_program_is_replaced_in_its_filter_without_loss() -> Result<()> {
    with_filters("a_program_is_replaced_in_its_filter_without_loss", |testbed, mut ours| {
        let mut echoes = Echoes::start(&testbed.host1, (&testbed.host2, TwoGateways::HOST2))?;
        for _ in 0..3 {
            echoes.wait_for_more(20)?;
            ours.kill()?;
            echoes.wait_for_more(20)?;
            ours.restart()?;
            ours.wait_for_peers()?;
            one_each(&testbed.gw1.netns)?;
        }
        echoes.wait_for_more(20)?;
        println!("{} echoes, none lost", echoes.finish()?);
        ours.down()?;
        nothing_left(&testbed.gw1.netns)
    })
}

/// The qdisc was made for our filter, and others use it by now.
#[test]
fn the_filters_of_others_stay() -> Result<()> {
    with_filters("the_filters_of_others_stay", |testbed, mut ours| {
        let netns = &testbed.gw1.netns;
        let theirs = "pref 7 protocol ip u32 match u32 0 0";
        netns.exec(&format!("tc filter add dev eth1 egress {theirs}"))?;
        ours.down()?;
        ensure!(filters(netns, "eth1")?.is_empty(), "{:?}", filters(netns, "eth1")?);
        let left = netns.exec("tc filter show dev eth1 egress")?;
        ensure!(left.contains("pref 7 u32"), "theirs is gone: {left}");
        ensure!(!netns.exec("tc qdisc show dev eth0")?.contains("clsact"), "nobody's qdisc stays");
        // A filter of theirs in the place of ours is not taken away, nor taken over.
        netns.exec("tc filter add dev eth1 ingress pref 4789 protocol all u32 match u32 0 0")?;
        let before = filters(netns, "eth1")?;
        let again = Process::spawn(&mut ours.run_command())?;
        let status = again.wait(Duration::from_secs(15))?;
        let words = again.output();
        ensure!(status.code() == Some(1), "{status}: {words}");
        ensure!(words.contains("4789") && words.contains("tc filter show dev eth1"), "{words}");
        ensure!(filters(netns, "eth1")? == before, "{:?}", filters(netns, "eth1")?);
        ensure!(filters(netns, "eth0")?.is_empty(), "{:?}", filters(netns, "eth0")?);
        Ok(())
    })
}

fn state_file(testbed: &TwoGateways) -> PathBuf {
    PathBuf::from(format!("/run/overlay/{}.json", testbed.gw1.name))
}

/// Nothing is changed that the next process would not know of.
#[test]
fn what_cannot_be_written_down_is_not_done() -> Result<()> {
    with_filters("what_cannot_be_written_down_is_not_done", |testbed, mut ours| {
        ours.down()?;
        let blocked = state_file(testbed).with_extension("json.new");
        std::fs::create_dir(&blocked)?;
        let daemon = Process::spawn(&mut ours.run_command())?;
        let ended = daemon.wait(Duration::from_secs(15));
        std::fs::remove_dir(&blocked)?;
        let words = daemon.output();
        ensure!(ended?.code() == Some(1) && words.contains("cannot write"), "{words}");
        ensure!(!words.contains("attached"), "attached before it was written down: {words}");
        nothing_left(&testbed.gw1.netns)?;
        ours.restart()?;
        ours.down()
    })
}

/// A start that is refused at its second port has changed the first one already.
#[test]
fn a_refused_start_knows_what_it_changed() -> Result<()> {
    with_filters("a_refused_start_knows_what_it_changed", |testbed, mut ours| {
        let netns = &testbed.gw1.netns;
        ours.kill()?;
        // The filter was where the kernel had put it, as by an older version, and somebody
        // removed it: the new one is in another place.
        netns.exec("tc qdisc del dev eth1 clsact")?;
        let state = state_file(testbed);
        let known = std::fs::read_to_string(&state)?;
        std::fs::write(&state, known.replace("4789", "49152"))?;
        netns.exec("tc qdisc del dev eth0 clsact")?;
        // Longer than an XDP program for one buffer may have it.
        ours.do_without("tcx,xdp-frags");
        set_mtu(&testbed.gw2.netns, "eth0", 9000)?;
        let before = std::fs::read(ours.config())?;
        std::fs::write(ours.config(), config(testbed, "xdp"))?;
        let refused = Process::spawn(&mut ours.run_command())?;
        let status = refused.wait(Duration::from_secs(15))?;
        ensure!(status.code() == Some(1), "{status}: {}", refused.output());
        std::fs::write(ours.config(), before)?;
        ours.restart()?;
        ours.wait_for_peers()?;
        one_each(netns)?;
        ours.down()?;
        nothing_left(netns)
    })
}

#[test]
fn a_start_that_is_killed_leaves_nothing_unknown() -> Result<()> {
    with_filters("a_start_that_is_killed_leaves_nothing_unknown", |testbed, mut ours| {
        let netns = &testbed.gw1.netns;
        ours.down()?;
        for moment in 0..12 {
            let daemon = Process::spawn(&mut ours.run_command())?;
            std::thread::sleep(Duration::from_millis(moment * 25));
            daemon.signal(nix::sys::signal::Signal::SIGKILL)?;
            daemon.wait(SOON)?;
        }
        ours.restart()?;
        ours.wait_for_peers()?;
        one_each(netns)?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        ours.kill()?;
        ours.down()?;
        nothing_left(netns)
    })
}

/// The kernel's feature is used again, or no more.
#[test]
fn links_and_filters_follow_each_other() -> Result<()> {
    with_filters("links_and_filters_follow_each_other", |testbed, mut ours| {
        let netns = &testbed.gw1.netns;
        for without in ["", "tcx", ""] {
            ours.kill()?;
            ours.do_without(without);
            ours.restart()?;
            ours.wait_for_peers()?;
            for device in DEVICES {
                let found = attached(netns, device)?;
                ensure!(found.len() == 1, "{device} without {without:?}: {found:?}");
            }
            ping(&testbed.host1, TwoGateways::HOST2)?;
        }
        ours.down()?;
        nothing_left(netns)
    })
}
