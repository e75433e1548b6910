//! `cargo xtask run`: two gateways and two hosts on this machine, and TCP across.
//!
//! Each gateway is a real `overlay run` process with a configuration file, in a
//! network namespace of its own. Success, failure and Ctrl-C leave nothing
//! behind; with `--keep` the testbed stays, and `--clean` removes it.

mod gateway;
mod kept;
mod table;
mod traffic;
mod view;

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use overlay_testbed::{TwoGateways, ensure_bpffs};

use crate::build;
use crate::setup::{self, Scope};
use crate::step::step;
use crate::workspace::Workspace;
use gateway::Gateway;
use kept::Kept;
use traffic::{Report, Stream};
use view::View;

/// How long TCP runs: on a terminal long enough to watch.
const WATCHED: Duration = Duration::from_secs(8);
/// How long it runs where nobody watches.
const UNWATCHED: Duration = Duration::from_secs(3);

/// Arguments of the command.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Leaves the testbed up and prints how to explore and how to remove it.
    #[arg(long)]
    keep: bool,
    /// Removes testbeds that were kept, or whose run was killed.
    #[arg(long, conflicts_with_all = ["keep", "watch", "args"])]
    clean: bool,
    /// Keeps the live view, with traffic, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Runs the gateway on this host with these arguments instead of a testbed:
    /// `cargo xtask run -- --config /etc/overlay/overlay.toml`.
    #[arg(last = true, conflicts_with_all = ["keep", "watch"])]
    args: Vec<String>,
}

/// Runs the testbed, or the gateway on this host.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if args.clean {
        return kept::remove_all(workspace);
    }
    if !args.args.is_empty() {
        return on_this_host(workspace, &args.args);
    }
    setup::run(Scope::Run)?;
    build::overlay(workspace)?;
    testbed(workspace, args)
}

/// Runs the testbed once, without a terminal, with everything set up.
pub fn demonstrate(workspace: &Workspace) -> Result<()> {
    build::overlay(workspace)?;
    testbed(workspace, &Args::default())
}

/// Becomes the gateway.
fn on_this_host(workspace: &Workspace, args: &[String]) -> Result<()> {
    setup::run(Scope::Build)?;
    build::overlay(workspace)?;
    let mut overlay = Command::new(workspace.release(build::BINARY));
    // `-- --config FILE` means `overlay run --config FILE`; `-- show ports` is a
    // command of its own.
    if args.first().is_none_or(|first| first.starts_with('-')) {
        overlay.arg("run");
    }
    Err(overlay.args(args).exec()).context("cannot start the gateway")
}

fn testbed(workspace: &Workspace, args: &Args) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "network namespaces and BPF need root\n  \
             help: run `sudo -E env \"PATH=$PATH\" cargo xtask run`"
        );
    }
    ensure_bpffs()?;
    let (bed, kept) = step("make two hosts, two gateways and the links between them", || {
        let bed = TwoGateways::new()?;
        let kept = Kept::of(workspace, &bed)?;
        Ok((bed, kept))
    })?;
    print!("{PICTURE}");
    let gateways = step("start `overlay run` in both gateways", || {
        let overlay = workspace.release(build::BINARY);
        let peers = [(&bed.gw1, "gw1", &bed.gw2), (&bed.gw2, "gw2", &bed.gw1)];
        let start = |(own, label, peer)| Gateway::start(&overlay, label, own, peer, &kept);
        let gateways = peers.into_iter().map(start).collect::<Result<Vec<_>>>()?;
        gateways.iter().try_for_each(Gateway::wait_until_ready)?;
        Ok(gateways)
    })?;
    let outcome = cross(&bed, &gateways, args);
    let report = match outcome {
        Ok(report) => report,
        Err(error) => return Err(explain(error, &gateways)),
    };
    // Last, when both gateways have seen what the other one attached.
    view::print_hooks(&gateways)?;
    println!("ping, ARP and TCP crossed the overlay: {report}");
    if args.keep {
        kept.keep(workspace, bed, gateways);
        return Ok(());
    }
    step("remove the testbed", || {
        drop(gateways);
        drop(bed);
        drop(kept);
        Ok(())
    })
}

/// Prints what the gateways have to say about a failure.
fn explain(error: anyhow::Error, gateways: &[Gateway]) -> anyhow::Error {
    let _ = view::print_hooks(gateways);
    gateways.iter().for_each(Gateway::print_log);
    match gateways.iter().find(|gateway| gateway.has_ended()) {
        Some(gateway) => error.context(format!("gateway {} ended by itself", gateway.label)),
        None => error,
    }
}

/// Sends everything that must cross, with the live view of the gateways
/// meanwhile.
fn cross(bed: &TwoGateways, gateways: &[Gateway], args: &Args) -> Result<Report> {
    step("ARP and ping across the overlay", || {
        println!("    {}", traffic::ping(bed)?);
        println!("    {}", traffic::arp(bed)?);
        Ok(())
    })?;
    let watched = std::io::stdout().is_terminal();
    let length = if watched { WATCHED } else { UNWATCHED };
    let report = step("TCP across the overlay (iperf3, offloads as they are)", || {
        let stream = Stream::start(bed, length)?;
        let mut view = View::new(gateways, watched);
        let end = Instant::now() + length;
        while Instant::now() < end {
            view.show()?;
        }
        drop(view);
        let report = stream.finish()?;
        println!("    {report}");
        Ok(report)
    })?;
    if args.watch {
        watch(bed, gateways)?;
    }
    Ok(report)
}

/// The live view with traffic, until Ctrl-C ends the process.
fn watch(bed: &TwoGateways, gateways: &[Gateway]) -> Result<()> {
    let _traffic = traffic::background(bed)?;
    let mut view = View::new(gateways, std::io::stdout().is_terminal());
    loop {
        view.show()?;
    }
}

const PICTURE: &str = "
     host1                gw1                      gw2                host2
    ┌──────┐        ┌──────────────┐        ┌──────────────┐        ┌──────┐
    │ eth0 ├────────┤ eth1    eth0 ╞════════╡ eth0    eth1 ├────────┤ eth0 │
    └──────┘        └──────────────┘ VXLAN  └──────────────┘        └──────┘
    10.0.0.1            192.0.2.1    VNI 100    192.0.2.2           10.0.0.2

";
