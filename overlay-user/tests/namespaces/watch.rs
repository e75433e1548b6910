//! Frames that somebody watches: `overlay trace` and `overlay capture`, on every hook.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::{
    Gateway, Process, Scratch, TwoGateways, require_root, require_tools, run, wait_until,
};
use serde_json::Value;

use crate::harness::{Echoes, Modes, Overlay, attached, both_ours, overlay, ping};

const TOOLS: &[&str] = &["ping", "tc", "tshark"];
const SOON: Duration = Duration::from_secs(10);
const HOOKS: [Modes; 4] = [("user", "user"), ("tc", "tc"), ("xdp", "tc"), ("xdp-generic", "tc")];

/// A command that watches, and has begun to.
pub fn watch(ours: &Overlay<'_>, gateway: &Gateway, arguments: &[&str]) -> Result<Process> {
    let begun = || ours.log().matches("frames are watched").count();
    let before = begun();
    let mut command = overlay(&gateway.netns);
    command.args(arguments).args(["--name", &gateway.name]);
    let process = Process::spawn(&mut command)?;
    wait_until("programs that tell of frames", SOON, || {
        (!process.is_running() || begun() > before).then_some(())
    })?;
    ensure!(process.is_running(), "it has ended:\n{}", process.output());
    Ok(process)
}

/// The frames that a command with `--json` has told of.
pub fn frames(process: &Process) -> Vec<Value> {
    process.output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_trace_tells_what_becomes_of_frames() -> Result<()> {
    let name = "a_trace_tells_what_becomes_of_frames";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for modes in HOOKS {
        let testbed = TwoGateways::new()?;
        let [ours, _theirs] = both_ours(&testbed, modes, modes)?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        let plain = attached(&testbed.gw1.netns, "eth1")?;
        let trace = ["trace", "--json", "host", TwoGateways::HOST2, "and", "udp"];
        let process = watch(&ours, &testbed.gw1, &trace)?;
        let is_exchanged = attached(&testbed.gw1.netns, "eth1")? != plain;
        ensure!(is_exchanged == (modes.1 != "user"), "{modes:?}: {plain:?}");
        let mut echoes = Echoes::start(&testbed.host1, (&testbed.host2, TwoGateways::HOST2))?;
        echoes.wait_for_more(20)?;
        check_frames(&frames(&process), modes)
            .with_context(|| format!("{modes:?}: {}\n{}", process.output(), ours.log()))?;
        // And when nobody watches any more, the programs are those that tell nothing.
        process.signal(Signal::SIGINT)?;
        ensure!(process.wait(SOON)?.success(), "{}", process.output());
        wait_until("programs that tell nothing", SOON, || {
            let now = attached(&testbed.gw1.netns, "eth1").ok()?;
            (now == plain).then_some(())
        })
        .with_context(|| format!("{plain:?} {:?}", attached(&testbed.gw1.netns, "eth1")))?;
        echoes.wait_for_more(20)?;
        println!("{modes:?}: {} echoes, none lost", echoes.finish()?);
    }
    Ok(())
}

/// Requests go out in a tunnel, and answers come out of one.
fn check_frames(frames: &[Value], modes: Modes) -> Result<()> {
    let of = |verdict: &str| {
        let verdict = verdict.to_owned();
        frames.iter().find(move |frame| frame["verdict"] == *verdict)
    };
    let out = of("transmitted").context("no frame was transmitted")?;
    ensure!(out["interface"] == "eth1" && out["egress"] == "eth0", "{out}");
    ensure!(out["hook"] == crate::harness::hook_of(modes.1), "{out}");
    let length = |form: &Value| form["length"].as_u64();
    let before = length(&out["before"]).context("no length")?;
    ensure!(length(&out["after"]) == Some(before + 50), "{out}");
    let hex = out["after"]["hex"].as_str().context("no bytes")?;
    // Ethernet and IP are inside as they were; the checksum behind may have been unfinished.
    let headers = out["before"]["hex"].as_str().and_then(|hex| hex.get(..68)).context("none")?;
    ensure!(hex.get(100..168) == Some(headers), "{out}");

    let steps = out["explained"]["steps"].as_array().context("no stages")?;
    let stages: Vec<_> = steps.iter().filter_map(|step| step["stage"].as_str()).collect();
    ensure!(["classify", "resolve", "encap"].iter().all(|stage| stages.contains(stage)), "{out}");

    let back = of("delivered").context("no frame was delivered")?;
    ensure!(back["interface"] == "eth0" && back["egress"] == "eth1", "{back}");
    let uplink = if modes.0 == "xdp-generic" { "xdp" } else { modes.0 };
    ensure!(back["hook"] == uplink || back["hook"] == "tc", "{back}");
    ensure!(length(&back["after"]).is_some_and(|len| Some(len + 50) == length(&back["before"])));
    ensure!(frames.iter().all(|frame| frame["took"].as_u64().is_some_and(|took| took < 1 << 32)));
    Ok(())
}

#[test]
fn only_what_is_asked_for_is_told() -> Result<()> {
    let name = "only_what_is_asked_for_is_told";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let [ours, _theirs] = both_ours(&testbed, ("tc", "tc"), ("tc", "tc"))?;
    let drops = watch(&ours, &testbed.gw1, &["trace", "--json", "--drops"])?;
    let both =
        watch_beside(&testbed, &["trace", "--json", "segment", "blue", "and", "not", "icmp"])?;
    let few = watch_beside(&testbed, &["trace", "--json", "--count", "3", "peer", "second"])?;
    ping(&testbed.host1, TwoGateways::HOST2)?;
    // From a VTEP that nobody knows: the first four bytes behind are a header of VXLAN.
    testbed.gw2.netns.exec("ip addr add 192.0.2.77/24 dev eth0")?;
    testbed.gw2.netns.enter(|| -> Result<()> {
        let stranger = UdpSocket::bind("192.0.2.77:0")?;
        let packet = [&[8, 0, 0, 0, 0, 0, 100, 0][..], &[0; 60]].concat();
        stranger.send_to(&packet, "192.0.2.1:4789")?;
        Ok(())
    })??;
    let told = wait_until("a dropped frame", SOON, || frames(&drops).first().cloned())
        .with_context(|| drops.output())?;
    ensure!(told["verdict"] == "dropped" && told["reason"] == "unknown-vtep", "{told}");
    ensure!(told["interface"] == "eth0" && told["after"].is_null(), "{told}");
    let fix = told["explained"]["fix"].as_str().context("no fix")?;
    ensure!(fix.contains("192.0.2.77"), "{told}");
    ensure!(frames(&drops).iter().all(|frame| frame["verdict"] == "dropped"));
    ensure!(few.wait(SOON)?.success() && frames(&few).len() == 3, "{}", few.output());
    for frame in frames(&both) {
        // ICMP in Ethernet, or in a tunnel.
        let hex = frame["before"]["hex"].as_str().context("no bytes")?;
        ensure!(hex.get(46..48) != Some("01") || hex.get(24..28) != Some("0800"), "{frame}");
    }
    for (words, told) in [
        ("host 10.0.0", "\"10.0.0\" is not an IP address"),
        ("segment green", "this gateway has no segment \"green\""),
        ("port", "a port, 0 to 65535 is missing"),
        ("reason bad-luck", "is not a reason for drops"),
        ("wibble", "is no word of a filter"),
    ] {
        let mut command = overlay(&testbed.gw1.netns);
        let output =
            command.args(["trace", "--name", &testbed.gw1.name]).args(words.split(' ')).output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(2) && text.contains(told), "{words}: {text}");
    }
    Ok(())
}

