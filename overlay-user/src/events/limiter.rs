//! How many events of a kind are told one by one within a second. The rest is counted.

use std::time::Duration;

use super::Kind;

/// So many of each kind, within each second of the clock.
pub const A_SECOND: u32 = 50;

/// What was told and what was not, of each kind.
#[derive(Debug)]
pub struct Limiter {
    second: u64,
    told: Vec<u32>,
    /// What was not told, since when.
    over: Vec<(u64, u64)>,
}

impl Default for Limiter {
    fn default() -> Self {
        let kinds = Kind::ALL.len();
        Self { second: 0, told: vec![0; kinds], over: vec![(0, 0); kinds] }
    }
}

impl Limiter {
    /// Whether one more is told; it is counted if not.
    pub fn admits(&mut self, kind: Kind, now: Duration) -> bool {
        if now.as_secs() != self.second {
            self.second = now.as_secs();
            self.told.fill(0);
        }
        let told = &mut self.told[kind as usize];
        if *told < A_SECOND {
            *told += 1;
            return true;
        }
        self.add(kind, 1);
        false
    }

    /// Counts some that are not told.
    pub fn add(&mut self, kind: Kind, count: u64) {
        let (since, over) = &mut self.over[kind as usize];
        if *over == 0 {
            *since = self.second;
        }
        *over += count;
    }

    /// What was not told before this second.
    pub fn take_over(&mut self, now: Duration) -> Vec<(Kind, u64)> {
        let mut taken = Vec::new();
        for kind in Kind::ALL {
            let (since, over) = &mut self.over[*kind as usize];
            if *over > 0 && *since < now.as_secs() {
                taken.push((*kind, std::mem::take(over)));
            }
        }
        taken
    }
}
