//! Lists of addresses, as they are read.

use overlay_control::addresses::{Address, LineError, Purpose, Reader};
use proptest::prelude::*;

use crate::gateway::{Gateway, TWO_SEGMENTS, mac, peer, port};

const GOOD: &str = "\
# a list
blue 02:01:00:00:00:01 peer gw2

  blue\t02-01-00-00-00-02 interface eth1   # at home
blue 02:01:00:00:00:03 interface eth2 vlan 10 protocol 802.1q
red 02:01:00:00:00:01 interface eth2 vlan 20\r
red 02:01:00:00:00:02 peer gw2";

fn errors(gateway: &Gateway, text: &str) -> Vec<LineError> {
    gateway.list(text, Purpose::Load).expect_err(text)
}

#[test]
fn a_list_says_where_addresses_are() {
    let gateway = Gateway::ready(TWO_SEGMENTS);
    let list = gateway.list(GOOD, Purpose::Load).unwrap();
    let found: Vec<_> = list
        .addresses
        .iter()
        .map(|Address { key, target, line }| (*key, gateway.place(*target).unwrap(), *line))
        .collect();
    let key = |segment, last| gateway.key(segment, mac(last));
    assert_eq!(
        found,
        [
            (key("blue", 1), peer("gw2"), 2),
            (key("blue", 2), port("eth1", 0), 4),
            (key("blue", 3), port("eth2", 10), 5),
            (key("red", 1), port("eth2", 20), 6),
            (key("red", 2), peer("gw2"), 7),
        ]
    );
    assert!(gateway.list("", Purpose::Load).unwrap().addresses.is_empty());
    assert!(gateway.list("\n# nothing\n", Purpose::Load).unwrap().addresses.is_empty());
}

#[test]
fn to_unload_an_address_its_place_need_not_be_said() {
    let gateway = Gateway::ready(TWO_SEGMENTS);
    let keys = |text| {
        let list = gateway.list(text, Purpose::Unload).unwrap();
        list.addresses.iter().map(|address| address.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(GOOD).len(), 5, "the list that was loaded will do");
    assert_eq!(keys("blue 02:01:00:00:00:01"), [gateway.key("blue", mac(1))]);
    assert!(gateway.list("blue", Purpose::Unload).is_err());
}

#[test]
fn each_error_has_its_place_and_says_what_would_be_right() {
    let gateway = Gateway::ready(TWO_SEGMENTS);
    let long = format!("blue {}", " ".repeat(2000));
    for (line, column, says, helps) in [
        ("bleu 02:01:00:00:00:01 peer gw2", 1, "no segment \"bleu\"", "\"blue\""),
        ("black 02:01:00:00:00:01 peer gw2", 1, "no segment \"black\"", "blue, red"),
        ("  blue", 7, "ends after the segment", "SEGMENT MAC peer NAME"),
        ("blue 02:01:00:00:00 peer gw2", 6, "is no MAC", "six pairs"),
        ("blue 02:01:00:00:00:0g peer gw2", 6, "is no MAC", "six pairs"),
        ("blue 01:00:5e:00:00:01 peer gw2", 6, "multicast", "first pair is even"),
        ("blue 00:00:00:00:00:00 peer gw2", 6, "zero", "one station"),
        ("blue 02:01:00:00:00:01", 23, "ends after the mac", "SEGMENT MAC peer NAME"),
        ("blue 02:01:00:00:00:01 gw2", 24, "neither peer nor interface", "SEGMENT MAC"),
        ("blue 02:01:00:00:00:01 peer", 28, "ends after peer", "SEGMENT MAC"),
        ("blue 02:01:00:00:00:01 peer gw4", 29, "no peer \"gw4\"", "gw"),
        ("red 02:01:00:00:00:01 peer gw3", 28, "gw3 may not use segment red", "add \"red\""),
        ("blue 02:01:00:00:00:01 peer gw2 now", 33, "one word too many", "SEGMENT MAC"),
        ("blue 02:01:00:00:00:01 interface eth2", 34, "no untagged port", "[[segment.port]]"),
        ("blue 02:01:00:00:00:01 interface eth0", 34, "no untagged port", "[[segment.port]]"),
        ("blue 02:01:00:00:00:01 interface eth2 vlan 20", 34, "VLAN 20", "[[segment.port]]"),
        ("blue 02:01:00:00:00:01 interface eth2 20", 39, "is not vlan", "[vlan ID [protocol"),
        ("blue 02:01:00:00:00:01 interface eth2 vlan", 43, "ends after vlan", "[vlan ID [protocol"),
        ("blue 02:01:00:00:00:01 interface eth2 vlan 4095", 44, "out of range", "1 to 4094"),
        ("blue 02:01:00:00:00:01 interface eth2 vlan 10 802.1ad", 47, "too many", "protocol"),
        ("blue 02:01:00:00:00:01 interface eth2 vlan 10 protocol", 55, "ends after", "protocol"),
        ("blue 02:01:00:00:00:01 interface eth2 vlan 10 protocol ad", 56, "not exist", "802.1ad"),
        (
            "blue 02:01:00:00:00:01 interface eth2 vlan 10 protocol 802.1ad",
            34,
            "VLAN 10 (802.1ad) of eth2 is no port",
            "[[segment.port]]",
        ),
        (&long, 1, "longer than 1024 bytes", "one address"),
    ] {
        let found = errors(&gateway, &format!("# first\n{line}\n"));
        let [error] = &found[..] else { panic!("{line}: {found:?}") };
        assert_eq!((error.line, error.column), (2, column), "{line}: {error}");
        assert!(error.message.contains(says), "{line}: {error}");
        assert!(error.help.contains(helps), "{line}: {error}");
    }
}

#[test]
fn text_of_another_kind_is_refused() {
    let gateway = Gateway::ready(TWO_SEGMENTS);
    let mut reader = Reader::new(gateway.controller.names(gateway.now), Purpose::Load);
    reader.push(b"blue \xff\xfe 1\n");
    let errors = reader.finish().unwrap_err();
    assert_eq!((errors[0].line, errors[0].column), (1, 6));
    assert!(errors[0].message.contains("UTF-8"), "{}", errors[0]);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_up_to_a_point() {
    let gateway = Gateway::ready(TWO_SEGMENTS);
    let good = "blue 02:01:00:00:00:01 peer gw2\n";
    let found = errors(&gateway, &format!("x\n{good}y\n{good}"));
    let lines: Vec<u32> = found.iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 3, 4]);
    assert!(found[2].help.contains("line 2"), "listed twice: {}", found[2]);
    assert_eq!(errors(&gateway, &"x\n".repeat(1000)).len(), 20);
}

