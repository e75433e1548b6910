//! Changes to the text of a configuration.

use overlay_control::config::Config;
use overlay_control::config::edit::{self, Change, Fault, Path, Verb};
use toml_edit::{InlineTable, Value};

const FILE: &str = r#"# the gateway of the first site
[node]
name = "gw1"          # names the socket
vtep = "192.0.2.1"

[[uplink]]
interface = "eth0"

[[segment]]           # the hosts
name = "blue"
vni  = 100

[[segment.port]]
interface = "eth1"

[[segment.port.host]]
mac = "02:00:00:00:01:01"

[[segment.fdb]]
mac  = "02:00:00:00:02:02"
peer = "gw2"

[[segment.acl]]
direction = "in"
action    = "deny"
protocol  = "tcp"

# the other site
[[peer]]
name     = "gw2"
vtep     = "192.0.2.2"   # its loopback
segments = ["blue"]

[[segment]]
name = "green"
vni  = 200

[[vrf]]
name = "red"
vni = 5000

[[vrf.route]]
prefix = "10.9.0.0/16"
kind = "blackhole"
"#;

/// A change, whose value is TOML; a key with the value `"-"` is to go.
fn change(verb: Verb, path: &str, value: &str) -> Change {
    let table: InlineTable =
        format!("{{ {value} }}").parse::<Value>().unwrap().as_inline_table().unwrap().clone();
    let key = |(key, value): (&str, &Value)| {
        (key.to_owned(), (value.as_str() != Some("-")).then(|| value.clone()))
    };
    Change { verb, path: Path::parse(path).unwrap(), keys: table.iter().map(key).collect() }
}

fn put(path: &str, value: &str) -> Change {
    change(Verb::Put, path, value)
}

fn patch(path: &str, value: &str) -> Change {
    change(Verb::Patch, path, value)
}

fn remove(path: &str) -> Change {
    change(Verb::Remove, path, "")
}

fn applied(changes: &[Change]) -> String {
    let edited = edit::apply(FILE, changes).unwrap();
    if let Err(errors) = Config::parse(&edited.text, "f") {
        panic!("{errors:?}\n{}", edited.text);
    }
    edited.text
}

fn refused(change: Change) -> Fault {
    edit::apply(FILE, &[change]).unwrap_err().1
}

/// The lines that are in one text and not in the other, in their order.
fn difference(old: &str, new: &str) -> (Vec<String>, Vec<String>) {
    let only = |a: &str, b: &str| {
        let mut others: Vec<&str> = b.lines().collect();
        let is_new = |line: &&str| match others.iter().position(|other| other == line) {
            Some(at) => {
                others.remove(at);
                false
            }
            None => !line.is_empty(),
        };
        a.lines().filter(is_new).map(str::to_owned).collect::<Vec<_>>()
    };
    (only(old, new), only(new, old))
}

#[test]
fn nothing_is_changed_by_no_changes() {
    assert_eq!(applied(&[]), FILE);
}

