//! Trunks: many VLANs of one device, with tags of both kinds.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_common::id::Vlan;
use overlay_testbed::frame::{self, BROADCAST, Tunnel};
use overlay_testbed::{mac_of, wait_until};

use crate::access::{SegmentOf, Switch, on_each_hook, wait_for_drops};
use crate::harness::{Overlay, has_mark, marked, octets};

const MAC_1: [u8; 6] = [2, 0, 0, 0, 0, 1];
const MAC_2: [u8; 6] = [2, 0, 0, 0, 0, 2];
const SOON: Duration = Duration::from_secs(2);
/// VLAN 10 in service tags.
const SERVICE_10: u16 = Vlan::SERVICE | 10;
const SERVICE_30: u16 = Vlan::SERVICE | 30;

/// From the peer, into a segment.
fn tunnel(switch: &Switch, vni: u32) -> Result<Tunnel> {
    Ok(Tunnel {
        macs: (mac_of(&switch.gateway, "eth0")?, mac_of(&switch.outside, "eth0")?),
        src: octets("192.0.2.2"),
        dst: octets("192.0.2.1"),
        vni,
    })
}

/// Waits for a frame on the underlay: the VNI, and the inner frame.
fn tunnelled(switch: &Switch, mark: &str) -> Result<(u32, Vec<u8>)> {
    let outer = switch.underlay.find(SOON, |frame| has_mark(frame, mark))?;
    let outer = outer.with_context(|| format!("{mark} is not on the underlay"))?;
    let (vni, inner) = Tunnel::unwrap(&outer).with_context(|| format!("{outer:02x?}"))?;
    Ok((vni, inner.to_vec()))
}

#[test]
fn vlans_of_both_kinds_share_a_device() -> Result<()> {
    on_each_hook("vlans_of_both_kinds_share_a_device", |switch, mode| {
        let segments: [SegmentOf<'_>; 2] = [
            ("blue", 100, &[("eth1", 10), ("eth2", 0)]),
            ("red", 200, &[("eth1", SERVICE_10), ("eth3", SERVICE_30)]),
        ];
        let ours = switch.start(mode, &segments)?;

        let plain = marked(BROADCAST, MAC_1, "service ten");
        switch.ends[0].send(&frame::service_tagged(&plain, 10))?;
        let wanted = frame::service_tagged(&plain, 30);
        let seen = switch.seen("service ten", [0, 0, 1])?;
        ensure!(seen == [vec![], vec![], vec![wanted]], "10 to 30: {seen:02x?}");
        ensure!(tunnelled(switch, "service ten")? == (200, plain));

        let plain = marked(BROADCAST, MAC_2, "customer ten");
        switch.ends[0].send(&frame::tagged(&plain, 10))?;
        let seen = switch.seen("customer ten", [0, 1, 0])?;
        ensure!(seen == [vec![], vec![plain.clone()], vec![]], "10 to untagged: {seen:02x?}");
        ensure!(tunnelled(switch, "customer ten")? == (100, plain));

        ours.wait_for_mac("red", MAC_1, "eth1")?;
        let plain = marked(MAC_1, MAC_2, "back to ten");
        switch.ends[2].send(&frame::service_tagged(&plain, 30))?;
        let wanted = frame::service_tagged(&plain, 10);
        let seen = switch.seen("back to ten", [1, 0, 0])?;
        ensure!(seen == [vec![wanted], vec![], vec![]], "30 to 10: {seen:02x?}");

        // A tag without VID is none, whatever its kind.
        let plain = marked(BROADCAST, MAC_1, "priority");
        switch.ends[1].send(&frame::service_tagged(&plain, 5 << 13))?;
        let seen = switch.seen("priority", [1, 0, 0])?;
        ensure!(seen[0].iter().all(|frame| frame[12..16] == [0x81, 0, 0, 10]), "{seen:02x?}");

        let plain = marked(BROADCAST, [2, 0, 0, 0, 0, 3], "from afar");
        switch.underlay.send(&tunnel(switch, 200)?.wrap(&plain))?;
        let wanted = [10, 30].map(|vlan| vec![frame::service_tagged(&plain, vlan)]);
        let [on_10, on_30] = wanted;
        let seen = switch.seen("from afar", [1, 0, 1])?;
        ensure!(seen == [on_10, vec![], on_30], "{seen:02x?}");

        refused(switch, &ours)?;
        shown(&ours)
    })
}

/// The VLAN in a tag of the other kind, and a tag inside the tag.
fn refused(switch: &Switch, ours: &Overlay<'_>) -> Result<()> {
    let mut wanted = ours.drops()?;
    let plain = marked(BROADCAST, MAC_1, "nobody's");
    switch.ends[2].send(&frame::tagged(&plain, 30))?;
    switch.ends[1].send(&frame::service_tagged(&plain, 10))?;
    for inner in [frame::tagged(&plain, 7), frame::service_tagged(&plain, 7)] {
        switch.ends[0].send(&frame::service_tagged(&inner, 10))?;
    }
    *wanted.entry("unknown-vlan".into()).or_default() += 2;
    *wanted.entry("inner-vlan".into()).or_default() += 2;
    wait_for_drops(ours, &wanted)?;
    ensure!(switch.seen("nobody's", [0; 3])?.iter().all(Vec::is_empty));
    Ok(())
}

