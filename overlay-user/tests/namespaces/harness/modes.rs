//! What there is to know of modes.

use anyhow::Result;
use overlay_testbed::{Offloads, TwoGateways, set_offloads};

/// The hook that a mode asks for by name: user space is one, whatever its sockets.
pub fn hook_of(mode: &str) -> &str {
    if mode == "user-xdp" { "user" } else { mode }
}

/// Has hosts finish their checksums where a gateway's ports are on AF_XDP: the note that one
/// is only half done does not survive it, and here is no wire before which it is finished.
pub fn suit(mode: &str, testbed: &TwoGateways) -> Result<()> {
    if mode == "user-xdp" {
        let finished = Offloads { tx: Some(false), ..Offloads::default() };
        set_offloads(&testbed.host1, "eth0", finished)?;
        set_offloads(&testbed.host2, "eth0", finished)?;
    }
    Ok(())
}
