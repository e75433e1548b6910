//! Access lists of a segment.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{BROADCAST, Tunnel, arp_request, ethernet, ipv4_udp};
use overlay_testbed::{RawSocket, mac_of, require_root};

use crate::harness::{Overlay, SOON, TwoPorts, has_mark};

const HOST: [u8; 6] = TwoPorts::FIRST;
/// Behind the peer.
const FAR: [u8; 6] = [2, 0, 0, 0, 0, 0x77];
const ADDRESS: [u8; 4] = [10, 0, 0, 1];
const STRANGER: [u8; 4] = [10, 0, 1, 1];
const DENIED: &str = "action = \"deny\"\nprotocol = \"udp\"\ndestination_port = 22\n";
const NETWORK: &str = "action = \"permit\"\nsource = \"10.0.0.0/24\"\n";
const LOW_PORTS: &str = "action = \"permit\"\nprotocol = \"udp\"\ndestination_port = \"1-100\"\n";

fn rule(direction: &str, keys: &str) -> String {
    format!("[[segment.acl]]\ndirection = \"{direction}\"\n{keys}")
}

/// A packet of a host to everybody, marked by its payload.
fn packet(mac: [u8; 6], from: [u8; 4], port: u16, mark: &str) -> Vec<u8> {
    let payload = [mark.as_bytes(), &[0]].concat();
    ethernet(BROADCAST, mac, 0x0800, &ipv4_udp((from, 7), ([10, 0, 0, 9], port), &payload))
}

/// Packets that each rule has held, by direction and text.
fn counts(ours: &Overlay<'_>) -> Result<BTreeMap<String, u64>> {
    let rows = ours.show("acls")?;
    let count = |row: &serde_json::Value| {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        Some((format!("{} {}", text("direction"), text("rule")), row["packets"].as_u64()?))
    };
    rows.iter().map(|row| count(row).context("no packets")).collect()
}

#[test]
fn lists_hold_for_what_hosts_send_and_get() -> Result<()> {
    if !require_root("lists_hold_for_what_hosts_send_and_get") {
        return Ok(());
    }
    for mode in ["tc", "xdp-generic", "user"] {
        held(mode).with_context(|| mode.to_owned())?;
    }
    Ok(())
}

fn held(mode: &str) -> Result<()> {
    let bench = TwoPorts::new()?;
    let mode = format!("mode = \"{mode}\"");
    let with = |rules: &[String]| bench.config("", &mode, &rules.concat(), "");
    let (denied, network, low) = (rule("in", DENIED), rule("in", NETWORK), rule("out", LOW_PORTS));
    let ours = bench.run(&with(&[denied, network.clone(), low.clone()]))?;
    let underlay = RawSocket::open(&bench.outside, "eth0")?;

    let from = |address, port, mark| packet(HOST, address, port, mark);
    bench.ends[0].send(&from(ADDRESS, 22, "a port that is denied"))?;
    bench.ends[0].send(&from(STRANGER, 7, "a stranger"))?;
    bench.ends[0].send(&from(ADDRESS, 200, "not for hosts here"))?;
    bench.ends[0].send(&arp_request(HOST, STRANGER, [10, 0, 0, 9]))?;
    bench.ends[0].send(&from(ADDRESS, 7, "last"))?;
    let passed = bench.ends[1].before(SOON, |frame| has_mark(frame, "last"))?;
    let marks = ["a port that is denied", "a stranger", "not for hosts here"];
    let has = |mark: &str| passed.iter().any(|frame| has_mark(frame, mark));
    ensure!(!marks.iter().any(|mark| has(mark)), "{passed:?}");
    let asked = passed.iter().any(|frame| frame.get(12..14) == Some(&[8, 6]));
    ensure!(asked, "lists are not about ARP: {passed:?}");
    // Peers are sent what only hosts here may not get.
    let inside = |frame: &[u8], mark: &str| {
        Tunnel::unwrap(frame).is_some_and(|(_, inner)| has_mark(inner, mark))
    };
    let sent = underlay.before(SOON, |frame| inside(frame, "last"))?;
    let sent = |mark: &str| sent.iter().any(|frame| inside(frame, mark));
    ensure!(marks.map(sent) == [false, false, true], "{:?}", marks.map(sent));

    from_the_peer(&bench, &underlay)?;
    let drops = ours.drops()?;
    ensure!(drops.get("acl-denied") == Some(&4), "{drops:?}");
    let before = counts(&ours)?;
    let expected = [
        ("in default", 1),
        ("in neighbour discovery", 0),
        ("in any source 10.0.0.0/24", 2),
        ("in udp destination_port 22", 1),
        ("out default", 2),
        ("out neighbour discovery", 0),
        ("out udp destination_port 1-100", 2),
    ];
    let expected: BTreeMap<String, u64> =
        expected.into_iter().map(|(rule, count)| (rule.to_owned(), count)).collect();
    ensure!(before == expected, "{before:?}");

    // What a rule has counted stays with it.
    ours.reload(&with(&[network, low]))?;
    bench.ends[0].send(&from(ADDRESS, 22, "no longer denied"))?;
    ensure!(bench.ends[1].find(SOON, |frame| has_mark(frame, "no longer denied"))?.is_some());
    // Also when the list before is gone, a tenth of a second later.
    std::thread::sleep(SOON / 4);
    let after = counts(&ours)?;
    ensure!(after.get("in any source 10.0.0.0/24") == Some(&3), "{after:?}");
    ensure!(after.get("out udp destination_port 1-100") == Some(&3), "{after:?}");
    ours.reload(&with(&[]))?;
    bench.ends[0].send(&from(STRANGER, 200, "free"))?;
    ensure!(bench.ends[1].find(SOON, |frame| has_mark(frame, "free"))?.is_some(), "still held");
    ensure!(ours.show("acls")?.is_empty());
    Ok(())
}

