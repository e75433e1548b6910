//! What a campaign has seen, and whether that is enough.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, ensure};
use overlay_common::abi::Hook;
use overlay_common::verdict::DropReason;

use crate::host::Left;
use crate::vector::{Outcome, Vector};

/// What a campaign has seen.
#[derive(Default)]
pub struct Tally {
    kinds: BTreeMap<String, u64>,
    outcomes: BTreeMap<(Hook, &'static str), u64>,
    drops: BTreeMap<u8, u64>,
    copies: u64,
    punts: u64,
}

impl Tally {
    /// Takes in a batch at a hook.
    pub fn add(&mut self, hook: Hook, frames: &[Vector], outcomes: &[Outcome], left: &Left) {
        for outcome in outcomes {
            let name = match outcome {
                Outcome::Untouched => "untouched",
                Outcome::Sent(_) | Outcome::SentBack(_) => "sent",
                Outcome::Ended => "ended",
            };
            *self.outcomes.entry((hook, name)).or_default() += 1;
        }
        for ((reason, _), count) in &left.drops {
            *self.drops.entry(*reason).or_default() += count;
        }
        self.copies += left.copies.values().map(|copies| copies.len() as u64).sum::<u64>();
        self.punts += left.punts.len() as u64;
        if hook == Hook::Tc {
            for frame in frames {
                match self.kinds.get_mut(&frame.name) {
                    Some(count) => *count += 1,
                    None => drop(self.kinds.insert(frame.name.clone(), 1)),
                }
            }
        }
    }

    /// Whether the campaign met enough to mean something.
    pub fn judge(&self) -> Result<()> {
        let total: u64 = self.outcomes.values().sum();
        let sent = |hook| self.outcomes.get(&(hook, "sent")).copied().unwrap_or(0);
        for hook in [Hook::Xdp, Hook::Tc, Hook::User] {
            let share = sent(hook) as f64 / (total as f64 / 3.0);
            ensure!(share > 0.1, "at {} no more than {share:.3} of frames are sent", hook.name());
        }
        ensure!(self.copies > 0 && self.punts > 0, "nothing was copied, or punted");
        ensure!(self.drops.len() >= 20, "only {} reasons for drops", self.drops.len());
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.kinds {
            writeln!(f, "    {count:>9} frames {kind}")?;
        }
        for ((hook, name), count) in &self.outcomes {
            writeln!(f, "    {count:>9} {name} by {}", hook.name())?;
        }
        writeln!(f, "    {:>9} copies, {} punts", self.copies, self.punts)?;
        for (reason, count) in &self.drops {
            let name = DropReason::from_u8(*reason).map_or("?", DropReason::name);
            writeln!(f, "    {count:>9} {name}")?;
        }
        Ok(())
    }
}
