//! What a run tells on standard error while it goes on.

use std::time::{Duration, Instant};

/// The scenarios of a run, and how long those that are done took.
pub struct Progress {
    /// Names, in order.
    names: Vec<&'static str>,
    /// As many as are done.
    took: Vec<Duration>,
    start: Instant,
    current: Instant,
}

impl Progress {
    /// Of scenarios with these names, in this order.
    pub fn new(names: Vec<&'static str>) -> Self {
        let now = Instant::now();
        Self { names, took: Vec::new(), start: now, current: now }
    }

    /// Tells which scenario begins, and about when the last will be done.
    pub fn begin(&mut self, title: &str) {
        self.current = Instant::now();
        let (number, count) = (self.took.len() + 1, self.names.len());
        let elapsed = clock(self.start.elapsed());
        let left =
            self.left().map_or(String::new(), |left| format!(", about {} left", clock(left)));
        eprintln!("[{number:>3}/{count}] {elapsed}{left}  {title}");
    }

    /// Tells that the current scenario cannot be measured.
    pub fn failed(&self, error: &str) {
        eprintln!("          FAILED: {error}");
    }

    /// Notes that the current scenario is done.
    pub fn end(&mut self) {
        self.took.push(self.current.elapsed());
    }

    /// How long the rest takes, if scenarios of one name take alike; one whose
    /// name has not been met yet takes as long as the average. `None` before
    /// there is any.
    fn left(&self) -> Option<Duration> {
        let average = mean(self.took.iter().copied())?;
        let expected = |name: &&str| {
            let alike = self.names.iter().zip(&self.took).filter(|(known, _)| *known == name);
            mean(alike.map(|(_, took)| *took)).unwrap_or(average)
        };
        Some(self.names.iter().skip(self.took.len()).map(expected).sum())
    }
}

fn mean(times: impl Iterator<Item = Duration> + Clone) -> Option<Duration> {
    let count = u32::try_from(times.clone().count()).ok().filter(|count| *count > 0)?;
    Some(times.sum::<Duration>() / count)
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_judged_by_scenarios_of_the_same_name() {
        let mut progress = Progress::new(vec!["rate", "scale", "rate", "scale", "control"]);
        assert_eq!(progress.left(), None);
        progress.took = [2, 10].map(Duration::from_secs).to_vec();
        // Those that are known, and the average of both for the last.
        assert_eq!(progress.left(), Some(Duration::from_secs(2 + 10 + 6)));
    }

    #[test]
    fn times_in_minutes() {
        assert_eq!(clock(Duration::from_secs(61)), "1:01");
        assert_eq!(clock(Duration::from_secs(1500)), "25:00");
    }
}
