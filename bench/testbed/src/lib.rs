//! Testbeds: network namespaces, veth links, processes and raw sockets.
//!
//! Everything here is a guard: dropping it, a panic and Ctrl-C all remove what
//! it made, and only that. Names carry the process identifier, so several
//! testbeds live side by side on one machine.
//!
//! Only the network namespace is entered, never a mount namespace (as
//! `ip netns exec` would), so that everybody sees the same bpffs.

mod bpffs;
mod bridge;
mod cleanup;
pub mod frame;
mod link;
mod netns;
pub mod ovs;
mod process;
mod raw;
mod requirement;
mod scratch;
mod topology;
mod wait;

pub use bpffs::ensure_bpffs;
pub use cleanup::Cleanup;
pub use link::{Offloads, mac_of, poll_by_itself, set_mac, set_mtu, set_offloads, veth};
pub use netns::Netns;
pub use process::{Process, run};
pub use raw::{RawSocket, Received};
pub use requirement::{Device, require_devices, require_root, require_tools};
pub use scratch::Scratch;
pub use topology::{Gateway, TwoGateways};
pub use wait::{is_emulated, patient, wait_until};
