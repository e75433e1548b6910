//! ARP and neighbour discovery between real hosts: asked once across the underlay, and
//! answered by the own gateway from then on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{BROADCAST, Tunnel, arp_request};
use overlay_testbed::{Netns, RawSocket, TwoGateways, mac_of, require_root, wait_until};
use serde_json::Value;

use crate::harness::{Overlay, octets, ping};

const SOON: Duration = Duration::from_secs(3);
const QUIET: Duration = Duration::from_millis(300);
/// A host of no namespace: frames of it are written by hand.
const MAC: [u8; 6] = [2, 0, 0, 0, 7, 7];
const ADDRESS: &str = "10.0.0.77";
const V6: [&str; 2] = ["2001:db8::1", "2001:db8::2"];

/// Our gateways on both sides; `segment` is written behind the segment's keys, `tables` behind
/// its ports.
fn start<'n>(
    testbed: &'n TwoGateways,
    (uplink, access): (&str, &str),
    segment: &str,
    tables: &str,
) -> Result<[Overlay<'n>; 2]> {
    let start = |ours: &'n overlay_testbed::Gateway, other: &overlay_testbed::Gateway| {
        let config = ours.config(uplink, access, &[("other", other.vtep)]);
        let config = config.replace("learning = true\n", &format!("learning = true\n{segment}"));
        let config = config.replace("\n[[peer]]", &format!("{tables}\n[[peer]]"));
        Overlay::start(&ours.netns, &ours.name, &config)
    };
    let gateways = [start(&testbed.gw1, &testbed.gw2)?, start(&testbed.gw2, &testbed.gw1)?];
    gateways.iter().try_for_each(Overlay::wait_for_peers)?;
    Ok(gateways)
}

/// What a gateway knows of an address.
fn neighbour(gateway: &Overlay<'_>, ip: &str) -> Option<Value> {
    gateway.show("neighbours").ok()?.into_iter().find(|row| row["ip"] == ip)
}

fn wait_for(gateway: &Overlay<'_>, ip: &str, mac: Option<[u8; 6]>) -> Result<()> {
    let text = mac.map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
    wait_until(&format!("{ip} at {text:?}"), Duration::from_secs(20), || {
        let known = neighbour(gateway, ip);
        let known = known.as_ref().and_then(|row| row["mac"].as_str());
        (known == text.as_deref()).then_some(())
    })
    .with_context(|| format!("{:?}\n{}", gateway.show("neighbours"), gateway.log()))
}

/// Whether an inner frame asks everybody for an address.
fn is_question(inner: &[u8]) -> bool {
    let is_arp = inner[..6] == BROADCAST && inner[12..14] == [8, 6];
    let is_solicitation = inner[..2] == [0x33, 0x33]
        && inner.get(12..14) == Some(&[0x86, 0xdd])
        && inner.get(54) == Some(&135)
        && inner.get(22..38).is_some_and(|source| source != [0; 16]);
    is_arp || is_solicitation
}

/// The questions that crossed the underlay until now.
fn crossed(underlay: &RawSocket) -> Result<Vec<Vec<u8>>> {
    let question = |frame: &[u8]| Tunnel::unwrap(frame).is_some_and(|(_, i)| is_question(i));
    underlay.collect(QUIET, question)
}

/// Asks for an address by hand, and returns who answers.
fn ask(host: &RawSocket, own: [u8; 6], address: &str) -> Result<Option<[u8; 6]>> {
    host.send(&arp_request(own, octets(TwoGateways::HOST1), octets(address)))?;
    let wanted = octets(address);
    let is_reply = |f: &[u8]| f[12..14] == [8, 6] && f[20..22] == [0, 2] && f[28..32] == wanted;
    let reply = host.find(QUIET, is_reply)?;
    Ok(reply.and_then(|frame| frame[22..28].try_into().ok()))
}

fn ipv6(testbed: &TwoGateways) -> Result<()> {
    for (host, address) in [(&testbed.host1, V6[0]), (&testbed.host2, V6[1])] {
        host.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
        host.exec(&format!("ip addr add {address}/64 dev eth0 nodad"))?;
    }
    Ok(())
}

