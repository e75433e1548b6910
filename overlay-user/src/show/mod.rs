//! Answers as tables for people.

mod explained;
pub mod pcapng;
mod status;
pub(crate) mod table;
pub mod trace;
pub(crate) mod units;

use crate::api::{AclRow, DropRow, FdbRow, NeighbourRow, PeerRow, PortRow, RouteRow, SegmentRow};
use crate::dataplane::features::{ALL, Features};
use crate::doctor::Finding;
use overlay_common::wire::TagKind;
pub use status::status;
use table::Table;

pub use explained::explained;

fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), T::to_string)
}

/// A VLAN, with the kind of its tags where that is not the usual one.
fn vlan(id: Option<u16>, protocol: Option<&str>) -> Option<String> {
    let id = id?;
    Some(match protocol {
        Some(protocol) if protocol != TagKind::Customer.name() => format!("{id} ({protocol})"),
        _ => id.to_string(),
    })
}

/// `overlay doctor`.
pub fn features(release: &str, found: Features) -> String {
    let mut table =
        Table::new(&["FEATURE", "HERE", "LINUX", "COMMIT", "WHAT FOR, OR WHAT INSTEAD"]);
    for about in &ALL {
        let here = found.has(about.feature);
        let comment = match about.without {
            _ if here => about.used_for.to_owned(),
            Some(without) => format!("{}; without it {without}", about.used_for),
            None => format!("NEEDED: {}", about.used_for),
        };
        let here = if here { "yes" } else { "no" };
        let fields = [about.name, here, about.since, about.commit].map(str::to_owned);
        table.row(fields.into_iter().chain([comment]));
    }
    format!("Linux {release} has {found}\n{}", table.render())
}

/// `overlay doctor`: the findings, the worst first, each with the command that mends it.
pub fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let subject = if finding.subject.is_empty() { "" } else { " " };
        let severity = finding.severity.name().to_uppercase();
        text += &format!(
            "{severity:<8}{}{subject}{}: {}\n",
            finding.code, finding.subject, finding.what
        );
        if !finding.why.is_empty() {
            text += &format!("        {}\n", finding.why);
        }
        if let Some(fix) = &finding.fix {
            text += &format!("        do: {fix}\n");
        }
    }
    text
}

/// `overlay show ports`.
pub fn ports(rows: &[PortRow]) -> String {
    let mut table = Table::new(&[
        "INTERFACE",
        "VLAN",
        "ROLE",
        "SEGMENT",
        "HOOK",
        "UP",
        "MTU",
        ">FDB",
        ">RX PACKETS",
        ">RX BYTES",
        ">TX PACKETS",
        ">TX BYTES",
        "WHY",
    ]);
    for row in rows {
        table.row([
            row.interface.clone(),
            or_dash(vlan(row.vlan, row.protocol.as_deref()).as_ref()),
            row.role.clone(),
            or_dash(row.segment.as_ref()),
            or_dash(row.hook.as_ref()),
            if row.up { "up" } else { "down" }.to_owned(),
            or_dash(row.mtu.as_ref()),
            row.fdb.to_string(),
            row.rx_packets.to_string(),
            units::bytes(row.rx_bytes),
            row.tx_packets.to_string(),
            units::bytes(row.tx_bytes),
            row.why.clone(),
        ]);
    }
    table.render()
}

/// `overlay show segments`.
pub fn segments(rows: &[SegmentRow]) -> String {
    let mut table = Table::new(&[
        "SEGMENT",
        ">VNI",
        "LEARNING",
        "SUPPRESSION",
        "VRF",
        "ROUTER",
        ">PORTS",
        ">PEERS",
        ">FDB",
        ">RX PACKETS",
        ">RX BYTES",
        ">TX PACKETS",
        ">TX BYTES",
    ]);
    for row in rows {
        table.row([
            row.name.clone(),
            row.vni.to_string(),
            if row.learning { "yes" } else { "no" }.to_owned(),
            if row.suppression { "yes" } else { "no" }.to_owned(),
            or_dash(row.vrf.as_ref()),
            if row.router.is_empty() { "-".to_owned() } else { row.router.join(",") },
            row.ports.to_string(),
            row.peers.to_string(),
            row.fdb.to_string(),
            row.rx_packets.to_string(),
            units::bytes(row.rx_bytes),
            row.tx_packets.to_string(),
            units::bytes(row.tx_bytes),
        ]);
    }
    table.render()
}

