//! Table records as aya takes them.

use overlay_common::abi::Record;

/// A table key or value, crossing to the kernel as plain bytes.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Wire<T: Record>(pub T);

// SAFETY: `Record` promises a `repr(C)` type without padding for which every
// bit pattern is valid, and `Wire` is transparent over it.
unsafe impl<T: Record> aya::Pod for Wire<T> {}

/// Reads a record from the front of `bytes`, which need not be aligned.
pub fn read<T: Record>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: the length was checked, the read is unaligned, and every bit
    // pattern is a valid `Record`.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_common::abi::Punt;

    #[test]
    fn records_are_read_at_any_address_and_never_past_the_end() {
        let bytes = [1u8; size_of::<Punt>() + 1];
        assert_eq!(read::<Punt>(&bytes[1..]).map(|p| p.ifindex), Some(0x0101_0101));
        assert_eq!(read::<Punt>(&bytes[2..]), None);
    }
}
