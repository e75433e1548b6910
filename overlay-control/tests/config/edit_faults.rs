//! Paths and changes that cannot be, each with the whole sentence that says so.

use overlay_control::config::edit::{self, Change, MAX_TEXT, Path, Verb};
use toml_edit::Value;

const FILE: &str = "[node]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\n\n\
                    [[segment]]\nname = \"blue\"\nvni = 100\n\n\
                    [[segment.acl]]\ndirection = \"in\"\naction = \"deny\"\n\n\
                    [[peer]]\nname = \"gw2\"\nvtep = \"192.0.2.2\"\nsegments = [\"blue\"]\n";

fn change(verb: Verb, path: &str, value: &str) -> Change {
    let table: Value = format!("{{ {value} }}").parse().unwrap();
    let keys = table.as_inline_table().unwrap().iter();
    let keys = keys.map(|(key, value)| (key.to_owned(), Some(value.clone()))).collect();
    Change { verb, path: Path::parse(path).unwrap(), keys }
}

#[test]
fn paths() {
    let long = format!("peer/{}", "x".repeat(2000));
    for (path, said) in [
        (&*long, "the path is too long\n  help: a path such as peer/gw2"),
        (
            "node/name",
            "node has no \"name\" in it\n  \
             help: end the path before it; single keys are part of the value",
        ),
        (
            "segment/blue/acl",
            "acl needs a position\n  help: acl/POSITION, from 1, or acl/end for behind the last",
        ),
        (
            "segment/blue/acl/first",
            "\"first\" is no position\n  \
             help: acl/POSITION, from 1, or acl/end for behind the last",
        ),
        (
            "segment/blue/fdb/01",
            "mac \"01\" is no MAC address of a station\n  help: such as 02:00:00:00:02:02",
        ),
        ("segment/blue/neighbour/10", "ip \"10\" is no IP address\n  help: such as 10.0.0.5"),
        (
            "vrf/red/route/10.0.0.0/99",
            "prefix \"10.0.0.0/99\" is no network\n  help: such as 10.9.0.0/16",
        ),
        ("segment/blue/port/eth1/ten", "vlan \"ten\" is no number\n  help: a VLAN such as 10"),
        (
            "segment/blue/port/eth1/10/ad",
            "protocol \"ad\" is no kind of tag\n  help: 802.1q or 802.1ad",
        ),
        ("peer", "peer needs a name\n  help: write peer/NAME"),
    ] {
        assert_eq!(Path::parse(path).unwrap_err().to_string(), said, "{path}");
    }
}

#[test]
fn changes() {
    for (change, said) in [
        (
            change(Verb::Insert, "peer/gw3", ""),
            "peer/gw3 has no position\n  \
             help: insert is for lists in which the order matters: segment/NAME/acl/POSITION",
        ),
        (
            change(Verb::Remove, "peer/gw2", "vtep = '192.0.2.3'"),
            "what is removed has no value\n  help: leave the value out",
        ),
        (
            change(Verb::Put, "peer/gw2", "name = 'gw3'"),
            "name is not that of peer/gw2\n  help: name is part of the path: leave it out of the \
             value, or remove peer/gw2 and put the other",
        ),
        (
            change(Verb::Remove, "vrf/red", ""),
            "there is no vrf/red in the configuration\n  \
             help: the configuration has no vrf at all",
        ),
        (
            change(Verb::Insert, "segment/blue/acl/9", "action = 'deny'"),
            "acl/9 is behind the end\n  help: acl/1 to acl/2, or acl/end",
        ),
    ] {
        let (_, fault) = edit::apply(FILE, std::slice::from_ref(&change)).unwrap_err();
        assert_eq!(fault.to_string(), said, "{change}");
    }
}

#[test]
fn texts() {
    let put = change(Verb::Put, "peer/gw3", "vtep = '192.0.2.3'");
    let said =
        |text: &str| edit::apply(text, std::slice::from_ref(&put)).unwrap_err().1.to_string();
    let no_toml = said("[node\n");
    assert!(no_toml.starts_with("the configuration is no TOML: "), "{no_toml}");
    assert!(no_toml.ends_with("\n  help: reload it"), "{no_toml}");
    assert_eq!(said("peer = 5\n"), "peer is no list of tables\n  help: a list of tables, [[peer]]");
    let comment = format!("# {}\n{FILE}", "x".repeat(MAX_TEXT));
    assert_eq!(
        said(&comment),
        "the configuration gets too long\n  \
         help: use several gateways, or load addresses with overlay fdb load"
    );
}
