//! The whole sentence of what would be right, for each way to be wrong that another test
//! recognises by a part.

use crate::marked::{BLUE, GW2, NODE, UPLINK, refused};

const PORT: &str = "[[segment.port]]\ninterface = \"eth1\"\n";
const RED: &str = "[[vrf]]\nname = \"red\"\nvni = 5000\n";

/// Each row: a file with a mark, the message, and the help in full.
fn each(rows: &[(String, &str, &str)]) {
    for (text, message, help) in rows {
        refused(text, &[(message, help)]);
    }
}

fn node(line: &str) -> String {
    format!("{NODE}{line}\n{UPLINK}{BLUE}{GW2}")
}

fn peer(line: &str) -> String {
    format!("{NODE}{UPLINK}{BLUE}{GW2}{line}\n")
}

fn segment(lines: &str) -> String {
    format!("{NODE}{UPLINK}{BLUE}{lines}\n{GW2}{RED}")
}

fn file(rest: &str) -> String {
    format!("{NODE}{UPLINK}{BLUE}{GW2}{rest}\n")
}

#[test]
fn of_numbers() {
    each(&[
        (
            node("vxlan_port = ¦0"),
            "vxlan_port is 0: out of range",
            "a number from 1 to 65535: a UDP port; VXLAN's is 4789, Geneve's 6081",
        ),
        (
            node("geneve_port = ¦4789"),
            "vxlan_port and geneve_port are both 4789",
            "a port for each: 4789 and 6081 are usual",
        ),
        (
            node("ageing = ¦9"),
            "ageing is 9: out of range",
            "a number from 10 to 1000000: seconds; 300 is usual",
        ),
        (
            node("fdb_entries = ¦0"),
            "fdb_entries is 0: out of range",
            "a number from 1 to 16777216: addresses; 1048576 is the default",
        ),
        (
            node("dscp = ¦64"),
            "dscp is 64: out of range",
            "a number from 0 to 63: or \"copy\", that of the packet inside",
        ),
        (
            node("dscp = ¦\"ef\""),
            "dscp \"ef\" does not exist",
            "\"copy\", or a number from 0 to 63: 46 is expedited forwarding",
        ),
        (
            peer("mtu = ¦117"),
            "mtu is 117: out of range",
            "a number from 118 to 65535: bytes of the underlay's IP packets; 1500 is what \
             Ethernet has",
        ),
        (
            segment(&format!("{PORT}vlan = ¦4095")),
            "vlan is 4095: out of range",
            "a number from 1 to 4094: 0 and 4095 are reserved (IEEE 802.1Q); leave vlan out for \
             untagged frames",
        ),
        (
            segment("limit = { bits = ¦1 }"),
            "bits is 1: out of range",
            "bits a second; 1000000000 are 1 Gbit/s",
        ),
        (
            file("[metrics]\nseries = ¦100001"),
            "series is 100001: out of range",
            "peers, segments, ports and rules, each; 1000 is the default",
        ),
        (
            file("[metrics]\nlisten = ¦\"x\""),
            "listen = \"x\" is no address and port",
            "an address and a port, such as \"127.0.0.1:9477\" or \"[::1]:9477\"",
        ),
        (
            file("[web]\nlisten = ¦\"x\""),
            "listen \"x\" is no address with a port",
            "an address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"",
        ),
    ]);
}

