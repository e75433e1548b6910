//! Ports that move from one hook to another, and ports that refuse.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use overlay_testbed::{Cleanup, TwoGateways, require_root, require_tools, set_mtu, wait_until};

use crate::harness::{Echoes, Overlay, attached, hook_of, ping, prepare_for_xdp};

/// Uplink and access port, in an order in which each hook follows each other one.
const MODES: [(&str, &str); 16] = [
    ("xdp", "xdp"),
    ("xdp-generic", "xdp-generic"),
    ("xdp", "tc"),
    ("tc", "xdp"),
    ("xdp-generic", "tc"),
    ("tc", "xdp-generic"),
    ("user", "tc"),
    ("tc", "user"),
    ("user", "xdp"),
    ("xdp-generic", "user"),
    ("user", "user"),
    ("user-xdp", "user"),
    ("user-xdp", "user-xdp"),
    ("xdp-generic", "user-xdp"),
    ("user-xdp", "xdp"),
    ("xdp", "xdp"),
];

fn config(testbed: &TwoGateways, (uplink, access): (&str, &str)) -> String {
    testbed.gw1.config(uplink, access, &[("kernel", TwoGateways::VTEP2)])
}

/// A running gateway with the first pair of modes, its peer the kernel.
fn with_first_modes(
    test: &str,
    body: impl FnOnce(&TwoGateways, Overlay<'_>) -> Result<()>,
) -> Result<()> {
    if !require_root(test) || !require_tools(test, &["bpftool", "tc", "bridge", "ping"]) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    let gateway = &testbed.gw1;
    let ours = Overlay::start(&gateway.netns, &gateway.name, &config(&testbed, MODES[0]))?;
    ours.wait_for_peers()?;
    body(&testbed, ours)
}

fn check(testbed: &TwoGateways, ours: &Overlay<'_>, (uplink, access): (&str, &str)) -> Result<()> {
    ensure!(ours.hook("eth0")? == hook_of(uplink), "uplink is not on {uplink}");
    ensure!(ours.hook("eth1")? == hook_of(access), "access port is not on {access}");
    for (interface, mode) in [("eth0", uplink), ("eth1", access)] {
        let programs = format!("{:?}", attached(&testbed.gw1.netns, interface)?);
        let is_xdp = mode.starts_with("xdp") || mode == "user-xdp";
        ensure!(programs.contains("prog/xdp") == is_xdp, "{interface}, {mode}: {programs}");
    }
    ping(&testbed.host1, TwoGateways::HOST2)
}

#[test]
fn hooks_change_over_a_kill_and_a_start() -> Result<()> {
    with_first_modes("hooks_change_over_a_kill_and_a_start", |testbed, mut ours| {
        for modes in MODES {
            ours.kill()?;
            std::fs::write(ours.config(), config(testbed, modes))?;
            ours.restart()?;
            ours.wait_for_peers()?;
            check(testbed, &ours, modes)?;
        }
        Ok(())
    })
}

#[test]
fn hooks_change_in_a_reload() -> Result<()> {
    with_first_modes("hooks_change_in_a_reload", |testbed, ours| {
        for modes in MODES {
            ours.reload(&config(testbed, modes))?;
            check(testbed, &ours, modes)?;
        }
        Ok(())
    })
}

/// What is about to be changed on a device is written down before, or not done. What was undone is
/// written down as soon as that is possible; until then the health says so.
#[test]
fn a_reload_that_cannot_write_down_what_it_changes() -> Result<()> {
    with_first_modes("a_reload_that_cannot_write_down_what_it_changes", |testbed, ours| {
        let state = Path::new("/run/overlay").join(format!("{}.json", testbed.gw1.name));
        let names_port =
            || Ok::<_, anyhow::Error>(std::fs::read_to_string(&state)?.contains("eth1"));
        let with = config(testbed, MODES[0]);
        let port = with.find("\n[[segment.port]]").context("no port")?;
        let peer = with.find("\n[[peer]]").context("no peer")?;
        let without = format!("{}{}", &with[..port], &with[peer..]);
        let failure = format!("cannot write {}: Is a directory (os error 21)", state.display());

        let blocked = state.with_extension("json.new");
        std::fs::create_dir(&blocked)?;
        let blocked = Cleanup::new(move || drop(std::fs::remove_dir(&blocked)));
        ours.reload(&without)?;
        ensure!(attached(&testbed.gw1.netns, "eth1")?.is_empty(), "still attached");
        ensure!(names_port()?, "written although that was impossible");
        let status = ours.run(&["status"])?;
        ensure!(status.contains(&failure), "no word of it: {status}");
        let refusal = format!("{:#}", ours.reload(&with).expect_err("nowhere to write"));
        ensure!(refusal.contains(&format!("nothing was changed: {failure}")), "{refusal}");
        ensure!(attached(&testbed.gw1.netns, "eth1")?.is_empty(), "changed all the same");

        drop(blocked);
        let is_written = || (!names_port().ok()?).then_some(());
        wait_until("what was changed, written down", Duration::from_secs(10), is_written)?;
        ours.reload(&with)?;
        ensure!(names_port()?, "the port is not written down");
        let status = ours.run(&["status"])?;
        ensure!(status.contains("  healthy"), "written, and yet: {status}");
        check(testbed, &ours, MODES[0])
    })
}

/// The programs of both ports.
fn programs(testbed: &TwoGateways) -> Result<[Vec<String>; 2]> {
    let netns = &testbed.gw1.netns;
    Ok([attached(netns, "eth0")?, attached(netns, "eth1")?])
}

/// A start that `refuser` refuses leaves the programs that a dead daemon left, and all that
/// they do.
fn fails_to_start(
    testbed: &TwoGateways,
    ours: &mut Overlay<'_>,
    modes: (&str, &str),
    refuser: &str,
) -> Result<()> {
    let before = programs(testbed)?;
    ours.kill()?;
    std::fs::write(ours.config(), config(testbed, modes))?;
    let refusal = ours.restart().expect_err("the port takes no XDP program");
    let (log, name) = (format!("{refusal:#}"), &testbed.gw1.name);
    ensure!(log.contains(refuser), "{log}");
    let left = format!(
        "what a former process of {name} attached forwards on; overlay down --name {name} removes \
         it"
    );
    ensure!(log.contains(&left), "{log}");
    // New programs would still forward for a moment: until the kernel has emptied their arrays
    // of tail calls.
    let after = programs(testbed)?;
    ensure!(after == before, "{before:?} became {after:?}");
    // Nobody knows the neighbour's address: the question takes a tail call.
    testbed.host1.exec("ip neigh flush all")?;
    ping(&testbed.host1, TwoGateways::HOST2)
}

/// A veth takes no XDP program for one buffer while its far end's MTU is over a page.
#[test]
fn a_start_that_a_port_refuses_leaves_what_forwarded() -> Result<()> {
    with_first_modes("a_start_that_a_port_refuses_leaves_what_forwarded", |testbed, mut ours| {
        ours.reload(&config(testbed, ("xdp", "tc")))?;
        ours.do_without("xdp-frags");
        set_mtu(&testbed.host1, "eth0", 9000)?;
        let refusal = "interface eth1 takes no xdp program; mode = \"auto\" or \"tc\" would do";
        fails_to_start(testbed, &mut ours, ("xdp", "xdp"), refusal)?;

        std::fs::write(ours.config(), config(testbed, ("xdp", "tc")))?;
        ours.restart()?;
        ours.wait_for_peers()?;
        check(testbed, &ours, ("xdp", "tc"))?;
        ours.down()?;
        let left = attached(&testbed.gw1.netns, "eth1")?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
}

/// The access port's hook, and that which it had taken on when the uplink refused.
const TAKEN_BACK: [(&str, &str); 8] = [
    ("tc", "tc"),
    ("tc", "xdp"),
    ("xdp", "xdp"),
    ("xdp", "xdp-generic"),
    ("xdp-generic", "xdp"),
    ("xdp", "tc"),
    ("xdp", "user"),
    ("tc", "user-xdp"),
];

#[test]
fn a_start_that_the_uplink_refuses_takes_back_what_was_attached() -> Result<()> {
    taken_back("a_start_that_the_uplink_refuses_takes_back_what_was_attached", "xdp-frags")
}

#[test]
fn a_start_that_the_uplink_refuses_takes_back_filters() -> Result<()> {
    taken_back("a_start_that_the_uplink_refuses_takes_back_filters", "xdp-frags,tcx")
}

fn taken_back(test: &str, without: &'static str) -> Result<()> {
    with_first_modes(test, |testbed, mut ours| {
        prepare_for_xdp(testbed, &[("tc", "xdp")])?;
        ours.kill()?;
        ours.do_without(without);
        set_mtu(&testbed.gw2.netns, "eth0", 9000)?;
        for (before, taken) in TAKEN_BACK {
            let mut try_one = || -> Result<()> {
                std::fs::write(ours.config(), config(testbed, ("tc", before)))?;
                ours.restart()?;
                ours.wait_for_peers()?;
                // What a guard keeps from a hook is lost until user space carries it.
                let forwards = !taken.starts_with("user");
                let start = || Echoes::start(&testbed.host1, (&testbed.host2, TwoGateways::HOST2));
                let mut echoes = forwards.then(start).transpose()?;
                if let Some(echoes) = &mut echoes {
                    echoes.wait_for_more(5)?;
                }
                fails_to_start(testbed, &mut ours, ("xdp", taken), "eth0")?;
                if let Some(mut echoes) = echoes {
                    echoes.wait_for_more(20)?;
                    echoes.finish()?;
                }
                Ok(())
            };
            try_one().with_context(|| format!("{before}, {taken}"))?;
        }
        Ok(())
    })
}

#[test]
fn a_reload_that_a_port_refuses_changes_nothing() -> Result<()> {
    with_first_modes("a_reload_that_a_port_refuses_changes_nothing", |testbed, mut ours| {
        ours.kill()?;
        ours.do_without("xdp-frags");
        ours.restart()?;
        ours.wait_for_peers()?;
        ours.reload(&config(testbed, ("xdp", "tc")))?;
        set_mtu(&testbed.host1, "eth0", 9000)?;
        let refusal = ours.reload(&config(testbed, ("tc", "xdp"))).expect_err("refused");
        ensure!(format!("{refusal:#}").contains("eth1"), "{refusal:#}");
        check(testbed, &ours, ("xdp", "tc"))
    })
}
