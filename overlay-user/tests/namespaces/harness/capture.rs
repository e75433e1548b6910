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
        ensure!(!self.fields(&sent, &["frame.number"])?.is_empty(), "no VXLAN from {vtep}");
        let odd = format!(
            "{sent} && !(ip.ttl == 64 && ip.flags.df == 1 && udp.srcport >= 49152 \
             && udp.checksum == 0 && vxlan.flags == 0x0800)"
        );
        let odd = self.fields(&odd, &["frame.number", "ip.ttl", "ip.flags", "udp.srcport"])?;
        ensure!(odd.is_empty(), "outer headers out of the ordinary: {odd:#?}");
        Ok(())
    }
}
