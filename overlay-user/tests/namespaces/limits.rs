//! Sizes, ages and numbers at their limits.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::BROADCAST;
use overlay_testbed::{
    RawSocket, TwoGateways, is_emulated, require_root, require_tools, set_mtu, wait_until,
};

use crate::harness::{Overlay, SOON, TwoPorts, alone, has_feature, has_mark, marked, ping};

const INSIDE: [u8; 6] = TwoPorts::FIRST;
const SILENT: [u8; 6] = [2, 0, 0, 0, 0, 2];

#[test]
fn silent_addresses_age_and_others_stay() -> Result<()> {
    if !require_root("silent_addresses_age_and_others_stay") {
        return Ok(());
    }
    const AGEING: Duration = Duration::from_secs(10);
    let bench = TwoPorts::new()?;
    let ours = bench.start("ageing = 10")?;
    bench.ends[1].send(&marked(BROADCAST, SILENT, "once"))?;
    ensure!(bench.passes("first")?);
    ours.wait_for_mac("blue", SILENT, "eth2")?;
    ours.wait_for_mac("blue", INSIDE, "eth1")?;
    let start = Instant::now();
    let gone = wait_until("end of a silent address", AGEING + AGEING / 2, || {
        bench.ends[0].send(&marked(SILENT, INSIDE, "talking")).ok()?;
        std::thread::sleep(Duration::from_millis(100));
        ours.place_of("blue", SILENT).ok()?.is_none().then_some(start.elapsed())
    })
    .with_context(|| format!("{:?}", ours.show("fdb")))?;
    ensure!(gone > AGEING - Duration::from_secs(2), "aged after {gone:?} already");
    ensure!(ours.place_of("blue", INSIDE)?.as_deref() == Some("eth1"), "{:?}", ours.show("fdb")?);
    Ok(())
}

