//! What was learnt, in a file that gateways with tables of any layout read.
//!
//! A start takes over what it finds in the pinned maps of its predecessor. Where those have another
//! layout, it finds the same here, as old as the file is: the daemon writes it when it ends, and
//! now and then while it runs.
//!
//! - `record`: the records of the file.
//! - [`former`]: what is taken over.
//! - [`writer`], [`mod@read`]: the file, from and to memory.
//! - [`mod@write`]: the file of an instance, kept up to date.
//! - [`mod@restore`]: what is taken over from the one or the other.

pub mod former;
pub mod read;
mod record;
pub mod restore;
pub mod write;
pub mod writer;

pub use former::{Former, Take};
pub use record::Head;

use crate::clock;

impl Head {
    /// Of tables whose ageing clock stands there now.
    pub fn now(tables: u32, epoch: u32) -> Self {
        Self { boot: boot(), tables, epoch, time: milliseconds() }
    }
}

fn milliseconds() -> u64 {
    clock::now() / 1_000_000
}

/// The run of the kernel, as it calls it; zeroes where it does not.
fn boot() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).unwrap_or(0).to_be_bytes()
}
