//! `overlay top` on a terminal, beside a gateway with traffic.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::{TwoGateways, require_root, require_tools, wait_until};
use serde_json::Value;

use crate::harness::{Overlay, Scene, Terminal, binary, keep, overlay, svg};

/// Whether a row has a rate: what stands in one of its last columns is neither unknown nor zero.
fn has_rate(line: &str) -> bool {
    line.split_whitespace().rev().take(4).all(|word| {
        let digits = word.trim_end_matches(['k', 'M', 'G']);
        digits.parse::<f64>().is_ok_and(|rate| rate > 0.0)
    })
}

fn row<'l>(lines: &'l [String], begin: &str) -> Option<&'l String> {
    lines.iter().find(|line| line.starts_with(begin))
}

fn top(testbed: &TwoGateways, args: &[&str]) -> Command {
    let mut command = testbed.gw1.netns.command(&binary());
    command.args(["top", "--name", &testbed.gw1.name]).args(args).env_remove("NO_COLOR");
    command
}

/// Keys, sizes, and every way out.
#[test]
fn it_is_drawn_on_a_terminal_and_gives_it_back() -> Result<()> {
    let name = "it_is_drawn_on_a_terminal_and_gives_it_back";
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let mut scene = Scene::start(&testbed, "")?;
    let mut terminal = Terminal::new(80, 24)?;
    terminal.start(&mut top(&testbed, &["--delay", "0.5"]))?;

    let access = "  eth1  ";
    let lines = terminal
        .wait_for("rates of a port", |lines| row(lines, access).is_some_and(|l| has_rate(l)))?;
    ensure!(
        lines[0].starts_with(&format!("overlay top  {}  ", testbed.gw1.name))
            && lines[0].contains(" problems  up "),
        "{lines:?}"
    );
    ensure!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
    ensure!(row(&lines, "  eth0  ").is_some_and(|line| line.contains("uplink tc up")), "{lines:?}");
    terminal.press("3")?;
    terminal.wait_for("rates of a peer", |lines| {
        row(lines, "  paris ")
            .is_some_and(|line| line.contains("ready 192.0.2.2") && has_rate(line))
            && row(lines, "! oslo ").is_some_and(|line| line.contains("unresolved"))
    })?;
    keep("top.svg", terminal.look(svg)?.as_bytes())?;
    terminal.press("4")?;
    terminal.wait_for("rate of drops", |lines| {
        let dropped = row(lines, "  unknown-vni ");
        dropped.is_some_and(|line| {
            line.contains("eth0/tc") && !line.ends_with(" 0") && !line.ends_with('-')
        })
    })?;
    terminal.press("2s")?;
    terminal.wait_for("segments by name", |lines| {
        let at = |begin| lines.iter().position(|line| line.starts_with(begin));
        at("  blue ").zip(at("  green ")).is_some_and(|(blue, green)| blue < green)
            && lines.last().is_some_and(|line| line.starts_with("by name"))
    })?;
    terminal.press("r")?;
    terminal.wait_for("the other way round", |lines| {
        let at = |begin| lines.iter().position(|line| line.starts_with(begin));
        at("  blue ").zip(at("  green ")).is_some_and(|(blue, green)| blue > green)
    })?;
    terminal.press("r/gree\r")?;
    terminal.wait_for("the filter", |lines| {
        row(lines, "  green ").is_some() && row(lines, "  blue ").is_none()
    })?;
    terminal.press("\x1b")?;
    terminal.wait_for("no filter", |lines| row(lines, "  blue ").is_some())?;
    terminal.press("1p")?;
    terminal.wait_for("pause", |lines| lines[0].ends_with("PAUSED"))?;
    terminal.press("p+")?;
    terminal.wait_for("the longer delay", |lines| lines[0].ends_with("every 1 s"))?;

    terminal.resize(40, 10)?;
    terminal.wait_for("a small screen", |lines| {
        lines.iter().any(|line| line.ends_with("RX BIT/S  TX BIT/S")) && lines.len() <= 10
    })?;
    terminal.resize(120, 40)?;
    terminal.wait_for("a large screen", |lines| {
        lines.iter().any(|line| line.contains("RX PKT/S")) && row(lines, access).is_some()
    })?;

    check_restart(&mut scene.ours, &terminal)?;
    suspend(&mut terminal)?;

    terminal.press("q")?;
    ensure!(terminal.end()?.code() == Some(0));
    terminal.check_restored()?;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        terminal.start(&mut top(&testbed, &[]))?;
        terminal.wait_for("a drawn screen", |lines| row(lines, access).is_some())?;
        terminal.signal(signal)?;
        ensure!(terminal.end()?.code() == Some(0), "{signal}");
        terminal.check_restored().with_context(|| signal.to_string())?;
    }
    Ok(())
}

