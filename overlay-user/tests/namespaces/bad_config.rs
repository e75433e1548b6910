//! Configurations that are refused, with the place and the reason.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Netns, Process, Scratch, require_root, veth};

use crate::harness::{attached, overlay};

/// A good file. `@` marks are put in its place by each case.
const GOOD: &str = r#"[node]
name = "NAME"
vtep = "192.0.2.1"

[[uplink]]
interface = "eth0"

[[segment]]
name = "blue"
vni  = 100

[[segment.port]]
interface = "eth1"

[[segment]]
name = "red"
vni  = 200

[[segment.port]]
interface = "eth2"

[[peer]]
name     = "gw2"
vtep     = "192.0.2.2"
segments = ["blue"]
"#;

/// What is wrong: a line of the good file, what to put there, and words that the
/// message and its help must hold.
struct Case {
    what: &'static str,
    line: &'static str,
    with: &'static str,
    says: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        what: "an unknown key",
        line: "vtep = \"192.0.2.1\"",
        with: "vtap = \"192.0.2.1\"",
        says: &["vtap", "vtep"],
    },
    Case { what: "VNI 0", line: "vni  = 200", with: "vni  = 0", says: &["0", "16777215"] },
    Case {
        what: "a VNI over 24 bits",
        line: "vni  = 200",
        with: "vni  = 16777216",
        says: &["16777216", "16777215"],
    },
    Case {
        what: "a negative VNI",
        line: "vni  = 200",
        with: "vni  = -1",
        says: &["-1", "16777215"],
    },
    Case { what: "a VNI twice", line: "vni  = 200", with: "vni  = 100", says: &["100", "line 10"] },
    Case {
        what: "a missing interface",
        line: "interface = \"eth2\"",
        with: "interface = \"eth9\"",
        says: &["eth9"],
    },
    Case {
        what: "a VTEP that is no address of this host",
        line: "vtep = \"192.0.2.1\"",
        with: "vtep = \"192.0.2.77\"",
        says: &["192.0.2.77"],
    },
    Case {
        what: "a peer of an unknown segment",
        line: "segments = [\"blue\"]",
        with: "segments = [\"blue\", \"green\"]",
        says: &["green"],
    },
    Case {
        what: "one port in two segments",
        line: "interface = \"eth2\"",
        with: "interface = \"eth1\"",
        says: &["eth1", "blue"],
    },
    Case {
        what: "an uplink as access port",
        line: "interface = \"eth2\"",
        with: "interface = \"eth0\"",
        says: &["eth0", "uplink"],
    },
    Case {
        what: "a peer at our own address",
        line: "vtep     = \"192.0.2.2\"",
        with: "vtep     = \"192.0.2.1\"",
        says: &["192.0.2.1"],
    },
    Case {
        what: "an address that is none",
        line: "vtep     = \"192.0.2.2\"",
        with: "vtep     = \"192.0.2.256\"",
        says: &["192.0.2.256"],
    },
    Case {
        what: "a word where a number belongs",
        line: "vni  = 200",
        with: "vni  = \"200\"",
        says: &["vni"],
    },
    Case { what: "what is not TOML", line: "vni  = 200", with: "vni  = = 200", says: &[] },
];

struct Host {
    netns: Netns,
    _outside: Netns,
    scratch: Scratch,
}

impl Host {
    fn new() -> Result<Self> {
        let netns = Netns::new("gw")?;
        let outside = Netns::new("outside")?;
        for device in ["eth0", "eth1", "eth2"] {
            veth(&netns, device, &outside, device)?;
        }
        netns.exec("ip addr add 192.0.2.1/24 dev eth0")?;
        Ok(Self { netns, _outside: outside, scratch: Scratch::new()? })
    }

    /// Runs a command on a configuration; returns exit code and output.
    fn run(&self, command: &str, config: &Path) -> Result<(Option<i32>, String)> {
        self.run_with(&[command], config)
    }

    fn run_with(&self, command: &[&str], config: &Path) -> Result<(Option<i32>, String)> {
        let mut command_line = overlay(&self.netns);
        command_line.args(command).arg("--config").arg(config);
        let process = Process::spawn(&mut command_line)?;
        let status = process
            .wait(Duration::from_secs(10))
            .with_context(|| format!("overlay {} did not refuse", command.join(" ")))?;
        Ok((status.code(), process.output()))
    }

    fn expect_nothing_attached(&self) -> Result<()> {
        for interface in ["eth0", "eth1", "eth2"] {
            let programs = attached(&self.netns, interface)?;
            ensure!(programs.is_empty(), "{interface} has {programs:?}");
        }
        let qdiscs = self.netns.exec("tc qdisc show")?;
        ensure!(!qdiscs.contains("clsact"), "{qdiscs}");
        for place in ["/sys/fs/bpf/overlay", "/run/overlay"] {
            let path = Path::new(place).join(self.netns.name());
            ensure!(!path.exists(), "{} exists", path.display());
            let socket = path.with_extension("sock");
            ensure!(!socket.exists(), "{} exists", socket.display());
        }
        Ok(())
    }

