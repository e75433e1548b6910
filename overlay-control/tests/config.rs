//! The configuration file: what is taken, and what is refused where and why.
//!
//! In the texts, `¦` marks the place at which an error is expected; it is taken
//! out before the text is parsed.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use overlay_common::id::Vni;
use overlay_common::wire::Mac;
use overlay_control::config::{
    AccessPort, Config, ConfigError, Encap, HostFacts, Mode, Node, Peer, Place, Segment, StaticMac,
    Uplink,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const NODE: &str = "[node]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\n";
const UPLINK: &str = "[[uplink]]\ninterface = \"eth0\"\n";
const BLUE: &str = "[[segment]]\nname = \"blue\"\nvni = 100\n";
const GW2: &str = "[[peer]]\nname = \"gw2\"\nvtep = \"192.0.2.2\"\nsegments = [\"blue\"]\n";

/// The places of the marks, and the text without them.
fn unmark(marked: &str) -> (Vec<(usize, usize)>, String) {
    let mut places = Vec::new();
    let mut text = String::new();
    let (mut line, mut column) = (1, 1);
    for c in marked.chars() {
        if c == '¦' {
            places.push((line, column));
            continue;
        }
        text.push(c);
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    (places, text)
}

/// Parses a marked text and expects one error at each mark, in their order, with
/// this message and a help that holds these words.
#[track_caller]
fn refused(marked: &str, expected: &[(&str, &str)]) {
    let (places, text) = unmark(marked);
    assert_eq!(places.len(), expected.len(), "one mark for each error");
    let errors = Config::parse(&text, "gw.toml").expect_err("refused");
    let shown: Vec<String> = errors.iter().map(ConfigError::to_string).collect();
    let shown = shown.join("\n");
    assert_eq!(errors.len(), expected.len(), "{shown}");
    for ((error, (message, help)), (line, column)) in errors.iter().zip(expected).zip(places) {
        assert_eq!(error.message, *message, "{shown}");
        assert!(error.help.contains(help), "help without {help:?}:\n{shown}");
        assert_eq!((error.line, error.column), (line, column), "{shown}");
        assert_eq!(error.file, "gw.toml");
    }
}

#[track_caller]
fn accepted(text: &str) -> Config {
    match Config::parse(text, "gw.toml") {
        Ok(config) => config,
        Err(errors) => panic!("{}", errors[0]),
    }
}

#[test]
fn every_key_is_read() {
    let config = accepted(
        r#"
[node]
name        = "gw1"
vtep        = "192.0.2.1"
ageing      = 60
fdb_entries = 1000

[[uplink]]
interface = "eth0"
mode      = "xdp"

[[segment]]
name     = "blue"
vni      = 100
learning = false

[[segment.port]]
interface = "eth1"
vlan      = 10
mode      = "tc"

[[segment.port]]
interface = "eth2"
mode      = "xdp-generic"

[[segment.fdb]]
mac  = "02:00:00:00:02:02"
peer = "gw2"

[[segment.fdb]]
mac       = "02-00-00-00-02-0A"
interface = "eth1"
vlan      = 10

[[peer]]
name     = "gw2"
vtep     = "192.0.2.2"
encap    = "vxlan"
segments = ["blue"]
"#,
    );
    assert_eq!(
        config.node,
        Node {
            name: "gw1".into(),
            vtep: Ipv4Addr::new(192, 0, 2, 1),
            ageing: 60,
            fdb_entries: 1000
        }
    );
    assert_eq!(config.uplinks, [Uplink { interface: "eth0".into(), mode: Mode::Xdp }]);
    let port = |interface: &str, vlan, mode| AccessPort { interface: interface.into(), vlan, mode };
    let static_mac = |last, place| StaticMac { mac: Mac([2, 0, 0, 0, 2, last]), place };
    assert_eq!(
        config.segments,
        [Segment {
            name: "blue".into(),
            vni: Vni::new(100).unwrap(),
            learning: false,
            ports: vec![port("eth1", Some(10), Mode::Tc), port("eth2", None, Mode::XdpGeneric)],
            fdb: vec![
                static_mac(2, Place::Peer("gw2".into())),
                static_mac(10, Place::Port { interface: "eth1".into(), vlan: Some(10) }),
            ],
        }]
    );
    assert_eq!(
        config.peers,
        [Peer {
            name: "gw2".into(),
            vtep: Ipv4Addr::new(192, 0, 2, 2),
            encap: Encap::Vxlan,
            segments: vec!["blue".into()],
        }]
    );
}

#[test]
fn what_is_left_out_has_its_default() {
    let config =
        accepted(&format!("{NODE}{UPLINK}{BLUE}[[segment.port]]\ninterface = \"eth1\"\n{GW2}"));
    assert_eq!((config.node.ageing, config.node.fdb_entries), (300, 1 << 20));
    assert_eq!(config.uplinks[0].mode, Mode::Auto);
    assert!(config.segments[0].learning);
    assert_eq!(config.segments[0].ports[0].vlan, None);
    assert_eq!(config.segments[0].ports[0].mode, Mode::Auto);
    assert_eq!(config.peers[0].encap, Encap::Vxlan);
}

#[test]
fn a_node_may_have_neither_segments_nor_peers() {
    let config = accepted(&format!("{NODE}{UPLINK}"));
    assert!(config.segments.is_empty() && config.peers.is_empty());
}

#[test]
fn limits_are_inside() {
    for vni in ["1", "16777215", "0x64", "1_000"] {
        accepted(&format!("{NODE}{UPLINK}[[segment]]\nname = \"b\"\nvni = {vni}\n"));
    }
    for vlan in [1, 4094] {
        accepted(&format!(
            "{NODE}{UPLINK}{BLUE}[[segment.port]]\ninterface = \"eth1\"\nvlan = {vlan}\n"
        ));
    }
    for (key, value) in [("ageing", 10), ("ageing", 1_000_000), ("fdb_entries", 16_777_216)] {
        accepted(&format!("{NODE}{key} = {value}\n{UPLINK}"));
    }
    let long = "x".repeat(64);
    accepted(&format!("[node]\nname = \"{long}\"\nvtep = \"192.0.2.1\"\n{UPLINK}"));
    accepted(&format!("{NODE}[[uplink]]\ninterface = \"abcdefghijklmno\"\n"));
}

#[test]
fn an_empty_file_says_what_is_needed() {
    refused(
        "¦¦",
        &[
            ("the file has no [node]", "name = \"gw1\" and vtep ="),
            ("the file has no [[uplink]]", "interface = \"eth0\""),
        ],
    );
    refused(&format!("¦uplink = []\n{NODE}"), &[("the file has no [[uplink]]", "eth0")]);
}

#[test]
fn everything_wrong_is_reported_at_once() {
    refused(
        "[node]\nname = ¦7\nvtep = ¦\"192.0.2\"\n¦colour = 1\n\
         ¦[[uplink]]\n[[segment]]\nname = \"blue\"\nvni = ¦0\n\
         [[peer]]\nname = \"gw2\"\nvtep = \"192.0.2.2\"\nsegments = [¦\"bleu\"]\n",
        &[
            ("name is an integer, not a string", "a name in quotes"),
            ("vtep \"192.0.2\" is no IP address", "such as \"192.0.2.1\""),
            ("unknown key colour in [node]", "[node] takes name, vtep, ageing, fdb_entries"),
            ("[[uplink]] has no interface", "add interface = \"eth0\""),
            ("vni is 0: out of range", "from 1 to 16777215"),
            ("there is no segment \"bleu\"", "did you mean \"blue\"?"),
        ],
    );
}

#[test]
fn errors_are_shown_with_file_line_and_column() {
    let text = format!("{NODE}{UPLINK}[[segment]]\nname = \"blue\"\nvni = 0\n");
    let errors = Config::parse(&text, "/etc/overlay/overlay.toml").unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "/etc/overlay/overlay.toml:8:7: vni is 0: out of range\n  \
         help: a number from 1 to 16777215: a VNI has 24 bits and is not 0"
    );
}

#[test]
fn syntax_errors_come_alone() {
    refused(
        &format!("{NODE}vtep2 = ¦eth0\n"),
        &[("syntax: string values must be quoted, expected literal string", "double quotes")],
    );
    refused(&format!("{NODE}{UPLINK}[¦node]\n"), &[("syntax: duplicate key", "keep one of the")]);
    refused("[node¦\n", &[("syntax: unclosed table, expected `]`", "this is not TOML")]);
}

#[test]
fn unknown_keys_are_refused_everywhere() {
    let unknown = |before: &str, key: &str, place: &str, help: &str| {
        let message = format!("unknown key {key} in {place}");
        refused(&format!("{before}¦{key} = 1\n"), &[(&message, help)]);
    };
    let rest = format!("{NODE}{UPLINK}");
    refused(
        &format!("{rest}[[¦segmnet]]\nname = \"blue\"\n"),
        &[("unknown key segmnet in the file", "did you mean segment? the file takes node, ")],
    );
    refused(
        &format!("[node]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\n¦ageeing = 1\n{UPLINK}"),
        &[("unknown key ageeing in [node]", "did you mean ageing?")],
    );
    unknown(&rest, "interfaces", "[[uplink]]", "did you mean interface?");
    unknown(&format!("{rest}{BLUE}"), "vnni", "[[segment]]", "did you mean vni?");
    let port = format!("{rest}{BLUE}[[segment.port]]\ninterface = \"eth1\"\n");
    unknown(&port, "vlna", "[[segment.port]]", "did you mean vlan?");
    unknown(
        &format!("{rest}{BLUE}{GW2}"),
        "zzzzzz",
        "[[peer]]",
        "[[peer]] takes name, vtep, encap",
    );
    let fdb = format!("{rest}{BLUE}[[segment.fdb]]\nmac = \"02:00:00:00:00:01\"\npeer = \"gw2\"\n");
    let marked = format!("{fdb}¦peers = 1\n{GW2}");
    refused(&marked, &[("unknown key peers in [[segment.fdb]]", "did you mean peer?")]);
}

#[test]
fn required_keys_are_required() {
    refused(
        &format!("¦¦[node]\n{UPLINK}"),
        &[("[node] has no name", "add name ="), ("[node] has no vtep", "add vtep =")],
    );
    refused(
        &format!("{NODE}{UPLINK}¦¦[[segment]]\n"),
        &[("[[segment]] has no name", "add name ="), ("[[segment]] has no vni", "add vni = 100")],
    );
    refused(
        &format!("{NODE}{UPLINK}{BLUE}¦[[segment.port]]\nvlan = 3\n"),
        &[("[[segment.port]] has no interface", "add interface =")],
    );
    refused(
        &format!("{NODE}{UPLINK}{BLUE}¦¦[[segment.fdb]]\n"),
        &[
            ("[[segment.fdb]] has no mac", "add mac ="),
            ("[[segment.fdb]] has neither peer nor interface", "add peer ="),
        ],
    );
    refused(
        &format!("{NODE}{UPLINK}¦¦¦[[peer]]\n"),
        &[
            ("[[peer]] has no name", "add name ="),
            ("[[peer]] has no vtep", "add vtep ="),
            ("[[peer]] has no segments", "add segments = [\"blue\"]"),
        ],
    );
}

#[test]
fn tables_and_lists_of_tables_are_told_apart() {
    refused(
        &format!("{NODE}¦[uplink]\ninterface = \"eth0\"\n"),
        &[("uplink is a table, not a list of tables", "write [[uplink]], with two brackets")],
    );
    refused(
        &format!("¦[[node]]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\n{UPLINK}"),
        &[("node is a list, not a table", "write [node], once")],
    );
    refused(
        &format!("uplink = [¦\"eth0\"]\n{NODE}"),
        &[("uplink holds a string", "write [[uplink]] for each one")],
    );
}

#[test]
fn names_are_checked() {
    let name = |value: &str, message: &str| {
        let text = format!("{NODE}{UPLINK}[[segment]]\nname = ¦{value}\nvni = 1\n");
        refused(&text, &[(message, "1 to 64 letters, digits, dots")]);
    };
    name("\"\"", "name is empty");
    name("\"a b\"", "name \"a b\" holds ' '");
    name("\"a/b\"", "name \"a/b\" holds '/'");
    name("\"ü\"", "name \"ü\" holds 'ü'");
    name("\"..\"", "name \"..\" begins with a sign");
    name(&format!("\"{}\"", "x".repeat(65)), "name has 65 characters");
}

#[test]
fn interfaces_are_checked() {
    let interface = |value: &str, message: &str| {
        let text = format!("{NODE}[[uplink]]\ninterface = ¦{value}\n");
        refused(&text, &[(message, "")]);
    };
    interface("\"\"", "interface is empty");
    interface("\"abcdefghijklmnop\"", "interface \"abcdefghijklmnop\" has 16 characters");
    interface("\"eth 0\"", "interface \"eth 0\" holds ' '");
    interface("\"eth/0\"", "interface \"eth/0\" holds '/'");
    interface("\"..\"", "interface \"..\" is no device name");
    interface("0", "interface is an integer, not a string");
}

#[test]
fn vteps_are_checked() {
    let vtep = |value: &str, message: &str, help: &str| {
        let text = format!("[node]\nname = \"gw1\"\nvtep = ¦{value}\n{UPLINK}");
        refused(&text, &[(message, help)]);
    };
    vtep("\"gw1\"", "vtep \"gw1\" is no IP address", "an IPv4 address");
    vtep("\"192.0.2.1/24\"", "vtep \"192.0.2.1/24\" has a prefix length", "\"192.0.2.1\"");
    vtep("\"2001:db8::1\"", "vtep \"2001:db8::1\" is IPv6: not supported yet", "IPv4 address");
    vtep("\"0.0.0.0\"", "vtep \"0.0.0.0\" is the unspecified address", "unicast");
    vtep("\"127.0.0.1\"", "vtep \"127.0.0.1\" is a loopback address", "unicast");
    vtep("\"239.1.1.1\"", "vtep \"239.1.1.1\" is a multicast address", "unicast");
    vtep("\"255.255.255.255\"", "vtep \"255.255.255.255\" is the broadcast address", "unicast");
    vtep("1.5", "vtep is a float, not a string", "IPv4 address");
    let peer = format!("{NODE}{UPLINK}{BLUE}[[peer]]\nname = \"gw2\"\nvtep = ¦\"2001:db8::2\"\n");
    refused(
        &format!("{peer}segments = []\n"),
        &[("vtep \"2001:db8::2\" is IPv6: not supported yet", "IPv4")],
    );
}

#[test]
fn numbers_are_checked() {
    let vni = |value: &str, message: &str| {
        let text = format!("{NODE}{UPLINK}[[segment]]\nname = \"blue\"\nvni = ¦{value}\n");
        refused(&text, &[(message, "a number from 1 to 16777215")]);
    };
    vni("0", "vni is 0: out of range");
    vni("16777216", "vni is 16777216: out of range");
    vni("0x1000000", "vni is 0x1000000: out of range");
    vni("-1", "vni is -1: out of range");
    vni("99999999999999999999999", "vni is 99999999999999999999999: out of range");
    vni("\"100\"", "vni is a string, not an integer");
    vni("100.0", "vni is a float, not an integer");

    let vlan = |value: &str, message: &str| {
        let port = "[[segment.port]]\ninterface = \"eth1\"";
        let text = format!("{NODE}{UPLINK}{BLUE}{port}\nvlan = ¦{value}\n");
        refused(&text, &[(message, "a number from 1 to 4094")]);
    };
    vlan("0", "vlan is 0: out of range");
    vlan("4095", "vlan is 4095: out of range");
    vlan("true", "vlan is a boolean, not an integer");

    let node = |key: &str, value: &str, range: &str| {
        let message = format!("{key} is {value}: out of range");
        refused(&format!("{NODE}{key} = ¦{value}\n{UPLINK}"), &[(&message, range)]);
    };
    node("ageing", "9", "from 10 to 1000000");
    node("ageing", "1000001", "from 10 to 1000000");
    node("fdb_entries", "0", "from 1 to 16777216");
    node("fdb_entries", "16777217", "from 1 to 16777216");
}

#[test]
fn switches_modes_and_encapsulations_are_checked() {
    refused(
        &format!("{NODE}{UPLINK}{BLUE}learning = ¦\"true\"\n"),
        &[("learning is a string, not a boolean", "true or false, without quotes")],
    );
    let mode = |value: &str, message: &str, help: &str| {
        refused(&format!("{NODE}{UPLINK}mode = ¦{value}\n"), &[(message, help)]);
    };
    mode("\"xpd\"", "mode \"xpd\" does not exist", "did you mean \"xdp\"?");
    mode(
        "\"fast\"",
        "mode \"fast\" does not exist",
        "\"auto\", \"xdp\", \"xdp-generic\" or \"tc\"",
    );
    mode("\"user\"", "mode \"user\" is not supported yet", "\"auto\"");
    let encap = |value: &str, message: &str| {
        let text = format!("{NODE}{UPLINK}{BLUE}{GW2}encap = ¦{value}\n");
        refused(&text, &[(message, "\"vxlan\"")]);
    };
    encap("\"geneve\"", "encap \"geneve\" is not supported yet");
    encap("\"gre\"", "encap \"gre\" does not exist");
    encap("4789", "encap is an integer, not a string");
}

#[test]
fn static_addresses_are_checked() {
    let mac = |value: &str, message: &str| {
        let text =
            format!("{NODE}{UPLINK}{BLUE}[[segment.fdb]]\npeer = \"gw2\"\nmac = ¦{value}\n{GW2}");
        refused(&text, &[(message, "")]);
    };
    mac("\"02:00:00:00:00\"", "mac \"02:00:00:00:00\" is no MAC");
    mac("\"02:00:00:00:00:01:02\"", "mac \"02:00:00:00:00:01:02\" is no MAC");
    mac("\"02:00:00:00:00:0g\"", "mac \"02:00:00:00:00:0g\" is no MAC");
    mac("\"02:00:00:00:00:+1\"", "mac \"02:00:00:00:00:+1\" is no MAC");
    mac("\"ff:ff:ff:ff:ff:ff\"", "mac \"ff:ff:ff:ff:ff:ff\" is a broadcast or multicast address");
    mac("\"01:00:5e:00:00:01\"", "mac \"01:00:5e:00:00:01\" is a broadcast or multicast address");
    mac("\"00:00:00:00:00:00\"", "mac \"00:00:00:00:00:00\" is the zero address");

    let head = format!("{NODE}{UPLINK}{BLUE}[[segment.port]]\ninterface = \"eth1\"\nvlan = 10\n");
    let fdb = "[[segment.fdb]]\nmac = \"02:00:00:00:00:01\"\n";
    let place = |lines: &str, message: &str, help: &str| {
        refused(&format!("{head}{lines}{GW2}"), &[(message, help)]);
    };
    place(
        &format!("¦{fdb}peer = \"gw2\"\ninterface = \"eth1\"\nvlan = 10\n"),
        "[[segment.fdb]] has both peer and interface",
        "keep peer or interface",
    );
    place(
        &format!("¦{fdb}peer = \"gw2\"\nvlan = 10\n"),
        "[[segment.fdb]] has both peer and vlan",
        "vlan goes with interface",
    );
    place(&format!("{fdb}peer = ¦\"gw3\"\n"), "there is no peer \"gw3\"", "did you mean \"gw2\"?");
    place(
        &format!("{fdb}interface = ¦\"eth1\"\n"),
        "eth1 is no untagged port of this segment",
        "[[segment.port]]",
    );
    place(
        &format!("{fdb}interface = ¦\"eth2\"\nvlan = 10\n"),
        "VLAN 10 of eth2 is no port of this segment",
        "[[segment.port]]",
    );
    refused(
        &format!(
            "{NODE}{UPLINK}{BLUE}{fdb}peer = ¦\"gw2\"\n[[segment]]\nname = \"red\"\nvni = 2\n\
                  [[peer]]\nname = \"gw2\"\nvtep = \"192.0.2.2\"\nsegments = [\"red\"]\n"
        ),
        &[("peer gw2 may not use segment blue", "add \"blue\" to the peer's segments (line 18)")],
    );
    refused(
        &format!(
            "{head}{fdb}peer = \"gw2\"\n[[segment.fdb]]\nmac = ¦\"02-00-00-00-00-01\"\n\
                  peer = \"gw2\"\n{GW2}"
        ),
        &[("mac of this segment 02:00:00:00:00:01 is used twice", "line 13")],
    );
}

#[test]
fn nothing_is_there_twice() {
    let head = format!("{NODE}{UPLINK}{BLUE}");
    refused(
        &format!("{head}[[segment]]\nname = ¦\"blue\"\nvni = ¦100\n"),
        &[
            ("segment name blue is used twice", "it is used on line 7"),
            ("vni 100 is used twice", "it is used on line 8"),
        ],
    );
    refused(
        &format!("{head}{GW2}[[peer]]\nname = ¦\"gw2\"\nvtep = ¦\"192.0.2.2\"\nsegments = []\n"),
        &[
            ("peer name gw2 is used twice", "line 10"),
            ("peer vtep 192.0.2.2 is used twice", "line 11"),
        ],
    );
    refused(
        &format!("{NODE}{UPLINK}[[uplink]]\ninterface = ¦\"eth0\"\n"),
        &[("uplink interface eth0 is used twice", "line 5")],
    );
    refused(
        &format!(
            "{head}[[peer]]\nname = \"gw2\"\nvtep = \"192.0.2.2\"\nsegments = [\"blue\", ¦\"blue\"]\n"
        ),
        &[("segment of this peer blue is used twice", "line 12")],
    );
}

#[test]
fn a_peer_is_another_gateway() {
    refused(
        &format!("{NODE}{UPLINK}[[peer]]\nname = \"gw2\"\nvtep = ¦\"192.0.2.1\"\nsegments = []\n"),
        &[("peer vtep 192.0.2.1 is this node's own (line 3)", "the other gateway")],
    );
}

#[test]
fn peers_name_segments_that_exist() {
    let peer = "[[peer]]\nname = \"gw2\"\nvtep = \"192.0.2.2\"\nsegments = ";
    refused(
        &format!("{NODE}{UPLINK}{peer}[¦\"blue\"]\n"),
        &[("there is no segment \"blue\"", "add [[segment]]")],
    );
    refused(
        &format!("{NODE}{UPLINK}{BLUE}{peer}[\"blue\", ¦\"warehouse\"]\n"),
        &[("there is no segment \"warehouse\"", "the file has blue")],
    );
    refused(
        &format!("{NODE}{UPLINK}{BLUE}{peer}¦\"blue\"\n"),
        &[("segments is a string, not a list", "[\"blue\"]")],
    );
    refused(
        &format!("{NODE}{UPLINK}{BLUE}{peer}¦[100]\n"),
        &[("segments holds an integer", "[\"blue\"]")],
    );
}

#[test]
fn a_port_is_in_one_segment_and_no_uplink() {
    let red = "[[segment]]\nname = \"red\"\nvni = 200\n";
    let port = "[[segment.port]]\ninterface = \"eth1\"\n";
    let head = format!("{NODE}{UPLINK}{BLUE}");
    refused(
        &format!("{head}{port}{red}[[segment.port]]\ninterface = ¦\"eth1\"\n"),
        &[("untagged eth1 is in segment blue already (line 9)", "a port is in one segment")],
    );
    refused(
        &format!("{head}{port}vlan = 10\n{red}{port}vlan = ¦10\n"),
        &[("VLAN 10 of eth1 is in segment blue already (line 9)", "a port is in one segment")],
    );
    refused(
        &format!("{head}{port}[[segment.port]]\ninterface = ¦\"eth1\"\n"),
        &[("untagged eth1 is in segment blue already (line 9)", "a port is in one segment")],
    );
    refused(
        &format!("{head}[[segment.port]]\ninterface = ¦\"eth0\"\n"),
        &[("interface eth0 is an uplink (line 5)", "a device of its own")],
    );
    accepted(&format!("{head}{port}{red}{port}vlan = 10\n"));
    accepted(&format!("{head}{port}vlan = 11\n{red}{port}vlan = 10\n"));
}

#[test]
fn ports_of_one_interface_share_a_mode() {
    let port = |vlan: u16, mode: &str| {
        format!("[[segment.port]]\ninterface = \"eth1\"\nvlan = {vlan}\n{mode}")
    };
    let head = format!("{NODE}{UPLINK}{BLUE}");
    let (tc, xdp) = (port(10, "mode = \"tc\"\n"), port(11, "mode = ¦\"xdp\"\n"));
    refused(
        &format!("{head}{tc}{xdp}"),
        &[("mode xdp for eth1, which has mode tc (line 12)", "the same mode")],
    );
    let config = accepted(&format!("{head}{}{tc}", port(11, "")));
    assert!(config.segments[0].ports.iter().all(|port| port.mode == Mode::Tc));
}

#[test]
fn tables_have_an_end() {
    let mut text = format!("{NODE}fdb_entries = ¦2\n{UPLINK}{BLUE}");
    for i in 1..=3 {
        text += &format!("[[segment.fdb]]\nmac = \"02:00:00:00:00:0{i}\"\npeer = \"gw2\"\n");
    }
    let message = "the file has 3 static addresses, and this node takes 2";
    refused(&format!("{text}{GW2}"), &[(message, "make node.fdb_entries larger")]);

    let mut text = format!("¦{NODE}{UPLINK}{BLUE}");
    let ports = overlay_common::abi::MAX_PORTS - 1;
    for i in 0..ports {
        text +=
            &format!("[[segment.port]]\ninterface = \"e{}\"\nvlan = {}\n", i / 4094, i % 4094 + 1);
    }
    let message =
        format!("the file has {} ports, uplinks included, and this node takes {ports}", ports + 1);
    refused(&text, &[(&message, "several gateways")]);
}

#[test]
fn floods_and_permissions_have_an_end() {
    let segments = 1200;
    let file = |peers: usize, lists: &dyn Fn(usize) -> Vec<usize>| {
        let mut text = format!("¦{NODE}{UPLINK}");
        for i in 0..segments {
            text += &format!("[[segment]]\nname = \"s{i}\"\nvni = {}\n", i + 1);
        }
        for i in 0..peers {
            let names: Vec<String> = lists(i).iter().map(|s| format!("\"s{s}\"")).collect();
            let vtep = format!("10.0.{}.{}", i / 250, i % 250 + 1);
            text += &format!("[[peer]]\nname = \"p{i}\"\nvtep = \"{vtep}\"\n");
            text += &format!("segments = [{}]\n", names.join(", "));
        }
        text
    };
    let all = |_| (0..segments).collect();
    refused(
        &file(437, &all),
        &[(
            "the file has 524400 receivers of floods (ports and peers of all segments), \
             and this node takes 524288",
            "several gateways",
        )],
    );
    // Every set is another one, so every permission is an entry of its own.
    let all_but_one = |i| (0..segments).filter(|s| *s != i).collect();
    refused(
        &file(437, &all_but_one).replace("10.0.", "10.1."),
        &[(
            "the file has 525163 permissions (segments of peers, equal sets counted once), \
             and this node takes 524288",
            "the same segments",
        )],
    );
}

fn host(interfaces: &[&str], addresses: &[&str]) -> HostFacts {
    HostFacts {
        interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
        addresses: addresses.iter().map(|a| a.parse::<IpAddr>().unwrap()).collect::<BTreeSet<_>>(),
    }
}

#[test]
fn the_host_has_what_the_file_names() {
    let config = accepted(&format!("{NODE}{UPLINK}"));
    let host = host(&["lo", "eth0"], &["127.0.0.1", "192.0.2.1"]);
    assert_eq!(config.check_host(&host), []);
}

#[test]
fn the_host_lacks_what_the_file_names() {
    let text = format!(
        "{NODE}{UPLINK}{BLUE}[[segment.port]]\ninterface = \"eht1\"\nvlan = 1\n\
         [[segment.port]]\ninterface = \"eht1\"\nvlan = 2\n"
    );
    let errors = accepted(&text)
        .check_host(&host(&["lo", "eth1", "eth2"], &["127.0.0.1", "198.51.100.7", "fe80::1"]));
    let shown: Vec<String> = errors.iter().map(ConfigError::to_string).collect();
    assert_eq!(
        shown,
        [
            "gw.toml:3:8: vtep 192.0.2.1 is no address of this host\n  \
             help: use one that it has: 198.51.100.7",
            "gw.toml:5:13: interface eth0 does not exist\n  \
             help: did you mean eth1? this host has eth1, eth2",
            "gw.toml:10:13: interface eht1 does not exist\n  \
             help: did you mean eth1? this host has eth1, eth2",
        ]
    );
}

#[test]
fn a_bare_host_gets_advice_that_helps() {
    let config = accepted(&format!("{NODE}{UPLINK}"));
    let errors = config.check_host(&host(&["lo"], &["127.0.0.1", "::1"]));
    assert!(errors[0].help.contains("ip address add 192.0.2.1/24 dev eth0"), "{}", errors[0]);
    assert!(errors[1].help.contains("no device but lo"), "{}", errors[1]);
}

const WHOLE: &str = r#"
[node]
name = "gw1"
vtep = "192.0.2.1"
ageing = 60
[[uplink]]
interface = "eth0"
mode = "xdp"
[[segment]]
name = "blue"
vni = 100
learning = false
[[segment.port]]
interface = "eth1"
vlan = 10
[[segment.fdb]]
mac = "02:00:00:00:02:02"
peer = "gw2"
[[peer]]
name = "gw2"
vtep = "192.0.2.2"
encap = "vxlan"
segments = ["blue"]
"#;

proptest! {
    // The seed is fixed: a test says the same thing every time.
    #![proptest_config(ProptestConfig {
        cases: 2000,
        rng_seed: RngSeed::Fixed(822),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_wrong_has_its_place_and_help(
        edits in proptest::collection::vec(
            (0..WHOLE.len(), 0..6usize, "[\\[\\]a-z0-9=\"\n .#{},ü-]{0,4}"),
            1..6,
        ),
    ) {
        let mut text: Vec<char> = WHOLE.chars().collect();
        for (at, removed, inserted) in edits {
            let start = at.min(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, inserted.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(errors) = Config::parse(&text, "gw.toml") {
            prop_assert!(!errors.is_empty());
            let lines: Vec<&str> = text.split('\n').collect();
            for error in &errors {
                let line = lines.get(error.line - 1);
                prop_assert!(line.is_some(), "{}", error);
                let width = line.map_or(0, |line| line.chars().count());
                prop_assert!((1..=width + 1).contains(&error.column), "{}", error);
                prop_assert!(!error.message.is_empty() && !error.help.is_empty());
            }
            prop_assert!(errors.is_sorted_by_key(|error| (error.line, error.column)));
        }
    }
}