/// The daemon goes, and comes again: the screen says so, and shows no rate that is none.
fn check_restart(ours: &mut Overlay<'_>, terminal: &Terminal) -> Result<()> {
    ours.kill()?;
    let lines = terminal.wait_for("absence", |lines| {
        lines.iter().any(|line| line.starts_with("! no daemon answers, for"))
    })?;
    ensure!(row(&lines, "  eth1  ").is_some(), "what was known stays: {lines:?}");
    ours.restart()?;
    terminal.wait_for("restart", |lines| {
        let port = row(lines, "  eth1  ");
        lines.iter().any(|line| line.starts_with("! the daemon was restarted"))
            && port.is_some_and(|line| has_rate(line) && !line.contains('G'))
    })?;
    Ok(())
}

/// Ctrl-Z leaves the terminal to the shell, and going on takes it again.
fn suspend(terminal: &mut Terminal) -> Result<()> {
    terminal.press("\x1a")?;
    wait_until("a stopped process", Duration::from_secs(10), || {
        (terminal.state() == Some('T')).then_some(())
    })?;
    terminal.check_restored()?;
    terminal.signal(Signal::SIGCONT)?;
    terminal.wait_for("the screen again", |lines| row(lines, "  eth1  ").is_some())?;
    Ok(())
}

/// Colours only where they are wanted, and no terminal that cannot be drawn on.
#[test]
fn colours_and_poor_terminals_are_heeded() -> Result<()> {
    let name = "colours_and_poor_terminals_are_heeded";
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let _scene = Scene::start(&testbed, "")?;
    let coloured = |terminal: &Terminal| {
        terminal.look(|screen| {
            let cells = (0..24)
                .flat_map(|line| (0..80).filter_map(move |column| screen.cell(line, column)));
            cells.filter(|cell| cell.fgcolor() != vt100::Color::Default).count()
        })
    };
    for (no_color, is_coloured) in [("", true), ("1", false)] {
        let mut terminal = Terminal::new(80, 24)?;
        terminal.start(top(&testbed, &["--tab", "peers"]).env("NO_COLOR", no_color))?;
        terminal.wait_for("peers", |lines| row(lines, "! oslo").is_some())?;
        ensure!((coloured(&terminal) > 0) == is_coloured, "NO_COLOR={no_color:?}");
        terminal.press("\x03")?;
        ensure!(terminal.end()?.code() == Some(0), "Ctrl-C");
        terminal.check_restored()?;
    }

    // `Terminal::start` names a good terminal: a shell names a poor one behind it.
    let mut terminal = Terminal::new(80, 24)?;
    let mut shell = testbed.gw1.netns.command("sh");
    shell.args(["-c", "TERM=dumb exec \"$0\" top --name \"$1\"", &binary(), &testbed.gw1.name]);
    terminal.start(&mut shell)?;
    ensure!(terminal.end()?.code() == Some(2));
    terminal.wait_for("a sentence", |lines| {
        lines.concat().contains("TERM is \"dumb\": nothing can be drawn on such a terminal; --once")
    })?;
    let output = top(&testbed, &[]).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2) && said.contains("--batch"), "{said}");
    Ok(())
}

/// For scripts, and without a daemon.
#[test]
fn scripts_get_text_and_json() -> Result<()> {
    let name = "scripts_get_text_and_json";
    if !require_root(name) || !require_tools(name, &["ping"]) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let scene = Scene::start(&testbed, "")?;
    let text = scene.ours.run(&["top", "--once", "--tab", "drops", "--delay", "0.5"])?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    ensure!(lines[0].starts_with(&testbed.gw1.name), "{text}");
    ensure!(row(&lines, "unknown-vni").is_some_and(|line| !line.ends_with(" 0")), "{text}");
    let text = scene.ours.run(&["top", "--batch", "2", "--delay", "0.5", "--filter", "eth1"])?;
    ensure!(text.matches("RX PKT/S").count() == 2 && !text.contains("\neth0"), "{text}");
    let text = scene.ours.run(&["top", "--json", "--batch", "2", "--delay", "0.5"])?;
    let objects: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(objects.len() == 2, "{text}");
    let ports = objects[1]["ports"].as_array().context("ports")?;
    let port = ports.iter().find(|port| port["interface"] == "eth1").context("eth1")?;
    ensure!(port["rx_bits_per_second"].as_f64() > Some(0.0) && port["role"] == "access", "{port}");
    ensure!(objects[1]["drops"][0]["packets_per_second"].as_f64() > Some(0.0), "{text}");

    let absent =
        overlay(&testbed.gw1.netns).args(["top", "--once", "--name", "nobody"]).output()?;
    let said = String::from_utf8_lossy(&absent.stderr);
    ensure!(absent.status.code() == Some(1) && said.contains("nobody"), "{said}");
    let wrong = overlay(&testbed.gw1.netns).args(["top", "--delay", "0"]).output()?;
    ensure!(wrong.status.code() == Some(2), "{wrong:?}");
    Ok(())
}