    fn expect_refusal(&self, case: &Case) -> Result<()> {
        let good = GOOD.replace("NAME", self.netns.name());
        let number = good.lines().position(|line| line == case.line).context("a stale case")? + 1;
        let text = good.replacen(case.line, case.with, 1);
        let path = self.scratch.write("overlay.toml", text)?;
        for command in ["check", "run"] {
            let (code, output) = self.run(command, &path)?;
            ensure!(code == Some(2), "{command}: exit code {code:?}\n{output}");
            let place = format!("{}:{number}:", path.display());
            let message = output
                .split_once(&place)
                .with_context(|| format!("{command} does not name {place}\n{output}"))?
                .1;
            let column: usize = message
                .split(':')
                .next()
                .and_then(|column| column.trim().parse().ok())
                .with_context(|| format!("no column:\n{output}"))?;
            ensure!((1..=case.with.len() + 1).contains(&column), "column {column}:\n{output}");
            for word in case.says {
                ensure!(message.contains(word), "{command} does not say {word}:\n{output}");
            }
            ensure!(message.contains("help:"), "{command} does not help:\n{output}");
            self.expect_nothing_attached()?;
        }
        Ok(())
    }
}

#[test]
fn each_mistake_is_refused_with_its_place() -> Result<()> {
    if !require_root("each_mistake_is_refused_with_its_place") {
        return Ok(());
    }
    let host = Host::new()?;
    let good = host.scratch.write("good.toml", GOOD.replace("NAME", host.netns.name()))?;
    let (code, output) = host.run("check", &good)?;
    ensure!(code == Some(0), "the good file is refused: {output}");
    host.expect_nothing_attached()?;
    let failures: Vec<_> = CASES
        .iter()
        .filter_map(|case| Some((case.what, host.expect_refusal(case).err()?)))
        .map(|(what, error)| format!("{what}: {error:#}"))
        .collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() -> Result<()> {
    if !require_root("all_mistakes_of_a_file_are_told_at_once") {
        return Ok(());
    }
    let host = Host::new()?;
    let text = GOOD
        .replace("NAME", host.netns.name())
        .replace("vni  = 200", "vni  = 100")
        .replace("[\"blue\"]", "[\"green\"]")
        .replace("\"eth2\"", "\"eth1\"");
    let path = host.scratch.write("overlay.toml", text)?;
    let (code, output) = host.run("check", &path)?;
    ensure!(code == Some(2), "exit code {code:?}");
    let places = output.matches(&*path.display().to_string()).count();
    ensure!(places >= 3, "{places} places named:\n{output}");
    Ok(())
}

/// What may come by itself is tried again, what somebody has to mend is not.
#[test]
fn a_service_manager_is_told_what_may_come_yet() -> Result<()> {
    if !require_root("a_service_manager_is_told_what_may_come_yet") {
        return Ok(());
    }
    let host = Host::new()?;
    let good = GOOD.replace("NAME", host.netns.name());
    for (from, to, code) in [
        ("\"eth2\"", "\"eth9\"", 1),
        ("vtep = \"192.0.2.1\"", "vtep = \"192.0.2.77\"", 1),
        ("vni  = 200", "vni  = = 200", 2),
        ("vni  = 200", "vni  = 100", 2),
    ] {
        let path = host.scratch.write("overlay.toml", good.replacen(from, to, 1))?;
        let (found, output) = host.run_with(&["run", "--service"], &path)?;
        ensure!(found == Some(code), "{to}: exit code {found:?} instead of {code}:\n{output}");
        let place = format!("{}:", path.display());
        ensure!(output.contains(&place) && output.contains("help:"), "{to}:\n{output}");
        host.expect_nothing_attached()?;
    }
    // Read a second later, it may be right; what was read and is no text is not.
    let nonesuch = host.scratch.path().join("nonesuch.toml");
    let bytes = host.scratch.write("bytes.toml", b"\xff\xfe")?;
    let folder = host.scratch.path();
    for (path, code) in [(&*nonesuch, 1), (folder, 1), (&*bytes, 2)] {
        for (command, code) in [(&["run", "--service"][..], code), (&["run"], 2), (&["check"], 2)] {
            let (found, output) = host.run_with(command, path)?;
            ensure!(found == Some(code), "{command:?}: {found:?} instead of {code}:\n{output}");
            let words = format!("overlay: cannot read {}: ", path.display());
            ensure!(output.contains(&words), "{command:?}:\n{output}");
        }
    }
    Ok(())
}

#[test]
fn a_missing_file_is_named() -> Result<()> {
    if !require_root("a_missing_file_is_named") {
        return Ok(());
    }
    let host = Host::new()?;
    let path = host.scratch.path().join("nonesuch.toml");
    for command in ["check", "run"] {
        let (code, output) = host.run(command, &path)?;
        ensure!(code != Some(0) && output.contains("nonesuch.toml"), "{code:?}: {output}");
    }
    Ok(())
}
