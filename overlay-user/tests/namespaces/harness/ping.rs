//! Echo requests, and what answers them.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Netns, patient};

/// Ten of ten echo requests are answered.
pub fn ping(from: &Netns, address: &str) -> Result<()> {
    const COUNT: u32 = 10;
    // A machine with other work to do may keep everybody from running for seconds.
    const LIMIT: Duration = Duration::from_secs(10);
    // All at once: behind the last request ping waits for two round trips of those before
    // or for the interval, whichever is longer, and with a deadline it would ask more often
    // than it is told.
    let (count, limit) = (COUNT.to_string(), patient(LIMIT).as_secs().to_string());
    let mut ping = from.command("ping");
    ping.args(["-n", "-c", &count, "-l", &count, "-i", &limit, "-W", &limit, address]);
    let answers = Answers::to(&mut ping)?;
    ensure!(answers.distinct() == (1..=COUNT).collect(), "lost echoes: {}", answers.report);
    Ok(())
}

/// Whether an echo request is answered at once.
pub fn answers(from: &Netns, address: &str) -> bool {
    from.exec(&format!("ping -n -q -c 1 -W 1 {address}")).is_ok()
}

/// The answers that ping had, in the order in which they came.
pub struct Answers {
    /// The number of the request, and milliseconds.
    came: Vec<(u32, f64)>,
    /// What ping printed.
    pub report: String,
}

impl Answers {
    /// Runs ping to its end. That requests were lost is not an error.
    pub fn to(ping: &mut Command) -> Result<Self> {
        let output = ping.output().context("starting ping")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        let report = String::from_utf8_lossy(&output.stdout).into_owned() + &complaint;
        let came = report.lines().filter_map(answer).collect();
        Ok(Self { came, report })
    }

    /// The numbers of the requests that were answered.
    pub fn distinct(&self) -> BTreeSet<u32> {
        self.came.iter().map(|(number, _)| *number).collect()
    }

    /// How many answers came behind that to a later request.
    pub fn overtaken(&self) -> usize {
        let mut latest = 0;
        let mut is_late = |number: u32| {
            latest = latest.max(number);
            number < latest
        };
        self.came.iter().filter(|(number, _)| is_late(*number)).count()
    }

    /// The shortest round trip.
    pub fn fastest(&self) -> Duration {
        let least = self.came.iter().map(|(_, ms)| *ms).fold(f64::INFINITY, f64::min);
        Duration::try_from_secs_f64(least / 1e3).unwrap_or(Duration::MAX)
    }
}

/// `64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.087 ms`; errors come from elsewhere.
fn answer(line: &str) -> Option<(u32, f64)> {
    let (_, answer) = line.split_once(" bytes from ")?;
    let number = |key: &str| answer.split_once(key)?.1.split(' ').next();
    Some((number("icmp_seq=")?.parse().ok()?, number("time=")?.parse().ok()?))
}

#[test]
fn answers_are_read_from_what_ping_prints() {
    let printed = "64 bytes from 10.0.0.2: icmp_seq=2 ttl=64 time=10.5 ms\n\
                   64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=40 ms (DUP!)\n\
                   From 10.0.0.1 icmp_seq=3 Destination Host Unreachable\n";
    let answers = Answers::to(Command::new("printf").arg(printed)).expect("printf runs");
    assert_eq!(answers.distinct(), BTreeSet::from([1, 2]));
    assert_eq!((answers.overtaken(), answers.fastest()), (1, Duration::from_micros(10_500)));
}
