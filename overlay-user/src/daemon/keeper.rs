//! When what was learnt is written down for a successor with tables of another layout: a moment
//! after it changed, and again before what is written grows too old to be true. A thread reads the
//! pinned maps meanwhile, so the loop waits for nothing.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use overlay_control::action::Action;
use tokio::task::JoinHandle;

use super::Daemon;
use crate::dataplane::pins::Pins;
use crate::learnt;

/// Of the time, no more than one part in so many goes into writing what changes.
const SHARE: u32 = 50;
/// The same where nothing does: a gateway with a million addresses is idle then.
const IDLE_SHARE: u32 = 1000;
/// What changes is not written each time.
const PAUSE: Duration = Duration::from_secs(1);
/// Ages in the file are no more wrong than this part of the ageing time, or than a share of a table
/// so large allows.
const OF_AGEING: u32 = 10;
/// What nobody changed is written no less often.
const AT_LEAST: Duration = Duration::from_secs(60);

/// What is known of the file.
#[derive(Debug, Default)]
pub struct Keeper {
    /// Something was learnt or forgotten since the last writing began.
    changed: bool,
    /// When the last writing ended, and how long it took.
    last: Option<(Instant, Duration)>,
    writing: Option<JoinHandle<Outcome>>,
    /// The same failure is told once.
    failure: Option<String>,
}

/// How a writing ended, and how long it took.
type Outcome = (anyhow::Result<u64>, Duration);

impl Keeper {
    /// Takes note of a change of tables.
    pub fn note(&mut self, action: &Action) {
        self.changed |= matches!(
            action,
            Action::PutFdb(..)
                | Action::DelFdb(_)
                | Action::PutNeighbour(..)
                | Action::DelNeighbour(_)
        );
    }

    /// Whether it is time to write, for a table that ages in so many seconds.
    fn is_due(&self, now: Instant, ageing: u32) -> bool {
        let Some((ended, took)) = self.last else { return true };
        let unchanged = Duration::from_secs((ageing / OF_AGEING).into()).clamp(PAUSE, AT_LEAST);
        let (pause, share) = if self.changed { (PAUSE, SHARE) } else { (unchanged, IDLE_SHARE) };
        now >= ended + pause.max(took * share)
    }

    fn ended(&mut self, (outcome, took): Outcome) {
        self.last = Some((Instant::now(), took));
        match outcome {
            Ok(count) => {
                tracing::debug!(count, ?took, "wrote down what was learnt");
                self.failure = None;
            }
            Err(error) => {
                if let Some(failure) = self.failed(&error) {
                    tracing::warn!("{failure}");
                }
            }
        }
    }

    /// What is to be told of a failure; nothing of one that was told before.
    fn failed(&mut self, error: &anyhow::Error) -> Option<String> {
        let failure = format!("what was learnt is not written down: {error:#}");
        let former = self.failure.replace(failure.clone());
        (former.as_ref() != Some(&failure)).then_some(failure)
    }
}

impl Daemon {
    /// Writes down what was learnt, if it is time.
    pub(super) async fn keep_learnt(&mut self) {
        if let Some(writing) = self.keeper.writing.take_if(|writing| writing.is_finished())
            && let Ok(outcome) = writing.await
        {
            self.keeper.ended(outcome);
        }
        let ageing = self.controller.config().node.ageing;
        if self.keeper.writing.is_none() && self.keeper.is_due(Instant::now(), ageing) {
            self.keeper.changed = false;
            let (pins, file) = self.pins_and_file();
            self.keeper.writing = Some(tokio::task::spawn_blocking(move || timed(&pins, &file)));
        }
    }

    /// Writes down what there is at the end, for good.
    pub(super) async fn keep_learnt_for_good(&mut self) {
        if let Some(writing) = self.keeper.writing.take() {
            let _ = writing.await;
        }
        let (pins, file) = self.pins_and_file();
        let outcome = timed(&pins, &file);
        self.keeper.ended(outcome);
    }

    fn pins_and_file(&self) -> (Pins, PathBuf) {
        (Pins::new(&self.bpffs, &self.instance.name), self.instance.learnt())
    }

    /// Nothing is to be found of it any more.
    pub(super) async fn forget_learnt(&mut self) {
        if let Some(writing) = self.keeper.writing.take() {
            let _ = writing.await;
        }
        learnt::write::remove(&self.instance.learnt());
    }
}

fn timed(pins: &Pins, file: &std::path::Path) -> Outcome {
    let begun = Instant::now();
    let outcome = learnt::write::write(pins, file);
    (outcome, begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_until_it_is_another_or_over() {
        let full = || anyhow::anyhow!("no room").context("cannot write x");
        let told = Some("what was learnt is not written down: cannot write x: no room".to_owned());
        let mut keeper = Keeper::default();
        assert_eq!((keeper.failed(&full()), keeper.failed(&full())), (told.clone(), None));
        assert!(keeper.failed(&anyhow::anyhow!("the file is another's")).is_some());
        assert_eq!(keeper.failed(&full()), told);
        keeper.ended((Ok(1), Duration::ZERO));
        assert_eq!(keeper.failed(&full()), told);
    }

    #[test]
    fn writing_waits_for_changes_and_for_its_share() {
        let now = Instant::now();
        let after = |milliseconds| now + Duration::from_millis(milliseconds);
        let mut keeper = Keeper::default();
        assert!(keeper.is_due(now, 300), "the first is due at once");
        keeper.last = Some((now, Duration::from_millis(1)));
        assert!(!keeper.is_due(after(29_999), 300) && keeper.is_due(after(30_000), 300));
        assert!(!keeper.is_due(after(999), 5) && keeper.is_due(after(1000), 5));
        assert!(keeper.is_due(after(60_000), 1_000_000), "ages of the file are to be true");
        keeper.last = Some((now, Duration::from_millis(300)));
        let (early, due) = (after(299_999), after(300_000));
        assert!(!keeper.is_due(early, 300) && keeper.is_due(due, 300), "its share when idle");
        keeper.changed = true;
        keeper.last = Some((now, Duration::from_millis(1)));
        assert!(!keeper.is_due(after(999), 300) && keeper.is_due(after(1000), 300));
        keeper.last = Some((now, Duration::from_millis(100)));
        assert!(!keeper.is_due(after(4999), 300) && keeper.is_due(after(5000), 300), "its share");
    }
}
