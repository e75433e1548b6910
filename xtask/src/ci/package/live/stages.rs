//! What an administrator, and a bad day, do to a machine; each stage goes on from the last.

use std::cell::RefCell;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use overlay_testbed::{Process, wait_until};

use super::machine::Machine;
use super::network::{Network, all_came};
use super::privileges;
use super::unit::{Unit, warned};

/// The gateway of overlay.service.
const FIRST: &str = "[node]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\n
[[uplink]]\ninterface = \"eth0\"\n
[[segment]]\nname = \"blue\"\nvni = 100\n
[[segment.port]]\ninterface = \"eth1\"\n
[[segment.port]]\ninterface = \"eth2\"\n
[[peer]]\nname = \"gw2\"\nvtep = \"192.0.2.2\"\nsegments = [\"blue\"]\n";

/// That of overlay@second.service.
const SECOND: &str = "[node]\nname = \"gw1\"\nvtep = \"198.51.100.1\"\nvxlan_port = 4790\n
[[uplink]]\ninterface = \"eth3\"\n
[[segment]]\nname = \"green\"\nvni = 300\n
[[segment.port]]\ninterface = \"eth4\"\n";

/// A change that is one.
const MORE: &str = "\n[[segment]]\nname = \"red\"\nvni = 200\n";

/// A port of which the device is not there yet.
const LATER: &str =
    "\n[[segment]]\nname = \"red\"\nvni = 200\n\n[[segment.port]]\ninterface = \"late\"\n";

/// Longer than any pause between two starts.
const SILENCE: Duration = Duration::from_secs(3);
const HEALTHY: Duration = Duration::from_secs(30);

/// A stage's name and what it does.
type Stage<'a> = (&'static str, fn(&Stages<'a>) -> Result<()>);

/// The machine on its way.
pub struct Stages<'a> {
    machine: &'a Machine,
    network: &'a Network,
    first: Unit<'a>,
    second: Unit<'a>,
    stream: RefCell<Option<Process>>,
}

impl<'a> Stages<'a> {
    /// At its beginning.
    pub fn new(machine: &'a Machine, network: &'a Network) -> Self {
        let unit = |name, gateway, file| Unit { machine, name, gateway, file };
        Self {
            machine,
            network,
            first: unit("overlay.service", "gw1", "/etc/overlay/overlay.toml"),
            second: unit("overlay@second.service", "second", "/etc/overlay/second.toml"),
            stream: RefCell::new(None),
        }
    }

    /// All stages, in their order.
    pub fn all(&self) -> [Stage<'a>; 9] {
        [
            ("installed, and nothing to start", Self::install),
            ("started without a BPF file system, and then with one", Self::bpffs),
            ("started: ready, healthy, with few privileges", Self::start),
            ("reload: a change, and a file that is wrong", Self::reload),
            ("restart, and a daemon that is killed", Self::restart),
            ("stopped; started with a file that is wrong", Self::wrong),
            ("started before a device is there", Self::late),
            ("upgrade while it runs", Self::upgrade),
            ("removal and purge", Self::removal),
        ]
    }

    /// Nothing may have been overlooked.
    pub fn end(&self) -> Result<()> {
        let failed = self.machine.failed()?;
        ensure!(failed.is_empty(), "units of the machine have failed:\n{failed}");
        Ok(())
    }

    /// Enabled, as is Debian's way, and not failed for want of a configuration.
    fn install(&self) -> Result<()> {
        self.machine.run("dpkg", &["--install", "/old.deb"])?;
        let enabled = self.machine.run("systemctl", &["is-enabled", self.first.name])?;
        ensure!(enabled == "enabled\n", "{} is {enabled}", self.first.name);
        self.first.is("inactive")?;
        let (asked, result) = (self.first.show("ConditionResult")?, self.first.show("Result")?);
        ensure!(asked == "no", "the package's script did not try to start {}", self.first.name);
        ensure!(result == "success", "{} has the result {result}", self.first.name);
        let failed = self.machine.failed()?;
        ensure!(failed.is_empty(), "the installation left failed units:\n{failed}");
        warned(self.machine, &[])
    }

