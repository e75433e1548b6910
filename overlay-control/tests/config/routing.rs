//! VRFs, routers, routes, and hosts that are bound to their ports.

use crate::marked::{BLUE, GW2, NODE, UPLINK, accepted, refused};

const RED: &str = "[[vrf]]\nname = \"red\"\nvni = 5000\n";
const ROUTER: &str = "vrf = \"red\"\nrouter = [\"10.1.0.1/24\"]\n";

fn head() -> String {
    format!("{NODE}{UPLINK}{BLUE}")
}

#[test]
fn a_router_has_an_address_and_a_vrf() {
    let segment = |keys: &str, message: &str, help: &str| {
        refused(&format!("{}{keys}{RED}", head()), &[(message, help)]);
    };
    segment("vrf = ¦\"red\"\n", "vrf without router", "add router");
    segment("router = ¦[\"10.1.0.1/24\"]\n", "router without vrf", "add vrf");
    segment(
        "router = [\"10.1.0.1/24\"]\nvrf = ¦\"rad\"\n",
        "there is no VRF \"rad\"",
        "did you mean \"red\"?",
    );
    segment(
        &format!("{ROUTER}suppression = ¦false\n"),
        "suppression = false in a segment with a router",
        "leave suppression out",
    );
    let own = "[[segment.neighbour]]\nip = ¦\"10.1.0.1\"\nmac = \"02:00:00:00:00:01\"\n";
    segment(&format!("{ROUTER}{own}"), "ip 10.1.0.1 is the router's (line 10)", "needs no");
    let address = |text: &str, message: &str| {
        let keys = format!("vrf = \"red\"\nrouter = ¦{text}\n");
        segment(&keys, &format!("router {message}"), "the router's addresses");
    };
    address("\"10.1.0.1/24\"", "is a string, not a list");
    address("[]", "is empty");
    address("[\"10.1.0.1\"]", "\"10.1.0.1\" is no address with a length");
    address("[\"10.1.0.0/24\"]", "10.1.0.0/24 is the network itself, not a host in it");
    address("[\"10.1.0.255/24\"]", "10.1.0.255/24 is the network itself, not a host in it");
    address("[\"fd00::/64\"]", "fd00::/64 is the network itself, not a host in it");
    address("[\"224.0.0.1/24\"]", "224.0.0.1/24 is no address that a router can have");
    address(
        "[\"fe80::1/64\"]",
        "fe80::1/64 is a link-local address, of which the router has one anyway",
    );
    for fine in ["10.1.0.1/31", "10.1.0.0/31", "10.1.0.1/32", "fd00::1/127", "fd00::1/128"] {
        accepted(&format!("{}vrf = \"red\"\nrouter = [\"{fine}\"]\n{RED}", head()));
    }
}

#[test]
fn a_network_is_in_one_segment_of_a_vrf() {
    let two = |vrf: &str, router: &str| {
        format!(
            "{}{ROUTER}[[segment]]\nname = \"green\"\nvni = 2\nvrf = \"{vrf}\"\n\
             router = [{router}]\n{RED}[[vrf]]\nname = \"other\"\n",
            head()
        )
    };
    accepted(&two("other", "\"10.1.0.1/24\""));
    accepted(&two("red", "\"10.2.0.1/24\", \"10.3.0.1/24\""));
    refused(
        &two("red", "¦\"10.1.0.129/25\""),
        &[("10.1.0.129/25 overlaps 10.1.0.1/24 (line 10) of the same VRF", "one segment")],
    );
    refused(
        &two("red", "\"10.2.0.1/24\", ¦\"10.2.0.1/24\""),
        &[("10.2.0.1/24 overlaps 10.2.0.1/24 (line 15) of the same VRF", "one segment")],
    );
}

#[test]
fn vnis_are_of_segments_or_of_vrfs() {
    refused(
        &format!("{}[[vrf]]\nname = \"red\"\nvni = ¦100\n", head()),
        &[("vni 100 is that of a segment (line 8)", "a VNI of its own")],
    );
    refused(
        &format!("{}{RED}[[vrf]]\nname = ¦\"red\"\nvni = ¦5000\n", head()),
        &[
            ("vrf name red is used twice", "line 10"),
            ("vni of a VRF 5000 is used twice", "line 11"),
        ],
    );
    let peer = |vrfs: &str| format!("{}{GW2}vrfs = {vrfs}\n{RED}[[vrf]]\nname = \"dry\"\n", head());
    accepted(&peer("[\"red\"]"));
    refused(&peer("[¦\"rod\"]"), &[("there is no VRF \"rod\"", "did you mean \"red\"?")]);
    refused(&peer("[¦\"dry\"]"), &[("VRF dry has no vni, so no peer can use it", "add vni")]);
    let twice = "vrf of this peer red is used twice";
    refused(&peer("[\"red\", ¦\"red\"]"), &[(twice, "line")]);
}