#[test]
fn an_address_that_is_known_is_not_asked_for_across_the_underlay() -> Result<()> {
    if !require_root("an_address_that_is_known_is_not_asked_for_across_the_underlay") {
        return Ok(());
    }
    for modes in [("tc", "tc"), ("tc", "xdp")] {
        let testbed = TwoGateways::new()?;
        let gateways = start(&testbed, modes, "", "")?;
        ipv6(&testbed)?;
        let underlay = RawSocket::open(&testbed.gw2.netns, "eth0")?;
        let macs = [mac_of(&testbed.host1, "eth0")?, mac_of(&testbed.host2, "eth0")?];
        let hosts = [TwoGateways::HOST1, TwoGateways::HOST2];
        for [own, other] in [hosts, V6] {
            ping(&testbed.host1, other)?;
            ensure!(!crossed(&underlay)?.is_empty(), "{modes:?}: {other} was never asked for");
            // The own gateway heard both: the question, or the answer that came back.
            for gateway in &gateways {
                wait_for(gateway, other, Some(macs[1]))?;
            }
            testbed.host1.exec("ip neigh flush all")?;
            ping(&testbed.host1, other)?;
            let asked = crossed(&underlay)?;
            ensure!(asked.is_empty(), "{modes:?}: {other} was asked for: {asked:02x?}");
            let known = testbed.host1.exec(&format!("ip neigh show {other}"))?;
            let mac = macs[1].map(|byte| format!("{byte:02x}")).join(":");
            ensure!(known.contains(&mac), "{modes:?}: {other} should be at {mac}: {known}");
            println!("{modes:?}: {own} → {other}, answered by the own gateway");
        }
        // Who asks by ARP is known to every gateway.
        wait_for(&gateways[1], TwoGateways::HOST1, Some(macs[0]))?;
        let row = neighbour(&gateways[0], TwoGateways::HOST2).context("a row")?;
        ensure!(row["segment"] == "blue" && row["origin"] == "learned", "{row}");
    }
    Ok(())
}

