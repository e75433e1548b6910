//! What `--features` has this project's gateways do besides: ten rules of an access list each way,
//! source guard where a port has one host, and two VRFs.
//!
//! No frame of the bench meets a rule, so each is walked through to the default, which lets it pass.

use std::fmt::Write as _;

/// Of each direction's list.
const RULES: u16 = 10;
/// Two VRFs: that of the segment whose frames are measured, and another with a segment.
const VRFS: &str = "
[[vrf]]
name = \"measured\"
vni = 9000001

[[vrf]]
name = \"beside\"
vni = 9000002
";
const BESIDE: &str = "
[[segment]]
name = \"beside\"
vni = 9000003
vrf = \"beside\"
router = [\"10.0.0.254/24\"]
";

/// The tables that stand before all segments.
pub fn before() -> String {
    [VRFS, BESIDE].concat()
}

/// The keys of the segment whose frames are measured.
pub const fn segment() -> &'static str {
    "vrf = \"measured\"\nrouter = [\"10.0.0.254/24\"]\n"
}

/// The table of its one port, before another begins: the host that may send, with its address.
pub fn port(mac: &str, ip: &str) -> String {
    format!("\n[[segment.port.host]]\nmac = \"{mac}\"\nip = [\"{ip}\"]\n")
}

/// The tables of that segment, behind those of its port. Services that nobody is to reach, at
/// hosts that there are, and a default that lets the rest pass.
pub fn lists() -> String {
    let mut text = String::new();
    for direction in ["in", "out"] {
        for port in (1..=RULES).map(|rule| 10 * rule) {
            let _ = write!(
                text,
                "\n[[segment.acl]]\ndirection = \"{direction}\"\naction = \"deny\"\nprotocol = \"udp\"\n\
                 destination = \"10.0.0.0/24\"\ndestination_port = {port}\n"
            );
        }
    }
    text + "\n[segment.acl_default]\nin = \"permit\"\nout = \"permit\"\n"
}

#[cfg(test)]
mod tests {
    use overlay_control::config::Config;

    use super::*;

    /// As both kinds of gateways put the parts together.
    #[test]
    fn the_parts_make_a_configuration() {
        let node =
            "[node]\nname = \"gw\"\nvtep = \"192.0.2.1\"\n\n[[uplink]]\ninterface = \"eth0\"\n";
        let text = [
            node,
            &before(),
            "\n[[segment]]\nname = \"blue\"\nvni = 100\n",
            segment(),
            "\n[[segment.port]]\ninterface = \"eth1\"\n",
            &port("02:00:00:00:00:01", "10.0.0.1"),
            &lists(),
        ];
        let config = Config::parse(&text.concat(), "test").expect("a configuration");
        assert_eq!(config.vrfs.len(), 2);
        let [_, blue] = &config.segments[..] else { panic!("{:?}", config.segments) };
        assert_eq!(blue.vrf.as_deref(), Some("measured"));
        assert_eq!(blue.ports[0].hosts.len(), 1);
        for list in &blue.acls {
            // What is for any packet counts as a rule, too.
            let rules = list.as_ref().map_or(0, |list| list.rules());
            assert!(rules > usize::from(RULES), "{rules} rules");
        }
    }
}