#[test]
fn a_full_fdb_refuses_and_goes_on() -> Result<()> {
    if !require_root("a_full_fdb_refuses_and_goes_on") {
        return Ok(());
    }
    const ROOM: usize = 1024;
    let bench = TwoPorts::new()?;
    let ours = bench.start(&format!("fdb_entries = {ROOM}"))?;
    ensure!(bench.passes("before")?);
    ours.wait_for_mac("blue", INSIDE, "eth1")?;
    for number in 0..20_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        bench.ends[1].send(&marked(INSIDE, [2, 0, 1, a, b, c], "spray"))?;
        if number % 500 == 0 {
            // Learning is limited in its rate: let the table fill.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    std::thread::sleep(Duration::from_millis(500));
    let known = ours.show("fdb")?.len();
    ensure!(known <= ROOM, "{known} entries, room for {ROOM}");
    ensure!(ours.is_running() && bench.passes("afterwards")?, "{}", ours.log());
    ensure!(ours.place_of("blue", INSIDE)?.as_deref() == Some("eth1"), "an old entry was lost");
    println!("{known} of {ROOM} entries; {:?}", ours.drops()?);
    Ok(())
}

/// Reports of new addresses are limited in the kernel: somebody who makes up
/// addresses as fast as he can must not keep others from being found.
#[test]
fn a_spray_of_addresses_does_not_stop_learning() -> Result<()> {
    if !require_root("a_spray_of_addresses_does_not_stop_learning") {
        return Ok(());
    }
    let bench = TwoPorts::new()?;
    let ours = bench.start("")?;
    ensure!(bench.passes("before")?);
    let _alone = alone();
    let stop = AtomicBool::new(false);
    let found = std::thread::scope(|scope| {
        let sprayer = scope.spawn(|| {
            let mut number = 0_u32;
            while !stop.load(Ordering::Relaxed) && number < 2_000_000 {
                let [a, b, c, d] = number.to_be_bytes();
                let _ = bench.ends[0].send(&marked(INSIDE, [2, 1, a, b, c, d], "spray"));
                number += 1;
            }
            number
        });
        std::thread::sleep(Duration::from_millis(500));
        // A host that says something every 20 ms appears, and moves.
        let found = [1, 0].map(|end: usize| {
            let start = Instant::now();
            let place = ["eth1", "eth2"][end];
            wait_until(&format!("host at {place}"), Duration::from_secs(40), || {
                bench.ends[end].send(&marked(INSIDE, SILENT, "here")).ok()?;
                std::thread::sleep(Duration::from_millis(20));
                let known = ours.place_of("blue", SILENT).ok()??;
                (known == place).then(|| start.elapsed())
            })
        });
        stop.store(true, Ordering::Relaxed);
        (sprayer.join(), found)
    });
    let sprayed = found.0.ok().context("the sprayer")?;
    let [appeared, moved] = found.1;
    println!(
        "{sprayed} addresses sprayed, {} known; found after {:?}, moved after {:?}",
        ours.show("fdb")?.len(),
        appeared?,
        moved?
    );
    ensure!(ours.is_running(), "{}", ours.log());
    // The spray's last frames may still fill the receiving core's backlog.
    wait_until("frames to pass again", Duration::from_secs(30), || {
        bench.passes("afterwards").ok()?.then_some(())
    })?;
    Ok(())
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() -> Result<()> {
    if !require_root("what_does_not_fit_is_dropped_and_counted")
        || !require_tools("what_does_not_fit_is_dropped_and_counted", &["bridge", "ping"])
    {
        return Ok(());
    }
    for mode in ["tc", "xdp"] {
        let testbed = TwoGateways::new()?;
        for gateway in [&testbed.gw1, &testbed.gw2] {
            set_mtu(&gateway.netns, "eth0", 1500)?;
        }
        testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        let config = testbed.gw1.config(mode, "tc", &[("kernel", TwoGateways::VTEP2)]);
        let ours = Overlay::start(&testbed.gw1.netns, &testbed.gw1.name, &config)?;
        ours.wait_for_peers()?;
        ping(&testbed.host1, TwoGateways::HOST2)?;
        let sized = |size: u32| {
            let target = TwoGateways::HOST2;
            testbed.host1.exec(&format!("ping -n -q -M do -c 2 -i 0.05 -W 1 -s {size} {target}"))
        };
        // 1450 bytes of inner IP packet fit: 1422 of payload.
        sized(1422).with_context(|| format!("{mode}: the largest that fits"))?;
        ensure!(sized(1423).is_err(), "{mode}: a frame too big got through");
        // The sender is told by the first, and does not send the second.
        let drops = ours.drops()?;
        ensure!(drops.get("too-big") == Some(&1), "{mode}: {drops:?}");
    }
    Ok(())
}

/// More receivers than the loops of programs for older kernels have turns: peers are reached
/// nevertheless, by way of user space, and ports are not.
#[test]
fn floods_reach_as_many_ports_as_the_kernel_has_turns() -> Result<()> {
    const PEERS: usize = 70;
    const VLANS: usize = 70;
    const TURNS: usize = 64;
    if !require_root("floods_reach_as_many_ports_as_the_kernel_has_turns") {
        return Ok(());
    }
    let bench = TwoPorts::new()?;
    // Every VTEP is behind one router, which the far end's socket stands for.
    bench.gateway.exec("ip route add 198.51.100.0/24 via 192.0.2.2")?;
    let far = RawSocket::open(&bench.outside, "eth0")?;
    let mut peers = String::new();
    for number in 1..PEERS {
        writeln!(peers, "[[peer]]\nname = \"peer{number}\"\nvtep = \"198.51.100.{number}\"")?;
        writeln!(peers, "segments = [\"blue\"]")?;
    }
    // The ports that come first are the segment's; the second device carries VLANs as well.
    let vlan = |vlan| format!("[[segment.port]]\ninterface = \"eth2\"\nvlan = {vlan}\n");
    let vlans: String = (0..VLANS).map(|number| vlan(100 + number)).collect();
    // In guests there are kernels of either kind.
    let forms: &[&str] = if is_emulated() { &[""] } else { &["", "loop"] };
    for without in forms {
        let ours = bench.start_as(without, "", &vlans, &peers)?;
        let loops = without.is_empty() && has_feature(&bench.gateway, "loop")?;
        // Two ports without a tag; the one that the frame comes from takes a turn, too.
        let (ports, turns) = (VLANS + 2, if loops { VLANS + 2 } else { TURNS });
        let mark = format!("to all without {without}");
        bench.ends[0].send(&marked(BROADCAST, INSIDE, &mark))?;
        let copies = far.expect(PEERS, SOON, |frame| has_mark(frame, &mark))?.len();
        ensure!(copies == PEERS, "{copies} of {PEERS} copies left for peers");
        let copies = bench.ends[1].expect(turns - 1, SOON, |frame| has_mark(frame, &mark))?.len();
        ensure!(copies == turns - 1, "{copies} copies left for ports, not {turns} - 1");
        let missed = ours.drops()?.get("copy-failed").copied().unwrap_or(0) as usize;
        ensure!(missed == ports - turns, "{missed} counted as copy-failed");
        let status = ours.run(&["status"])?;
        let words = "segment blue has 72 ports; without the kernel's `loop` (Linux 5.17) floods \
                     reach 64";
        ensure!(status.contains(words) != loops, "{status}");
    }
    Ok(())
}
