//! A word that one side writes while the other reads.

use core::sync::atomic::AtomicU64;
#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::{Ordering, fence};

/// One aligned word, read and written whole.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Word(AtomicU64);

impl Word {
    /// The word. Later reads are not made before it; on BPF the processor must see to
    /// that, as x86-64 does.
    #[inline(always)]
    pub fn get(&self) -> u64 {
        // LLVM has no atomic load for the oldest BPF instruction set, where every
        // aligned load of a word is one.
        #[cfg(target_arch = "bpf")]
        // SAFETY: a live, aligned word.
        return unsafe { self.0.as_ptr().read_volatile() };
        #[cfg(not(target_arch = "bpf"))]
        {
            // Memory that is mapped to be read alone may be loaded from in this order.
            let word = self.0.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            word
        }
    }

    /// Changes the word, after everything that was written before.
    #[cfg(not(target_arch = "bpf"))]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// Adds to the word; only where nobody else changes it, so that a load and a
    /// store suffice.
    #[inline(always)]
    pub fn add(&self, more: u64) {
        #[cfg(target_arch = "bpf")]
        {
            let word = self.0.as_ptr();
            // SAFETY: a live, aligned word. Others read it whole, old or new.
            unsafe { word.write_volatile(word.read_volatile().wrapping_add(more)) }
        }
        #[cfg(not(target_arch = "bpf"))]
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// Changes the upper half alone.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub fn set_upper(&self, value: u32) {
        let half = usize::from(cfg!(target_endian = "little"));
        // SAFETY: half of a live, aligned word. Whoever reads the word whole sees
        // the old half or the new.
        unsafe { self.0.as_ptr().cast::<u32>().add(half).write_volatile(value) }
    }
}
