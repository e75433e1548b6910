//! Peers and devices that not every kernel has. Where this one lacks them, the tests are
//! left to the guests of `cargo xtask test --vm`, which have all.

mod devices;
mod netem;
mod peers;
mod switched;

use overlay_testbed::{Device, require_devices, require_root, require_tools};

const TOOLS: &[&str] = &["iperf3", "curl", "python3", "bridge", "ping", "tc"];

/// Whether a test can run here.
fn can_run(test: &str, devices: &[Device]) -> bool {
    require_root(test) && require_tools(test, TOOLS) && require_devices(test, devices)
}