#[test]
fn a_list_is_not_longer_than_the_table() {
    let small = TWO_SEGMENTS.replace("[[uplink]]", "fdb_entries = 2\n[[uplink]]");
    let gateway = Gateway::ready(&small);
    let line = |last| format!("blue {} peer gw2\n", mac(last));
    let text: String = (0..5).map(line).collect();
    let found = errors(&gateway, &text);
    assert_eq!((found.len(), found[0].line), (1, 3));
    assert!(found[0].help.contains("node.fdb_entries"), "{}", found[0]);
}

#[test]
fn errors_are_whole_sentences() {
    let small = TWO_SEGMENTS.replace("[[uplink]]", "fdb_entries = 2\n[[uplink]]");
    let gateway = Gateway::ready(&small);
    let said = |bytes: &[u8]| {
        let mut reader = Reader::new(gateway.controller.names(gateway.now), Purpose::Load);
        reader.push(bytes);
        let errors = reader.finish().expect_err("an error");
        errors.iter().map(LineError::to_string).collect::<Vec<_>>().join("\n")
    };
    let one = "blue 02:01:00:00:00:01 ";
    for (bytes, sentence) in [
        (
            format!("{one}interface eth2 vlan 20").into_bytes(),
            "1:34: VLAN 20 of eth2 is no port of segment blue\n  \
             help: name interface, vlan and protocol of one of its [[segment.port]]",
        ),
        (
            format!("{one}interface eth2 vlan 10 protocol ad").into_bytes(),
            "1:56: protocol ad does not exist\n  help: 802.1q or 802.1ad",
        ),
        (
            b"red 02:01:00:00:00:01 peer gw3".to_vec(),
            "1:28: peer gw3 may not use segment red\n  \
             help: add \"red\" to the peer's segments in the configuration",
        ),
        (
            vec![b' '; 1025],
            "1:1: the line is longer than 1024 bytes\n  help: one address on each line",
        ),
        (
            b"blue \xff".to_vec(),
            "1:6: this is not UTF-8\n  help: lists of addresses are plain text",
        ),
        (
            format!("{one}peer gw2\n{one}peer gw2\n").into_bytes(),
            "2:1: this address is listed twice\n  \
             help: each mac of a segment may be listed once; it is on line 1",
        ),
        (
            (1..4).flat_map(|last| format!("blue {} peer gw2\n", mac(last)).into_bytes()).collect(),
            "3:1: these are more addresses than the FDB takes, 2\n  \
             help: make node.fdb_entries larger and start again, or load fewer",
        ),
    ] {
        assert_eq!(said(&bytes), sentence);
    }
}

proptest! {
    #[test]
    fn pieces_of_any_size_make_the_same_list(cuts in prop::collection::vec(0..GOOD.len(), 0..9)) {
        let gateway = Gateway::ready(TWO_SEGMENTS);
        let mut reader = Reader::new(gateway.controller.names(gateway.now), Purpose::Load);
        let mut cuts = cuts;
        cuts.extend([0, GOOD.len()]);
        cuts.sort_unstable();
        for pair in cuts.windows(2) {
            reader.push(&GOOD.as_bytes()[pair[0]..pair[1]]);
        }
        let whole = gateway.list(GOOD, Purpose::Load).unwrap();
        prop_assert_eq!(reader.finish().unwrap().addresses, whole.addresses);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "([a-z0-9:. #\\n]|blue |02:01:00:00:00:01|peer ){0,40}") {
        let gateway = Gateway::ready(TWO_SEGMENTS);
        for purpose in [Purpose::Load, Purpose::Unload] {
            let _ = gateway.list(&text, purpose);
        }
    }
}
