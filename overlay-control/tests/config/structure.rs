//! Syntax, tables and keys.

use overlay_control::config::Config;

use crate::marked::{BLUE, GW2, NODE, UPLINK, refused};

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
            (
                "unknown key colour in [node]",
                "[node] takes name, vtep, vxlan_port, geneve_port, ageing, fdb_entries",
            ),
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
        "[[peer]] takes name, vtep, encap, port, mtu, segments",
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
