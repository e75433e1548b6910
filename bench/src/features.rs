//! What `--features` has this project's gateways do besides: ten rules of an access list each way,
//! source guard, and two VRFs.
//!
//! The rules let every frame of the bench pass, which each has to be held against all of them for.

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

/// The tables of its one port, right behind it: the hosts that may send, with an address.
pub fn port<'a>(hosts: impl IntoIterator<Item = &'a str>, ip: &str) -> String {
    let mut text = String::new();
    for mac in hosts {
        let _ = write!(text, "\n[[segment.port.host]]\nmac = \"{mac}\"\nip = [\"{ip}\"]\n");
    }
    text
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
