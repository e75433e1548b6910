//! What a running gateway says of its faults, in whole sentences, each provoked.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Netns, TwoGateways, require_root, wait_until};
use serde_json::Value;

use crate::harness::{Overlay, overlay};

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until a problem is told in these words, with this remedy.
fn told(gateway: &Overlay<'_>, what: &str, fix: &str) -> Result<()> {
    let problems = || {
        let status: Value = serde_json::from_str(&gateway.run(&["status", "--json"]).ok()?).ok()?;
        status["problems"].as_array().cloned()
    };
    let is_it = |problem: &Value| {
        problem["what"].as_str().is_some_and(|text| text.starts_with(what)) && problem["fix"] == fix
    };
    wait_until(what, PATIENCE, || problems()?.iter().any(is_it).then_some(()))
        .with_context(|| format!("{:#?}\n{}", problems(), gateway.log()))
}

/// What a command that fails says, and its exit code.
fn refused(netns: &Netns, arguments: &[&str]) -> Result<(i32, String)> {
    let output = overlay(netns).args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    Ok((output.status.code().context("a signal")?, text))
}

#[test]
fn every_fault_names_what_it_is_about_and_what_to_do() -> Result<()> {
    if !require_root("every_fault_names_what_it_is_about_and_what_to_do") {
        return Ok(());
    }
    let topology = TwoGateways::new()?;
    let (gw1, gw2) = (&topology.gw1, &topology.gw2);
    let (netns, name) = (&gw1.netns, &*gw1.name);
    let config = gw1.config("tc", "tc", &[("gw2", gw2.vtep)]);
    let config = config.replacen("[node]\n", "[node]\nfdb_entries = 1\n", 1);
    ensure!(config.contains("fdb_entries"), "{config}");
    let gateway = Overlay::start(netns, name, &config)?;
    gateway.wait_for_peers()?;

    gateway.run(&["fdb", "add", "blue", "02:01:00:00:00:01", "peer", "gw2"])?;
    told(
        &gateway,
        "1 addresses were loaded, and are not in the configuration",
        "write them as [[segment.fdb]], or load them after each start; overlay fdb flush removes \
         them",
    )?;
    told(
        &gateway,
        "table fdb holds 1 of 1 entries",
        "raise node.fdb_entries and restart, set limit.macs, or lower node.ageing",
    )?;
    netns.exec("ip link set eth0 mtu 1400")?;
    told(
        &gateway,
        "uplink eth0 has MTU 1400; full frames of port eth1 (MTU 1500) need 1550, so their \
         senders are told to send less: raise the one or lower the other",
        "ip link set dev eth0 mtu 1550, and the same on its way to the peers",
    )?;
    ensure!(gateway.reload("[node]\n").is_err(), "a file with next to nothing in it is taken");
    let file = gateway.config().display();
    told(
        &gateway,
        "the last configuration was refused: ",
        &format!("overlay check --config {file}; then overlay reload"),
    )?;
    gateway.reload(&config)?;

    let frame = "02000000020202000000010108004500";
    let arguments = ["trace", "--name", name, "--simulate", frame, "--interface", "eth7"];
    let (code, text) = refused(netns, &arguments)?;
    let said = "overlay: eth7 is no port of this gateway; its ports: eth0, eth1";
    ensure!(code == 2 && text == said, "{code}: {text}");
    let (code, text) = refused(netns, &["run", "--name", name, "--config", &file.to_string()])?;
    let said =
        format!("an instance named {name} runs already; end it with: overlay down --name {name}");
    ensure!(code == 1 && text.ends_with(&said), "{code}: {text}");

    netns.exec("ip link set eth0 down")?;
    told(&gateway, "port eth0 is down", "ip link set dev eth0 up; if it is, look at its far end")?;
    told(
        &gateway,
        "no uplink is up (eth0); no peer can be reached",
        "set an uplink's device up, and look at its cable or switch",
    )?;
    told(
        &gateway,
        "peer gw2: ",
        "overlay show peers tells what is missing; give the host a route to its VTEP over an \
         uplink, and have the next hop answer",
    )?;

    netns.exec("ip link set eth1 down")?;
    netns.exec("ip link set eth1 name eth9")?;
    let logged = |words: &str| {
        let is_there = || gateway.log().contains(words).then_some(());
        wait_until(words, PATIENCE, is_there).with_context(|| gateway.log())
    };
    logged("the interface was renamed")?;
    netns.exec("ip link set eth9 name eth1")?;
    wait_until("the port is back", PATIENCE, || gateway.hook("eth1").ok())?;
    netns.exec("ip link del eth1")?;
    logged("the interface is gone")
}
