//! Ten prepared faults, met as a new user would: `overlay trace --simulate` is given the frame that
//! does not arrive, names the cause and the fix, and once that is done says that it is forwarded.
//! What it says, the programs do: the frames are sent, too.

mod bench;
mod tunnels;
mod ways;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{BROADCAST, ethernet, ipv4_udp};
use overlay_testbed::{Scratch, require_root};

use bench::{ADDRESS, Bench, FAR, HOST, OTHER, OTHER_ADDRESS, packet};

/// A rule of an access list for what hosts send.
fn rule(keys: &str) -> String {
    format!("[[segment.acl]]\ndirection = \"in\"\n{keys}\n")
}

#[test]
fn an_access_list_names_its_rule() -> Result<()> {
    if !require_root("an_access_list_names_its_rule") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let everything = rule("action = \"permit\"");
    let denied = rule("action = \"deny\"\nprotocol = \"udp\"\ndestination_port = 53");
    let with = |rules: &[&str]| bench.config("", "", &(bench.known() + &rules.concat()), "");
    let ours = bench.run(&with(&[&denied, &everything]))?;
    let frame = packet(FAR, HOST, ADDRESS, OTHER_ADDRESS, 53);
    let before = bench.traces(&ours)?;
    let text = bench.fault(&ours, &frame, "eth1", "drop", "acl-denied")?;
    ensure!(bench.traces(&ours)? == before, "simulating left a trace");
    let words = [
        "access list of blue, in ✗ rule 1: deny udp destination_port 53",
        "rule 1 of the access list of segment blue, direction in, denies 10.0.0.1 → 10.0.0.2",
        "put a rule before rule 1 with action = \"permit\", protocol = \"udp\", source = \
         \"10.0.0.1/32\", destination = \"10.0.0.2/32\", destination_port = 53",
    ];
    bench::has(&text, &words)?;
    bench.is_dropped(&ours, 1, &frame, "acl-denied")?;
    let permit = rule(
        "action = \"permit\"\nprotocol = \"udp\"\nsource = \"10.0.0.1/32\"\ndestination = \
         \"10.0.0.2/32\"\ndestination_port = 53",
    );
    ours.reload(&with(&[&permit, &denied, &everything]))?;
    bench.forwarded(&ours, &frame, "eth1", "peer peer")
}

#[test]
fn source_guard_names_who_is_bound() -> Result<()> {
    if !require_root("source_guard_names_who_is_bound") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let host =
        |mac: &str, ip: &str| format!("[[segment.port.host]]\nmac = \"{mac}\"\nip = [\"{ip}\"]\n");
    let bound = host("02:00:00:00:00:01", "10.0.0.1");
    let with = |hosts: &str| bench.config("", hosts, &bench.known(), "");
    let ours = bench.run(&with(&bound))?;
    let frame = packet(FAR, OTHER, [10, 0, 0, 5], OTHER_ADDRESS, 53);
    let text = bench.fault(&ours, &frame, "eth1", "drop", "source-guard")?;
    let words = [
        "02:00:00:00:00:05 with 10.0.0.5 may not send from port eth1",
        "bound there: 02:00:00:00:00:01 with 10.0.0.1",
        "add [[segment.port.host]] with mac = \"02:00:00:00:00:05\" and ip = [\"10.0.0.5\"] to port \
         eth1",
    ];
    bench::has(&text, &words)?;
    bench.is_dropped(&ours, 1, &frame, "source-guard")?;
    ours.reload(&with(&(bound + &host("02:00:00:00:00:05", "10.0.0.5"))))?;
    bench.forwarded(&ours, &frame, "eth1", "peer peer")
}

#[test]
fn a_policer_names_its_limit() -> Result<()> {
    if !require_root("a_policer_names_its_limit") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let with = |bits: u64| {
        let limit = format!("[segment.port.limit]\nbits = {bits}\n");
        bench.config("", &limit, &bench.known(), "")
    };
    let ours = bench.run(&with(8_000))?;
    let payload = vec![0; 1300];
    let long = ethernet(FAR, HOST, 0x0800, &ipv4_udp((ADDRESS, 7), (OTHER_ADDRESS, 7), &payload));
    // A second's worth and more: until that is over, nothing passes. Where this machine takes that
    // long to ask, it is done again.
    let mut text = None;
    for _ in 0..20 {
        bench.ends(1).send(&long)?;
        let (told, json) = bench.told(&ours, &long, Some("eth1"))?;
        if json["reason"] == "policed" {
            text = Some(told);
            break;
        }
    }
    let text = text.context("never over the limit")?;
    let words = [
        "port eth1 is over limit.bits = 8000 (bits a second)",
        "raise limit.bits = 8000 of port eth1 and `overlay reload`",
    ];
    bench::has(&text, &words)?;
    ours.reload(&with(1_000_000_000))?;
    bench.forwarded(&ours, &long, "eth1", "peer peer")
}