    /// Tried again until there is a place for it; and then mounted, for everybody.
    fn bpffs(&self) -> Result<()> {
        let folder = self.machine.file("/etc/systemd/system/overlay.service.d");
        fs::create_dir(&folder)?;
        // As if the kernel had made no /sys/fs/bpf.
        let hide = "[Service]\nTemporaryFileSystem=/sys/fs\nBindReadOnlyPaths=/sys/fs/cgroup\n";
        fs::write(folder.join("hide.conf"), hide)?;
        self.machine.run("systemctl", &["daemon-reload"])?;
        self.first.configure(FIRST)?;
        self.first.refuses("start")?;
        self.first.waits_for("NRestarts", |count| count.parse::<u32>().is_ok_and(|n| n > 1))?;
        fs::remove_dir_all(&folder)?;
        self.machine.run("systemctl", &["daemon-reload"])?;
        self.first.waits_for("ActiveState", |state| state == "active")?;
        let kind = self.machine.run("stat", &["-f", "-c", "%T", "/sys/fs/bpf"])?;
        ensure!(kind == "bpf_fs\n", "the machine's /sys/fs/bpf is {kind}");
        let why = ["BPF file system", "Failed with result 'exit-code'"];
        warned(self.machine, &[&why[..], &["Failed to start overlay.service"]].concat())
    }

    fn start(&self) -> Result<()> {
        self.first.is("active")?;
        // The answer is there once systemd holds the unit for started, as the daemon told it to.
        self.second.configure(SECOND)?;
        self.second.does("start")?;
        let status = self.second.overlay(&["status"])?;
        ensure!(status.contains("ports 2 of 2 attached"), "{status}");
        ensure!(self.second.show("Type")? == "notify", "{}", self.second.words());
        self.healthy()?;
        privileges::check(&self.first)?;
        ensure!(self.network.forwards(), "no frame passes:\n{}", self.first.words());
        *self.stream.borrow_mut() = Some(self.network.stream()?);
        warned(self.machine, &[])
    }

    fn reload(&self) -> Result<()> {
        let pid = self.first.pid()?;
        self.first.configure(&format!("{FIRST}{MORE}"))?;
        self.first.does("reload")?;
        let segments = || self.first.overlay(&["show", "segments"]);
        ensure!(segments()?.contains("red"), "the reload did not add red: {}", segments()?);
        warned(self.machine, &[])?;
        for (unit, good, line) in [(&self.first, FIRST, 10), (&self.second, SECOND, 11)] {
            unit.configure(&good.replace("vni = ", "vni = = "))?;
            unit.refuses("reload")?;
            let (words, place) = (unit.words(), format!("{}:{line}:7: syntax", unit.file));
            ensure!(words.contains(&place), "status does not show {place}:\n{words}");
            unit.is("active")?;
            unit.configure(good)?;
        }
        ensure!(segments()?.contains("red"), "a refused file had an effect: {}", segments()?);
        ensure!(self.first.pid()? == pid, "a reload made another process");
        self.network.forwards().then_some(()).context("no frame passes after a refused reload")?;
        let why = [
            ":10:7: syntax",
            ":11:7: syntax",
            ":9: syntax",
            "help: this is not TOML",
            "nothing was changed",
        ];
        let units =
            ["Reload failed for overlay.service", "Reload failed for overlay@second.service"];
        warned(self.machine, &[&why[..], &units].concat())?;
        self.first.does("reload")?;
        self.second.does("reload")?;
        self.healthy()
    }

    /// Programs stay attached through both, by the links that they had.
    fn restart(&self) -> Result<()> {
        let (links, pid) = (self.first.links()?, self.first.pid()?);
        self.first.does("restart")?;
        self.first.overlay(&["status"])?;
        self.same_links(&links)?;
        let restarted = self.first.pid()?;
        ensure!(restarted != pid, "the restart left process {pid}");
        warned(self.machine, &[])?;
        let kill = ["kill", "--kill-whom=main", "--signal=KILL", self.first.name];
        self.machine.run("systemctl", &kill)?;
        let another = |found: &str| found != "0" && found != restarted.to_string();
        self.first.waits_for("MainPID", another)?;
        self.first.waits_for("ActiveState", |state| state == "active")?;
        self.same_links(&links)?;
        self.healthy()?;
        warned(self.machine, &["code=killed, status=9/KILL", "Failed with result 'signal'"])
    }

