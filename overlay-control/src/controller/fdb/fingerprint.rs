//! A sum over entries in any order, by which two tables are compared without
//! looking anything up. It guards against writings that failed, not against
//! malice: whoever can write to the kernel's table need not trick this one.

use overlay_common::abi::{FdbKey, Target};

use super::entries::{Origin, word};

/// The sum of some entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    pub fn add(&mut self, key: FdbKey, target: Target, origin: Origin) {
        self.0 = self.0.wrapping_add(mix(key, target, origin));
    }

    pub fn subtract(&mut self, key: FdbKey, target: Target, origin: Origin) {
        self.0 = self.0.wrapping_sub(mix(key, target, origin));
    }
}

/// Spreads an entry over 64 bits (the finish of SplitMix64).
fn mix(key: FdbKey, target: Target, origin: Origin) -> u64 {
    let place = u64::from(target.index()) << 3 | u64::from(target.is_peer()) << 2 | origin as u64;
    let mut mixed = word(key) ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8, segment: u16) -> FdbKey {
        FdbKey { mac: [2, 0, 0, 0, 0xff, last], segment }
    }

    #[test]
    fn every_part_of_an_entry_is_in_the_sum() {
        let sum = |key, target, origin| {
            let mut sum = Fingerprint::default();
            sum.add(key, target, origin);
            sum
        };
        let one = sum(at(1, 1), Target::port(1), Origin::Learned);
        for other in [
            sum(at(2, 1), Target::port(1), Origin::Learned),
            sum(at(1, 2), Target::port(1), Origin::Learned),
            sum(at(1, 1), Target::peer(1), Origin::Learned),
            sum(at(1, 1), Target::port(1), Origin::Loaded),
        ] {
            assert_ne!(one, other);
        }
    }
}
