//! From TOML to values that are legal each by itself, with their places.

use std::net::IpAddr;
use std::ops::Range;

use overlay_common::id::{Vlan, Vni};
use overlay_common::wire::Mac;
use toml::de::DeTable;

use super::acl::{self, DraftDefault, DraftRule};
use super::api::{self, DraftApi};
use super::document::Section;
use super::metrics::DraftMetrics;
use super::source::{At, Problems};
use super::web::{self, DraftWeb};
use super::{Dscp, Encap, Limits, Mode, Prefix, Vteps, values};

/// The file. A `None` where a value is required was reported.
pub struct Draft {
    pub node: Option<DraftNode>,
    pub api: Option<DraftApi>,
    pub uplinks: Vec<DraftUplink>,
    pub segments: Vec<DraftSegment>,
    pub vrfs: Vec<DraftVrf>,
    pub peers: Vec<DraftPeer>,
    pub metrics: DraftMetrics,
    pub web: Option<DraftWeb>,
}

pub struct DraftNode {
    pub name: Option<At<String>>,
    pub vtep: Option<At<Vteps>>,
    pub vxlan_port: Option<At<u16>>,
    pub geneve_port: Option<At<u16>>,
    pub ageing: Option<At<u32>>,
    pub fdb_entries: Option<At<u32>>,
    pub mss_clamp: Option<At<bool>>,
    pub dscp: Option<At<Dscp>>,
    pub router_mac: Option<At<Mac>>,
    pub wait_for_interfaces: Option<At<bool>>,
}

pub struct DraftUplink {
    pub interface: Option<At<String>>,
    pub mode: Option<At<Mode>>,
}

pub struct DraftSegment {
    pub name: Option<At<String>>,
    pub vni: Option<At<Vni>>,
    pub learning: Option<At<bool>>,
    pub limits: Limits,
    pub suppression: Option<At<bool>>,
    pub ports: Vec<DraftPort>,
    pub fdb: Vec<DraftStatic>,
    pub neighbours: Vec<DraftNeighbour>,
    pub acl: Vec<DraftRule>,
    pub acl_default: DraftDefault,
    pub vrf: Option<At<String>>,
    pub router: Option<At<Vec<At<Prefix>>>>,
    /// Whether there is a `router`, right or wrong.
    pub has_router: bool,
}

pub struct DraftVrf {
    pub name: Option<At<String>>,
    pub vni: Option<At<Vni>>,
    pub routes: Vec<DraftRoute>,
}

pub struct DraftRoute {
    pub prefix: Option<At<Prefix>>,
    pub peer: Option<At<String>>,
    pub via: Option<At<IpAddr>>,
    pub segment: Option<At<String>>,
    pub kind: Option<At<Nowhere>>,
}

/// A route that leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Nowhere {
    Unreachable,
    Blackhole,
}

pub struct DraftPort {
    pub span: Range<usize>,
    pub interface: Option<At<String>>,
    pub vlan: Option<At<Vlan>>,
    pub mode: Option<At<Mode>>,
    pub sticky: Option<At<bool>>,
    pub limits: Limits,
    pub hosts: Vec<DraftHost>,
}

pub struct DraftHost {
    pub mac: Option<At<Mac>>,
    pub ips: Option<At<Vec<At<IpAddr>>>>,
}

pub struct DraftStatic {
    pub mac: Option<At<Mac>>,
    pub peer: Option<At<String>>,
    pub interface: Option<At<String>>,
    pub vlan: Option<At<Vlan>>,
}

pub struct DraftNeighbour {
    pub span: Range<usize>,
    pub ip: Option<At<IpAddr>>,
    pub mac: Option<At<Mac>>,
    pub router: Option<At<bool>>,
}

pub struct DraftPeer {
    pub name: Option<At<String>>,
    pub vtep: Option<At<IpAddr>>,
    pub encap: Option<At<Encap>>,
    pub port: Option<At<u16>>,
    pub mtu: Option<At<u16>>,
    pub segments: Option<At<Vec<At<String>>>>,
    pub vrfs: Option<At<Vec<At<String>>>>,
    pub dscp: Option<At<Dscp>>,
    pub router_mac: Option<At<Mac>>,
    pub limits: Limits,
}

/// Reads the whole file. After an error of syntax nothing else is judged: what
/// follows it may have been misread.
pub fn read(text: &str, problems: &mut Problems) -> Option<Draft> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let (message, help) = syntax(error.message());
        problems.add(&span, message, help);
    }
    if errors.is_empty() { Some(draft(document.get_ref(), problems)) } else { None }
}

fn draft(document: &DeTable, problems: &mut Problems) -> Draft {
    let mut root = Section::root(document);
    if !root.has("node") {
        let help =
            "add [node] with name = \"gw1\" and vtep = \"192.0.2.1\", an address of this host";
        problems.add(&(0..0), "the file has no [node]", help);
    }
    let node = root.table(problems, "node", "[node]");
    let draft = Draft {
        node: node.map(|section| read_node(section, problems)),
        api: root.table(problems, "api", "[api]").map(|section| api::read(section, problems)),
        uplinks: uplinks(&mut root, problems),
        segments: each(root.tables(problems, "segment", "[[segment]]"), problems, segment),
        vrfs: each(root.tables(problems, "vrf", "[[vrf]]"), problems, vrf),
        peers: each(root.tables(problems, "peer", "[[peer]]"), problems, peer),
        metrics: metrics(root.table(problems, "metrics", "[metrics]"), problems),
        web: root.table(problems, "web", "[web]").map(|section| web::read(section, problems)),
    };
    root.finish(problems);
    draft
}

