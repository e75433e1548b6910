//! `overlay top`: its command line.

use std::time::Duration;

use clap::Args;

use super::{CommandFailure, instance_name, select};
use crate::top::{self, Output, Sort, Tab, Wanted};

/// What its help says beside the options.
pub const KEYS: &str = "\
Keys: Tab 1 2 3 4 what is shown · s S sort · r reverse · / filter · c counters or rates · \
p pause · + - delay · arrows, Page, Home, End scroll · ? help · Ctrl-Z suspend · q quit

Without a terminal: overlay top --once, --batch or --json. NO_COLOR is heeded.";

/// The least and the longest time between two samples, in seconds.
const DELAYS: std::ops::RangeInclusive<f64> = 0.2..=3600.0;

/// Options of `top`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The instance; may be left out where only one runs.
    #[arg(long, value_name = "NAME", value_parser = instance_name)]
    name: Option<String>,
    /// Seconds between two samples.
    #[arg(long, short, value_name = "SECONDS", default_value = "1", value_parser = delay)]
    delay: Duration,
    /// What is shown first, and in plain text.
    #[arg(long, value_enum, default_value = "ports")]
    tab: Tab,
    /// What rows are sorted by.
    #[arg(long, value_enum, default_value = "traffic")]
    sort: Sort,
    /// The other way round.
    #[arg(long)]
    reverse: bool,
    /// Only rows that have this in their name, or in what is said about them.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Print the rates of one delay as plain text, and end.
    #[arg(long, conflicts_with = "batch")]
    once: bool,
    /// Print plain text N times, or until ended; no terminal is needed.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "0")]
    batch: Option<u64>,
    /// The same in JSON, everything in one object on each line; once where --batch does not say
    /// otherwise.
    #[arg(long)]
    json: bool,
}

/// Watches a gateway.
pub async fn run(arguments: Arguments) -> Result<(), CommandFailure> {
    let Arguments { name, delay, tab, sort, reverse, filter, once, batch, json } = arguments;
    let times = match (once, batch) {
        (true, _) => Some(1),
        (false, Some(times)) => Some(times),
        (false, None) => json.then_some(1),
    };
    let output = match times {
        None => Output::Screen,
        Some(times) => Output::Printed { times, json },
    };
    let instance = select::running(name).await?;
    top::run(&instance, Wanted { delay, tab, sort, reverse, filter, output }).await
}

fn delay(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !DELAYS.contains(&seconds) {
        return Err(format!("between {} and {} seconds", DELAYS.start(), DELAYS.end()));
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_have_bounds() {
        assert_eq!(delay("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(delay("3600"), Ok(Duration::from_secs(3600)));
        for bad in ["", "x", "0", "0.1", "-1", "3601", "NaN", "inf", "1e99"] {
            assert!(delay(bad).is_err(), "{bad}");
        }
    }
}
