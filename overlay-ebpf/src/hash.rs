//! Look-ups in the hash tables that user space fills.

use core::ptr::read_volatile;

use aya_ebpf::maps::Array;
use overlay_common::abi::{
    ACCESS_BITS, Access, AccessKey, FdbEntry, FdbKey, PERMIT_BITS, Permit, PermitKey, VTEP_BITS,
    Vtep, VtepKey,
};
use overlay_common::hash::{Bucket, Key, Spread, Value};

use crate::maps;

/// Filled in by the loader, and constant then: [`Spread`]'s seed.
#[unsafe(no_mangle)]
static HASH_SEED: u64 = 0;
/// Filled in by the loader: the FDB's [`Spread`] bits.
#[unsafe(no_mangle)]
static FDB_BITS: u32 = 4;

/// A table: its keys and values, its map, and how many bits its buckets' indices
/// have.
pub trait Hashed {
    type Key: Key;
    type Value: Value;

    fn map() -> &'static Array<Bucket>;
    fn bits() -> u32;
}

/// Defines a table's type.
macro_rules! hashed {
    ($name:ident, $key:ty => $value:ty, $map:ident, $bits:expr) => {
        pub struct $name;

        impl Hashed for $name {
            type Key = $key;
            type Value = $value;

            #[inline(always)]
            fn map() -> &'static Array<Bucket> {
                &maps::$map
            }

            #[inline(always)]
            fn bits() -> u32 {
                $bits
            }
        }
    };
}

hashed!(Accesses, AccessKey => Access, ACCESS, ACCESS_BITS);
hashed!(Vteps, VtepKey => Vtep, VTEPS, VTEP_BITS);
hashed!(Permits, PermitKey => Permit, PERMITS, PERMIT_BITS);
// SAFETY: the static lives as long as the program; volatile, because the loader
// changes it behind the compiler's back.
hashed!(Fdb, FdbKey => FdbEntry, FDB, unsafe { read_volatile(&raw const FDB_BITS) });

/// The value of a key.
#[inline(always)]
pub fn get<T: Hashed>(key: T::Key) -> Option<T::Value> {
    let word = key.to_word();
    let mut found = T::map().get(spread::<T>().first(word))?.find(word);
    if found == 0 {
        found = elsewhere::<T>(word);
    }
    (found != 0).then(|| T::Value::from_word(found))
}

/// Looks where few keys are. One that has just moved to its first bucket is found
/// there.
#[inline(never)]
fn elsewhere<T: Hashed>(word: u64) -> u64 {
    let spread = spread::<T>();
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
pub fn stamp(word: u64, epoch: u32) {
    let spread = spread::<Fdb>();
    for home in [spread.first(word), spread.second(word)] {
        if let Some(value) = maps::FDB.get(home).and_then(|bucket| bucket.slot(word)) {
            FdbEntry::stamp(value, epoch);
            return;
        }
    }
}

#[inline(always)]
fn spread<T: Hashed>() -> Spread {
    // SAFETY: as for `Fdb`.
    Spread::new(unsafe { read_volatile(&raw const HASH_SEED) }, T::bits())
}
