//! Access lists.

use crate::marked::{BLUE, NODE, UPLINK, accepted, refused};

const IN: &str = "[[segment.acl]]\ndirection = \"in\"\naction = \"permit\"\n";

fn rule(keys: &str, message: &str, help: &str) {
    refused(&format!("{NODE}{UPLINK}{BLUE}{IN}{keys}\n"), &[(message, help)]);
}

#[test]
fn values_of_rules_are_checked() {
    let head = format!("{NODE}{UPLINK}{BLUE}");
    let first = |keys: &str, message: &str, help: &str| {
        refused(&format!("{head}[[segment.acl]]\n{keys}\n"), &[(message, help)]);
    };
    first("direction = ¦\"inn\"\naction = \"deny\"", "direction \"inn\" does not exist", "\"in\"");
    first(
        "direction = \"in\"\naction = ¦\"permitt\"",
        "action \"permitt\" does not exist",
        "did you mean \"permit\"?",
    );
    rule("protocol = ¦\"tpc\"", "protocol \"tpc\" does not exist", "did you mean \"tcp\"?");
    rule("protocol = ¦256", "protocol is 256: out of range", "from 0 to 255");
    rule(
        "source = ¦\"10.0.0.1/8\"",
        "source \"10.0.0.1/8\" has bits behind its length",
        "did you mean \"10.0.0.0/8\"?",
    );
    rule("destination = ¦\"ten\"", "destination \"ten\" is no address with a length", "such as");
    let tcp = "protocol = \"tcp\"\n";
    rule(
        &format!("{tcp}source_port = ¦\"9-1\""),
        "source_port \"9-1\" is no range of ports",
        "1024-65535",
    );
    rule(
        &format!("{tcp}destination_port = ¦65536"),
        "destination_port is 65536: out of range",
        "from 0 to 65535",
    );
    rule("protocol = \"icmp\"\nicmp_type = ¦300", "icmp_type is 300: out of range", "echo request");
    refused(
        &format!("{head}[segment.acl_default]\nin = ¦\"maybe\"\n"),
        &[("in \"maybe\" does not exist", "\"permit\" or \"deny\"")],
    );
}

#[test]
fn values_of_a_rule_agree() {
    rule("source_port = ¦5", "source_port of a protocol without ports", "add protocol");
    rule(
        "protocol = \"icmp\"\ndestination_port = ¦5",
        "destination_port of a protocol without ports",
        "add protocol",
    );
    rule("protocol = \"tcp\"\nicmp_type = ¦8", "icmp_type of another protocol", "add protocol");
    rule(
        "source = \"10.0.0.0/8\"\ndestination = ¦\"fd00::/8\"",
        "source and destination are of two families",
        "a rule for each",
    );
    rule(
        "protocol = \"icmpv6\"\nsource = ¦\"10.0.0.0/8\"",
        "protocol and address are of two families",
        "ICMPv6 is IPv6's",
    );
    accepted(&format!(
        "{NODE}{UPLINK}{BLUE}{IN}protocol = \"sctp\"\nsource_port = 5\ndestination_port = \"1 - 9\"\n"
    ));
}

#[test]
fn lists_fit_the_tables() {
    let many = |count: u32| {
        (0..count)
            .map(|port| {
                let keys = format!("protocol = \"udp\"\nsource_port = {}\n", port % 65_536);
                format!("[[segment.acl]]\ndirection = \"in\"\naction = \"permit\"\n{keys}")
            })
            .collect::<String>()
    };
    accepted(&format!("{NODE}{UPLINK}{BLUE}{}", many(32_766)));
    let first = "¦[[segment.acl]]\ndirection = \"in\"\naction = \"permit\"\n";
    let text = format!("{NODE}{UPLINK}{BLUE}{first}{}", many(32_766));
    let message = "up to this segment, access lists have 32769 rules, two of each list counted in";
    refused(&text, &[(message, "32768 is the most of all segments together")]);
}

#[test]
fn a_list_denies_what_it_does_not_name_unless_told() {
    let lists = |text: &str| {
        let config = accepted(&format!("{NODE}{UPLINK}{BLUE}{text}"));
        config.segments[0].acls.clone().map(|list| list.map(|list| list.permits))
    };
    assert_eq!(lists(""), [None, None]);
    assert_eq!(lists(IN), [Some(false), None]);
    assert_eq!(lists(&format!("[segment.acl_default]\nin = \"permit\"\n{IN}")), [Some(true), None]);
    assert_eq!(lists("[segment.acl_default]\nout = \"deny\"\n"), [None, Some(false)]);
}

/// Rules of ports alone, each of a source port or of a destination port: every one of the
/// former crosses every one of the latter.
fn crossing(ports: usize) -> String {
    let rule = |action: &str, key: &str, port: usize| {
        format!(
            "[[segment.acl]]\ndirection = \"in\"\naction = \"{action}\"\nprotocol = \"udp\"\n\
             {key} = {}\n",
            2 * port + 1
        )
    };
    let sources = (0..ports).map(|port| rule("permit", "source_port", port));
    let destinations = (0..ports).map(|port| rule("deny", "destination_port", port));
    sources.chain(destinations).collect()
}

#[test]
fn lists_whose_rules_cross_have_an_end() {
    for (ports, message, help) in [
        (
            300,
            "up to this segment, access lists have 348017 comparisons that their rules are made \
             into",
            "262144 is the most of all segments together",
        ),
        (
            400,
            "up to this access list, rules overlap in too many ways",
            "use fewer rules, or fewer that overlap others in several of their values",
        ),
    ] {
        refused(&format!("{NODE}{UPLINK}{BLUE}¦{}", crossing(ports)), &[(message, help)]);
    }
}
