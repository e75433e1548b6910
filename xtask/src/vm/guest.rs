//! Booting a guest under QEMU's emulation, and what it said.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use overlay_testbed::{Process, Scratch};

use super::image;
use super::kernels::Ready;

/// A guest says every two seconds that it lives; one that says nothing for so long does
/// not.
const SILENCE: Duration = Duration::from_secs(30);
/// A guest that lives and does not come to an end.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Something for a guest to run.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// How long it may take.
    pub seconds: u32,
    /// A line for the shell.
    pub command: String,
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the last section.
    Done,
    /// The kernel panicked, with these words.
    Panicked(String),
    /// The guest fell silent.
    Hung,
    /// The guest went on for too long.
    OverTime,
    /// The machine ended, and nobody knows why.
    Vanished,
}

/// What a section came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Its exit code; `None` where it did not end. 143 stands for too long a time.
    pub code: Option<i32>,
    /// What it printed.
    pub output: String,
}

/// What became of a boot.
#[derive(Clone, Debug)]
pub struct Boot {
    /// How it ended.
    pub ending: Ending,
    /// The sections that began.
    pub sections: Vec<Report>,
    /// How long it took.
    pub took: Duration,
    /// The end of what the guest said.
    pub tail: String,
}

/// Boots a kernel and runs sections in it.
pub fn boot(kernel: &Ready, base: &Path, sections: &[Section]) -> Result<Boot> {
    let scratch = Scratch::new()?;
    let initrd = initrd(&scratch, base, kernel, sections)?;
    let start = Instant::now();
    let machine = Process::spawn(&mut qemu(kernel, &initrd))?;
    let (mut heard, mut last) = (0, Instant::now());
    let ending = loop {
        // Asked before its words are read, so that none is missed.
        let runs = machine.is_running();
        let length = fs::metadata(machine.log())?.len();
        if length != heard {
            (heard, last) = (length, Instant::now());
        }
        if !runs {
            break ending_of(&machine.output());
        }
        if last.elapsed() > SILENCE {
            break Ending::Hung;
        }
        if start.elapsed() > PATIENCE {
            break Ending::OverTime;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let text = machine.output();
    Ok(Boot { ending, sections: read(&text), took: start.elapsed(), tail: tail(&text) })
}

/// Archives behind one another are one.
fn initrd(scratch: &Scratch, base: &Path, kernel: &Ready, sections: &[Section]) -> Result<PathBuf> {
    let line = |s: &Section| format!("{}\t{}\t{}\n", s.name, s.seconds, s.command);
    let ours = scratch.path().join("sections.cpio");
    image::sections(&sections.iter().map(line).collect::<String>(), &ours)?;
    let whole = scratch.path().join("initrd");
    let mut file = File::create(&whole)?;
    for part in [base, &kernel.modules, &ours] {
        let mut part = File::open(part).with_context(|| format!("opening {}", part.display()))?;
        io::copy(&mut part, &mut file)?;
    }
    Ok(whole)
}

fn qemu(kernel: &Ready, initrd: &Path) -> Command {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-M", "q35", "-cpu", "qemu64", "-smp", "2", "-m", "2G"])
        // Emulation on several threads panics or hangs in a boot of fifty.
        .args(["-accel", "tcg,thread=single"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .args(["-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel.vmlinuz)
        .arg("-initrd")
        .arg(initrd)
        .args(["-append", "console=ttyS0 panic=-1 quiet"]);
    qemu
}

/// QEMU ends with 0 after a panic too: only the last line tells.
fn ending_of(text: &str) -> Ending {
    let said = |mark: &str| text.lines().find(|line| line.contains(mark));
    if said(DONE).is_some() {
        Ending::Done
    } else if let Some(words) = said("Kernel panic") {
        Ending::Panicked(words.trim().to_owned())
    } else {
        Ending::Vanished
    }
}

const ALIVE: &str = "@@ alive";
const DONE: &str = "@@ done";

/// The sections in what a guest said.
fn read(text: &str) -> Vec<Report> {
    // The sign of life may come in the middle of a line that is being written.
    let text = text.replace('\r', "").replace(&format!("{ALIVE}\n"), "");
    let mut sections: Vec<Report> = Vec::new();
    for line in text.lines() {
        let open = sections.last_mut().filter(|section| section.code.is_none());
        if let Some(name) = line.strip_prefix("@@ section ") {
            let (name, output) = (name.to_owned(), String::new());
            sections.push(Report { name, code: None, output });
        } else if let Some(section) = open {
            match line.strip_prefix("@@ end ") {
                Some(code) => section.code = code.trim().parse().ok(),
                None => section.output.extend([line, "\n"]),
            }
        }
    }
    sections
}

fn tail(text: &str) -> String {
    const LINES: usize = 25;
    let lines: Vec<&str> =
        text.lines().map(str::trim_end).filter(|line| !line.contains(ALIVE)).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_though_the_guest_says_that_it_lives() {
        let text = "@@ kernel 6.1\r\n@@ section one\r\ntest a ... @@ alive\r\nok\r\n\r\n@@ end 0\r\n\
                    @@ section two\r\nworking\r\n";
        let sections = read(text);
        assert_eq!(sections.len(), 2);
        assert_eq!((sections[0].name.as_str(), sections[0].code), ("one", Some(0)));
        assert!(sections[0].output.contains("test a ... ok\n"), "{:?}", sections[0]);
        assert_eq!((sections[1].name.as_str(), sections[1].code), ("two", None));
    }

    #[test]
    fn an_end_without_the_last_line_is_a_panic_or_unexplained() {
        assert_eq!(ending_of("@@ section one\n@@ end 0\n@@ done\n"), Ending::Done);
        let panic = "[    3.1] Kernel panic - not syncing: sysrq triggered crash";
        assert_eq!(ending_of(&format!("x\n{panic}\n")), Ending::Panicked(panic.to_owned()));
        assert_eq!(ending_of("@@ section one\n"), Ending::Vanished);
    }
}
