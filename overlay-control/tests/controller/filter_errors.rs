//! What is wrong with the filter of a trace or a capture, in whole sentences.

use std::net::IpAddr;

use overlay_common::verdict::DropReason;
use overlay_control::watch::filter::Term;
use overlay_control::watch::parse::{Known, parse};

/// A gateway with two segments.
struct Two;

impl Known for Two {
    fn segment(&self, _: &str) -> Option<Term> {
        None
    }

    fn peer(&self, _: &str) -> Option<IpAddr> {
        None
    }

    fn interface(&self, _: &str) -> Option<u32> {
        None
    }

    fn names(&self, kind: &str) -> Vec<String> {
        let names: &[&str] = if kind == "segment" { &["red", "green"] } else { &[] };
        names.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn each_names_the_word_and_what_would_be_right() {
    let many = "tcp ".repeat(257);
    let deep = "not ".repeat(33) + "tcp";
    let reasons: Vec<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    let reason = format!(
        "filter, word 2: \"x\" is not a reason for drops, which are: {}",
        reasons.join(", ")
    );
    for (filter, said) in [
        (&*many, "filter, word 257: a filter has 256 words at most"),
        (&*deep, "filter, word 33: a filter is 32 deep at most"),
        ("tcp )", "filter, word 2: \")\" is one too many"),
        ("( tcp", "filter, word 3: a \")\" is missing"),
        ("tcp and", "filter, word 3: something to look for is missing"),
        ("host", "filter, word 2: an IP address is missing"),
        ("host gw2", "filter, word 2: \"gw2\" is not an IP address"),
        ("net 10", "filter, word 2: \"10\" is not a network such as 10.0.0.0/8"),
        ("udp port 65536", "filter, word 3: \"65536\" is not a port, 0 to 65535"),
        ("ether 02:00:00:00:00:01", "filter, word 2: after ether: host, src, dst or proto"),
        ("ether host 02", "filter, word 3: \"02\" is not a MAC address"),
        ("ether proto arp", "filter, word 3: \"arp\" is not an EtherType such as 0x0806"),
        ("src icmp", "filter, word 2: \"icmp\" has no ends; host, net and port have"),
        ("proto 256", "filter, word 2: \"256\" is not a protocol, 0 to 255"),
        ("vlan 4095", "filter, word 2: \"4095\" is not a VLAN, 1 to 4094"),
        ("vni 0", "filter, word 2: \"0\" is not a VNI, 1 to 16777215"),
        ("less x", "filter, word 2: \"x\" is not a length in bytes"),
        ("reason x", &reason),
        ("hook nic", "filter, word 2: \"nic\" is not xdp, tc or user"),
        ("segment", "filter, word 2: a name is missing"),
        (
            "segment blue",
            "filter, word 2: this gateway has no segment \"blue\"; those are: red, green",
        ),
        ("peer gw2", "filter, word 2: this gateway has no peer \"gw2\"; those are: none"),
        (
            "interface eth0",
            "filter, word 2: this gateway has no interface \"eth0\"; those are: none",
        ),
        (
            "wibble",
            "filter, word 1: \"wibble\" is no word of a filter; these are: host, net, port (each \
             with src or dst before), ether host, ether proto, ip, ip6, arp, tcp, udp, icmp, \
             icmp6, proto, vlan, vni, segment, peer, interface, drop, reason, hook, less, \
             greater, and, or, not, ( )",
        ),
    ] {
        assert_eq!(parse(filter, &Two).expect_err(filter).to_string(), said);
    }
}
