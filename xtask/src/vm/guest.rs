//! Booting a guest under QEMU's emulation, until it ends or does not live any more.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use overlay_testbed::{Process, Scratch};

use super::image;
use super::kernels::Ready;
use super::said::{self, ALIVE, Report, Stop};

/// What a boot may take beside its sections, and until the first sign of life.
const BESIDE: Duration = Duration::from_secs(120);

/// Something for a guest to run.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// How long it may take.
    pub seconds: u32,
    /// A line for the shell.
    pub command: String,
    /// How many test binaries report in it.
    pub reports: usize,
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the last section, and then by itself.
    Done,
    /// The kernel panicked, with these words.
    Panicked(String),
    /// The guest no longer said that it lives.
    Hung,
    /// The guest went on for too long.
    OverTime,
    /// The machine ended, and nobody knows why.
    Vanished,
}

/// What became of a boot.
#[derive(Clone, Debug)]
pub struct Boot {
    /// How it ended.
    pub ending: Ending,
    /// What went wrong in the kernel while it went on, in its words.
    pub complaints: Vec<String>,
    /// The sections that began.
    pub sections: Vec<Report>,
    /// How long it took.
    pub took: Duration,
    /// The end of what the kernel, the guest and QEMU said.
    pub tail: String,
}

/// Something to boot.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// The kernel.
    pub kernel: &'a Ready,
    /// The archive of what is the same on every kernel.
    pub base: &'a Path,
    /// A guest says every two seconds that it lives; one that does not for so long does
    /// not.
    pub silence: Duration,
}

impl Machine<'_> {
    /// Boots it and runs sections in it. The guest is told which of its boots this is.
    pub fn boot(&self, number: usize, sections: &[Section]) -> Result<Boot> {
        let scratch = Scratch::new()?;
        let initrd = self.initrd(&scratch, sections)?;
        let [console, report] = ["console", "report"].map(|name| scratch.path().join(name));
        File::create(&console)?;
        File::create(&report)?;
        let (mut console, mut report) = (Port::open(console)?, Port::open(report)?);
        let seconds = sections.iter().map(|section| u64::from(section.seconds)).sum();
        let patience = Duration::from_secs(seconds) + BESIDE;
        let start = Instant::now();
        let qemu = Process::spawn(&mut self.qemu(&initrd, [&console, &report], number))?;
        let mut last = None;
        let stop = loop {
            // Asked before its words are read, so that none is missed.
            let runs = qemu.is_running();
            if console.more()?.contains(ALIVE) {
                last = Some(Instant::now());
            }
            let is_silent = match last {
                Some(last) => last.elapsed() > self.silence,
                None => start.elapsed() > BESIDE,
            };
            if !runs {
                break Stop::ByItself;
            }
            if is_silent {
                break Stop::Silent;
            }
            if start.elapsed() > patience {
                break Stop::OverTime;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        console.more()?;
        report.more()?;
        Ok(Boot {
            ending: said::ending(&console.text, &report.text, stop),
            complaints: said::complaints(&report.text),
            sections: said::sections(&report.text),
            took: start.elapsed(),
            tail: said::tail(&[&report.text, &console.text, &qemu.output()]),
        })
    }

    /// Archives behind one another are one.
    fn initrd(&self, scratch: &Scratch, sections: &[Section]) -> Result<PathBuf> {
        let line = |s: &Section| format!("{}\t{}\t{}\n", s.name, s.seconds, s.command);
        let ours = scratch.path().join("sections.cpio");
        image::sections(&sections.iter().map(line).collect::<String>(), &ours)?;
        let whole = scratch.path().join("initrd");
        let mut file = File::create(&whole)?;
        for part in [self.base, &self.kernel.modules, &ours] {
            let mut part =
                File::open(part).with_context(|| format!("opening {}", part.display()))?;
            io::copy(&mut part, &mut file)?;
        }
        Ok(whole)
    }

    fn qemu(&self, initrd: &Path, ports: [&Port; 2], number: usize) -> Command {
        // It ends with this program, however that ends.
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        qemu.args(["-M", "q35", "-cpu", "qemu64", "-smp", "2", "-m", "2G"])
            // Emulation on several threads panics or hangs in a boot of fifty.
            .args(["-accel", "tcg,thread=single"])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        for port in ports {
            qemu.arg("-serial").arg(format!("file:{}", port.path.display()));
        }
        // A kernel that counts the timer's ticks while the host has no time for it believes
        // that the timer is broken, and panics. A processor that the kernel keeps to itself
        // is a panic that says where. Tests of the tests look for the number.
        let line = format!(
            "console=ttyS0 panic=-1 quiet no_timer_check softlockup_panic=1 log_buf_len=4M \
             overlay.boot={number}"
        );
        qemu.arg("-kernel").arg(&self.kernel.vmlinuz).arg("-initrd").arg(initrd);
        qemu.arg("-append").arg(line);
        qemu
    }
}

/// What a guest writes to one of its serial ports.
struct Port {
    path: PathBuf,
    file: File,
    text: String,
}

impl Port {
    fn open(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { path, file, text: String::new() })
    }

    /// Reads on, and returns what came, from the beginning of its first line.
    fn more(&mut self) -> Result<&str> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        let known = self.text.len();
        self.text.push_str(&String::from_utf8_lossy(&bytes).replace('\r', ""));
        if known == self.text.len() {
            return Ok("");
        }
        // A line that was not whole was looked at and may hold more by now.
        let begin = self.text[..known].rfind('\n').map_or(0, |end| end + 1);
        Ok(&self.text[begin..])
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_port_is_read_on() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.write("port", "").unwrap();
        let mut port = Port::open(path.clone()).unwrap();
        let write = |text: &str| {
            let mut file = File::options().append(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write("one\r\n@@ al");
        assert_eq!(port.more().unwrap(), "one\n@@ al");
        assert_eq!(port.more().unwrap(), "", "nothing came");
        write("ive\r\n");
        assert_eq!(port.more().unwrap(), "@@ alive\n");
        write("soft lockup\r\n");
        assert!(!port.more().unwrap().contains(ALIVE), "an old sign of life is none");
        assert_eq!(port.text, "one\n@@ alive\nsoft lockup\n");
    }
}
