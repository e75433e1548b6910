//! Numbers in headers.
//!
//! A header has no alignment, so for BPF the compiler would put each number together byte by
//! byte. Packet memory takes unaligned words, as for
//! [`Outer::copy_words`](super::Outer::copy_words); a verifier's stack does not, so a header that
//! is read or written so is not to be copied there before.

use super::Header;

/// Defines a way to read.
macro_rules! reads {
    ($name:ident, $number:ty, $load:literal) => {
        /// The number `AT` bytes behind the header's start, its bytes in memory's order.
        #[inline(always)]
        pub(crate) fn $name<const AT: usize, H: Header>(header: &H) -> $number {
            const { assert!(AT + size_of::<$number>() <= size_of::<H>()) }
            #[cfg(not(target_arch = "bpf"))]
            // SAFETY: the bytes are the header's, as asserted, and any are a number.
            return unsafe {
                core::ptr::from_ref(header).cast::<u8>().add(AT).cast::<$number>().read_unaligned()
            };
            #[cfg(target_arch = "bpf")]
            {
                let word: u64;
                // SAFETY: the same; a load leaves the upper bytes zero.
                unsafe {
                    core::arch::asm!(
                        $load,
                        word = out(reg) word,
                        from = in(reg) header,
                        at = const AT,
                        options(nostack, preserves_flags, readonly, pure),
                    );
                    core::hint::assert_unchecked(word <= <$number>::MAX as u64);
                }
                word as $number
            }
        }
    };
}

/// Defines a way to write.
macro_rules! writes {
    ($name:ident, $number:ty, $store:literal) => {
        /// Writes the number `AT` bytes behind the header's start, its bytes in memory's order.
        #[inline(always)]
        pub(crate) fn $name<const AT: usize, H: Header>(header: &mut H, number: $number) {
            const { assert!(AT + size_of::<$number>() <= size_of::<H>()) }
            #[cfg(not(target_arch = "bpf"))]
            // SAFETY: the bytes are the header's, as asserted, and it accepts any.
            unsafe {
                let start = core::ptr::from_mut(header).cast::<u8>();
                start.add(AT).cast::<$number>().write_unaligned(number);
            }
            #[cfg(target_arch = "bpf")]
            // SAFETY: the same.
            unsafe {
                core::arch::asm!(
                    $store,
                    word = in(reg) number as u64,
                    to = in(reg) header,
                    at = const AT,
                    options(nostack, preserves_flags),
                );
            }
        }
    };
}

reads!(read16, u16, "{word} = *(u16 *)({from} + {at})");
reads!(read32, u32, "{word} = *(u32 *)({from} + {at})");
reads!(read64, u64, "{word} = *(u64 *)({from} + {at})");
writes!(write16, u16, "*(u16 *)({to} + {at}) = {word}");
writes!(write32, u32, "*(u32 *)({to} + {at}) = {word}");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_wherever_they_stand() {
        let bytes = [1_u8, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(read16::<3, _>(&bytes), u16::from_ne_bytes([4, 5]));
        assert_eq!(read32::<5, _>(&bytes), u32::from_ne_bytes([6, 7, 8, 9]));
        assert_eq!(read64::<1, _>(&bytes), u64::from_ne_bytes([2, 3, 4, 5, 6, 7, 8, 9]));
    }

    #[test]
    fn numbers_are_written_wherever_they_stand() {
        let mut bytes = [1_u8, 2, 3, 4, 5, 6, 7, 8, 9];
        write16::<3, _>(&mut bytes, u16::from_ne_bytes([40, 50]));
        write32::<5, _>(&mut bytes, u32::from_ne_bytes([60, 70, 80, 90]));
        assert_eq!(bytes, [1, 2, 3, 40, 50, 60, 70, 80, 90]);
    }
}
