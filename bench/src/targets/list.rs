//! The targets.

use super::Bound::{AtLeast, AtMost, Never};
use super::{Against, Bound, Keys, Target};

pub(super) const ENCAP_64: Keys = &[("direction", "encap"), ("frame", "64")];
const DECAP_64: Keys = &[("direction", "decap"), ("frame", "64")];
const MANY_ENTRIES: Keys = &[("entries", "1000000")];
const MANY_OF_BOTH: Keys = &[("peers", "10000"), ("segments", "4096")];
pub(super) const INSTALL: Keys = &[("what", "install"), ("entries", "1000000")];
const MEMORY: Keys = &[("what", "memory"), ("entries", "1000000")];

/// Every target, in the order of the report.
pub(super) const TARGETS: &[Target] = &[
    rate("XDP encapsulation, 64 B", ENCAP_64, Against::Plane("redirect"), 0.78),
    rate("XDP encapsulation, 64 B", ENCAP_64, Against::Plane("kernel"), 3.8),
    rate("XDP decapsulation, 64 B", DECAP_64, Against::Plane("redirect"), 0.80),
    rate("XDP decapsulation, 64 B", DECAP_64, Against::Plane("kernel"), 3.8),
    over_af_xdp("AF_XDP encapsulation, 64 B", ENCAP_64),
    over_af_xdp("AF_XDP decapsulation, 64 B", DECAP_64),
    scale("scale-fdb", "FDB of 1 M entries, at random", MANY_ENTRIES, &[("entries", "1")], 0.75),
    scale(
        "scale-both",
        "10 k peers and 4,096 segments, at random",
        MANY_OF_BOTH,
        &[("peers", "1"), ("segments", "1")],
        0.80,
    ),
    seen("XDP, with a trace and metrics read", "overlay-xdp"),
    seen("tc, with a trace and metrics read", "overlay-tc"),
    never("XDP at 80 % of its highest rate", "overlay-xdp", "lost"),
    never("XDP at 80 % of its highest rate", "overlay-xdp", "reordered"),
    never("tc at 80 % of its highest rate", "overlay-tc", "lost"),
    never("tc at 80 % of its highest rate", "overlay-tc", "reordered"),
    hosts("TCP bulk, 1 stream", "tcp-bulk", &[("streams", "1")], "throughput", AtLeast(1.2)),
    hosts("TCP bulk, 4 streams", "tcp-bulk", &[("streams", "4")], "throughput", AtLeast(1.0)),
    hosts("TCP bulk, 16 streams", "tcp-bulk", &[("streams", "16")], "throughput", AtLeast(1.0)),
    hosts("TCP request/response", "tcp-rr", &[], "transactions", AtLeast(1.25)),
    hosts("TCP request/response", "tcp-rr", &[], "p99", AtMost(1.0)),
    control("installing 1 M FDB entries", INSTALL, "time", Against::Plane("kernel"), 0.1),
    control("installing 1 M FDB entries", INSTALL, "time", Against::Nothing("s"), 3.0),
    control("daemon with 1 M FDB entries", MEMORY, "resident", Against::Nothing("MiB"), 200.0),
    // Less than what would be shown as 1 %.
    control("daemon with 1 M FDB entries", MEMORY, "cpu", Against::Nothing("of a core"), 0.005),
];

const fn rate(what: &'static str, case: Keys, against: Against, least: f64) -> Target {
    let (scenario, plane, metric) = ("rate", "overlay-xdp", "rate");
    Target { what, scenario, case, plane, metric, against, bound: AtLeast(least) }
}

const fn over_af_xdp(what: &'static str, case: Keys) -> Target {
    Target { plane: "overlay-af-xdp", ..rate(what, case, Against::Plane("kernel"), 1.0) }
}

const fn scale(
    scenario: &'static str,
    what: &'static str,
    case: Keys,
    small: Keys,
    least: f64,
) -> Target {
    let (plane, metric, against) = ("overlay-xdp", "rate", Against::Case(small));
    Target { what, scenario, case, plane, metric, against, bound: AtLeast(least) }
}

const fn seen(what: &'static str, plane: &'static str) -> Target {
    let (scenario, metric, bound) = ("sight", "kept", AtLeast(0.97));
    let against = Against::Nothing("of the rate with nobody");
    Target { what, scenario, case: &[], plane, metric, against, bound }
}

const fn never(what: &'static str, plane: &'static str, metric: &'static str) -> Target {
    let (scenario, against) = ("steady", Against::Nothing("frames"));
    Target { what, scenario, case: &[], plane, metric, against, bound: Never }
}

const fn hosts(
    what: &'static str,
    scenario: &'static str,
    case: Keys,
    metric: &'static str,
    bound: Bound,
) -> Target {
    let (plane, against) = ("overlay", Against::Plane("kernel"));
    Target { what, scenario, case, plane, metric, against, bound }
}

const fn control(
    what: &'static str,
    case: Keys,
    metric: &'static str,
    against: Against,
    most: f64,
) -> Target {
    let (scenario, plane) = ("control", "overlay");
    Target { what, scenario, case, plane, metric, against, bound: AtMost(most) }
}
