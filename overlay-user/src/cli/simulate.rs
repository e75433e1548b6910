//! `overlay trace --simulate`: what would become of a frame.

mod frames;

use clap::Args;

use super::query::{self, NOT_UNDERSTOOD};
use super::{CommandFailure, select};
use crate::api::client::{self, Outcome};
use crate::api::trace::{Explained, Simulate, hex};
use crate::instance::Instance;
use crate::show;

/// A frame that is not there.
#[derive(Debug, Args)]
pub struct Simulated {
    /// Run this frame through the path over the live tables, which changes nothing.
    ///
    /// It is given in hexadecimal (spaces and colons may stand between digits), as the name of a
    /// file with such digits, a hex dump of tcpdump -xx, pcap or pcapng (with @ in front, if the
    /// name could be taken for digits), or as - for standard input. Of a file's frames, the first
    /// ten are looked at, or as many as --count says.
    #[arg(long, value_name = "FRAME", conflicts_with_all = ["filter", "drops", "brief"])]
    pub simulate: Option<String>,
    /// The device that the simulated frame comes in by; may be left out where only one is possible.
    #[arg(long, short, value_name = "DEVICE", requires = "simulate")]
    interface: Option<String>,
    /// The hook: xdp, tc or user, in place of the one that the device has.
    #[arg(long, value_name = "HOOK", value_parser = ["xdp", "tc", "user"], requires = "simulate")]
    hook: Option<String>,
}

/// How many frames of a file are looked at, unless somebody says how many.
const COUNT: usize = 10;

/// Runs the command.
pub async fn run(
    arguments: &Simulated,
    count: Option<u64>,
    name: Option<String>,
    json: bool,
) -> Result<(), CommandFailure> {
    let given = arguments.simulate.as_deref().unwrap_or_default();
    let count = count.map_or(COUNT, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let frames = frames::read(given, count)?;
    let instance = select::running(name).await?;
    let mut told = Vec::new();
    for frame in &frames.frames {
        let order = Simulate {
            frame: hex(&frame.bytes),
            interface: arguments.interface.clone(),
            hook: arguments.hook.clone(),
            length: Some(frame.len),
        };
        told.push(ask(&instance, &order).await?);
    }
    if json {
        let text = serde_json::to_string_pretty(&told).map_err(anyhow::Error::from)?;
        return query::write(&(text + "\n"));
    }
    query::write(&text(&told, &frames))
}

async fn ask(instance: &Instance, order: &Simulate) -> Result<Explained, CommandFailure> {
    match client::simulate(instance, order).await? {
        Outcome::Answered(body) => serde_json::from_slice(&body).map_err(|error| {
            CommandFailure::Refused(anyhow::Error::from(error).context(NOT_UNDERSTOOD))
        }),
        Outcome::Refused(problem) => Err(query::refusal(problem)),
        Outcome::NoDaemon => Err(query::no_daemon(instance)),
    }
}

fn text(told: &[Explained], frames: &frames::Frames) -> String {
    let mut text = String::new();
    for (number, told) in (1..).zip(told) {
        if frames.frames.len() > 1 {
            text.push_str(&format!("{}frame {number}\n", if number > 1 { "\n" } else { "" }));
        }
        text.push_str(&show::explained(told));
    }
    if frames.has_more {
        let count = frames.frames.len();
        text.push_str(&format!("\nthese were the first {count}; --count N looks at more\n"));
    }
    text
}