#[test]
fn of_names_and_addresses() {
    let long = "x".repeat(16);
    let number = "the name of a network device in quotes";
    let linux = "Linux device names have 1 to 15 characters, no slash and no space (see: ip link)";
    let uplink = |value: &str| format!("{NODE}[[uplink]]\ninterface = ¦{value}\n");
    let names: Vec<String> = (0..33).map(|i| format!("\"h{i}\"")).collect();
    each(&[
        (uplink("1"), "interface is an integer, not a string", number),
        (uplink(&format!("\"{long}\"")), &format!("interface \"{long}\" has 16 characters"), linux),
        (
            "[node]\nname = \"gw1\"\nvtep = ¦\"192.0.2.1/24\"\n".to_owned() + UPLINK,
            "vtep \"192.0.2.1/24\" has a prefix length",
            "only the address: \"192.0.2.1\"",
        ),
        (
            node("router_mac = ¦\"02:00\""),
            "router_mac \"02:00\" is no MAC",
            "six pairs of hexadecimal digits, such as \"02:00:00:00:02:02\"",
        ),
        (
            node("router_mac = ¦\"00:00:00:00:00:00\""),
            "router_mac \"00:00:00:00:00:00\" is the zero address",
            "the address of one station, such as \"02:00:00:00:02:02\"",
        ),
        (peer("encap = ¦\"gre\""), "encap \"gre\" does not exist", "\"vxlan\" or \"geneve\""),
        (
            peer("vrfs = ¦\"red\""),
            "vrfs is a string, not a list",
            "a list of VRF names, such as [\"red\"]",
        ),
        (
            format!("{NODE}{UPLINK}{BLUE}{}", GW2.replace("[\"blue\"]", "¦\"blue\"")),
            "segments is a string, not a list",
            "a list of segment names, such as [\"blue\"]",
        ),
        (
            format!("{NODE}{UPLINK}{}", GW2.replace("\"blue\"", "¦\"blue\"")),
            "there is no segment \"blue\"",
            "the file has no segment with a name: add [[segment]]",
        ),
        (
            file(&format!("[web]\nlisten = \"[::1]:80\"\nhosts = ¦[{}]", names.join(", "))),
            "hosts has 33 names, more than 32",
            "names of this machine, without port, such as [\"gw1.example.org\"]",
        ),
        (
            node("mss_clamp = ¦1979-05-27"),
            "mss_clamp is a date or time, not a boolean",
            "true or false, without quotes",
        ),
    ]);
}

#[test]
fn of_the_secured_interface() {
    let keys = [
        ("listen", "\"192.0.2.1:8443\"", ": an address of this host, and a TCP port"),
        ("certificate", "\"tls/gw1.pem\"", ": this gateway's, in PEM"),
        ("key", "\"tls/gw1.key\"", ", in PEM"),
        ("client_ca", "\"tls/clients.pem\"", ": whoever may ask has a certificate of it"),
    ];
    let whole = keys.map(|(key, value, _)| format!("{key} = {value}\n"));
    let with = |key: &str, value: &str| {
        let lines = whole.iter().map(|line| match line.starts_with(&format!("{key} =")) {
            true => format!("{key} = ¦{value}\n"),
            false => line.clone(),
        });
        file(&format!("[api]\n{}", lines.collect::<String>()))
    };
    let missing = keys.map(|(key, _, _)| {
        let lines = whole.iter().filter(|line| !line.starts_with(&format!("{key} =")));
        file(&format!("¦[api]\n{}", lines.cloned().collect::<String>()))
    });
    let [listen, certificate, key, client_ca] = missing;
    each(&[
        (
            listen,
            "[api] has no listen",
            "add listen = \"192.0.2.1:8443\": an address of this host, and a TCP port",
        ),
        (
            certificate,
            "[api] has no certificate",
            "add certificate = \"tls/gw1.pem\": this gateway's, in PEM",
        ),
        (key, "[api] has no key", "add key = \"tls/gw1.key\", in PEM"),
        (
            client_ca,
            "[api] has no client_ca",
            "add client_ca = \"tls/clients.pem\": whoever may ask has a certificate of it",
        ),
        (
            with("listen", "\"192.0.2.1\""),
            "listen \"192.0.2.1\" is no address with a port",
            "an address of this host and a TCP port, such as \"192.0.2.1:8443\" or \
             \"[2001:db8::1]:8443\"",
        ),
        (
            with("key", "\"\""),
            "key is no name of a file",
            "the name of a file; a relative one begins at the configuration file",
        ),
        (
            file(&format!("[api]\n{}access = ¦\"wirte\"", whole.concat())),
            "access \"wirte\" does not exist",
            "did you mean \"write\"? It takes \"read\" or \"write\"",
        ),
    ]);
}

