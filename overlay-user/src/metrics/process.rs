//! What the kernel says of this process.

use std::fs;

use super::{Family, Snapshot};

/// Adds what is known; the names are those that every Prometheus client has.
pub fn put(snapshot: &mut Snapshot) {
    // SAFETY: sysconf takes a number and has no preconditions.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    // SAFETY: as above.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text));
    let booted = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text));
    if let Some(stat) = stat.filter(|_| ticks > 0 && page > 0) {
        let seconds = |count: u64| count as f64 / ticks as f64;
        snapshot.put(Family::ProcessCpu, &[], seconds(stat.cpu));
        snapshot.count(Family::ProcessThreads, &[], stat.threads);
        snapshot.count(Family::ProcessVirtual, &[], stat.virtual_bytes);
        snapshot.count(Family::ProcessResident, &[], stat.resident_pages * page as u64);
        if let Some(booted) = booted {
            snapshot.put(Family::ProcessStart, &[], booted as f64 + seconds(stat.started));
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The directory that is being read is one of them.
        snapshot.count(Family::ProcessFds, &[], (open.count() as u64).saturating_sub(1));
    }
    let limits = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    if let Ok((soft, _)) = limits {
        snapshot.count(Family::ProcessMaxFds, &[], soft);
    }
}

/// Parts of `/proc/PID/stat` (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu: u64,
    threads: u64,
    started: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field may hold anything, brackets included.
        let rest = text.get(text.rfind(')')? + 1..)?;
        let fields: Vec<u64> =
            rest.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
        // The first of them is field 3.
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            cpu: field(14)? + field(15)?,
            threads: field(20)?,
            started: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn boot_time(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_is_no_trap() {
        let text = "42 (a) b) S 1 42 42 0 -1 4194560 9 0 0 0 70 30 0 0 20 0 5 0 1234 8192 77 1";
        let stat = Stat::parse(text).unwrap();
        let expected =
            Stat { cpu: 100, threads: 5, started: 1234, virtual_bytes: 8192, resident_pages: 77 };
        assert_eq!(stat, expected);
        assert_eq!(Stat::parse("42 (x"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000));
    }

    #[test]
    fn this_process_is_known() {
        let mut snapshot = Snapshot::default();
        put(&mut snapshot);
        let value = |wanted| {
            let samples = snapshot.families().find(|(family, _)| *family == wanted);
            samples.map_or(0.0, |(_, samples)| samples[0].1)
        };
        assert!(value(Family::ProcessFds) >= 3.0 && value(Family::ProcessThreads) >= 1.0);
        assert!(value(Family::ProcessResident) > 100_000.0);
        assert!(value(Family::ProcessStart) > 1.0e9);
    }
}