/// `overlay show peers`.
pub fn peers(rows: &[PeerRow]) -> String {
    let mut table = Table::new(&[
        "PEER",
        "VTEP",
        "ENCAP",
        "SEGMENTS",
        "VRFS",
        "STATE",
        "INTERFACE",
        "NEXT HOP",
        "MAC",
        ">FDB",
        "MTU",
        ">RX PACKETS",
        ">RX BYTES",
        ">TX PACKETS",
        ">TX BYTES",
        "WHY",
    ]);
    for row in rows {
        table.row([
            row.name.clone(),
            row.vtep.clone(),
            row.encap.clone(),
            row.segments.join(","),
            if row.vrfs.is_empty() { "-".to_owned() } else { row.vrfs.join(",") },
            row.state.clone(),
            or_dash(row.interface.as_ref()),
            or_dash(row.next_hop.as_ref()),
            or_dash(row.mac.as_ref()),
            row.fdb.to_string(),
            or_dash(row.mtu.as_ref()),
            row.rx_packets.to_string(),
            units::bytes(row.rx_bytes),
            row.tx_packets.to_string(),
            units::bytes(row.tx_bytes),
            row.why.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}

/// `overlay show fdb`, page by page.
pub struct FdbTable(Table);

impl FdbTable {
    /// A table without rows.
    pub fn new() -> Self {
        Self(Table::new(&["SEGMENT", ">VNI", "MAC", "WHERE", "KIND", ">AGE"]))
    }

    /// Adds an address.
    pub fn row(&mut self, row: &FdbRow<'_>) {
        let vlan = vlan(row.vlan, row.protocol.as_deref());
        let place = match (&row.peer, &row.interface, vlan) {
            (Some(peer), _, _) => format!("peer {peer}"),
            (None, Some(interface), Some(vlan)) => format!("port {interface} vlan {vlan}"),
            (None, Some(interface), None) => format!("port {interface}"),
            (None, None, _) => "-".to_owned(),
        };
        let (kind, age) = match (row.is_static, row.is_loaded) {
            (false, _) => ("learned", format!("{} s", row.age)),
            (true, false) => ("static", "-".to_owned()),
            (true, true) => ("loaded", "-".to_owned()),
        };
        self.0.row([
            row.segment.to_string(),
            row.vni.to_string(),
            row.mac.to_string(),
            place,
            kind.to_owned(),
            age,
        ]);
    }

    /// How many lines the next page has.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }

    /// The lines that were added since the last page.
    pub fn page(&mut self) -> String {
        self.0.page()
    }
}

impl Default for FdbTable {
    fn default() -> Self {
        Self::new()
    }
}

/// `overlay show neighbours`.
pub fn neighbours(rows: &[NeighbourRow]) -> String {
    let mut table = Table::new(&["SEGMENT", "IP", "MAC", "KIND", "ROUTER"]);
    for row in rows {
        table.row([
            row.segment.clone(),
            row.ip.clone(),
            row.mac.clone(),
            row.origin.clone(),
            if row.router { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table.render()
}

/// `overlay show routes`.
pub fn routes(rows: &[RouteRow]) -> String {
    let mut table = Table::new(&["VRF", "PREFIX", "KIND", "SEGMENT", "VIA", "PEER", "MAC"]);
    for row in rows {
        table.row([
            row.vrf.clone(),
            row.prefix.clone(),
            row.kind.clone(),
            or_dash(row.segment.as_ref()),
            or_dash(row.via.as_ref()),
            or_dash(row.peer.as_ref()),
            or_dash(row.mac.as_ref()),
        ]);
    }
    table.render()
}

/// `overlay show acls`.
pub fn acls(rows: &[AclRow]) -> String {
    let mut table =
        Table::new(&["SEGMENT", "DIRECTION", ">#", "ACTION", "RULE", ">PACKETS", ">BYTES"]);
    for row in rows {
        table.row([
            row.segment.clone(),
            row.direction.clone(),
            or_dash(row.position.as_ref()),
            row.action.clone(),
            row.rule.clone(),
            row.packets.to_string(),
            units::bytes(row.bytes),
        ]);
    }
    table.render()
}

/// `overlay show drops`.
pub fn drops(rows: &[DropRow]) -> String {
    let mut table = Table::new(&["REASON", "WHERE", "HOOK", ">PACKETS"]);
    for row in rows {
        table.row([
            row.reason.clone(),
            row.place.clone(),
            row.hook.clone(),
            row.packets.to_string(),
        ]);
    }
    let mut text = table.render();
    if !rows.is_empty() {
        text += "overlay trace --drops says of each packet why, and what to do; each reason has a\n\
                 page of its own in the book: docs/src/drops/REASON.md\n";
    }
    text
}
