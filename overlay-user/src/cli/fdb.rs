//! `overlay fdb`: static addresses that are no part of the configuration.

use std::fs::File;
use std::io::{Cursor, Read, stdin};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{CommandFailure, Query, query, select};
use crate::api::client::{self, Outcome};
use crate::api::{ListOrder, Question};

/// What is done with static addresses.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load the addresses of a list, all of them or none.
    ///
    /// Each line is an address: SEGMENT MAC peer NAME, or SEGMENT MAC interface
    /// DEVICE [vlan ID [protocol 802.1ad]]. What follows a # is skipped. Loaded
    /// addresses neither age nor move; they stay when the configuration is reloaded
    /// and when the daemon is replaced.
    Load {
        /// The list; - is standard input.
        file: PathBuf,
    },
    /// Remove the addresses of a list, which were loaded, all of them or none.
    Unload {
        /// The list; - is standard input. Where an address is may be left out.
        file: PathBuf,
    },
    /// Load one address.
    Add {
        /// Its segment.
        segment: String,
        /// The address.
        mac: String,
        /// Where it is: peer NAME, or interface DEVICE [vlan ID [protocol 802.1ad]].
        #[arg(required = true, num_args = 1.., value_name = "PLACE")]
        place: Vec<String>,
    },
    /// Remove one address, which was loaded.
    Del {
        /// Its segment.
        segment: String,
        /// The address.
        mac: String,
    },
    /// Remove every address that was loaded.
    Flush,
}

/// Runs a command.
pub async fn run(command: Command, target: Query) -> Result<(), CommandFailure> {
    match command {
        Command::Load { file } => send_file(ListOrder::Load, &file, target).await,
        Command::Unload { file } => send_file(ListOrder::Unload, &file, target).await,
        Command::Add { segment, mac, place } => {
            let words = [vec![segment, mac], place].concat();
            send_words(ListOrder::Load, &words, target).await
        }
        Command::Del { segment, mac } => {
            send_words(ListOrder::Unload, &[segment, mac], target).await
        }
        Command::Flush => query::ask(target.name, Question::FdbFlush, target.json).await,
    }
}

async fn send_file(order: ListOrder, file: &Path, target: Query) -> Result<(), CommandFailure> {
    if file == Path::new("-") {
        return send(order, stdin(), target, |detail| format!("standard input:{detail}")).await;
    }
    let name = file.display().to_string();
    let list = File::open(file)
        .map_err(|error| CommandFailure::Wrong(format!("cannot read {name}: {error}")))?;
    send(order, list, target, |detail| format!("{name}:{detail}")).await
}

/// What is wrong with words of the command line needs no place.
async fn send_words(
    order: ListOrder,
    words: &[String],
    target: Query,
) -> Result<(), CommandFailure> {
    let placeless = |detail: &str| {
        detail.splitn(3, ':').last().map(|text| text.trim_start().to_owned()).unwrap_or_default()
    };
    send(order, Cursor::new(words.join(" ")), target, placeless).await
}

/// Sends a list; `place` puts a name in front of the line and column of an error.
async fn send(
    order: ListOrder,
    list: impl Read + Send + 'static,
    target: Query,
    place: impl Fn(&str) -> String,
) -> Result<(), CommandFailure> {
    let instance = select::running(target.name).await?;
    match client::send_list(&instance, order, list).await? {
        Outcome::Answered(body) => query::print(Question::FdbFlush, &body, target.json),
        Outcome::Refused(mut problem) => {
            if problem.is_callers() {
                problem.details = problem.details.iter().map(|detail| place(detail)).collect();
            }
            Err(query::refusal(problem))
        }
        Outcome::NoDaemon => Err(query::no_daemon(&instance)),
    }
}
