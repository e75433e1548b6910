//! What `overlay trace` and `overlay capture` have in common: frames as the daemon tells them.

use std::io::ErrorKind;

use anyhow::Context as _;
use clap::Args;

use super::query::{self, NOT_UNDERSTOOD};
use super::{CommandFailure, select};
use crate::api::client::{self, Outcome};
use crate::api::watch::{FrameRow, WatchLine, WatchOrder};

/// Which frames.
#[derive(Debug, Args)]
pub struct Which {
    /// Which frames: words such as `host 10.0.0.5 and tcp port 443`, as tcpdump's, and
    /// segment, peer, vni, interface, drop, reason.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// End after so many frames.
    #[arg(long, short, value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// The most frames a second, on each CPU.
    #[arg(long, value_name = "FRAMES", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub per_second: u32,
    /// The most bytes of each frame.
    #[arg(long, value_name = "BYTES", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(14..=16_384))]
    pub bytes: u32,
    /// Only frames that are dropped.
    #[arg(long)]
    pub drops: bool,
}

impl Which {
    fn order(&self) -> WatchOrder {
        WatchOrder {
            filter: self.filter.join(" "),
            drops_only: self.drops,
            per_second: self.per_second,
            bytes: self.bytes,
        }
    }
}

/// What is seen, and what is not.
pub enum Seen {
    /// A frame.
    Frame(Box<FrameRow>),
    /// So many more, which were not told.
    Missed(u64),
    /// Nothing for a while.
    Nothing,
}

/// Hands everything that is seen to `see`, until that has had its count, the daemon ends, or
/// somebody presses Ctrl-C.
pub async fn follow(
    name: Option<String>,
    which: &Which,
    mut see: impl FnMut(Seen) -> anyhow::Result<()>,
) -> Result<(), CommandFailure> {
    let instance = select::running(name).await?;
    let mut left = which.count;
    let order = which.order();
    let lines = client::watch(&instance, &order, |line| {
        let line: WatchLine = serde_json::from_slice(line).context(NOT_UNDERSTOOD)?;
        match line {
            WatchLine::Frame(row) => {
                see(Seen::Frame(row))?;
                left = left.map(|left| left - 1);
            }
            WatchLine::Missed { frames } => see(Seen::Missed(frames))?,
            WatchLine::Nothing => see(Seen::Nothing)?,
        }
        Ok(left != Some(0))
    });
    let outcome = tokio::select! {
        outcome = lines => outcome,
        _ = tokio::signal::ctrl_c() => return Ok(()),
    };
    match outcome {
        Ok(Outcome::Answered(_)) if left.is_some_and(|left| left > 0) => Err(
            CommandFailure::Refused(anyhow::anyhow!("the daemon of {} has ended", instance.name)),
        ),
        Ok(Outcome::Answered(_)) => Ok(()),
        Ok(Outcome::Refused(problem)) => Err(query::refusal(problem)),
        Ok(Outcome::NoDaemon) => Err(query::no_daemon(&instance)),
        // A reader that has seen enough, like `head`, is no failure.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
