//! What only the host can tell.

use std::collections::BTreeSet;
use std::net::IpAddr;

use overlay_control::config::{ConfigError, HostFacts};

use crate::marked::{BLUE, NODE, UPLINK, accepted};

fn host(interfaces: &[&str], addresses: &[&str]) -> HostFacts {
    HostFacts {
        interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
        not_ethernet: BTreeSet::from(["lo".to_owned(), "tun0".to_owned()]),
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
    assert!(errors[0].help.contains("ip address add 192.0.2.1/24 dev eth0"), "{}", errors[0]);
    assert!(errors[1].help.contains("no Ethernet device"), "{}", errors[1]);
}
