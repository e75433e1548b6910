//! Hosts that send too much: what they may send is limited, and others lose nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::BROADCAST;
use overlay_testbed::{RawSocket, require_root, wait_until};
use serde_json::Value;

use crate::harness::{Overlay, SOON, TwoPorts, alone, has_mark, marked};

/// Behind the peer.
const FAR: [u8; 6] = [2, 0, 0, 0, 0, 0x22];
/// Behind eth2.
const SECOND: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Starts a gateway that knows where [`FAR`] is. `first` are keys of the port eth1, `blue` of
/// the segment, `peer` of the peer.
fn start<'b>(bench: &'b TwoPorts, first: &str, blue: &str, peer: &str) -> Result<Overlay<'b>> {
    let fdb = "[[segment.fdb]]\nmac = \"02:00:00:00:00:22\"\npeer = \"peer\"\n";
    let config =
        bench.config("", first, fdb, peer).replace("vni = 100\n", &format!("vni = 100\n{blue}\n"));
    let ours = Overlay::start(&bench.gateway, bench.gateway.name(), &config)?;
    ours.wait_for_peers()?;
    Ok(ours)
}

/// A frame of this length with a mark.
fn long(dst: [u8; 6], src: [u8; 6], mark: &str, len: usize) -> Vec<u8> {
    let mut frame = marked(dst, src, mark);
    frame.resize(len, 0);
    frame
}

fn drops(ours: &Overlay<'_>, reason: &str) -> Result<u64> {
    Ok(ours.drops()?.get(reason).copied().unwrap_or(0))
}

fn port<'r>(rows: &'r [Value], interface: &str) -> Result<&'r Value> {
    rows.iter().find(|row| row["interface"] == interface).context("a port")
}

/// The port's own counters say how much passed, so that nothing that a socket missed counts.
fn passed(ours: &Overlay<'_>) -> Result<u64> {
    port(&ours.show("ports")?, "eth1")?["rx_packets"].as_u64().context("rx_packets")
}