#[test]
fn a_full_table_says_how_full() -> Result<()> {
    if !require_root("a_full_table_says_how_full") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let known = bench.known() + "[[segment.fdb]]\nmac = \"02:00:00:00:00:44\"\npeer = \"peer\"\n";
    let with = |entries: u32| bench.config(&format!("fdb_entries = {entries}"), "", &known, "");
    let mut ours = bench.run(&with(2))?;
    let frame = packet(OTHER, HOST, ADDRESS, OTHER_ADDRESS, 53);
    let speaks = packet(BROADCAST, OTHER, OTHER_ADDRESS, ADDRESS, 53);
    bench.ends(2).send(&speaks)?;
    let text = bench.fault(&ours, &frame, "eth1", "flood", "null")?;
    let words = [
        "02:00:00:00:00:05 is not in the FDB of blue and cannot be learnt, so the frame goes to \
         everybody: the FDB is full: it holds 2 addresses (0 learnt) of 2",
        "raise node.fdb_entries = 2 in the configuration and restart the gateway",
    ];
    bench::has(&text, &words)?;
    ensure!(ours.place_of("blue", OTHER)?.is_none(), "there was room");
    ours.end(nix::sys::signal::Signal::SIGTERM)?;
    std::fs::write(ours.config(), with(100))?;
    ours.restart()?;
    ours.wait_for_peers()?;
    bench.ends(2).send(&speaks)?;
    ours.wait_for_mac("blue", OTHER, "eth2")?;
    bench.forwarded(&ours, &frame, "eth1", "delivered out of eth2")
}

#[test]
fn captures_are_looked_at_frame_by_frame_and_devices_found() -> Result<()> {
    if !require_root("captures_are_looked_at_frame_by_frame_and_devices_found") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let ours = bench.run(&bench.config("", "", &bench.known(), ""))?;
    let (to_peer, everybody) = (
        packet(FAR, HOST, ADDRESS, OTHER_ADDRESS, 53),
        packet(BROADCAST, HOST, ADDRESS, OTHER_ADDRESS, 53),
    );
    // A header of pcap, Ethernet, and two frames, the second of them cut off.
    let mut capture = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    capture.extend([0; 8].into_iter().chain([0, 0, 1, 0, 1, 0, 0, 0]));
    for (frame, captured) in [(&to_peer, to_peer.len()), (&everybody, 50)] {
        capture.extend([0; 8]);
        capture.extend((captured as u32).to_le_bytes());
        capture.extend((frame.len() as u32).to_le_bytes());
        capture.extend(&frame[..captured]);
    }
    let scratch = Scratch::new()?;
    let file = scratch.write("seen.pcap", "")?;
    std::fs::write(&file, &capture)?;
    let name = file.display().to_string();
    let text = ours.run(&["trace", "--simulate", &name, "--interface", "eth1"])?;
    let text = bench::words(&text);
    let words =
        ["frame 1 frame", "sent to peer peer", "frame 2 frame", "FLOOD", "only 50 of the frame's"];
    bench::has(&text, &words)?;
    let first = ours.run(&["trace", "--simulate", &name, "--interface", "eth1", "--count", "1"])?;
    bench::has(&bench::words(&first), &["--count N looks at more"])?;
    // Of a station that is known, and of a tunnel, the device is, too.
    bench.ends(1).send(&everybody)?;
    ours.wait_for_mac("blue", HOST, "eth1")?;
    let (text, _) = bench.told(&ours, &to_peer, None)?;
    bench::has(&text, &["eth1 (tc), assumed: the FDB has its source 02:00:00:00:00:01 there"])?;
    let stranger = packet(FAR, [2, 0, 0, 0, 0, 0x66], ADDRESS, OTHER_ADDRESS, 53);
    let asked = bench.told(&ours, &stranger, None);
    ensure!(format!("{asked:?}").contains("--interface): eth1, eth2"), "{asked:?}");
    let asked = bench.told(&ours, &stranger, Some("eth9"));
    ensure!(format!("{asked:?}").contains("its ports: eth0, eth1, eth2"), "{asked:?}");
    Ok(())
}
