//! A disagreement in words.

use overlay_common::abi::Counters;

use crate::host::{Left, PuntSeen};
use crate::vector::Outcome;

/// What differs of two, in a few lines.
pub fn differences(judge: &Left, host: &Left) -> String {
    let mut lines = Vec::new();
    let mut compare = |what: &str, judge: String, host: String| {
        if judge != host {
            lines.push(format!("{what}:\n  judge {judge}\n  host  {host}"));
        }
    };
    compare("drops", format!("{:?}", judge.drops), format!("{:?}", host.drops));
    compare("ports", counted(&judge.ports), counted(&host.ports));
    compare("peers", counted(&judge.peers), counted(&host.peers));
    compare("addresses", format!("{:?}", judge.fdb), format!("{:?}", host.fdb));
    for (what, judge, host) in
        [("copies", copies(judge), copies(host)), ("punts", punts(judge), punts(host))]
    {
        let same = judge.iter().zip(&host).take_while(|(judge, host)| judge == host).count();
        let at = |of: &[String]| of.get(same).cloned().unwrap_or_else(|| "none more".to_owned());
        compare(&format!("{what}, of which {same} are the same"), at(&judge), at(&host));
    }
    lines.join("\n")
}

/// Packets and bytes in and out, of each that has any.
fn counted(counters: &[Counters]) -> String {
    let some = (1..).zip(counters).filter(|(_, it)| **it != Counters::default());
    let line = |(index, it): (u32, &Counters)| {
        let Counters { rx_packets, rx_bytes, tx_packets, tx_bytes } = it;
        format!("{index}: in {rx_packets}/{rx_bytes} out {tx_packets}/{tx_bytes}")
    };
    some.map(line).collect::<Vec<_>>().join("; ")
}

fn punts(left: &Left) -> Vec<String> {
    let line = |it: &PuntSeen| {
        let PuntSeen { reason, hook, segment, source, .. } = *it;
        format!("{reason} {hook} {segment} {source:x} {} {}", hex(&it.mac), hex(&it.frame))
    };
    left.punts.iter().map(line).collect()
}

fn copies(left: &Left) -> Vec<String> {
    let copies = left.copies.iter();
    let all = copies.flat_map(|(index, copies)| copies.iter().map(move |copy| (index, copy)));
    all.map(|(index, copy)| format!("device {index}: {}", hex(copy))).collect()
}

/// An outcome in a line.
pub fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Untouched => "untouched".to_owned(),
        Outcome::Ended => "ended".to_owned(),
        Outcome::Sent(bytes) => format!("sent {}", hex(bytes)),
        Outcome::SentBack(bytes) => format!("sent back {}", hex(bytes)),
    }
}

/// Bytes as one types them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