#[test]
fn a_storm_from_one_port_leaves_the_others_alone() -> Result<()> {
    const STORM: u64 = 30_000;
    const RATE: u64 = 200;
    const STREAM: usize = 2_000;
    if !require_root("a_storm_from_one_port_leaves_the_others_alone") {
        return Ok(());
    }
    let bench = TwoPorts::new()?;
    let ours = start(&bench, &format!("limit = {{ floods = {RATE} }}"), "", "")?;
    let far = RawSocket::open(&bench.outside, "eth0")?;
    // All of the stream, however long nobody takes it.
    far.set_room(STREAM * 1_000)?;
    let _alone = alone();
    let (storm, second) = (&bench.ends[0], &bench.ends[1]);
    let begin = Instant::now();
    let (took, arrived) = std::thread::scope(|scope| -> Result<(Duration, usize)> {
        let blast = scope.spawn(|| -> Result<Duration> {
            let frame = marked(BROADCAST, TwoPorts::FIRST, "storm");
            for _ in 0..STORM {
                storm.send(&frame)?;
            }
            Ok(begin.elapsed())
        });
        let stream = scope.spawn(|| -> Result<()> {
            for number in 0..STREAM {
                second.send(&marked(FAR, SECOND, &format!("no. {number}")))?;
                if number % 10 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            Ok(())
        });
        let arrived = far
            .expect(STREAM, 10 * SOON, |frame| frame.windows(4).any(|window| window == b"no. "))?;
        stream.join().ok().context("the stream")??;
        Ok((blast.join().ok().context("the storm")??, arrived.len()))
    })?;
    let missed = far.missed()?;
    ensure!(arrived == STREAM, "{arrived} of {STREAM} frames of another port, {missed} not taken");
    // The last of the storm may still wait for its turn.
    let (passed, dropped) = wait_until("count of the whole storm", 5 * SOON, || {
        let counted = (passed(&ours).ok()?, drops(&ours, "storm").ok()?);
        (counted.0 + counted.1 == STORM).then_some(counted)
    })
    .with_context(|| format!("{:?} {:?}", ours.show("ports"), ours.drops()))?;
    let most = (RATE as f64 * (begin.elapsed().as_secs_f64() + 0.1)) as u64 + 2;
    println!("{STORM} in {took:?}: {passed} passed, {dropped} dropped; {STREAM} of another port");
    ensure!(passed >= RATE / 10 && passed <= most, "{passed} passed, at most {most} may");
    Ok(())
}

/// What comes from eth1, sent as fast as it can be, passes at the rate that a limit allows.
#[test]
fn limits_hold_to_their_rates() -> Result<()> {
    const SECONDS: f64 = 1.0;
    const LEN: usize = 1000;
    if !require_root("limits_hold_to_their_rates") {
        return Ok(());
    }
    let bench = TwoPorts::new()?;
    // 4 Mbit/s are 500 such frames a second.
    for (first, blue) in [
        ("limit = { packets = 500 }", ""),
        ("limit = { bits = 4000000 }", ""),
        ("", "limit = { packets = 500 }"),
        ("limit = { packets = 500, bits = 40000000 }", "limit = { bits = 8000000 }"),
    ] {
        let ours = start(&bench, first, blue, "")?;
        let frame = long(FAR, TwoPorts::FIRST, "fast", LEN);
        let (begin, mut sent) = (Instant::now(), 0);
        while begin.elapsed().as_secs_f64() < SECONDS {
            for _ in 0..20 {
                bench.ends[0].send(&frame)?;
            }
            sent += 20;
            std::thread::sleep(Duration::from_millis(1));
        }
        let (passed, dropped) = wait_until("count of all", 5 * SOON, || {
            let counted = (passed(&ours).ok()?, drops(&ours, "policed").ok()?);
            (counted.0 + counted.1 == sent).then_some(counted)
        })
        .with_context(|| format!("{sent} sent; {:?} {:?}", ours.show("ports"), ours.drops()))?;
        let [least, most] = [SECONDS, begin.elapsed().as_secs_f64()].map(|s| 500.0 * (s + 0.1));
        println!("{first} {blue}: {sent} sent, {passed} passed, {dropped} dropped");
        let is_right = passed as f64 >= least * 0.9 && passed as f64 <= most + 2.0;
        ensure!(is_right, "{first} {blue}: {passed} of {sent} passed, not {least} to {most}");
    }
    Ok(())
}

#[test]
fn what_comes_from_a_peer_is_limited_on_both_hooks() -> Result<()> {
    if !require_root("what_comes_from_a_peer_is_limited_on_both_hooks") {
        return Ok(());
    }
    let bench = TwoPorts::new()?;
    for mode in ["tc", "xdp"] {
        let config = bench.config("", "", "", "limit = { packets = 1 }\n").replace(
            "interface = \"eth0\"\n",
            &format!("interface = \"eth0\"\nmode = \"{mode}\"\n"),
        );
        let ours = Overlay::start(&bench.gateway, bench.gateway.name(), &config)?;
        ours.wait_for_peers()?;
        ensure!(bench.passes("to be learnt")?, "{mode}: nothing passes");
        ours.wait_for_mac("blue", TwoPorts::FIRST, "eth1")?;
        let far = RawSocket::open(&bench.outside, "eth0")?;
        let mac = bench.gateway.exec("cat /sys/class/net/eth0/address")?;
        let mac: Vec<u8> =
            mac.trim().split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
        let gateway: [u8; 6] = mac.try_into().ok().context("a MAC address")?;
        let inner = marked(TwoPorts::FIRST, FAR, "from a peer");
        let vxlan = [&[8, 0, 0, 0, 0, 0, 100, 0][..], &inner].concat();
        let ends = (([192, 0, 2, 2], 50_000), ([192, 0, 2, 1], 4789));
        let packet = overlay_testbed::frame::ipv4_udp(ends.0, ends.1, &vxlan);
        let frame = overlay_testbed::frame::ethernet(gateway, FAR, 0x0800, &packet);
        for _ in 0..50 {
            far.send(&frame)?;
        }
        let dropped = wait_until("49 drops", SOON, || {
            let dropped = drops(&ours, "policed").ok()?;
            (dropped == 49).then_some(dropped)
        })
        .with_context(|| format!("{mode}: {:?}", ours.drops()))?;
        let arrived =
            bench.ends[0].expect(1, SOON, |frame| has_mark(frame, "from a peer"))?.len() as u64;
        ensure!(arrived + dropped == 50, "{mode}: {arrived} arrived, {dropped} were dropped");
    }
    Ok(())
}

#[test]
fn a_port_that_has_its_addresses_gets_no_more_and_is_named() -> Result<()> {
    const MOST: usize = 100;
    if !require_root("a_port_that_has_its_addresses_gets_no_more_and_is_named") {
        return Ok(());
    }
    let bench = TwoPorts::new()?;
    let ours = start(&bench, &format!("limit = {{ macs = {MOST} }}\nsticky = true"), "", "")?;
    for number in 0..1000_u16 {
        let [a, b] = number.to_be_bytes();
        bench.ends[0].send(&marked(FAR, [2, 0, 1, 0, a, b], "many"))?;
    }
    wait_until("a port with all its addresses", SOON, || {
        (port(&ours.show("ports").ok()?, "eth1").ok()?["fdb"] == MOST).then_some(())
    })
    .with_context(|| format!("{:?}", ours.show("ports")))?;
    bench.ends[1].send(&marked(FAR, SECOND, "another"))?;
    ours.wait_for_mac("blue", SECOND, "eth2")?;
    let status = ours.run(&["status"])?;
    let told = format!("port eth1 has {MOST} learnt addresses, and limit.macs is {MOST}");
    ensure!(status.contains(&told), "{status}");

    // What was learnt at a sticky port stays there, whoever else sends from it.
    let held = ours.show("fdb")?.iter().find(|row| row["interface"] == "eth1").cloned();
    let held = held.context("an address at eth1")?["mac"].as_str().unwrap_or("").to_owned();
    let bytes: Vec<u8> =
        held.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let held: [u8; 6] = bytes.try_into().ok().context("a MAC address")?;
    bench.ends[1].send(&marked(FAR, held, "a thief"))?;
    wait_until("attempt that is counted", SOON, || {
        let status = ours.run(&["status", "--json"]).ok()?;
        let status: Value = serde_json::from_str(&status).ok()?;
        (status["fdb_held"].as_u64()? > 0).then_some(())
    })?;
    ensure!(ours.place_of("blue", held)?.as_deref() == Some("eth1"), "{:?}", ours.show("fdb"));
    Ok(())
}

#[test]
fn a_segment_keeps_what_a_port_that_is_gone_has_counted() -> Result<()> {
    const FRAMES: u64 = 7;
    if !require_root("a_segment_keeps_what_a_port_that_is_gone_has_counted") {
        return Ok(());
    }
    let bench = TwoPorts::new()?;
    let ours = start(&bench, "", "", "")?;
    let counted = |name: &str| -> Result<u64> {
        ours.show("segments")?[0][name].as_u64().with_context(|| name.to_owned())
    };
    let is_counted = |name: &str, wanted: u64| {
        wait_until(&format!("{wanted} {name}"), SOON, || {
            (counted(name).ok()? == wanted).then_some(())
        })
        .with_context(|| format!("{:?}", ours.show("segments")))
    };
    for number in 0..FRAMES {
        let [first, second] = &bench.ends;
        first.send(&marked(BROADCAST, TwoPorts::FIRST, &format!("no. {number}")))?;
        second.send(&marked(FAR, SECOND, &format!("no. {number}")))?;
    }
    is_counted("rx_packets", 2 * FRAMES)?;
    is_counted("tx_packets", FRAMES)?;
    ensure!(counted("rx_bytes")? == 2 * FRAMES * 60, "{:?}", ours.show("segments")?);
    let config = bench.config("", "", "", "");
    ours.reload(&config.replace("[[segment.port]]\ninterface = \"eth2\"\n", ""))?;
    ensure!(ours.show("ports")?.len() == 2, "{:?}", ours.show("ports")?);
    // A port's place is given up a moment after the port.
    std::thread::sleep(Duration::from_millis(300));
    is_counted("rx_packets", 2 * FRAMES)?;
    is_counted("tx_packets", FRAMES)
}
