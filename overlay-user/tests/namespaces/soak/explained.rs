//! What a gateway may say while others do to it what this test does, and why. Everything else is
//! a fault.

/// Words of a line of the log at the levels WARN and ERROR; why they are there.
pub const LOG: [(&str, &str); 12] = [
    ("the interface is gone", "eth3 is deleted"),
    ("the interface was renamed", "eth2 is given another name for a while"),
    ("code=\"port-down\"", "eth1 and eth0 are set down"),
    ("code=\"port-missing\"", "eth3 is deleted, and eth2 has another name"),
    ("code=\"no-uplink\"", "eth0 is the only uplink, and is set down"),
    ("code=\"peer-unresolved\"", "peers are added that nobody is, and eth0 is set down"),
    ("the last configuration was refused", "files with errors are reloaded"),
    ("code=\"configuration-refused\"", "files with errors are reloaded"),
    ("code=\"metrics-listener\"", "metrics.listen is an address that is not the host's"),
    ("are lost, loaded ones too: invalid value size", "a binary with other tables is started"),
    ("code=\"mtu-underlay\"", "the underlay's MTU is lowered"),
    ("reload: ", "files with errors are reloaded, and MTUs are warned of"),
];

/// Kinds of events; why they are there.
pub const EVENTS: [(&str, &str); 23] = [
    ("started", "daemons are started"),
    ("ready", "daemons are started"),
    ("stopping", "daemons are stopped"),
    ("configuration-applied", "configurations are applied"),
    ("configuration-refused", "files with errors are reloaded"),
    ("port-attached", "eth3 is made again, in another mode, and eth2 is back"),
    ("port-detached", "eth3 is deleted, and eth2 has another name"),
    ("port-up", "eth0 and eth1 are set up again"),
    ("port-down", "eth0 and eth1 are set down"),
    ("port-appeared", "eth3 is made again"),
    ("port-vanished", "eth3 is deleted"),
    ("port-renamed", "eth2 is given another name for a while"),
    ("port-mtu", "MTUs are changed"),
    ("peer-ready", "the underlay is up again"),
    ("peer-unresolved", "the underlay is down, and peers are added that nobody is"),
    ("next-hop-changed", "the underlay goes and comes"),
    ("address-learned", "stations appear"),
    ("address-moved", "stations move"),
    ("address-aged", "stations fall silent"),
    ("address-flushed", "ports and peers go with what was behind them"),
    ("problem-began", "see PROBLEMS"),
    ("problem-ended", "see PROBLEMS"),
    ("limited", "see LIMITS"),
];

/// Codes of problems; why they are there.
pub const PROBLEMS: [(&str, &str); 9] = [
    ("port-down", "eth0 and eth1 are set down"),
    ("port-missing", "eth3 is deleted, and eth2 has another name"),
    ("no-uplink", "eth0 is the only uplink, and is set down"),
    ("peer-unresolved", "peers are added that nobody is, and eth0 is set down"),
    ("configuration-refused", "files with errors are reloaded"),
    ("metrics-listener", "metrics.listen is an address that is not the host's"),
    ("mtu-underlay", "the underlay's MTU is lowered"),
    ("ephemeral", "the configuration is changed, and not saved"),
    ("kernel-feature", "this kernel's own doing"),
];

/// Reasons of limits; why they are there.
pub const LIMITS: [(&str, &str); 0] = [];

/// The lines of a log that nothing explains.
pub fn unexplained_lines(log: &str) -> Vec<String> {
    let is_bad = |line: &&str| {
        let level = line.split_whitespace().nth(1).unwrap_or_default();
        ["WARN", "ERROR"].contains(&level) || line.contains("panicked at")
    };
    let is_known = |line: &&str| LOG.iter().any(|(words, _)| line.contains(words));
    log.lines().filter(is_bad).filter(|line| !is_known(line)).map(str::to_owned).collect()
}

/// Whether something explains an event.
pub fn is_explained(event: &serde_json::Value) -> bool {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let has = |list: &[(&str, &str)], name: &str| list.iter().any(|(known, _)| *known == name);
    let kind = text(&event["kind"]);
    match kind.as_str() {
        "problem-began" | "problem-ended" => has(&PROBLEMS, &text(&event["fields"]["code"])),
        "limited" => has(&LIMITS, &text(&event["fields"]["reason"])),
        kind => has(&EVENTS, kind),
    }
}

#[test]
fn what_is_not_expected_is_not_explained() {
    let log = "2026-01-01T00:00:00.0Z  INFO all is well\n\
               2026-01-01T00:00:00.0Z  WARN the interface is gone interface=\"eth3\"\n\
               2026-01-01T00:00:00.0Z ERROR cannot put: no space left\n\
               thread 'x' panicked at src/lib.rs:1:1:\n";
    let told = unexplained_lines(log);
    assert_eq!(told.len(), 2, "{told:?}");
    let event =
        |kind: &str, code: &str| serde_json::json!({"kind": kind, "fields": {"code": code}});
    assert!(is_explained(&event("problem-began", "port-down")));
    assert!(!is_explained(&event("problem-began", "table-full")));
    assert!(!is_explained(&event("lost", "")) && !is_explained(&event("limited", "")));
}