/// One more, beside others that have programs attached already.
fn watch_beside(testbed: &TwoGateways, arguments: &[&str]) -> Result<Process> {
    let mut command = overlay(&testbed.gw1.netns);
    command.args(arguments).args(["--name", &testbed.gw1.name]);
    let process = Process::spawn(&mut command)?;
    std::thread::sleep(Duration::from_millis(300));
    ensure!(process.is_running(), "{}", process.output());
    Ok(process)
}

#[test]
fn wireshark_reads_a_capture() -> Result<()> {
    let name = "wireshark_reads_a_capture";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let [ours, _theirs] = both_ours(&testbed, ("xdp", "tc"), ("tc", "tc"))?;
    // What is not known yet is flooded, and leaves in copies.
    ping(&testbed.host1, TwoGateways::HOST2)?;
    let scratch = Scratch::new()?;
    let file = scratch.path().join("capture.pcapng");
    let path = file.to_string_lossy().into_owned();
    let process = watch(&ours, &testbed.gw1, &["capture", "--write", &path, "icmp"])?;
    // And live.
    let mut live = overlay(&testbed.gw1.netns)
        .args(["capture", "icmp", "--count", "8", "--name", &testbed.gw1.name])
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = live.stdout.take().context("no pipe")?;
    let reader = Command::new("tshark")
        .args(["-n", "-l", "-i", "-", "-T", "fields", "-e", "frame.interface_name"])
        .stdin(pipe)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_secs(1));
    ping(&testbed.host1, TwoGateways::HOST2)?;
    let seen = reader.wait_with_output()?;
    ensure!(live.wait()?.success(), "the live capture failed");
    let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
    for interface in ["eth1 in", "eth0 out", "eth0 in", "eth1 out"] {
        ensure!(seen.lines().any(|line| line == interface), "live, no {interface}: {seen}");
    }
    process.signal(Signal::SIGINT)?;
    ensure!(process.wait(SOON)?.success(), "{}", process.output());
    ensure!(process.output().contains("frames captured, 0 missed"), "{}", process.output());

    let fields = |filter: &str, field: &str| -> Result<Vec<String>> {
        let mut tshark = Command::new("tshark");
        tshark.arg("-n").arg("-r").arg(&file).args(["-Y", filter, "-T", "fields", "-e", field]);
        Ok(run(&mut tshark)?.lines().map(str::to_owned).collect())
    };
    ensure!(fields("_ws.malformed || _ws.short", "frame.number")?.is_empty());
    let interfaces: BTreeSet<String> =
        fields("icmp", "frame.interface_name")?.into_iter().collect();
    ensure!(interfaces.len() == 4, "{interfaces:?}");
    let requests = fields("vxlan && icmp.type == 8", "icmp.seq")?;
    ensure!(requests.len() == 10, "{requests:?}");
    let comments = fields("vxlan.vni == 100 && icmp.type == 8", "frame.comment")?;
    let told = |text: &str| text.starts_with("from eth1; transmitted to eth0; hook tc; ");
    ensure!(comments.iter().all(|text| told(text)), "{comments:?}");
    let outbound = fields("vxlan && icmp.type == 8", "frame.packet_flags_direction")?;
    ensure!(outbound.iter().all(|word| word.ends_with('2')), "{outbound:?}");
    Ok(())
}
