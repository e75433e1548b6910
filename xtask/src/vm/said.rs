//! What a guest said on its two serial ports: the console with the kernel's words and
//! signs of life, and the report with what the sections printed.

use super::guest::Ending;

/// On the console.
pub const ALIVE: &str = "@@ alive";
/// In the report, at its end.
const DONE: &str = "@@ done";
const TAINTED: &str = "@@ tainted ";

/// Why a boot was no longer listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The machine ended.
    ByItself,
    /// It did not say any more that it lives.
    Silent,
    /// It took too long.
    OverTime,
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

/// QEMU ends with 0 after a panic too, and a kernel may panic after the last section, or
/// fall silent in its panic: its own words come first.
pub fn ending(console: &str, report: &str, stop: Stop) -> Ending {
    if let Some(words) = console.lines().find(|line| line.contains("Kernel panic")) {
        return Ending::Panicked(words.trim().to_owned());
    }
    match stop {
        Stop::Silent => Ending::Hung,
        Stop::OverTime => Ending::OverTime,
        Stop::ByItself if report.lines().any(|line| line == DONE) => Ending::Done,
        Stop::ByItself => Ending::Vanished,
    }
}

/// The sections in a report.
pub fn sections(report: &str) -> Vec<Report> {
    let mut sections: Vec<Report> = Vec::new();
    for line in report.lines() {
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

/// What went wrong in the kernel while it went on, in its words. Modules that it does not
/// know to be signed taint it too (bits E and O), and are no fault.
pub fn complaints(report: &str) -> Vec<String> {
    /// D, W and L of `Documentation/admin-guide/tainted-kernels.rst`: an oops, a warning,
    /// a processor that was stuck.
    const FAULTS: u64 = 1 << 7 | 1 << 9 | 1 << 14;
    /// No taint, and yet a namespace that is never taken down.
    const LEAK: &str = "unregister_netdevice: waiting";
    let mut lines = report.lines().skip_while(|line| !line.starts_with(TAINTED));
    let bits = lines.next().and_then(|line| line.strip_prefix(TAINTED)?.trim().parse::<u64>().ok());
    let mut words: Vec<String> =
        lines.take_while(|line| *line != DONE).map(|line| line.trim().to_owned()).collect();
    if bits.unwrap_or_default() & FAULTS == 0 {
        words.retain(|line| line.contains(LEAK));
    } else if words.is_empty() {
        words.push(format!("it is tainted ({}) and says no more", bits.unwrap_or_default()));
    }
    words
}

/// The end of each of some texts.
pub fn tail(texts: &[&str]) -> String {
    const LINES: usize = 20;
    let mut tail = Vec::new();
    for text in texts {
        let lines: Vec<&str> =
            text.lines().map(str::trim_end).filter(|line| !line.contains(ALIVE)).collect();
        tail.extend_from_slice(&lines[lines.len().saturating_sub(LINES)..]);
    }
    tail.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: &str = "[    3.1] Kernel panic - not syncing: sysrq triggered crash";
    const WHOLE: &str = "@@ section one\n@@ end 0\n@@ tainted 0\n@@ done\n";

    #[test]
    fn sections_are_read() {
        let text = "@@ kernel 6.1\n@@ section one\ntest a ... ok\n\n@@ end 0\n\
                    @@ section two\nworking\n";
        let sections = sections(text);
        assert_eq!(sections.len(), 2);
        assert_eq!((sections[0].name.as_str(), sections[0].code), ("one", Some(0)));
        assert_eq!(sections[0].output, "test a ... ok\n\n");
        assert_eq!((sections[1].name.as_str(), sections[1].code), ("two", None));
    }

    #[test]
    fn an_end_without_the_last_line_is_unexplained() {
        assert_eq!(ending("@@ alive\n", WHOLE, Stop::ByItself), Ending::Done);
        assert_eq!(ending("", "@@ section one\n", Stop::ByItself), Ending::Vanished);
        assert_eq!(ending("", WHOLE, Stop::Silent), Ending::Hung, "while it rebooted");
        assert_eq!(ending("", WHOLE, Stop::OverTime), Ending::OverTime);
    }

    #[test]
    fn a_panic_is_one_at_any_time() {
        for stop in [Stop::ByItself, Stop::Silent, Stop::OverTime] {
            for report in [WHOLE, "@@ section one\n"] {
                let console = format!("@@ alive\n{PANIC}\n");
                assert_eq!(ending(&console, report, stop), Ending::Panicked(PANIC.to_owned()));
            }
        }
    }

    #[test]
    fn a_warning_an_oops_and_a_leak_are_told_and_modules_are_not() {
        let of = |bits: u64, words: &str| {
            complaints(&format!("x\n@@ tainted {bits}\n{words}@@ done\nreboot: now\n"))
        };
        for bit in [7, 9, 14] {
            let words = of(1 << bit | 1 << 13, "WARNING: at net/core\n");
            assert_eq!(words, ["WARNING: at net/core"]);
            assert_eq!(of(1 << bit, "").len(), 1);
        }
        assert!(of(1 << 13 | 1 << 12, "Spectre V2 : WARNING: eBPF\n").is_empty());
        assert_eq!(of(0, "unregister_netdevice: waiting for lo\nBUG: x\n").len(), 1);
        assert!(complaints("@@ section one\nWARNING: x\n").is_empty());
    }
}