/// At least one is needed.
fn uplinks(root: &mut Section, problems: &mut Problems) -> Vec<DraftUplink> {
    let before = problems.len();
    let sections = root.tables(problems, "uplink", "[[uplink]]");
    if sections.is_empty() && problems.len() == before {
        let help = "add [[uplink]] with interface = \"eth0\", the device that faces the underlay";
        problems.add(&(0..0), "the file has no [[uplink]]", help);
    }
    each(sections, problems, uplink)
}

fn metrics(section: Option<Section>, problems: &mut Problems) -> DraftMetrics {
    section.map(|section| DraftMetrics::read(section, problems)).unwrap_or_default()
}

fn each<'a, T>(
    sections: Vec<Section<'a>>,
    problems: &mut Problems,
    read: impl Fn(Section<'a>, &mut Problems) -> T,
) -> Vec<T> {
    sections.into_iter().map(|section| read(section, problems)).collect()
}

fn read_node(mut s: Section, p: &mut Problems) -> DraftNode {
    let node = DraftNode {
        name: s.required(p, "name", values::name, "add name = \"gw1\": it names socket and pins"),
        vtep: s.required(
            p,
            "vtep",
            values::vteps,
            "add vtep = \"192.0.2.1\", an address of this host",
        ),
        vxlan_port: s.optional(p, "vxlan_port", values::udp_port),
        geneve_port: s.optional(p, "geneve_port", values::udp_port),
        ageing: s.optional(p, "ageing", values::ageing),
        fdb_entries: s.optional(p, "fdb_entries", values::fdb_entries),
        mss_clamp: s.optional(p, "mss_clamp", values::boolean),
        dscp: s.optional(p, "dscp", values::dscp),
        router_mac: s.optional(p, "router_mac", values::mac),
        wait_for_interfaces: s.optional(p, "wait_for_interfaces", values::boolean),
    };
    s.finish(p);
    node
}

fn uplink(mut s: Section, p: &mut Problems) -> DraftUplink {
    let uplink = DraftUplink {
        interface: s.required(p, "interface", values::interface, "add interface = \"eth0\""),
        mode: s.optional(p, "mode", values::mode),
    };
    s.finish(p);
    uplink
}

fn segment(mut s: Section, p: &mut Problems) -> DraftSegment {
    let segment = DraftSegment {
        has_router: s.has("router"),
        name: s.required(p, "name", values::name, "add name = \"blue\""),
        vni: s.required(p, "vni", values::vni, "add vni = 100, the same on every gateway"),
        learning: s.optional(p, "learning", values::boolean),
        limits: limits(s.table(p, "limit", "[segment.limit]"), p),
        suppression: s.optional(p, "suppression", values::boolean),
        ports: each(s.tables(p, "port", "[[segment.port]]"), p, port),
        fdb: each(s.tables(p, "fdb", "[[segment.fdb]]"), p, static_mac),
        neighbours: each(s.tables(p, "neighbour", "[[segment.neighbour]]"), p, neighbour),
        acl: each(s.tables(p, "acl", "[[segment.acl]]"), p, acl::rule),
        acl_default: acl::default(s.table(p, "acl_default", "[segment.acl_default]"), p),
        vrf: s.optional(p, "vrf", values::name),
        router: s.optional(p, "router", values::router),
    };
    s.finish(p);
    segment
}

fn port(mut s: Section, p: &mut Problems) -> DraftPort {
    let port = DraftPort {
        span: s.span.clone(),
        interface: s.required(p, "interface", values::interface, "add interface = \"eth1\""),
        vlan: vlan(&mut s, p),
        mode: s.optional(p, "mode", values::mode),
        sticky: s.optional(p, "sticky", values::boolean),
        limits: limits(s.table(p, "limit", "[segment.port.limit]"), p),
        hosts: each(s.tables(p, "host", "[[segment.port.host]]"), p, host),
    };
    s.finish(p);
    port
}

fn host(mut s: Section, p: &mut Problems) -> DraftHost {
    let host = DraftHost {
        mac: s.required(p, "mac", values::mac, "add mac = \"02:00:00:00:01:01\""),
        ips: s.optional(p, "ip", values::hosts),
    };
    s.finish(p);
    host
}

/// A VLAN: its number, and the kind of its tags.
fn vlan(s: &mut Section, p: &mut Problems) -> Option<At<Vlan>> {
    let id = s.optional(p, "vlan", values::vlan);
    let kind = s.optional(p, "protocol", values::tag_kind);
    if let Some(kind) = &kind
        && !s.has("vlan")
    {
        let help = "protocol is that of a VLAN's tags: add vlan = 10, or leave it out";
        p.add(&kind.span, "protocol without vlan", help);
    }
    let At { value, span } = id?;
    let kind = kind.map(|at| at.value).unwrap_or_default();
    Some(At { value: Vlan::new(value, kind)?, span })
}

