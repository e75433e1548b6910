//! Ports whose hosts are bound to their addresses, and the mark that tunnels carry.

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{BROADCAST, Tunnel, arp_request, ethernet, ipv4_udp};
use overlay_testbed::{RawSocket, require_root};

use crate::harness::{SOON, TwoPorts, has_mark};

const HOST: [u8; 6] = TwoPorts::FIRST;
const STRANGER: [u8; 6] = [2, 0, 0, 0, 0, 0x66];
/// Behind the peer.
const FAR: [u8; 6] = [2, 0, 0, 0, 0, 0x77];
const ADDRESS: [u8; 4] = [10, 0, 0, 1];
const STOLEN: [u8; 4] = [10, 0, 0, 66];

/// A packet of a host, marked by its payload.
fn packet(to: [u8; 6], mac: [u8; 6], address: [u8; 4], mark: &str) -> Vec<u8> {
    let payload = [mark.as_bytes(), &[0]].concat();
    ethernet(to, mac, 0x0800, &ipv4_udp((address, 7), ([10, 0, 0, 9], 7), &payload))
}

#[test]
fn a_host_keeps_to_its_addresses() -> Result<()> {
    if !require_root("a_host_keeps_to_its_addresses") {
        return Ok(());
    }
    for mode in ["tc", "xdp-generic", "user"] {
        bound_to_its_addresses(mode).with_context(|| mode.to_owned())?;
    }
    Ok(())
}

fn bound_to_its_addresses(mode: &str) -> Result<()> {
    let bench = TwoPorts::new()?;
    let bound = |mac: &str, ip: &str| {
        let host = format!("[[segment.port.host]]\nmac = \"{mac}\"\nip = [\"{ip}\"]");
        bench.config("", &format!("mode = \"{mode}\"\n{host}"), "", "")
    };
    let ours = bench.run(&bound("02:00:00:00:00:01", "10.0.0.1"))?;
    let ask = |mac, address| arp_request(mac, address, [10, 0, 0, 9]);
    let from = |mac, address, mark| packet(BROADCAST, mac, address, mark);
    let refused = [
        from(STRANGER, ADDRESS, "another station"),
        from(HOST, STOLEN, "another address"),
        ask(HOST, STOLEN),
        ask(STRANGER, ADDRESS),
    ];
    refused.iter().try_for_each(|frame| bench.ends[0].send(frame))?;
    bench.ends[0].send(&ask(HOST, ADDRESS))?;
    bench.ends[0].send(&from(HOST, ADDRESS, "last"))?;
    let passed = bench.ends[1].before(SOON, |frame| has_mark(frame, "last"))?;
    let stolen = |frame: &Vec<u8>| refused.iter().any(|sent| frame.starts_with(sent));
    ensure!(!passed.iter().any(stolen), "{passed:?}");
    ensure!(passed.iter().any(|frame| frame.starts_with(&ask(HOST, ADDRESS))), "{passed:?}");
    let drops = ours.drops()?;
    ensure!(drops.get("source-guard") == Some(&4), "{drops:?}");
    ensure!(ours.place_of("blue", STRANGER)?.is_none(), "a stranger was learnt");
    // Behind the other port nobody is bound, and without the table nobody is.
    bench.ends[1].send(&from(STRANGER, STOLEN, "other port"))?;
    ensure!(bench.ends[0].find(SOON, |frame| has_mark(frame, "other port"))?.is_some());
    // The host gets another address, and another host its place: what was theirs is no more.
    let host = ("02:00:00:00:00:01", from(HOST, ADDRESS, "former"), from(HOST, STOLEN, "moved"));
    let other =
        ("02:00:00:00:00:66", from(HOST, STOLEN, "former"), from(STRANGER, STOLEN, "moved"));
    for (mac, former, now) in [host, other] {
        ours.reload(&bound(mac, "10.0.0.66"))?;
        bench.ends[0].send(&former)?;
        bench.ends[0].send(&now)?;
        let passed = bench.ends[1].before(SOON, |frame| has_mark(frame, "moved"))?;
        ensure!(!passed.iter().any(|frame| has_mark(frame, "former")), "{mac}: {passed:?}");
    }
    ours.reload(&bench.config("", &format!("mode = \"{mode}\""), "", ""))?;
    bench.ends[0].send(&from(HOST, STOLEN, "free"))?;
    ensure!(bench.ends[1].find(SOON, |frame| has_mark(frame, "free"))?.is_some(), "still bound");
    Ok(())
}

#[test]
fn tunnels_carry_the_mark_that_was_asked_for() -> Result<()> {
    if !require_root("tunnels_carry_the_mark_that_was_asked_for") {
        return Ok(());
    }
    const EXPEDITED: u8 = 46;
    for mode in ["tc", "user"] {
        for (node, peer, expected) in [
            ("", "", 0),
            ("dscp = \"copy\"", "", EXPEDITED),
            ("dscp = 10", "", 10),
            ("dscp = \"copy\"", "dscp = 12", 12),
        ] {
            let seen = mark_of(mode, node, peer, EXPEDITED)?;
            ensure!(seen == [expected; 2], "{mode}: {node:?}, {peer:?}: {seen:?}");
        }
    }
    Ok(())
}

/// The marks of two tunnels, of a flooded packet that has `inner` and of one to a known station.
fn mark_of(mode: &str, node: &str, peer: &str, inner: u8) -> Result<[u8; 2]> {
    let bench = TwoPorts::new()?;
    let known = "[[segment.fdb]]\nmac = \"02:00:00:00:00:77\"\npeer = \"peer\"\n";
    let ours = bench.run(&bench.config(node, &format!("mode = \"{mode}\""), known, peer))?;
    let underlay = RawSocket::open(&bench.outside, "eth0")?;
    let mut marks = [0; 2];
    for (mark, (to, name)) in marks.iter_mut().zip([(BROADCAST, "flooded"), (FAR, "known")]) {
        let mut frame = packet(to, HOST, ADDRESS, name);
        frame[15] = inner << 2;
        bench.ends[0].send(&frame)?;
        let is_it =
            |frame: &[u8]| Tunnel::unwrap(frame).is_some_and(|(_, inner)| has_mark(inner, name));
        let tunnel = underlay.find(SOON, is_it)?;
        let tunnel = tunnel.with_context(|| format!("{name}: {:?}", ours.drops()))?;
        *mark = tunnel[15] >> 2;
    }
    Ok(marks)
}