/// People see, and say, which kind.
fn shown(ours: &Overlay<'_>) -> Result<()> {
    let ports = ours.show("ports")?;
    let kinds: Vec<_> = ports
        .iter()
        .filter(|port| port["interface"] == "eth1")
        .map(|port| (port["segment"].as_str(), port["vlan"].as_u64(), port["protocol"].as_str()))
        .collect();
    let wanted =
        [(Some("blue"), Some(10), Some("802.1q")), (Some("red"), Some(10), Some("802.1ad"))];
    ensure!(kinds == wanted, "{ports:?}");
    let table = ours.run(&["show", "ports"])?;
    ensure!(table.contains(" 10 (802.1ad) "), "{table}");

    let place = ["red", "02:00:00:00:00:77", "interface", "eth1", "vlan", "10"];
    let words = [&["fdb", "add"][..], &place, &["protocol", "802.1ad"]].concat();
    ours.run(&words)?;
    let other = ours.run(&[&["fdb", "add"][..], &place].concat());
    ensure!(other.is_err_and(|error| error.to_string().contains("VLAN 10 of eth1 is no port")));
    let entries = ours.show("fdb")?;
    let loaded = entries.iter().find(|entry| entry["mac"] == "02:00:00:00:00:77");
    ensure!(loaded.is_some_and(|entry| entry["protocol"] == "802.1ad"), "{entries:?}");
    let table = ours.run(&["show", "fdb"])?;
    ensure!(table.contains("port eth1 vlan 10 (802.1ad)"), "{table}");
    Ok(())
}

/// VLANs of the trunk: the same 150 numbers in tags of either kind.
const VLANS: u16 = 300;
/// Those that are looked at.
const SAMPLE: [u16; 6] = [0, 1, 149, 150, 151, 299];

/// The VLAN of a number, as [`Vlan::word`] has it; a segment each.
fn vlan(number: u16) -> u16 {
    let id = 101 + number % 150 * 7;
    if number < 150 { id } else { id | Vlan::SERVICE }
}

fn vni(number: u16) -> u32 {
    5000 + u32::from(number)
}

fn with_vlan(plain: &[u8], word: u16) -> Vec<u8> {
    match word & Vlan::SERVICE {
        0 => frame::tagged(plain, word),
        _ => frame::service_tagged(plain, word & !Vlan::SERVICE),
    }
}

#[test]
fn a_trunk_of_hundreds_of_vlans() -> Result<()> {
    on_each_hook("a_trunk_of_hundreds_of_vlans", |switch, mode| {
        let names: Vec<String> = (0..VLANS).map(|number| format!("s{number}")).collect();
        let ports: Vec<[(&str, u16); 1]> = (0..VLANS).map(|n| [("eth1", vlan(n))]).collect();
        let segments: Vec<SegmentOf<'_>> = (0..VLANS)
            .zip(&names)
            .zip(&ports)
            .map(|((number, name), port)| (name.as_str(), vni(number), &port[..]))
            .collect();
        let ours = switch.start(mode, &segments)?;
        ensure!(ours.show("ports")?.len() == usize::from(VLANS) + 1);

        for number in SAMPLE {
            both_ways(switch, &ours, number).with_context(|| format!("VLAN number {number}"))?;
        }
        // Between two that are there.
        let mut wanted = ours.drops()?;
        switch.ends[0].send(&frame::tagged(&marked(BROADCAST, MAC_1, "between"), 102))?;
        *wanted.entry("unknown-vlan".into()).or_default() += 1;
        wait_for_drops(&ours, &wanted)?;
        let sent = u64::try_from(SAMPLE.len())?;
        wait_until("counts of the sample", SOON, || {
            let ports = ours.show("ports").ok()?;
            let sum = |key: &str| -> u64 {
                let access = ports.iter().filter(|port| port["role"] == "access");
                access.filter_map(|port| port[key].as_u64()).sum()
            };
            (sum("rx_packets") == 2 * sent && sum("tx_packets") == 2 * sent).then_some(())
        })
        .with_context(|| format!("{:?}", ours.show("ports")))
    })
}

/// From the VLAN to its segment and back, flooded and to a station.
fn both_ways(switch: &Switch, ours: &Overlay<'_>, number: u16) -> Result<()> {
    let (word, segment) = (vlan(number), format!("s{number}"));
    let send = |destination, mark: &str| -> Result<()> {
        let plain = marked(destination, MAC_1, mark);
        switch.ends[0].send(&with_vlan(&plain, word))?;
        ensure!(tunnelled(switch, mark)? == (vni(number), plain), "{mark}");
        Ok(())
    };
    let receive = |destination, mark: &str| -> Result<()> {
        let plain = marked(destination, MAC_2, mark);
        switch.underlay.send(&tunnel(switch, vni(number))?.wrap(&plain))?;
        let seen = switch.seen(mark, [1, 0, 0])?;
        ensure!(seen == [vec![with_vlan(&plain, word)], vec![], vec![]], "{mark}: {seen:02x?}");
        Ok(())
    };
    send(BROADCAST, &format!("out {number}."))?;
    receive(BROADCAST, &format!("in {number}."))?;
    ours.wait_for_mac(&segment, MAC_1, "eth1")?;
    ours.wait_for_mac(&segment, MAC_2, "peer")?;
    send(MAC_2, &format!("to the station {number}."))?;
    receive(MAC_1, &format!("from the station {number}."))?;
    let places: BTreeMap<_, _> = ours
        .show("fdb")?
        .iter()
        .filter(|entry| entry["segment"] == segment.as_str())
        .map(|entry| (entry["mac"].to_string(), entry["vlan"].as_u64()))
        .collect();
    let vlans: Vec<_> = places.into_values().flatten().collect();
    ensure!(vlans == [u64::from(word & !Vlan::SERVICE)], "{vlans:?}");
    Ok(())
}
