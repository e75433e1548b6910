//! Open vSwitch as private processes: a database and a switch with sockets of their
//! own, apart from the machine's service.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::netns::Netns;
use crate::process::{Process, run};
use crate::scratch::Scratch;
use crate::wait::{patient, wait_until};
use anyhow::{Context, Result};

const START: Duration = Duration::from_secs(15);
/// How long a change may take, of which a client waits for the end.
const CHANGE: Duration = Duration::from_secs(10);
/// What it is run and set up with.
pub const PROGRAMS: &[&str] =
    &["ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-appctl"];
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A switch that runs; dropping it ends it.
pub struct Switch {
    // Before the database that it talks to, and the directory of both.
    _switch: Process,
    _database: Process,
    scratch: Scratch,
}

/// Whether this machine has the programs.
pub fn is_installed() -> bool {
    let has = |program: &str| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    has("ovs-vswitchd") && has("ovsdb-server") && Path::new(SCHEMA).is_file()
}

impl Switch {
    /// Starts a switch in a namespace. On one CPU, if one is given, and there in
    /// front of everything that does not run in real time.
    pub fn start(netns: &Netns, cpu: Option<usize>) -> Result<Self> {
        let scratch = Scratch::new()?;
        let place = Place(scratch.path());
        run(place.command("ovsdb-tool").arg("create").arg(place.path("conf.db")).arg(SCHEMA))?;
        let mut database = place.command("ovsdb-server");
        database
            .arg(place.path("conf.db"))
            .arg(format!("--remote=p{}", place.database()))
            .arg(format!("--unixctl={}", place.path("ovsdb.ctl")));
        let database = Process::spawn(&mut database)?;
        wait_until("database of Open vSwitch", START, || {
            run(place.vsctl().args(["--no-wait", "init"])).ok()
        })
        .with_context(|| database.output())?;
        let mut switch = match cpu {
            Some(cpu) => {
                let mut pinned = netns.command("taskset");
                pinned.args(["-c", &cpu.to_string(), "chrt", "--fifo", "2", "ovs-vswitchd"]);
                pinned
            }
            None => netns.command("ovs-vswitchd"),
        };
        place.keep_to(&mut switch);
        switch.arg(place.database()).arg(format!("--unixctl={}", place.control()));
        let switch = Process::spawn(&mut switch)?;
        wait_until("Open vSwitch", START, || run(place.appctl().arg("version")).ok())
            .with_context(|| switch.output())?;
        Ok(Self { _switch: switch, _database: database, scratch })
    }

    /// Changes the configuration, by the words of `ovs-vsctl`, and waits until the
    /// switch has taken it.
    pub fn configure(&self, line: &str) -> Result<()> {
        run(Place(self.scratch.path()).vsctl().args(line.split_whitespace())).map(drop)
    }

    /// Asks the running switch, by the words of `ovs-appctl`.
    pub fn ask(&self, line: &str) -> Result<String> {
        run(Place(self.scratch.path()).appctl().args(line.split_whitespace()))
    }
}

/// The directory of everything that the processes keep.
struct Place<'a>(&'a Path);

impl Place<'_> {
    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn database(&self) -> String {
        format!("unix:{}", self.path("db.sock"))
    }

    fn control(&self) -> String {
        self.path("ovs-vswitchd.ctl")
    }

    fn vsctl(&self) -> Command {
        let mut command = self.command("ovs-vsctl");
        command.arg(format!("--db={}", self.database()));
        command.arg(format!("--timeout={}", patient(CHANGE).as_secs()));
        command
    }

    fn appctl(&self) -> Command {
        let mut command = self.command("ovs-appctl");
        command.arg(format!("--target={}", self.control()));
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.keep_to(&mut command);
        command
    }

    fn keep_to(&self, command: &mut Command) {
        for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, self.0);
        }
    }
}
