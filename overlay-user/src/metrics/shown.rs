//! Who has time series of its own, where there are more than a scraper should hold.
//!
//! Once decided it stays, for as long as whom it is about is there: one that had none and got one
//! later would be counted twice, and a sum that lost one would seem to begin again.

use std::collections::HashMap;

/// The decisions, by index in the tables.
#[derive(Debug)]
pub struct Shown {
    most: usize,
    shown: usize,
    decided: HashMap<u32, bool>,
}

impl Shown {
    /// At most so many are shown.
    pub fn new(most: usize) -> Self {
        Self { most, shown: 0, decided: HashMap::new() }
    }

    /// Whether this one is.
    pub fn decide(&mut self, index: u32) -> bool {
        let (shown, most) = (&mut self.shown, self.most);
        *self.decided.entry(index).or_insert_with(|| {
            let has_room = *shown < most;
            *shown += usize::from(has_room);
            has_room
        })
    }

    /// This one is not, if nothing else was decided: it was not in a former process.
    pub fn hide(&mut self, index: u32) {
        self.decided.entry(index).or_insert(false);
    }

    /// Whether it was decided that this one is not.
    pub fn is_hidden(&self, index: u32) -> bool {
        self.decided.get(&index) == Some(&false)
    }

    /// About how many something was decided.
    pub fn decisions(&self) -> usize {
        self.decided.len()
    }

    /// It is gone, and its index free. Says whether it was shown.
    pub fn forget(&mut self, index: u32) -> bool {
        let was_shown = self.decided.remove(&index) == Some(true);
        self.shown -= usize::from(was_shown);
        was_shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_stays_until_its_index_is_free() {
        let mut shown = Shown::new(2);
        assert_eq!([1, 2, 3].map(|index| shown.decide(index)), [true, true, false]);
        assert!(shown.forget(1) && !shown.forget(3) && !shown.forget(9));
        assert_eq!([2, 3, 4].map(|index| shown.decide(index)), [true, true, false]);
        assert!(!shown.decide(4), "even where there is room by now");
        shown.forget(2);
        assert!(!shown.decide(4) && shown.decide(5));
        assert!(!Shown::new(0).decide(1));
    }

    #[test]
    fn whom_a_former_process_had_hidden_stays_so() {
        let mut shown = Shown::new(2);
        shown.hide(1);
        assert_eq!([1, 2, 3, 4].map(|index| shown.decide(index)), [false, true, true, false]);
        shown.hide(2);
        assert_eq!([1, 2, 5].map(|index| shown.is_hidden(index)), [true, false, false]);
        assert_eq!(shown.decisions(), 4);
    }
}
