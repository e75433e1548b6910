//! What only the host can tell.

use std::collections::BTreeSet;
use std::net::IpAddr;

use overlay_control::config::{ConfigError, HostFacts};

use crate::marked::{BLUE, GW2, NODE, UPLINK, accepted};

fn host(interfaces: &[&str], addresses: &[&str]) -> HostFacts {
    HostFacts {
        interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
        not_ethernet: BTreeSet::from(["lo".to_owned(), "tun0".to_owned()]),
        addresses: addresses.iter().map(|a| a.parse::<IpAddr>().unwrap()).collect::<BTreeSet<_>>(),
        ..HostFacts::default()
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
fn a_device_without_ethernet_is_no_port() {
    let text = format!("{NODE}{UPLINK}{BLUE}[[segment.port]]\ninterface = \"tun0\"\n");
    let errors = accepted(&text).check_host(&host(&["lo", "eth0", "tap0", "tun0"], &["192.0.2.1"]));
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((error.line, error.column), (10, 13));
    assert_eq!(error.message, "interface tun0 carries no Ethernet frames");
    assert!(error.help.contains("this host has eth0, tap0"), "{}", error.help);
}

#[test]
fn a_bare_host_gets_advice_that_helps() {
    let config = accepted(&format!("{NODE}{UPLINK}"));
    let errors = config.check_host(&host(&["lo"], &["127.0.0.1", "::1"]));
    let helps: Vec<&str> = errors.iter().map(|error| &*error.help).collect();
    let address = "this host has no IPv4 address that would do; to give it this one: ip address \
                   add 192.0.2.1/24 dev eth0";
    let device = "this network namespace has no Ethernet device (see: ip link)";
    assert_eq!(helps, [address, device]);
}

/// Two uplinks, a peer of each family, a port.
fn narrow(mtu_of_gw2: &str, mtus: &[(&str, u32)]) -> (Vec<String>, Vec<String>) {
    let text = format!(
        "[node]\nname = \"gw1\"\nvtep = [\"192.0.2.1\", \"2001:db8::1\"]\n{UPLINK}{BLUE}\
         [[segment.port]]\ninterface = \"eth1\"\n{GW2}{mtu_of_gw2}\
         [[peer]]\nname = \"gw6\"\nvtep = \"2001:db8::6\"\nsegments = []\n"
    );
    let mut host = host(&["eth0", "eth1"], &["192.0.2.1", "2001:db8::1"]);
    host.mtus = mtus.iter().map(|(name, mtu)| ((*name).to_owned(), *mtu)).collect();
    let config = accepted(&text);
    let [errors, warnings] = [config.check_host(&host), config.host_warnings(&host)]
        .map(|list| list.iter().map(ConfigError::to_string).collect::<Vec<_>>());
    (errors, warnings)
}

#[test]
fn what_fits_is_not_warned_of() {
    let nothing = (vec![], vec![]);
    assert_eq!(narrow("", &[("eth0", 1550), ("eth1", 1500)]), nothing);
    assert_eq!(narrow("mtu = 1550\n", &[("eth0", 1600), ("eth1", 1500)]), nothing);
    assert_eq!(narrow("", &[]), nothing, "nothing is known");
}

#[test]
fn what_does_not_fit_is_named_with_numbers() {
    let (errors, warnings) = narrow("", &[("eth0", 1500), ("eth1", 1500)]);
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(
        warnings,
        ["gw.toml:10:13: port eth1 of segment blue has MTU 1500, and peer gw2 takes IP packets \
          of 1450 bytes\n  help: raise the MTU of uplink eth0 from 1500 to 1550; or lower that of \
          eth1 and of its hosts to 1450"]
    );
    let (_, warnings) = narrow("mtu = 1300\n", &[("eth0", 1600), ("eth1", 1500)]);
    assert_eq!(
        warnings,
        [
            "gw.toml:10:13: port eth1 of segment blue has MTU 1500, and peer gw2 takes IP packets \
             of 1250 bytes\n  help: raise mtu of peer gw2 from 1300 to 1550; or lower that of eth1 \
             and of its hosts to 1250",
            "gw.toml:15:7: peer gw2 takes IP packets of 1250 bytes, and IPv6 needs 1280 (RFC 8200): \
             of it only TCP gets through, while mss_clamp is on\n  help: raise mtu of peer gw2 from \
             1300 to 1330",
        ]
    );
    let (_, warnings) = narrow("mtu = 9000\n", &[("eth0", 1600), ("eth1", 1500)]);
    assert_eq!(
        warnings,
        [
            "gw.toml:15:7: peer gw2 has mtu 9000, more than any uplink\n  help: eth0 has 1600, which \
          is what counts"
        ]
    );
}

#[test]
fn an_uplink_that_can_carry_no_tunnel_is_refused() {
    let (errors, _) = narrow("", &[("eth0", 1279), ("eth1", 1500)]);
    assert_eq!(
        errors,
        ["gw.toml:5:13: uplink eth0 has MTU 1279, too little for any tunnel\n  \
          help: at least 1280: ip link set eth0 mtu 1280"]
    );
}

#[test]
fn what_is_waited_for_is_a_warning() {
    let text = format!("{NODE}{UPLINK}{BLUE}[[segment.port]]\ninterface = \"tap7\"\n");
    let bare = host(&["lo", "eth9"], &["127.0.0.1"]);
    let lines = |errors: Vec<ConfigError>| {
        let line = |e: ConfigError| (e.line, e.message);
        errors.into_iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(accepted(&text).check_host(&bare).len(), 3, "nobody waits");
    assert_eq!(accepted(&text).host_warnings(&bare), []);
    let waiting = accepted(&text.replace("[node]", "[node]\nwait_for_interfaces = true"));
    assert_eq!(waiting.check_host(&bare), []);
    assert_eq!(
        lines(waiting.host_warnings(&bare)),
        [
            (4, "vtep 192.0.2.1 is no address of this host yet".to_owned()),
            (6, "interface eth0 does not exist; it is waited for".to_owned()),
            (11, "interface tap7 does not exist; it is waited for".to_owned()),
        ]
    );
    let helps: Vec<_> = waiting.host_warnings(&bare).into_iter().map(|e| e.help).collect();
    assert_eq!(helps[0], "it is to come with the uplink");
    // An uplink that is there brings no address any more.
    let there = host(&["lo", "eth0"], &["127.0.0.1"]);
    assert_eq!(
        lines(waiting.check_host(&there)),
        [(4, "vtep 192.0.2.1 is no address of this host".to_owned())]
    );
    // A running gateway waits for what it has had, and for nothing else.
    let mut known = host(&["lo", "eth0"], &["192.0.2.1"]);
    known.known.insert("tap7".to_owned());
    assert_eq!(accepted(&text).check_host(&known), []);
    let other = accepted(&text.replace("tap7", "tap8"));
    assert_eq!(lines(other.check_host(&known)), [(10, "interface tap8 does not exist".to_owned())]);
}
