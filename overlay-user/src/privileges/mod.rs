//! What the daemon may still do once it runs, and nothing beside: who takes it over by a
//! frame or a request finds no more.
//!
//! [`confine`] is called while the process has one thread, and every thread that follows
//! inherits what it leaves:
//!
//! - `capabilities`: those that the data plane needs.
//! - no new privileges: no program that is started gets more.
//! - `landlock`: which files are within reach.
//! - `seccomp`: which system calls there are.
//! - [`start`]: what only a start needs, and only a thread of its own has until the start
//!   is over.
//!
//! What a kernel lacks is done without, and said. `OVERLAY_SANDBOX=off` does without all of
//! it, for whoever looks for a fault here.

mod capabilities;
mod landlock;
mod seccomp;
pub mod start;

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::dataplane;

/// The variable that turns all of this off.
pub const SWITCH: &str = "OVERLAY_SANDBOX";

/// Confines this thread, and those that it will make, to what running the gateway of this
/// configuration file needs. What cannot be had is logged: a gateway that forwards without a
/// lock on its door is better than none.
pub fn confine(config: &Path) {
    match std::env::var(SWITCH).as_deref() {
        Ok("off") => return tracing::warn!("{SWITCH}=off: the daemon keeps every privilege"),
        Err(_) | Ok("" | "on") => {}
        Ok(other) => tracing::warn!("{SWITCH}={other} is neither on nor off; taken for on"),
    }
    prepare();
    // It has what the others are about to lose.
    start::spawn().unwrap_or_else(|error| tracing::warn!("{error:#}"));
    let steps: [(&str, &dyn Fn() -> Result<String>); 4] = [
        ("capabilities", &|| capabilities::drop_most(config)),
        ("no new privileges", &no_new_privileges),
        ("landlock", &|| landlock::restrict(config)),
        ("seccomp", &seccomp::install),
    ];
    for (name, step) in steps {
        match step() {
            Ok(what) => tracing::info!("{name}: {what}"),
            Err(error) => tracing::warn!("{name}: not confined: {error:#}"),
        }
    }
}

/// What later needs no privilege if it is done now. What fails here fails once more where
/// it is needed, with words for it.
fn prepare() {
    dataplane::features::raise_locked_memory();
    let _ = dataplane::bpffs::locate();
    let _ = crate::instance::make_directory();
}

fn no_new_privileges() -> Result<String> {
    nix::sys::prctl::set_no_new_privs().context("prctl")?;
    Ok("set".to_owned())
}
