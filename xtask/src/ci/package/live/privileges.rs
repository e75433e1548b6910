//! What the daemon may, as the kernel has it: docs/src/security.md says so.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::unit::Unit;

/// `CAP_NET_ADMIN`, `CAP_NET_RAW`, `CAP_PERFMON`, `CAP_BPF`.
const NEEDED: u64 = 1 << 12 | 1 << 13 | 1 << 38 | 1 << 39;
/// `CAP_SYS_ADMIN`.
const START: u64 = 1 << 21;

/// Checks those of every thread of the daemon.
pub fn check(unit: &Unit) -> Result<()> {
    let folder = format!("/proc/{}/task", unit.pid()?);
    let threads = unit.machine.run("ls", &[&folder])?;
    let kept = if paranoia() > 2 { NEEDED | START } else { NEEDED };
    for thread in threads.lines() {
        let status = unit.machine.run("cat", &[&format!("{folder}/{thread}/status")])?;
        let number = |key: &str, base| number(&status, key, base);
        for key in ["CapEff:", "CapPrm:"] {
            let found = number(key, 16)?;
            ensure!(found == kept, "thread {thread} has {key} {found:x} instead of {kept:x}");
        }
        for key in ["CapInh:", "CapAmb:"] {
            ensure!(number(key, 16)? == 0, "thread {thread} has capabilities:\n{status}");
        }
        let bounding = number("CapBnd:", 16)?;
        ensure!(bounding & !(NEEDED | START) == 0, "thread {thread} may get {bounding:x}");
        ensure!(number("NoNewPrivs:", 10)? == 1, "thread {thread} may get privileges:\n{status}");
        // 2: by a filter of system calls.
        ensure!(number("Seccomp:", 10)? == 2, "thread {thread} has every system call:\n{status}");
    }
    println!("    {} threads, each with CapEff {kept:x} and seccomp", threads.lines().count());
    Ok(())
}

fn number(status: &str, key: &str, base: u32) -> Result<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key));
    let value = value.with_context(|| format!("the kernel does not say {key}"))?;
    u64::from_str_radix(value.trim(), base).with_context(|| format!("{key}{value}"))
}

/// Above 2 the daemon keeps `CAP_SYS_ADMIN`, for perf buffers.
fn paranoia() -> i32 {
    let text = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_their_base() {
        let status = "Name:\toverlay\nCapEff:\t000000c000003000\nSeccomp:\t2\n";
        assert_eq!(number(status, "CapEff:", 16).unwrap(), NEEDED);
        assert_eq!(number(status, "Seccomp:", 10).unwrap(), 2);
        assert!(number(status, "NoNewPrivs:", 10).is_err());
    }
}
