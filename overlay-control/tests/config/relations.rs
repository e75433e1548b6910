//! What only several values together can get wrong.

use overlay_control::config::Mode;

use crate::marked::{BLUE, GW2, NODE, UPLINK, accepted, refused};

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
    place(
        &format!("{fdb}peer = \"gw2\"\nprotocol = ¦\"802.1ad\"\n"),
        "protocol without vlan",
        "add vlan = 10",
    );
    place(
        &format!("{fdb}interface = ¦\"eth1\"\nvlan = 10\nprotocol = \"802.1ad\"\n"),
        "VLAN 10 (802.1ad) of eth1 is no port of this segment",
        "vlan and protocol of one of its [[segment.port]]",
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
    let on_uplink = "[[segment.port]]\ninterface = \"eth0\"\n";
    accepted(&format!("{head}{on_uplink}vlan = 10\n{red}{on_uplink}vlan = 11\n"));
    refused(
        &format!("{head}{on_uplink}vlan = 10\n{red}{on_uplink}vlan = ¦10\n"),
        &[("VLAN 10 of eth0 is in segment blue already (line 9)", "a port is in one segment")],
    );
    accepted(&format!("{head}{port}{red}{port}vlan = 10\n"));
    accepted(&format!("{head}{port}vlan = 11\n{red}{port}vlan = 10\n"));
    let service = "protocol = \"802.1ad\"\n";
    accepted(&format!("{head}{port}vlan = 10\n{service}{red}{port}vlan = 10\n"));
    refused(
        &format!("{head}{port}vlan = 10\n{service}{red}{port}vlan = ¦10\n{service}"),
        &[("VLAN 10 (802.1ad) of eth1 is in segment blue already (line 9)", "is in one segment")],
    );
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

    // An uplink that is an access port too.
    let port = |mode| format!("{BLUE}[[segment.port]]\ninterface = \"eth0\"\nvlan = 10\n{mode}");
    refused(
        &format!("{NODE}{UPLINK}mode = \"tc\"\n{}", port("mode = ¦\"xdp\"\n")),
        &[("mode xdp for eth0, which has mode tc (line 6)", "the same mode")],
    );
    let mode = "mode = \"tc\"\n";
    for (uplink, access) in [(mode, ""), ("", mode), (mode, mode)] {
        let config = accepted(&format!("{NODE}{UPLINK}{uplink}{}", port(access)));
        assert_eq!(
            (config.uplinks[0].mode, config.segments[0].ports[0].mode),
            (Mode::Tc, Mode::Tc)
        );
    }
}

#[test]
fn a_peer_is_of_a_family_that_the_node_has() {
    let peer = |vtep: &str| {
        format!("{UPLINK}[[peer]]\nname = \"gw2\"\nvtep = ¦\"{vtep}\"\nsegments = []\n")
    };
    refused(
        &format!("{NODE}{}", peer("2001:db8::2")),
        &[(
            "peer vtep 2001:db8::2 is IPv6, and this node has no such VTEP",
            "vtep = [\"192.0.2.1\", \"2001:db8::1\"]",
        )],
    );
    let node = "[node]\nname = \"gw1\"\nvtep = \"2001:db8::1\"\n";
    refused(
        &format!("{node}{}", peer("192.0.2.2")),
        &[("peer vtep 192.0.2.2 is IPv4, and this node has no such VTEP", "line 3")],
    );
    refused(
        &format!("{node}{}", peer("2001:db8:0::1")),
        &[("peer vtep 2001:db8::1 is this node's own (line 3)", "the other gateway")],
    );
}

#[test]
fn each_encapsulation_has_a_port_of_its_own() {
    refused(
        &format!("{NODE}geneve_port = ¦4789\n{UPLINK}"),
        &[("vxlan_port and geneve_port are both 4789", "6081")],
    );
    refused(
        &format!("{NODE}vxlan_port = ¦6081\n{UPLINK}"),
        &[("vxlan_port and geneve_port are both 6081", "4789")],
    );
}

#[test]
fn static_neighbours_are_checked() {
    let head = format!("{NODE}{UPLINK}{BLUE}");
    let mac = "mac = \"02:00:00:00:00:01\"\n";
    let ip = |value: &str, message: &str| {
        refused(
            &format!("{head}[[segment.neighbour]]\nip = ¦{value}\n{mac}"),
            &[(message, "host")],
        );
    };
    ip("\"10.0.0.256\"", "ip \"10.0.0.256\" is no IP address");
    ip("\"10.0.0.5/24\"", "ip \"10.0.0.5/24\" is no IP address");
    ip("10", "ip is an integer, not a string");
    for none in ["0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255", "::1", "ff02::1"] {
        ip(&format!("\"{none}\""), &format!("ip \"{none}\" is no address that a host can have"));
    }
    let entry = format!("[[segment.neighbour]]\nip = \"10.0.0.5\"\n{mac}");
    refused(
        &format!("{head}{entry}[[segment.neighbour]]\nip = ¦\"10.0.0.5\"\n{mac}"),
        &[("ip of this segment 10.0.0.5 is used twice", "line 10")],
    );
    refused(
        &format!("{head}suppression = false\n¦{entry}"),
        &[(
            "[[segment.neighbour]] in a segment without suppression (line 9)",
            "suppression = true",
        )],
    );
    refused(
        &format!("{head}¦[[segment.neighbour]]\n{mac}"),
        &[("[[segment.neighbour]] has no ip", "")],
    );
    refused(
        &format!("{head}[[segment.neighbour]]\nip = \"10.0.0.5\"\n{mac}¦peer = \"gw2\"\n"),
        &[(
            "unknown key peer in [[segment.neighbour]]",
            "[[segment.neighbour]] takes ip, mac, router",
        )],
    );
    accepted(&format!("{head}{entry}[[segment]]\nname = \"red\"\nvni = 2\n{entry}"));
}
