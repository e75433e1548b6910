//! A unit of a machine, and what the journal holds of the gateways' units.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use overlay_testbed::wait_until;

use super::machine::Machine;

/// How long a unit may take to become what it is to be: a start loads programs, beside a build.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway's unit.
#[derive(Clone, Copy)]
pub struct Unit<'a> {
    /// Where it is.
    pub machine: &'a Machine,
    /// Its name.
    pub name: &'a str,
    /// Its gateway.
    pub gateway: &'a str,
    /// Its configuration file.
    pub file: &'a str,
}

impl Unit<'_> {
    /// What systemd knows of it.
    pub fn show(&self, property: &str) -> Result<String> {
        let words = ["show", "--value", "--property", property, self.name];
        Ok(self.machine.run("systemctl", &words)?.trim().to_owned())
    }

    /// Has systemd do something with it, which is to succeed.
    pub fn does(&self, verb: &str) -> Result<()> {
        let done = self.machine.run("systemctl", &[verb, self.name]).map(drop);
        done.with_context(|| self.words())
    }

    /// Has systemd do something with it, which is to fail.
    pub fn refuses(&self, verb: &str) -> Result<()> {
        self.machine.refused("systemctl", &[verb, self.name]).map(drop)
    }

    /// What `systemctl status` shows, and an operator sees.
    pub fn words(&self) -> String {
        let words = ["status", "--no-pager", "--full", "--lines=30", self.name];
        let output = self.machine.command("systemctl").args(words).output();
        output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }

    /// The daemon's process, as the machine numbers it.
    pub fn pid(&self) -> Result<u32> {
        let pid = self.show("MainPID")?;
        pid.parse().with_context(|| format!("MainPID={pid} of {}", self.name))
    }

    /// Expects systemd to hold it for this, now.
    pub fn is(&self, state: &str) -> Result<()> {
        let found = self.show("ActiveState")?;
        ensure!(
            found == state,
            "{} is {found}, and was to be {state}:\n{}",
            self.name,
            self.words()
        );
        Ok(())
    }

    /// Waits for a property to become what it is to be.
    pub fn waits_for(&self, property: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let seen = || self.show(property).ok().filter(|found| wanted(found)).map(drop);
        wait_until(&format!("such {property} of {}", self.name), PATIENCE, seen)
            .with_context(|| self.words())
    }

    /// Writes its configuration.
    pub fn configure(&self, text: &str) -> Result<()> {
        Ok(fs::write(self.machine.file(self.file), text)?)
    }

    /// Asks its gateway.
    pub fn overlay(&self, words: &[&str]) -> Result<String> {
        self.machine.run("overlay", &[words, &["--name", self.gateway]].concat())
    }

    /// The pins of the programs that are attached, each with its inode: one that was made anew
    /// has another.
    pub fn links(&self) -> Result<String> {
        let folder = format!("/sys/fs/bpf/overlay/{}/links", self.gateway);
        let links = self.machine.run("ls", &["-i", &folder])?;
        ensure!(links.lines().count() > 1, "{folder} has {links:?}, and no program for each port");
        Ok(links)
    }
}

/// What the journal has of the gateways at warning and above that was not asked for before:
/// each line has to hold one of the `explained` words, and each of those has to be there.
pub fn warned(machine: &Machine, explained: &[&str]) -> Result<()> {
    machine.run("journalctl", &["--sync"])?;
    let mut journalctl = machine.command("journalctl");
    journalctl.args(["--quiet", "--no-pager", "--output=cat", "--priority=warning"]);
    journalctl.args(["--unit=overlay.service", "--unit=overlay@*.service"]);
    // Its exit code is 1 where there is nothing.
    let output = journalctl.arg("--cursor-file=/run/journal-read-so-far").output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(complaint.is_empty(), "journalctl: {complaint}");
    let lines = String::from_utf8_lossy(&output.stdout);
    let is_explained = |line: &&str| explained.iter().chain(MACHINES).any(|why| line.contains(why));
    let unexplained: Vec<&str> = lines.lines().filter(|line| !is_explained(line)).collect();
    ensure!(
        unexplained.is_empty(),
        "the journal has warnings and errors that nothing here explains:\n{}",
        unexplained.join("\n")
    );
    for words in explained {
        ensure!(lines.contains(words), "the journal does not say {words:?}:\n{lines}");
    }
    Ok(())
}

/// What this machine's kernel lacks is said at each start.
const MACHINES: &[&str] = &["landlock: not confined: this kernel has no landlock"];
