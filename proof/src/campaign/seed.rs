//! Numbers that look random and follow from a seed: the same campaign again, anywhere.

/// Sebastiano Vigna's SplitMix64: one word of state, and any seed is a good one.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// The numbers of one thing (a frame, a world) in a campaign.
    pub fn new(campaign: u64, kind: u64, number: u64) -> Self {
        let mut seed = Self(campaign ^ kind.rotate_left(32));
        let first = seed.word();
        Self(first ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `count`, which is not 0.
    pub fn below(&mut self, count: usize) -> usize {
        (self.word() % count as u64) as usize
    }

    /// True so many times out of a hundred.
    pub fn percent(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.word().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_the_seed_and_differ_with_it() {
        let first = |campaign, kind, number| Seed::new(campaign, kind, number).bytes(9);
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4)] {
            assert_ne!(first(1, 2, 3), first(other.0, other.1, other.2), "{other:?}");
        }
        let mut seed = Seed::new(1, 1, 1);
        assert!((0..1000).all(|_| seed.below(7) < 7));
        let often = (0..1000).filter(|_| seed.percent(30)).count();
        assert!((200..400).contains(&often), "{often} of 1000");
    }
}