fn static_mac(mut s: Section, p: &mut Problems) -> DraftStatic {
    let entry = DraftStatic {
        mac: s.required(p, "mac", values::mac, "add mac = \"02:00:00:00:02:02\""),
        peer: s.optional(p, "peer", values::name),
        interface: s.optional(p, "interface", values::interface),
        vlan: vlan(&mut s, p),
    };
    match (s.has("peer"), s.has("interface")) {
        (false, false) => {
            let help = "add peer = \"gw2\", or interface = \"eth1\" for a local port";
            p.add(&s.span, "[[segment.fdb]] has neither peer nor interface", help);
        }
        (true, true) => {
            let help = "an address is in one place: keep peer or interface";
            p.add(&s.span, "[[segment.fdb]] has both peer and interface", help);
        }
        (true, false) if s.has("vlan") => {
            let help = "vlan goes with interface; leave it out here";
            p.add(&s.span, "[[segment.fdb]] has both peer and vlan", help);
        }
        _ => {}
    }
    s.finish(p);
    entry
}

fn neighbour(mut s: Section, p: &mut Problems) -> DraftNeighbour {
    let entry = DraftNeighbour {
        span: s.span.clone(),
        ip: s.required(p, "ip", values::host, "add ip = \"10.0.0.5\", the host's address"),
        mac: s.required(p, "mac", values::mac, "add mac = \"02:00:00:00:02:02\""),
        router: s.optional(p, "router", values::boolean),
    };
    s.finish(p);
    entry
}

fn vrf(mut s: Section, p: &mut Problems) -> DraftVrf {
    let vrf = DraftVrf {
        name: s.required(p, "name", values::name, "add name = \"red\""),
        vni: s.optional(p, "vni", values::vni),
        routes: each(s.tables(p, "route", "[[vrf.route]]"), p, route),
    };
    s.finish(p);
    vrf
}

fn route(mut s: Section, p: &mut Problems) -> DraftRoute {
    let route = DraftRoute {
        prefix: s.required(p, "prefix", values::network, "add prefix = \"10.9.0.0/16\""),
        peer: s.optional(p, "peer", values::name),
        via: s.optional(p, "via", values::host),
        segment: s.optional(p, "segment", values::name),
        kind: s.optional(p, "kind", values::nowhere),
    };
    let ways = ["peer", "via", "segment", "kind"].map(|key| s.has(key));
    if !matches!(
        ways,
        [true, false, false, false]
            | [false, true, _, false]
            | [false, false, true, false]
            | [false, false, false, true]
    ) {
        let help = "a route has peer = \"gw2\", or via = \"10.1.0.254\" with or without segment, or \
                    segment = \"blue\", or kind = \"unreachable\" or \"blackhole\"";
        let what = if ways.contains(&true) { "leads to several places" } else { "leads nowhere" };
        p.add(&s.span, format!("[[vrf.route]] {what}"), help);
    }
    s.finish(p);
    route
}

fn peer(mut s: Section, p: &mut Problems) -> DraftPeer {
    let segments = "add segments = [\"blue\"]: a peer may use no segment that is not named";
    let peer = DraftPeer {
        name: s.required(p, "name", values::name, "add name = \"gw2\""),
        vtep: s.required(p, "vtep", values::vtep, "add vtep = \"192.0.2.2\", the peer's address"),
        encap: s.optional(p, "encap", values::encap),
        port: s.optional(p, "port", values::udp_port),
        mtu: s.optional(p, "mtu", values::mtu),
        segments: s.required(p, "segments", values::segments, segments),
        vrfs: s.optional(p, "vrfs", values::vrfs),
        dscp: s.optional(p, "dscp", values::dscp),
        router_mac: s.optional(p, "router_mac", values::mac),
        limits: limits(s.table(p, "limit", "[peer.limit]"), p),
    };
    s.finish(p);
    peer
}

/// What is legal by itself; what is not was reported, and stands for no limit.
fn limits(section: Option<Section>, p: &mut Problems) -> Limits {
    let Some(mut s) = section else { return Limits::default() };
    let limits = Limits {
        bits: s.optional(p, "bits", values::bits).map(|at| at.value),
        packets: s.optional(p, "packets", values::packets).map(|at| at.value),
        floods: s.optional(p, "floods", values::packets).map(|at| at.value),
        macs: s.optional(p, "macs", values::macs).map(|at| at.value),
    };
    s.finish(p);
    limits
}

/// The parser's words, and what to do about them.
fn syntax(message: &str) -> (String, &'static str) {
    let help = if message.contains("duplicate key") {
        "keep one of the two; tables that may come several times have two brackets: [[segment]]"
    } else if message.contains("must be quoted") {
        "values are numbers, true or false, lists, or strings in double quotes"
    } else {
        "this is not TOML: tables are [node] or [[uplink]], values are key = \"value\""
    };
    (format!("syntax: {message}"), help)
}
