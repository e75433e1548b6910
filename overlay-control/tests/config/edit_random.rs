//! Changes that nobody thought of.

use overlay_control::config::Config;
use overlay_control::config::edit::{self, Change, Path, Verb};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use toml_edit::{Array, InlineTable, Value};

const FILE: &str = r#"
[node]
name = "gw1"
vtep = "192.0.2.1"

[[uplink]]
interface = "eth0"

[[segment]]
name = "s1"
vni = 1
[[segment.port]]
interface = "eth1"
[[segment.acl]]
direction = "in"
action = "permit"
[[segment.port]]
interface = "eth2"

[[peer]]
name = "p1"
vtep = "192.0.2.2"
segments = ["s1"]

[[segment]]
name = "s2"
vni = 2
[[segment.port]]
interface = "eth3"
[[segment.port.host]]
mac = "02:00:00:00:00:01"
"#;

fn path() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "s1",
        "s2",
        "s3",
        "p1",
        "p2",
        "eth1",
        "eth9",
        "end",
        "1",
        "2",
        "02:00:00:00:00:01",
        "10.0.0.0/8",
        "10.0.0.7",
        "",
    ]);
    let words = prop::sample::select(vec![
        "node",
        "uplink",
        "segment",
        "port",
        "host",
        "fdb",
        "neighbour",
        "acl",
        "limit",
        "vrf",
        "route",
        "peer",
        "api",
        "acl_default",
        "x",
    ]);
    prop::collection::vec((words, names), 1..4).prop_map(|steps| {
        let steps: Vec<String> = steps
            .into_iter()
            .map(
                |(word, name)| {
                    if name.is_empty() { word.to_owned() } else { format!("{word}/{name}") }
                },
            )
            .collect();
        steps.join("/")
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[a-z0-9.\"\n\\\\=#\\[\\]é]{0,8}".prop_map(Value::from),
        Just(Value::from("s1")),
        Just(Value::from("192.0.2.9")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| Value::Array(values.into_iter().collect::<Array>())),
            prop::collection::vec((key(), inner), 0..4).prop_map(|pairs| {
                Value::InlineTable(pairs.into_iter().collect::<InlineTable>())
            }),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "name",
            "vni",
            "port",
            "interface",
            "vlan",
            "segments",
            "vtep",
            "limit",
            "packets",
            "mac",
            "acl"
        ])
        .prop_map(str::to_owned),
        "[a-z\"\n.\\[]{0,4}",
    ]
}

fn change() -> impl Strategy<Value = (Verb, String, Vec<(String, Option<Value>)>)> {
    let keys = prop::collection::vec((key(), prop::option::weighted(0.9, value())), 0..4);
    (prop::sample::select(Verb::ALL.to_vec()), path(), keys)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        rng_seed: RngSeed::Fixed(6),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What comes of any changes is a document, which the parser takes or refuses with a place.
    #[test]
    fn what_is_edited_is_a_document(changes in prop::collection::vec(change(), 1..5)) {
        let changes: Vec<Change> = changes
            .into_iter()
            .filter_map(|(verb, path, keys)| Some(Change { verb, path: Path::parse(&path).ok()?, keys }))
            .collect();
        if let Ok(edited) = edit::apply(FILE, &changes) {
            let again = edited.text.parse::<toml_edit::DocumentMut>();
            prop_assert!(again.is_ok(), "{}\n{:?}", edited.text, again);
            if let Err(errors) = Config::parse(&edited.text, "f") {
                for error in &errors {
                    prop_assert!(!error.message.starts_with("syntax"), "{}\n{}", error, edited.text);
                    edited.blame(error.line);
                }
            }
        }
    }

    /// A table that is put is found again, and what takes it away again leaves the rest.
    #[test]
    fn a_change_and_its_inverse_mean_what_was(
        path in path(),
        keys in prop::collection::vec((key(), value().prop_map(Some)), 0..4),
    ) {
        let Ok(path) = Path::parse(&path) else { return Ok(()) };
        let put = Change { verb: Verb::Put, path: path.clone(), keys };
        let back = match edit::find(FILE, &path) {
            Ok(table) => {
                let keys = table.iter().map(|(k, v)| (k.to_owned(), Some(v.clone()))).collect();
                Change { verb: Verb::Put, path: path.clone(), keys }
            }
            Err(_) => Change { verb: Verb::Remove, path: path.clone(), keys: Vec::new() },
        };
        let Ok(there) = edit::apply(FILE, &[put]) else { return Ok(()) };
        // Behind the last of a list is another place by then.
        prop_assume!(!path.to_string().ends_with("/end"));
        prop_assert!(edit::find(&there.text, &path).is_ok(), "{}", there.text);
        let again = edit::apply(&there.text, &[back]);
        prop_assert!(again.is_ok(), "{:?}\n{}", again, there.text);
        let again = again.map(|edited| edited.text).unwrap_or_default();
        let (was, is) = (Config::parse(FILE, "f"), Config::parse(&again, "f"));
        let is_same = matches!((&was, &is), (Ok(was), Ok(is)) if was.means(is));
        prop_assert!(is_same, "{:?}\n{}", is, again);
    }
}