#[test]
fn without_suppression_every_question_crosses() -> Result<()> {
    if !require_root("without_suppression_every_question_crosses") {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let gateways = start(&testbed, ("tc", "tc"), "suppression = false\n", "")?;
    ipv6(&testbed)?;
    let underlay = RawSocket::open(&testbed.gw2.netns, "eth0")?;
    for other in [TwoGateways::HOST2, V6[1]] {
        for _ in 0..2 {
            ping(&testbed.host1, other)?;
            ensure!(!crossed(&underlay)?.is_empty(), "{other} was answered by somebody else");
            testbed.host1.exec("ip neigh flush all")?;
        }
    }
    ensure!(gateways[0].show("neighbours")?.is_empty());
    Ok(())
}

#[test]
fn a_moved_address_is_answered_newly_and_a_silent_one_not_at_all() -> Result<()> {
    if !require_root("a_moved_address_is_answered_newly_and_a_silent_one_not_at_all") {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let (name, vtep) = (&testbed.gw1.name, testbed.gw1.vtep);
    let gateways = start(&testbed, ("tc", "tc"), "", "")?;
    let ageing = |text: String| text.replace("[[uplink]]", "ageing = 10\n[[uplink]]");
    let config = ageing(testbed.gw1.config("tc", "tc", &[("other", testbed.gw2.vtep)]));
    gateways[0].reload(&config).with_context(|| format!("{name} {vtep}"))?;
    let underlay = RawSocket::open(&testbed.gw2.netns, "eth0")?;
    let own = mac_of(&testbed.host1, "eth0")?;
    let host1 = RawSocket::open(&testbed.host1, "eth0")?;
    let host2 = RawSocket::open(&testbed.host2, "eth0")?;
    let announce = |mac: [u8; 6]| host2.send(&arp_request(mac, octets(ADDRESS), octets(ADDRESS)));

    ensure!(ask(&host1, own, ADDRESS)?.is_none(), "nobody has it");
    ensure!(crossed(&underlay)?.len() == 1, "an unknown address is asked for everywhere");
    announce(MAC)?;
    wait_for(&gateways[0], ADDRESS, Some(MAC))?;
    ensure!(ask(&host1, own, ADDRESS)? == Some(MAC));
    let new = [2, 0, 0, 0, 7, 8];
    announce(new)?;
    wait_for(&gateways[0], ADDRESS, Some(new))?;
    ensure!(ask(&host1, own, ADDRESS)? == Some(new), "the newest has it");
    let asked = crossed(&underlay)?;
    ensure!(asked.is_empty(), "it was asked for: {asked:02x?}");

    // Its station is silent from now on.
    wait_for(&gateways[0], ADDRESS, None)?;
    ensure!(ask(&host1, own, ADDRESS)?.is_none());
    ensure!(crossed(&underlay)?.len() == 1, "what is forgotten is asked for everywhere");
    Ok(())
}

#[test]
fn duplicate_addresses_are_detected_across_the_overlay() -> Result<()> {
    if !require_root("duplicate_addresses_are_detected_across_the_overlay") {
        return Ok(());
    }
    for access in ["tc", "xdp"] {
        let testbed = TwoGateways::new()?;
        let gateways = start(&testbed, ("tc", access), "", "")?;
        ipv6(&testbed)?;
        // Every gateway knows whose it is.
        ping(&testbed.host2, V6[0])?;
        wait_for(&gateways[1], V6[0], Some(mac_of(&testbed.host1, "eth0")?))?;
        testbed.host2.exec(&format!("ip addr add {}/64 dev eth0", V6[0]))?;
        wait_until("duplicate", SOON, || {
            let shown = testbed.host2.exec("ip -6 addr show dev eth0 dadfailed").ok()?;
            shown.contains(V6[0]).then_some(())
        })
        .with_context(|| format!("{access}: {:?}", testbed.host2.exec("ip -6 addr show")))?;
        // And the first one still has it.
        ping(&testbed.host1, V6[1])?;
        wait_for(&gateways[1], V6[0], Some(mac_of(&testbed.host1, "eth0")?))?;
        // An address that nobody has is taken.
        testbed.host2.exec("ip addr add 2001:db8::99/64 dev eth0")?;
        wait_until("address without doubt", SOON, || {
            let shown = testbed.host2.exec("ip -6 addr show dev eth0 -tentative").ok()?;
            shown.contains("2001:db8::99").then_some(())
        })?;
    }
    Ok(())
}

#[test]
fn static_neighbours_are_answered_and_do_not_move() -> Result<()> {
    if !require_root("static_neighbours_are_answered_and_do_not_move") {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let tables = format!(
        "\n[[segment.neighbour]]\nip = \"{ADDRESS}\"\nmac = \"02:00:00:00:07:07\"\n\
         [[segment.neighbour]]\nip = \"fe80::77\"\nmac = \"02:00:00:00:07:07\"\nrouter = true\n"
    );
    let gateways = start(&testbed, ("tc", "tc"), "", &tables)?;
    let rows = gateways[0].show("neighbours")?;
    let origin = |row: &Value| row["origin"] == "static" && row["mac"] == "02:00:00:00:07:07";
    ensure!(rows.len() == 2 && rows.iter().all(origin), "{rows:?}");
    ensure!(rows.iter().filter(|row| row["router"] == true).count() == 1, "{rows:?}");
    let text = gateways[0].run(&["show", "neighbours"])?;
    ensure!(text.contains("fe80::77") && text.contains("static"), "{text}");

    let own = mac_of(&testbed.host1, "eth0")?;
    let host1 = RawSocket::open(&testbed.host1, "eth0")?;
    let host2 = RawSocket::open(&testbed.host2, "eth0")?;
    ensure!(ask(&host1, own, ADDRESS)?.is_none(), "its station was not seen yet");
    host2.send(&arp_request(MAC, octets("10.0.0.78"), octets("10.0.0.79")))?;
    gateways[0].wait_for_mac("blue", MAC, "other")?;
    ensure!(ask(&host1, own, ADDRESS)? == Some(MAC));
    let liar = [2, 0, 0, 0, 9, 9];
    host2.send(&arp_request(liar, octets(ADDRESS), octets(ADDRESS)))?;
    gateways[0].wait_for_mac("blue", liar, "other")?;
    ensure!(ask(&host1, own, ADDRESS)? == Some(MAC), "what is configured stays");
    Ok(())
}

#[test]
fn what_was_heard_outlives_a_killed_daemon() -> Result<()> {
    if !require_root("what_was_heard_outlives_a_killed_daemon") {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let [mut first, second] = start(&testbed, ("tc", "tc"), "", "")?;
    let mac = mac_of(&testbed.host2, "eth0")?;
    ping(&testbed.host1, TwoGateways::HOST2)?;
    wait_for(&first, TwoGateways::HOST2, Some(mac))?;
    first.kill()?;
    let host1 = RawSocket::open(&testbed.host1, "eth0")?;
    let own = mac_of(&testbed.host1, "eth0")?;
    let silent = |netns: &Netns, on: &str| netns.exec(&format!("ip link set eth0 arp {on}"));
    // From here on nobody but the gateway can answer.
    silent(&testbed.host2, "off")?;
    ensure!(ask(&host1, own, TwoGateways::HOST2)? == Some(mac), "the programs answer on");
    first.restart()?;
    first.wait_for_peers()?;
    let row = neighbour(&first, TwoGateways::HOST2).context("a row")?;
    ensure!(row["origin"] == "learned", "{row}");
    ensure!(ask(&host1, own, TwoGateways::HOST2)? == Some(mac), "and the new ones too");
    drop(second);
    Ok(())
}
