//! Look-ups in the hash tables that user space fills.

use core::ptr::read_volatile;

use aya_ebpf::maps::Array;
use overlay_common::abi::{
    Access, AccessKey, FdbEntry, FdbKey, Masks, Permit, PermitKey, Vtep, VtepKey,
};
use overlay_common::hash::{Bucket, Key, Spread, Value};

use crate::maps;
use crate::tables::Form;

/// Filled in by the loader, and constant then: [`Spread`]'s seed.
#[unsafe(no_mangle)]
static HASH_SEED: u64 = 0;

/// A table: its keys and values, its map, and how many of its buckets are in use.
pub trait Hashed {
    type Key: Key;
    type Value: Value;

    fn map() -> &'static Array<Bucket>;
    fn mask(masks: &Masks) -> u32;
}

/// Defines a table's type.
macro_rules! hashed {
    ($name:ident, $key:ty => $value:ty, $map:ident, $mask:ident) => {
        pub struct $name;

        impl Hashed for $name {
            type Key = $key;
            type Value = $value;

            #[inline(always)]
            fn map() -> &'static Array<Bucket> {
                &maps::$map
            }

            #[inline(always)]
            fn mask(masks: &Masks) -> u32 {
                masks.$mask
            }
        }
    };
}

hashed!(Accesses, AccessKey => Access, ACCESS, access);
hashed!(Vteps, VtepKey => Vtep, VTEPS, vteps);
hashed!(Permits, PermitKey => Permit, PERMITS, permits);
hashed!(Fdb, FdbKey => FdbEntry, FDB, fdb);

/// The value of a key.
#[inline(always)]
pub fn get<T: Hashed, F: Form>(masks: &Masks, key: T::Key) -> Option<T::Value> {
    let word = key.to_word();
    let mask = T::mask(masks);
    // Every way out yields a number, so that nothing undefined is looked at early,
    // which the verifier forbids.
    let mut found = T::map().get(spread(mask).first(word)).map_or(0, |home| home.find(word));
    if found == 0 {
        found =
            if F::OUTLINED { elsewhere::<T>(word, mask) } else { elsewhere_here::<T>(word, mask) };
    }
    (found != 0).then(|| T::Value::from_word(found))
}

/// Looks where few keys are. One that has just moved to its first bucket is found
/// there.
#[inline(never)]
fn elsewhere<T: Hashed>(word: u64, mask: u32) -> u64 {
    elsewhere_here::<T>(word, mask)
}

#[inline(always)]
fn elsewhere_here<T: Hashed>(word: u64, mask: u32) -> u64 {
    let spread = spread(mask);
    for home in [spread.second(word), spread.first(word)] {
        if let Some(bucket) = T::map().get(home) {
            let found = bucket.find(word);
            if found != 0 {
                return found;
            }
        }
    }
    0
}

/// Stamps an FDB entry, if it is there.
#[inline(never)]
pub fn stamp(word: u64, mask: u32, epoch: u32) {
    let spread = spread(mask);
    for home in [spread.first(word), spread.second(word)] {
        if let Some(value) = maps::FDB.get(home).and_then(|bucket| bucket.slot(word)) {
            FdbEntry::stamp(value, epoch);
            return;
        }
    }
}

#[inline(always)]
fn spread(mask: u32) -> Spread {
    // SAFETY: the static lives as long as the program; volatile, because the
    // loader changes it behind the compiler's back.
    Spread::new(unsafe { read_volatile(&raw const HASH_SEED) }, mask)
}
