//! What crosses a device, and what tshark's dissectors say about it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use overlay_testbed::{Netns, Process, Scratch, run, wait_until};

/// A capture in progress.
pub struct Capture {
    process: Process,
    file: PathBuf,
    _scratch: Scratch,
}

/// A finished capture.
pub struct Recording {
    file: PathBuf,
    _scratch: Scratch,
}

impl Capture {
    /// Starts to capture on a device.
    pub fn start(netns: &Netns, interface: &str) -> Result<Self> {
        let scratch = Scratch::new()?;
        let file = scratch.path().join("capture.pcap");
        let mut command = netns.command("tcpdump");
        command.args(["-Z", "root", "-U", "-n", "-s", "0", "-B", "65536", "-i", interface, "-w"]);
        let process = Process::spawn(command.arg(&file))?;
        wait_until("start of tcpdump", Duration::from_secs(10), || {
            process.output().contains("listening on").then_some(())
        })?;
        Ok(Self { process, file, _scratch: scratch })
    }

    /// Ends the capture.
    pub fn stop(self) -> Result<Recording> {
        // The last frames are still on their way through tcpdump's buffer.
        std::thread::sleep(Duration::from_millis(200));
        self.process.signal(Signal::SIGINT)?;
        self.process.wait(Duration::from_secs(10))?;
        Ok(Recording { file: self.file, _scratch: self._scratch })
    }
}

impl Recording {
    /// Lines of tab-separated `fields` (the first, outermost of each) of the
    /// frames that a display filter selects.
    pub fn fields(&self, filter: &str, fields: &[&str]) -> Result<Vec<String>> {
        let mut command = Command::new("tshark");
        command.arg("-n").arg("-r").arg(&self.file).args(["-Y", filter]);
        command.args(["-T", "fields", "-E", "occurrence=f"]);
        for field in fields {
            command.args(["-e", field]);
        }
        Ok(run(&mut command)?.lines().map(str::to_owned).collect())
    }

    /// Fails where a dissector found something malformed or cut short, and where
    /// there is no VXLAN packet from `vtep` at all, or one whose outer header is
    /// not as it should be.
    pub fn check_tunnels_of(&self, vtep: &str) -> Result<()> {
        let bad = self.fields("_ws.malformed || _ws.short", &["frame.number", "_ws.col.Info"])?;
        ensure!(bad.is_empty(), "tshark calls these malformed: {bad:#?}");
        let sent = format!("vxlan && ip.src == {vtep}");
        let fields = ["ip.ttl", "ip.flags.df", "udp.srcport", "udp.checksum", "vxlan.flags"];
        let headers = self.fields(&sent, &fields)?;
        ensure!(!headers.is_empty(), "no VXLAN from {vtep}");
        let odd = headers.iter().find(|line| !is_ordinary(line));
        ensure!(odd.is_none(), "an outer header out of the ordinary, {fields:?}: {odd:?}");
        Ok(())
    }
}

/// TTL 64, DF, an entropy port, no checksum, nothing but the I flag.
fn is_ordinary(line: &str) -> bool {
    let fields: Vec<_> = line.split('\t').collect();
    let [ttl, df, port, checksum, flags] = fields[..] else { return false };
    let is_entropy = |port: u16| port >= 49152;
    ttl == "64"
        && matches!(df, "1" | "True")
        && port.parse().is_ok_and(is_entropy)
        && checksum == "0x0000"
        && matches!(flags, "0x08" | "0x0800")
}
