//! Values, each by itself.

use crate::marked::{BLUE, GW2, NODE, UPLINK, refused};

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
    vtep("\"gw1\"", "vtep \"gw1\" is no IP address", "an address such as");
    vtep("\"192.0.2.1/24\"", "vtep \"192.0.2.1/24\" has a prefix length", "\"192.0.2.1\"");
    vtep("\"::\"", "vtep \"::\" is the unspecified address", "unicast");
    vtep("\"::1\"", "vtep \"::1\" is a loopback address", "unicast");
    vtep("\"ff02::1\"", "vtep \"ff02::1\" is a multicast address", "unicast");
    vtep(
        "\"fe80::1\"",
        "vtep \"fe80::1\" is a link-local address, which means another host on each link",
        "unicast",
    );
    vtep(
        "\"::ffff:192.0.2.1\"",
        "vtep \"::ffff:192.0.2.1\" is an IPv4 address in IPv6's clothes",
        "unicast",
    );
    vtep("[]", "vtep is empty", "one IPv4 address and one IPv6 address");
    vtep(
        "[\"192.0.2.1\", \"192.0.2.9\"]",
        "vtep has two addresses of one family, 192.0.2.1 and 192.0.2.9",
        "one IPv6 address",
    );
    vtep("\"0.0.0.0\"", "vtep \"0.0.0.0\" is the unspecified address", "unicast");
    vtep("\"127.0.0.1\"", "vtep \"127.0.0.1\" is a loopback address", "unicast");
    vtep("\"239.1.1.1\"", "vtep \"239.1.1.1\" is a multicast address", "unicast");
    vtep("\"255.255.255.255\"", "vtep \"255.255.255.255\" is the broadcast address", "unicast");
    vtep("1.5", "vtep is a float, not a string", "an address");
    let text = format!("{NODE}{UPLINK}[[peer]]\nname = \"gw2\"\nvtep = ¦[\"2001:db8::2\"]\n");
    refused(&format!("{text}segments = []\n"), &[("vtep is a list, not a string", "an address")]);
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

    let protocol = |value: &str, message: &str, help: &str| {
        let port = "[[segment.port]]\ninterface = \"eth1\"\nvlan = 10";
        let text = format!("{NODE}{UPLINK}{BLUE}{port}\nprotocol = ¦{value}\n");
        refused(&text, &[(message, help)]);
    };
    protocol("\"802.1Q\"", "protocol \"802.1Q\" does not exist", "did you mean \"802.1q\"?");
    protocol("\"0x88a8\"", "protocol \"0x88a8\" does not exist", "\"802.1q\" or \"802.1ad\"");
    protocol("34984", "protocol is an integer, not a string", "\"802.1q\" or \"802.1ad\"");
    refused(
        &format!(
            "{NODE}{UPLINK}{BLUE}[[segment.port]]\ninterface = \"eth1\"\nprotocol = ¦\"802.1ad\"\n"
        ),
        &[("protocol without vlan", "add vlan = 10")],
    );

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
        "\"auto\", \"xdp\", \"xdp-generic\", \"tc\", \"user\", \
                  \"user-xdp\" or \"user-packet\"",
    );
    let encap = |value: &str, message: &str| {
        let text = format!("{NODE}{UPLINK}{BLUE}{GW2}encap = ¦{value}\n");
        refused(&text, &[(message, "\"vxlan\"")]);
    };
    encap("\"gre\"", "encap \"gre\" does not exist");
    encap("4789", "encap is an integer, not a string");
}

#[test]
fn limits_are_checked() {
    let limit = |text: &str, message: &str, help: &str| {
        let port = "[[segment.port]]\ninterface = \"eth1\"\nlimit = ";
        refused(&format!("{NODE}{UPLINK}{BLUE}{port}{text}\n"), &[(message, help)]);
    };
    limit("{ bits = ¦7999 }", "bits is 7999: out of range", "a number from 8000");
    limit("{ packets = ¦0 }", "packets is 0: out of range", "a number from 1 to");
    limit("{ floods = ¦\"1k\" }", "floods is a string, not an integer", "packets a second");
    limit("{ macs = ¦16777217 }", "macs is 16777217: out of range", "leave it out for no limit");
    limit("{ ¦rate = 5 }", "unknown key rate in [segment.port.limit]", "takes bits, packets");
    limit("¦5", "limit is an integer, not a table", "write [segment.port.limit], once");
}

#[test]
fn mtus_are_checked() {
    let range = "mtu is 117: out of range";
    refused(&format!("{NODE}{UPLINK}{BLUE}{GW2}mtu = ¦117\n"), &[(range, "from 118 to 65535")]);
    let node = "[node]\nname = \"gw1\"\nvtep = \"2001:db8::1\"\n";
    let peer = "[[peer]]\nname = \"a\"\nvtep = \"2001:db8::2\"\nsegments = []\n";
    let message = "mtu 1279 for 2001:db8::2, a VTEP over IPv6";
    refused(&format!("{node}{UPLINK}{peer}mtu = ¦1279\n"), &[(message, "at least 1280")]);
}
