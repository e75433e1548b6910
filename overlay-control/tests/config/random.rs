//! Whatever is wrong has its place and its help.

use overlay_control::config::Config;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const WHOLE: &str = r#"
[node]
name = "gw1"
vtep = "192.0.2.1"
ageing = 60
[[uplink]]
interface = "eth0"
mode = "xdp"
[[segment]]
name = "blue"
vni = 100
learning = false
vrf = "red"
router = ["10.1.0.1/24", "fd00:1::1/64"]
[[segment.acl]]
direction = "in"
action = "deny"
protocol = "tcp"
source = "10.0.0.0/8"
destination_port = "80-443"
[[segment.port]]
interface = "eth1"
vlan = 10
[[segment.port.host]]
mac = "02:00:00:00:01:01"
ip = ["10.1.0.5"]
[[segment.fdb]]
mac = "02:00:00:00:02:02"
peer = "gw2"
[[segment.neighbour]]
ip = "10.0.0.5"
mac = "02:00:00:00:02:02"
[[peer]]
name = "gw2"
vtep = "192.0.2.2"
encap = "vxlan"
segments = ["blue"]
vrfs = ["red"]
dscp = "copy"
[[vrf]]
name = "red"
vni = 5000
[[vrf.route]]
prefix = "10.9.0.0/16"
peer = "gw2"
[[vrf.route]]
prefix = "10.8.0.0/16"
via = "10.1.0.9"
"#;

proptest! {
    // The seed is fixed: a test says the same thing every time.
    #![proptest_config(ProptestConfig {
        cases: 2000,
        rng_seed: RngSeed::Fixed(822),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_wrong_has_its_place_and_help(
        edits in proptest::collection::vec(
            (0..WHOLE.len(), 0..6usize, "[\\[\\]a-z0-9=\"\n .#{},ü-]{0,4}"),
            1..6,
        ),
    ) {
        let mut text: Vec<char> = WHOLE.chars().collect();
        for (at, removed, inserted) in edits {
            let start = at.min(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, inserted.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(errors) = Config::parse(&text, "gw.toml") {
            prop_assert!(!errors.is_empty());
            let lines: Vec<&str> = text.split('\n').collect();
            for error in &errors {
                let line = lines.get(error.line - 1);
                prop_assert!(line.is_some(), "{}", error);
                let width = line.map_or(0, |line| line.chars().count());
                prop_assert!((1..=width + 1).contains(&error.column), "{}", error);
                prop_assert!(!error.message.is_empty() && !error.help.is_empty());
            }
            prop_assert!(errors.is_sorted_by_key(|error| (error.line, error.column)));
        }
    }
}