#[test]
fn of_access_lists() {
    let rule = |line: &str| segment(&format!("[[segment.acl]]\naction = \"deny\"\n{line}"));
    let of_in = |line: &str| rule(&format!("direction = \"in\"\n{line}"));
    each(&[
        (
            segment("¦[[segment.acl]]\naction = \"deny\""),
            "[[segment.acl]] has no direction",
            "add direction = \"in\" or \"out\"",
        ),
        (
            rule("direction = ¦\"to\""),
            "direction \"to\" does not exist",
            "\"in\", what hosts send, or \"out\", what is sent to them",
        ),
        (
            of_in("icmp_type = ¦8"),
            "icmp_type of another protocol",
            "add protocol = \"icmp\" or \"icmpv6\"",
        ),
        (
            of_in("protocol = ¦256"),
            "protocol is 256: out of range",
            "a number from 0 to 255: a protocol's, or its name: \"tcp\"",
        ),
        (
            of_in("protocol = \"tcp\"\nsource_port = ¦\"2-1\""),
            "source_port \"2-1\" is no range of ports",
            "a port such as 443, or a range such as \"1024-65535\"",
        ),
        (
            of_in("protocol = \"tcp\"\nsource_port = ¦65536"),
            "source_port is 65536: out of range",
            "a number from 0 to 65535: a port, or a range such as \"1024-65535\"",
        ),
    ]);
}

#[test]
fn of_vrfs_and_routes() {
    let router = "vrf = \"red\"\nrouter = [\"10.1.0.1/24\"]\n";
    let route = |keys: &str| {
        let green = "[[segment]]\nname = \"green\"\nvni = 2\n";
        format!(
            "{NODE}{UPLINK}{BLUE}{router}{green}{GW2}{RED}[[vrf.route]]\nprefix = \"10.9.0.0/16\"\n\
             {keys}\n"
        )
    };
    let own = "[[segment.neighbour]]\nip = ¦\"10.1.0.1\"\nmac = \"02:00:00:00:00:01\"\n";
    each(&[
        (
            segment("vrf = ¦\"red\""),
            "vrf without router",
            "add router = [\"10.1.0.1/24\"], or leave vrf out",
        ),
        (
            segment(&format!("{router}{own}")),
            "ip 10.1.0.1 is the router's (line 10)",
            "the router needs no [[segment.neighbour]]",
        ),
        (
            route("peer = ¦\"gw2\""),
            "peer gw2 may not use VRF red",
            "add vrfs = [\"red\"] to the peer",
        ),
        (
            route("segment = ¦\"green\""),
            "segment green is not of VRF red",
            "add vrf = \"red\" and a router to the segment",
        ),
        (
            route("via = ¦\"10.1.0.1\""),
            "via 10.1.0.1 is this router itself (line 10)",
            "the address of another router",
        ),
        (
            route("kind = ¦\"reject\""),
            "kind \"reject\" does not exist",
            "\"unreachable\" or \"blackhole\"",
        ),
        (
            peer("vrfs = [¦\"open\"]\n[[vrf]]\nname = \"open\""),
            "VRF open has no vni, so no peer can use it",
            "add vni = 5000 to it, the same on every gateway",
        ),
    ]);
}

#[test]
fn of_forms_and_repetitions() {
    let neighbour = "¦[[segment.neighbour]]\nmac = \"02:00:00:00:00:01\"";
    each(&[
        (
            format!("uplink = ¦5\n{NODE}{BLUE}{GW2}"),
            "uplink is an integer, not a list of tables",
            "write [[uplink]], with two brackets, for each one",
        ),
        (
            segment(neighbour),
            "[[segment.neighbour]] has no ip",
            "add ip = \"10.0.0.5\", the host's address",
        ),
        (
            format!("{NODE}{UPLINK}[[segment]]\nname = ¦blue\nvni = 100\n"),
            "syntax: string values must be quoted, expected literal string",
            "values are numbers, true or false, lists, or strings in double quotes",
        ),
        (
            file("[[peer]]\nname = ¦\"gw2\"\nvtep = \"192.0.2.3\"\nsegments = []"),
            "peer name gw2 is used twice",
            "each peer name may be used once; it is used on line 10",
        ),
        (
            file("[[peer]]\nname = \"gw3\"\nvtep = ¦\"2001:db8::2\"\nsegments = []\n"),
            "peer vtep 2001:db8::2 is IPv6, and this node has no such VTEP",
            "give the node one of each family (line 3): vtep = [\"192.0.2.1\", \"2001:db8::1\"]",
        ),
    ]);
    let node = "[node]\nname = \"gw1\"\nvtep = \"2001:db8::1\"\n";
    let peer = "[[peer]]\nname = \"a\"\nvtep = \"2001:db8::2\"\nsegments = []\n";
    refused(
        &format!("{node}{UPLINK}{peer}mtu = ¦1279\n"),
        &[(
            "mtu 1279 for 2001:db8::2, a VTEP over IPv6",
            "at least 1280, which every link of IPv6 carries (RFC 8200)",
        )],
    );
}
