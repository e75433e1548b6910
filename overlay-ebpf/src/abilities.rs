//! What this kernel can do.

use core::ptr::read_volatile;

/// Filled in by the loader, and constant then: bits of
/// [`abilities`](overlay_common::abi::abilities).
#[unsafe(no_mangle)]
static ABILITIES: u32 = 0;

/// Whether the kernel has an ability.
#[inline(always)]
pub fn has(ability: u32) -> bool {
    // SAFETY: the static lives as long as the program; volatile, because the loader
    // changes it behind the compiler's back.
    unsafe { read_volatile(&raw const ABILITIES) & ability != 0 }
}