    /// Forwarding outlives the daemon; a file that is wrong is told of, and not tried again.
    fn wrong(&self) -> Result<()> {
        let links = self.first.links()?;
        self.first.does("stop")?;
        self.first.is("inactive")?;
        self.same_links(&links)?;
        self.network.forwards().then_some(()).context("no frame passes while it is stopped")?;
        warned(self.machine, &[])?;
        self.first.configure(&FIRST.replace("vni = 100", "vni = 0"))?;
        self.first.refuses("start")?;
        std::thread::sleep(SILENCE);
        self.first.is("failed")?;
        let (code, again) = (self.first.show("ExecMainStatus")?, self.first.show("NRestarts")?);
        ensure!((&*code, &*again) == ("2", "0"), "exit code {code}, {again} restarts");
        self.network.forwards().then_some(()).context("no frame passes while it has failed")?;
        let why = ["overlay.toml:10:7: ", "help: ", "overlay: 1 error", "Failed with result"];
        warned(self.machine, &[&why[..], &["Failed to start overlay.service"]].concat())
    }

    /// What may come by itself is waited for.
    fn late(&self) -> Result<()> {
        self.first.configure(&format!("{FIRST}{LATER}"))?;
        self.first.refuses("start")?;
        self.first.waits_for("NRestarts", |count| count != "0")?;
        self.network.add("late")?;
        self.first.waits_for("ActiveState", |state| state == "active")?;
        self.healthy()?;
        let why =
            ["late does not exist", "help: ", "overlay: 1 error", "Failed with result 'exit-code'"];
        warned(self.machine, &[&why[..], &["Failed to start overlay.service"]].concat())
    }

    fn upgrade(&self) -> Result<()> {
        let (links, before) = (self.first.links()?, [self.first.pid()?, self.second.pid()?]);
        self.machine.run("dpkg", &["--install", "/new.deb"])?;
        for (unit, pid) in [&self.first, &self.second].into_iter().zip(before) {
            unit.is("active")?;
            let now = unit.pid()?;
            ensure!(now != pid, "{} still is process {pid} of the former version", unit.name);
            let binary = self.machine.run("readlink", &[&format!("/proc/{now}/exe")])?;
            ensure!(binary == "/usr/bin/overlay\n", "{} runs {binary}", unit.name);
        }
        self.same_links(&links)?;
        self.healthy()?;
        let stream = self.stream.borrow_mut().take().context("nobody sends")?;
        all_came(&stream)?;
        warned(self.machine, &[])
    }

    fn removal(&self) -> Result<()> {
        let pids = [self.first.pid()?, self.second.pid()?];
        self.machine.run("dpkg", &["--remove", "overlay"])?;
        for pid in pids {
            self.machine.refused("test", &["-e", &format!("/proc/{pid}")])?;
        }
        for folder in ["/sys/fs/bpf/overlay", "/run/overlay"] {
            let left = format!("find {folder} -mindepth 1 2>/dev/null || true");
            let left = self.machine.run("sh", &["-c", &left])?;
            ensure!(left.is_empty(), "the removal left {left}");
        }
        ensure!(!self.network.forwards(), "frames pass after the removal");
        self.machine.run("dpkg", &["--purge", "overlay"])?;
        for unit in [&self.first, &self.second] {
            ensure!(unit.show("LoadState")? == "not-found", "{}", unit.words());
            ensure!(self.machine.file(unit.file).exists(), "the purge took {}", unit.file);
        }
        let left = fs::exists(self.machine.file("/etc/default/overlay"))?;
        ensure!(!left, "the purge left /etc/default/overlay");
        warned(self.machine, &[])
    }

    fn same_links(&self, before: &str) -> Result<()> {
        let now = self.first.links()?;
        ensure!(now == before, "programs were attached anew: {before} became {now}");
        Ok(())
    }

    /// Waits for the first gateway to have nothing to complain of.
    fn healthy(&self) -> Result<()> {
        let well = || self.first.overlay(&["status", "--check"]).ok().map(drop);
        wait_until("healthy gateway", HEALTHY, well)
            .with_context(|| self.first.overlay(&["status"]).unwrap_or_default())
    }
}