#[test]
fn routes_lead_somewhere() {
    let route = |keys: &str, message: &str, help: &str| {
        let text = format!("{}{ROUTER}{GW2}{RED}[[vrf.route]]\n{keys}\n", head());
        refused(&text.replace("[[vrf.route]]\n¦", "¦[[vrf.route]]\n"), &[(message, help)]);
    };
    let ten = "prefix = \"10.9.0.0/16\"\n";
    route(&format!("¦{ten}"), "[[vrf.route]] leads nowhere", "a route has");
    route(
        &format!("¦{ten}kind = \"blackhole\"\nsegment = \"blue\""),
        "[[vrf.route]] leads to several places",
        "a route has",
    );
    route(
        "prefix = ¦\"10.9.0.1/16\"\nkind = \"blackhole\"",
        "prefix \"10.9.0.1/16\" has bits behind its length",
        "did you mean \"10.9.0.0/16\"?",
    );
    route(
        "prefix = ¦\"10.9.0.0\"\nkind = \"blackhole\"",
        "prefix \"10.9.0.0\" is no address with a length",
        "a network such as",
    );
    route(
        &format!("{ten}kind = ¦\"blackhoel\""),
        "kind \"blackhoel\" does not exist",
        "did you mean \"blackhole\"?",
    );
    route(&format!("{ten}peer = ¦\"gw3\""), "there is no peer \"gw3\"", "did you mean");
    route(&format!("{ten}peer = ¦\"gw2\""), "peer gw2 may not use VRF red", "add vrfs");
    route(
        &format!("{ten}via = ¦\"10.2.0.1\""),
        "via 10.2.0.1 is in no network of VRF red",
        "or name the segment too",
    );
    route(
        &format!("{ten}via = ¦\"10.1.0.1\""),
        "via 10.1.0.1 is this router itself (line 10)",
        "another router",
    );
    route(
        &format!("{ten}via = ¦\"fd00::1\""),
        "via fd00::1 is of another family than the prefix",
        "in the prefix's family",
    );
    route(&format!("{ten}segment = ¦\"blau\""), "there is no segment \"blau\"", "did you mean");
    let green = "[[segment]]\nname = \"green\"\nvni = 2\n";
    let text = format!("{}{ROUTER}{green}{RED}[[vrf.route]]\n{ten}segment = ¦\"green\"\n", head());
    refused(&text, &[("segment green is not of VRF red", "add vrf")]);
    let twice = format!(
        "{}{RED}[[vrf.route]]\n{ten}kind = \"blackhole\"\n[[vrf.route]]\n\
         prefix = ¦\"10.9.0.0/16\"\nkind = \"unreachable\"\n",
        head()
    );
    refused(&twice, &[("prefix of this VRF 10.9.0.0/16 is used twice", "line 13")]);
}

#[test]
fn hosts_are_bound_once() {
    let port = format!("{}[[segment.port]]\ninterface = \"eth1\"\n[[segment.port.host]]\n", head());
    accepted(&format!("{port}mac = \"02:00:00:00:00:01\"\n"));
    refused(
        &format!("{port}mac = \"02:00:00:00:00:01\"\nip = [¦\"10.0.0.256\"]\n").replace("[¦", "¦["),
        &[("ip \"10.0.0.256\" is no IP address", "the address of one host")],
    );
    refused(
        &format!("{port}mac = \"02:00:00:00:00:01\"\nip = ¦\"10.0.0.5\"\n"),
        &[("ip is a string, not a list", "the host's addresses")],
    );
    refused(
        &format!(
            "{port}mac = \"02:00:00:00:00:01\"\nip = [\"10.0.0.5\"]\n[[segment.port.host]]\n\
             mac = ¦\"02:00:00:00:00:01\"\nip = [¦\"10.0.0.5\"]\n"
        ),
        &[
            ("mac of this port 02:00:00:00:00:01 is used twice", "line 12"),
            ("ip of this port 10.0.0.5 is used twice", "line 13"),
        ],
    );
}

#[test]
fn a_dscp_has_six_bits() {
    let node = |value: &str, message: &str| {
        refused(&format!("{NODE}dscp = ¦{value}\n{UPLINK}"), &[(message, "63")]);
    };
    node("64", "dscp is 64: out of range");
    node("\"ef\"", "dscp \"ef\" does not exist");
    node("true", "dscp is a boolean, not an integer");
}
