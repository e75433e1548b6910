//! The commands.
//!
//! Exit codes: 0 done; 1 the machine or a daemon refused; 2 the command line or
//! the configuration is wrong.

mod capture;
mod change;
pub(crate) mod check;
mod doctor;
mod down;
mod events;
mod failure;
mod fdb;
mod generate;
mod journal;
mod query;
mod rows;
mod run;
mod select;
mod simulate;
mod status;
mod trace;
mod watch;

mod top;
mod words;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

pub use failure::CommandFailure;
pub(crate) use query::{NOT_UNDERSTOOD, no_daemon, written};

use crate::api::Question;

/// The path of the configuration file that `run` and `check` read by default.
const CONFIG: &str = "/etc/overlay/overlay.toml";

/// A gateway between Ethernet segments and VXLAN or Geneve tunnels, in XDP and tc.
#[derive(Debug, Parser)]
#[command(name = "overlay", version, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a gateway in the foreground.
    Run(Run),
    /// Validate a configuration file; changes nothing.
    Check(Configured),
    /// Say what this machine's kernel can do, and what on the machine would hurt a gateway.
    Doctor {
        /// The configuration file, which says what the devices are for; the usual one, if it is
        /// there.
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say how a running gateway is: what is wrong, since when, and what to do.
    Status {
        /// End with exit code 1 where something is wrong.
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        query: Query,
    },
    /// Say what happened to a running gateway, and what happens.
    Events {
        #[command(flatten)]
        wanted: events::Wanted,
        #[command(flatten)]
        query: Query,
    },
    /// Show what a running gateway knows.
    Show {
        /// What to show.
        what: What,
        #[command(flatten)]
        query: Query,
    },
    /// Watch rates by port, segment, peer and drop reason, live.
    #[command(after_help = top::KEYS)]
    Top(top::Arguments),
    /// Load static addresses into a running gateway, and remove them.
    Fdb {
        #[command(subcommand)]
        command: fdb::Command,
        #[command(flatten)]
        query: Query,
    },
    /// Follow frames through a running gateway, stage by stage: what became of each, and why; or
    /// say what would become of one.
    Trace(trace::Command),
    /// Write frames, before and after a running gateway, as pcapng.
    Capture(capture::Command),
    /// Change a table of a running gateway's configuration: a peer, a segment, a port, a route, …
    Set(change::Set),
    /// Remove a table of a running gateway's configuration, or keys of one.
    Unset(change::Unset),
    /// Make the changes of a file, all of them or none.
    Change(change::Change),
    /// Write the configuration that is in effect to the configuration file.
    Save(Query),
    /// Have a running gateway apply its configuration file again.
    Reload {
        /// The instance that runs with this configuration file, in place of a name.
        #[arg(long, short, value_name = "FILE", conflicts_with = "name")]
        config: Option<PathBuf>,
        #[command(flatten)]
        query: Query,
    },
    /// Remove everything that a gateway attached or pinned, and end it.
    Down(Query),
    /// Write the man pages and the shells' completions, for packages.
    #[command(hide = true)]
    Generate {
        /// The folder to write them to.
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    configured: Configured,
    /// For a service manager: end with exit code 1 where this host lacks what the configuration
    /// names, which may come yet, or the file cannot be read, so that 2 stands for what starting
    /// again does not mend.
    #[arg(long)]
    service: bool,
}

#[derive(Debug, Args)]
struct Configured {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// The instance's name, in place of the file's node.name.
    #[arg(long, value_name = "NAME", value_parser = instance_name)]
    name: Option<String>,
}

#[derive(Debug, Args)]
struct Query {
    /// The instance; may be left out where only one runs.
    #[arg(long, value_name = "NAME", value_parser = instance_name, global = true)]
    name: Option<String>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// What `show` shows.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Devices, their hooks and why, their counters.
    Ports,
    /// Segments.
    Segments,
    /// Peers and the way to them.
    Peers,
    /// Which MAC address is where.
    Fdb,
    /// Whose the IP addresses are.
    Neighbours,
    /// Where the packets of VRFs are routed.
    Routes,
    /// The configuration that is in effect, as its file would have it.
    Configuration,
    /// The rules of access lists, and how many packets each has held.
    Acls,
    /// What was dropped, where and why; the book has a page for each reason
    /// (docs/src/drops).
    Drops,
}

/// A name becomes part of paths, so it may not be one.
fn instance_name(name: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(legal) || name.starts_with('.') {
        return Err("1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot".to_owned());
    }
    Ok(name.to_owned())
}

/// Runs the command of this process's command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Run(run) = &cli.command
        && let Err(failure) = run::prepare(run)
    {
        return failed(&failure);
    }
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("overlay: cannot start: {error}");
                return ExitCode::from(1);
            }
        };
    let result = runtime.block_on(execute(cli.command));
    // A blocked helper thread must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(failure) => failed(&failure),
    }
}

/// Says why the command failed.
fn failed(failure: &CommandFailure) -> ExitCode {
    let _ = write!(std::io::stderr(), "{}", journal::failure(&failure.to_string()));
    failure.exit_code()
}

async fn execute(command: Command) -> Result<ExitCode, CommandFailure> {
    if let Command::Status { check, query } = command {
        return status::status(query, check).await;
    }
    carry_out(command).await.map(|()| ExitCode::SUCCESS)
}

async fn carry_out(command: Command) -> Result<(), CommandFailure> {
    match command {
        Command::Run(arguments) => run::run(arguments).await,
        Command::Check(configured) => check::check(&configured.config).await,
        Command::Doctor { config, json } => doctor::run(config, json).await,
        Command::Status { query, .. } => status::status(query, false).await.map(drop),
        Command::Events { wanted, query } => events::events(wanted, query).await,
        Command::Show { what, query } => show(what, query).await,
        Command::Top(arguments) => top::run(arguments).await,
        Command::Fdb { command, query } => fdb::run(command, query).await,
        Command::Trace(command) => trace::run(command).await,
        Command::Capture(command) => capture::run(command).await,
        Command::Set(set) => change::set(set).await,
        Command::Unset(unset) => change::unset(unset).await,
        Command::Change(change) => change::change(change).await,
        Command::Save(query) => change::save(query).await,
        Command::Reload { config, query } => {
            let name = match config {
                Some(file) => Some(select::with_file(&file).await?.name),
                None => query.name,
            };
            query::ask(name, Question::Reload, query.json).await
        }
        Command::Down(query) => down::down(query.name, query.json).await,
        Command::Generate { folder } => Ok(generate::write(Cli::command(), &folder)?),
    }
}

async fn show(what: What, query: Query) -> Result<(), CommandFailure> {
    let question = match what {
        What::Fdb => return rows::fdb(query).await,
        What::Configuration => return change::show(query).await,
        What::Ports => Question::Ports,
        What::Segments => Question::Segments,
        What::Peers => Question::Peers,
        What::Neighbours => Question::Neighbours,
        What::Routes => Question::Routes,
        What::Acls => Question::Acls,
        What::Drops => Question::Drops,
    };
    query::ask(query.name, question, query.json).await
}

#[cfg(test)]
mod help_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_cannot_leave_their_directory() {
        assert!(instance_name("gw1.example_A-2").is_ok());
        for bad in ["", "..", "a/b", ".hidden", "a b", &"x".repeat(65)] {
            assert!(instance_name(bad).is_err(), "{bad}");
        }
    }
}