#[test]
fn one_value_is_changed_and_everything_around_it_stays() {
    let text = applied(&[patch("peer/gw2", "vtep = '192.0.2.3'")]);
    let (old, new) = difference(FILE, &text);
    assert_eq!(old, [r#"vtep     = "192.0.2.2"   # its loopback"#]);
    assert_eq!(new, ["vtep     = '192.0.2.3'   # its loopback"]);
}

#[test]
fn a_new_peer_stands_behind_the_others() {
    let text = applied(&[put(
        "peer/gw3",
        "vtep = '192.0.2.3', segments = ['green'], limit = { packets = 5 }",
    )]);
    let (old, new) = difference(FILE, &text);
    assert!(old.is_empty(), "{old:?}");
    assert_eq!(new.first().map(String::as_str), Some("[[peer]]"));
    let config = Config::parse(&text, "f").unwrap();
    assert_eq!(config.peers[1].limits.packets, Some(5));
}

#[test]
fn tables_in_tables_come_into_the_right_one() {
    let text = applied(&[
        put("segment/blue/port/eth2", "sticky = true"),
        put("segment/green/port/eth2/10", ""),
        put("segment/green/port/eth2/10/802.1ad", ""),
        put("segment/blue/port/eth1/host/02-00-00-00-01-02", "ip = ['10.0.0.5']"),
        put("segment/green/neighbour/10.0.0.9", "mac = '02:00:00:00:02:09'"),
        put("vrf/red/route/10.8.0.0/16", "kind = 'unreachable'"),
        put("segment/blue/limit", "packets = 1000"),
        put("segment/green/acl_default", "in = 'deny'"),
    ]);
    let config = Config::parse(&text, "f").unwrap();
    let [blue, green] = &config.segments[..] else { panic!("{config:?}") };
    let ports = |segment: &overlay_control::config::Segment| {
        segment.ports.iter().map(|port| port.interface.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ports(blue), ["eth1", "eth2"]);
    assert_eq!(ports(green), ["eth2", "eth2"]);
    assert_eq!(blue.ports[0].hosts.len(), 2, "{text}");
    assert_eq!(green.neighbours.len(), 1);
    assert_eq!(config.vrfs[0].routes.len(), 2);
    assert_eq!(blue.limits.packets, Some(1000));
    assert!(green.acls[0].is_some());
}

#[test]
fn a_list_with_an_order_keeps_it() {
    let rule = |port: u16| {
        format!("direction = 'in', action = 'permit', protocol = 'udp', destination_port = {port}")
    };
    let text = applied(&[
        change(Verb::Insert, "segment/blue/acl/1", &rule(53)),
        change(Verb::Insert, "segment/blue/acl/end", &rule(67)),
        change(Verb::Insert, "segment/blue/acl/2", &rule(123)),
        remove("segment/blue/acl/3"),
    ]);
    let ports: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("destination_port = ").map(|(_, port)| port))
        .collect();
    assert_eq!(ports, ["53", "123", "67"], "{text}");
    assert!(!text.contains("\"tcp\""), "{text}");
}

#[test]
fn what_is_put_has_no_other_keys() {
    let text = applied(&[
        put("segment/green", "vni = 300"),
        put("segment/blue", "vni = 100, port = [{ interface = 'eth5' }, { interface = 'eth6' }]"),
    ]);
    let config = Config::parse(&text, "f").unwrap();
    assert_eq!(config.segments[1].vni, overlay_common::id::Vni::new(300).unwrap());
    let ports: Vec<&str> =
        config.segments[0].ports.iter().map(|port| port.interface.as_str()).collect();
    assert_eq!(ports, ["eth5", "eth6"]);
    assert!(config.segments[0].fdb.is_empty() && text.contains("# the hosts"), "{text}");
}

#[test]
fn a_patch_changes_a_table_in_a_table_key_by_key() {
    let text = applied(&[
        put("peer/gw2/limit", "packets = 5, bits = 8000"),
        patch("peer/gw2", "limit = { packets = 7 }, encap = 'geneve'"),
    ]);
    let peer = &Config::parse(&text, "f").unwrap().peers[0];
    assert_eq!((peer.limits.packets, peer.limits.bits), (Some(7), Some(8000)));
    let text = applied(&[patch("peer/gw2", "encap = 'geneve'"), patch("peer/gw2", "encap = '-'")]);
    assert_eq!(text, FILE);
}

#[test]
fn a_change_and_its_inverse_leave_the_text_as_it_was() {
    for (there, back) in [
        (put("peer/gw3", "vtep = '192.0.2.3', segments = []"), remove("peer/gw3")),
        (put("segment/red", "vni = 300"), remove("segment/red")),
        (put("segment/green/port/eth2", ""), remove("segment/green/port/eth2")),
        (put("segment/green/limit", "bits = 9000"), remove("segment/green/limit")),
        (
            put("vrf/red/route/10.8.0.0/16", "kind = 'blackhole'"),
            remove("vrf/red/route/10.8.0.0/16"),
        ),
    ] {
        assert_eq!(applied(&[there, back.clone()]), FILE, "{back}");
    }
}

#[test]
fn lists_in_one_line_are_changed_as_well() {
    let inline = "node = { name = 'gw1', vtep = '192.0.2.1' }\n\
                  uplink = [{ interface = 'eth0' }]\n\
                  segment = [{ name = 'blue', vni = 1, port = [{ interface = 'eth1' }] }]\n\
                  peer = [{ name = 'gw2', vtep = '192.0.2.2', segments = ['blue'] }]\n";
    let changes = [
        put("peer/gw3", "vtep = '192.0.2.3', segments = ['blue']"),
        put("segment/blue/port/eth2", "limit = { packets = 5 }"),
        put("segment/blue/fdb/02:00:00:00:02:02", "peer = 'gw3'"),
        put("segment/red", "vni = 5, port = [{ interface = 'eth3' }]"),
        patch("segment/blue/port/eth2", "limit = { macs = 1 }"),
        put("vrf/red", "route = [{ prefix = '10.0.0.0/8', kind = 'blackhole' }]"),
        put("segment/blue/port/eth1", "host = [{ mac = '02:00:00:00:00:01' }]"),
        remove("peer/gw2"),
    ];
    let text = edit::apply(inline, &changes).unwrap().text;
    let config = Config::parse(&text, "f").unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    assert_eq!(config.segments.len(), 2);
    assert_eq!(config.segments[0].ports[1].limits.macs, Some(1));
    assert_eq!(config.segments[0].ports[1].limits.packets, Some(5));
    assert_eq!(config.peers[0].name, "gw3");
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    for (change, message, help) in [
        (remove("peer/gw4"), "there is no peer/gw4 in the configuration", "peer gw2"),
        (put("segment/bleu/port/eth1", ""), "there is no segment/bleu", "segment blue, green"),
        (remove("segment/green/port/eth1"), "segment/green", "no port at all"),
        (remove("segment/blue/acl/2"), "there is no acl/2 in segment/blue", "acl/1 to 1"),
    ] {
        let fault = refused(change);
        assert!(fault.is_absence && fault.message.contains(message), "{fault}");
        assert!(fault.help.contains(help), "{fault}");
    }
    let fault = refused(change(Verb::Insert, "segment/blue/acl/9", "action = 'deny'"));
    assert!(fault.message.contains("acl/9 is behind the end"), "{fault}");
    let fault = refused(put("peer/gw2", "name = 'gw3'"));
    assert!(fault.message.contains("name is not that of peer/gw2"), "{fault}");
    assert!(refused(change(Verb::Insert, "peer/gw3", "")).message.contains("no position"));
    assert!(refused(change(Verb::Remove, "peer/gw2", "a = 1")).message.contains("no value"));
}

#[test]
fn a_path_that_leads_nowhere_is_refused_with_what_would_do() {
    for (path, message, help) in [
        ("", "there is no \"\" in a configuration", "peer/NAME"),
        ("peers/gw2", "there is no \"peers\"", "did you mean peer?"),
        ("peer", "peer needs a name", "peer/NAME"),
        ("segment/blue/ports/eth1", "there is no \"ports\" in segment", "did you mean port?"),
        ("segment/blue/fdb/x", "mac \"x\" is no MAC address", "such as"),
        ("segment/blue/port/eth1/x", "vlan \"x\" is no number", "a VLAN"),
        ("segment/blue/acl/0", "\"0\" is no position", "from 1"),
        ("segment/blue/acl", "acl needs a position", "acl/end"),
        ("vrf/red/route/10.0.0.0", "is no network", "10.9.0.0/16"),
        ("node/name", "node has no \"name\" in it", "single keys"),
    ] {
        let fault = Path::parse(path).unwrap_err();
        assert!(fault.message.contains(message), "{path}: {fault}");
        assert!(fault.help.contains(help), "{path}: {fault}");
    }
    for path in [
        "peer/gw2/limit",
        "segment/a/port/eth1/10/802.1ad/host/02:00:00:00:00:01",
        "node",
        "vrf/r/route/fd00::/64",
    ] {
        assert_eq!(Path::parse(path).unwrap().to_string(), path);
    }
}

#[test]
fn an_error_is_that_of_the_change_whose_table_it_is_in() {
    let changes = [
        put("peer/gw3", "vtep = '192.0.2.3', segments = ['blue']"),
        put("segment/green/port/eth2", ""),
        put("segment/green/port/eth3", "vlan = 5000"),
        patch("segment/green", "learning = 3"),
    ];
    let changes = [
        changes[0].clone(),
        changes[1].clone(),
        change(Verb::Put, "segment/green/port/eth3", "mode = 'fast'"),
        changes[3].clone(),
    ];
    let edited = edit::apply(FILE, &changes).unwrap();
    let errors = Config::parse(&edited.text, "f").unwrap_err();
    let blamed: Vec<_> = errors.iter().map(|error| edited.blame(error.line)).collect();
    assert_eq!(blamed, [Some(3), Some(2)], "{errors:?}\n{}", edited.text);
    assert_eq!(edited.blame(2), None, "[node] is nobody's");
}

#[test]
fn what_is_found_is_what_was_put() {
    let path = Path::parse("segment/blue").unwrap();
    let table = edit::find(FILE, &path).unwrap();
    assert_eq!(table.get("vni").and_then(Value::as_integer), Some(100));
    assert_eq!(table.get("port").and_then(Value::as_array).map(toml_edit::Array::len), Some(1));
    let keys = table.iter().map(|(key, value)| (key.to_owned(), Some(value.clone()))).collect();
    let same = Change { verb: Verb::Put, path, keys };
    assert_eq!(applied(&[same]), FILE);
}
