//! A traced frame, for people.

use std::fmt::Write as _;

use anyhow::{Error, Result};
use overlay_common::wire::{Geneve, Vxlan, protocol};
use overlay_control::watch::{Layer, Seen};

use crate::api::trace::unhex;
use crate::api::watch::{BytesRow, FrameRow};

/// What became of it on one line, and a line for each of the forms that it had.
pub fn frame(row: &FrameRow) -> Result<String> {
    // That a sender was told of an error is more than that a frame left.
    let answered = row.explained.as_ref().filter(|told| told.verdict == "answer");
    let verdict = if answered.is_some() { "answered" } else { &row.verdict };
    let mut text = format!("{} {} {verdict}", clock(row.time), row.interface);
    if let Some(reason) = row.reason.as_ref().or_else(|| answered?.reason.as_ref()) {
        write!(text, ": {reason}")?;
    }
    if let Some(egress) = &row.egress {
        write!(text, " to {egress}")?;
    }
    write!(text, ", {}", row.hook)?;
    if let Some(took) = row.took {
        write!(text, ", {took} ns")?;
    }
    writeln!(text, "\n    in   {}", form(&row.before)?)?;
    if let Some(after) = row.after.as_ref().filter(|after| after.hex != row.before.hex) {
        writeln!(text, "    out  {}", form(after)?)?;
    }
    if let Some(told) = &row.explained {
        text += &super::explained(told);
        text.push('\n');
    } else if let Some(reason) = &row.reason {
        writeln!(text, "    why  docs/src/drops/{reason}.md")?;
        if row.took.is_none() && row.after.is_none() {
            text +=
                "         its tunnel was off already when it was dropped; overlay trace without\n";
            text += "         --drops looks at frames as they come in, and tells all stages\n";
        }
    }
    Ok(text)
}

/// The time of day, UTC.
fn clock(time: u64) -> String {
    let (seconds, micros) = (time / 1_000_000_000 % 86_400, time / 1_000 % 1_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{micros:06}", seconds % 60)
}

/// Addresses and contents, from the inside out.
fn form(bytes: &BytesRow) -> Result<String> {
    let seen = Seen::of(
        &unhex(&bytes.hex).map_err(Error::msg)?,
        bytes.length,
        bytes.tag,
        [Vxlan::PORT, Geneve::PORT],
    );
    let Some(outer) = &seen.outer else { return Ok(format!("{} bytes", bytes.length)) };
    let mut text = String::new();
    if let Some((vni, inner)) = &seen.tunnel {
        let inside = inner.as_ref().map(layer).unwrap_or_default();
        let [source, destination] =
            outer.addresses.map_or(Default::default(), |ends| ends.map(|end| end.to_string()));
        write!(text, "{inside} in VNI {vni}, {source} > {destination}")?;
    } else {
        text = layer(outer);
    }
    write!(text, ", {} bytes", bytes.length)?;
    Ok(text)
}

fn layer(layer: &Layer) -> String {
    let [destination, source] = layer.stations;
    let mut text = match (layer.addresses, layer.ports) {
        (Some([from, to]), Some([a, b])) => format!("{from}.{a} > {to}.{b}"),
        (Some([from, to]), None) => format!("{from} > {to}"),
        _ => format!("{source} > {destination}, type {:#06x}", layer.ethertype),
    };
    let name = match layer.protocol {
        Some(protocol::TCP) => " TCP".to_owned(),
        Some(protocol::UDP) => " UDP".to_owned(),
        Some(protocol::ICMP) => " ICMP".to_owned(),
        Some(protocol::ICMPV6) => " ICMPv6".to_owned(),
        Some(other) => format!(" protocol {other}"),
        None => String::new(),
    };
    text += &name;
    if let Some(vlan) = layer.vlan {
        text += &format!(" VLAN {vlan}");
    }
    text
}