/// Held against the list for what hosts get.
fn from_the_peer(bench: &TwoPorts, underlay: &RawSocket) -> Result<()> {
    let macs = (mac_of(&bench.gateway, "eth0")?, mac_of(&bench.outside, "eth0")?);
    let tunnel = Tunnel { macs, src: [192, 0, 2, 2], dst: [192, 0, 2, 1], vni: 100 };
    for (port, mark) in [(200, "from afar, denied"), (9, "from afar")] {
        underlay.send(&tunnel.wrap(&packet(FAR, STRANGER, port, mark)))?;
    }
    let passed = bench.ends[1].before(SOON, |frame| has_mark(frame, "from afar"))?;
    ensure!(!passed.iter().any(|frame| has_mark(frame, "from afar, denied")), "{passed:?}");
    Ok(())
}

#[test]
fn ten_thousand_rules_are_none_too_many() -> Result<()> {
    const RULES: u16 = 10_000;
    if !require_root("ten_thousand_rules_are_none_too_many") {
        return Ok(());
    }
    let bench = TwoPorts::new()?;
    // Each denies one port to one host of a network that the last rule lets pass.
    let host = |number: u16| [10, 0, (number >> 8) as u8, number as u8];
    let mut rules = String::new();
    for number in 0..RULES {
        let [a, b, c, d] = host(number);
        let keys = format!("source = \"{a}.{b}.{c}.{d}/32\"\ndestination_port = {}\n", number + 1);
        rules += &rule("in", &format!("action = \"deny\"\nprotocol = \"udp\"\n{keys}"));
    }
    write!(rules, "{}", rule("in", "action = \"permit\"\nsource = \"10.0.0.0/16\"\n"))?;
    let ours = bench.run(&bench.config("", "mode = \"tc\"", &rules, ""))?;
    for number in [0, 1, 255, 256, 4_999, RULES - 1] {
        bench.ends[0].send(&packet(HOST, host(number), number + 1, "denied"))?;
        let mark = format!("allowed {number}");
        bench.ends[0].send(&packet(HOST, host(number), number + 2, &mark))?;
        let passed = bench.ends[1].before(SOON, |frame| has_mark(frame, &mark))?;
        ensure!(!passed.iter().any(|frame| has_mark(frame, "denied")), "rule {number}: {passed:?}");
    }
    let drops = ours.drops()?;
    ensure!(drops.get("acl-denied") == Some(&6), "{drops:?}");
    ensure!(ours.show("acls")?.len() == usize::from(RULES) + 3);
    Ok(())
}
