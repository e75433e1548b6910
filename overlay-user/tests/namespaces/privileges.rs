//! What a daemon may still do once it runs, and that it is enough for all that it does.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Netns, Process, RawSocket, frame, require_root, veth, wait_until};

use crate::harness::{Overlay, has_mark, marked};

const SOON: Duration = Duration::from_secs(3);
const START: Duration = Duration::from_secs(15);
const INSIDE: [u8; 6] = [2, 0, 0, 0, 9, 9];

/// `CAP_NET_ADMIN`, `CAP_NET_RAW`, `CAP_PERFMON`, `CAP_BPF`.
const KEPT: u64 = 1 << 12 | 1 << 13 | 1 << 38 | 1 << 39;
/// `CAP_IPC_LOCK`, where the limit of locked memory could not be raised.
const IPC_LOCK: u64 = 1 << 14;
/// `CAP_SYS_ADMIN`.
const ADMIN: u64 = 1 << 21;

/// A line of each thread's status: its name, and what the line says.
fn of_threads(pid: u32, line: &str) -> Result<Vec<(String, String)>> {
    let value = |status: &str, name: &str| -> Option<String> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    };
    let threads = fs::read_dir(format!("/proc/{pid}/task")).context("no such process")?;
    // A thread may end meanwhile.
    let statuses =
        threads.flatten().filter_map(|t| fs::read_to_string(t.path().join("status")).ok());
    statuses
        .map(|status| {
            let found = value(&status, line).with_context(|| format!("no {line}: {status}"))?;
            Ok((value(&status, "Name").unwrap_or_default(), found))
        })
        .collect()
}

/// Fails unless every thread has what is needed, and no thread more.
fn is_confined(pid: u32) -> Result<()> {
    // The start's own thread ends on its own time.
    wait_until("end of the start's thread", SOON, || {
        of_threads(pid, "CapPrm").ok()?.iter().all(|(name, _)| name != "start").then_some(())
    })?;
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let locked = limits.lines().find(|line| line.starts_with("Max locked memory"));
    let is_limited = !locked.context(limits.clone())?.contains("unlimited");
    let kept = format!("{:016x}", if is_limited { KEPT | IPC_LOCK } else { KEPT });
    for (line, wanted) in [
        ("CapEff", kept.as_str()),
        ("CapPrm", kept.as_str()),
        ("CapBnd", kept.as_str()),
        ("CapInh", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        let found = of_threads(pid, line)?;
        ensure!(found.len() > 3, "too few threads: {found:?}");
        for (name, value) in found {
            ensure!(value == wanted, "{line} of thread {name} is {value}, not {wanted}");
        }
    }
    Ok(())
}

fn config(gateway: &Netns, ports: &[(&str, &str)], peers: u8) -> String {
    let name = gateway.name();
    let mut text = format!(
        "[node]\nname = \"{name}\"\nvtep = \"192.0.2.1\"\n[[uplink]]\ninterface = \"eth0\"\n\
         [[segment]]\nname = \"blue\"\nvni = 100\n"
    );
    for (interface, mode) in ports {
        text += &format!("[[segment.port]]\ninterface = \"{interface}\"\nmode = \"{mode}\"\n");
    }
    for peer in 2..2 + peers {
        text += &format!(
            "[[peer]]\nname = \"gw{peer}\"\nvtep = \"192.0.2.{peer}\"\nsegments = [\"blue\"]\n"
        );
    }
    text
}

fn pid(ours: &Overlay<'_>) -> Result<u32> {
    let status: serde_json::Value = serde_json::from_str(&ours.run(&["status", "--json"])?)?;
    let pid = status["pid"].as_u64().context("a status without a pid")?;
    Ok(u32::try_from(pid)?)
}

/// A gateway with an uplink and a port, and the far end of the port.
fn bed() -> Result<(Netns, Netns)> {
    let gateway = Netns::new("gateway")?;
    let outside = Netns::new("outside")?;
    veth(&gateway, "eth0", &outside, "eth0")?;
    gateway.exec("ip addr add 192.0.2.1/24 dev eth0")?;
    veth(&gateway, "eth1", &outside, "eth1")?;
    Ok((gateway, outside))
}

#[test]
fn a_daemon_keeps_what_it_needs_and_no_more() -> Result<()> {
    if !require_root("a_daemon_keeps_what_it_needs_and_no_more") {
        return Ok(());
    }
    let (gateway, outside) = bed()?;
    let first = [("eth1", "auto")];
    let mut ours = Overlay::start(&gateway, gateway.name(), &config(&gateway, &first, 1))?;
    is_confined(pid(&ours)?).with_context(|| ours.log())?;

    // A device that was not there at the start, sockets of every kind, other peers.
    veth(&gateway, "eth2", &outside, "eth2")?;
    let ends = [RawSocket::open(&outside, "eth1")?, RawSocket::open(&outside, "eth2")?];
    for (mode, hook) in
        [("auto", "tc"), ("xdp", "xdp"), ("user-packet", "user"), ("user-xdp", "user")]
    {
        let ports = [first[0], ("eth2", mode)];
        ours.reload(&config(&gateway, &ports, 3)).with_context(|| ours.log())?;
        ensure!(ours.hook("eth2")? == hook, "{mode}: {:?}", ours.show("ports")?);
        ends[0].send(&marked(frame::BROADCAST, INSIDE, mode))?;
        let came = ends[1].expect(1, SOON, |frame| has_mark(frame, mode))?;
        ensure!(came.len() == 1, "nothing came out of a port on {mode}:\n{}", ours.log());
        is_confined(pid(&ours)?).with_context(|| format!("a port on {mode}"))?;
    }

    ours.kill()?;
    ours.restart()?;
    is_confined(pid(&ours)?).context("started again")?;
    let log = ours.log();
    ensure!(!log.contains("not confined") && !log.contains("its programs stay"), "{log}");
    ours.down()
}

#[test]
fn the_switch_leaves_everything() -> Result<()> {
    if !require_root("the_switch_leaves_everything") {
        return Ok(());
    }
    let (gateway, _outside) = bed()?;
    let mut ours =
        Overlay::start(&gateway, gateway.name(), &config(&gateway, &[("eth1", "auto")], 1))?;
    ours.kill()?;
    let process = Process::spawn(ours.run_command().env("OVERLAY_SANDBOX", "off"))?;
    wait_until("ready daemon", START, || process.output().contains(" ready\n").then_some(()))?;
    for (name, found) in of_threads(process.pid(), "CapEff")? {
        let has = u64::from_str_radix(&found, 16)?;
        ensure!(has & ADMIN != 0, "thread {name} has {found}");
    }
    for (name, found) in of_threads(process.pid(), "Seccomp")? {
        ensure!(found == "0", "thread {name} has a filter");
    }
    ours.run(&["down"])?;
    ensure!(process.wait(SOON)?.success(), "{}", process.output());
    Ok(())
}
