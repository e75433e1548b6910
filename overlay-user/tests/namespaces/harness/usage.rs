//! What a process takes of the machine.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

/// Memory and processor time of a process until a moment.
pub struct Usage {
    /// Bytes that are resident.
    pub memory: u64,
    /// Seconds on a processor, in user space and in the kernel.
    worked: f64,
    at: Instant,
}

impl Usage {
    pub fn of(pid: u32) -> Result<Self> {
        let setting = |what| sysconf(what)?.context("a constant of the machine");
        let (tick, page) = (setting(SysconfVar::CLK_TCK)?, setting(SysconfVar::PAGE_SIZE)?);
        let field = |file: &str, nth: usize| -> Result<u64> {
            let path = format!("/proc/{pid}/{file}");
            let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
            // The name of the program, which is before in `stat`, may hold anything.
            let fields = text.rsplit_once(')').map_or(&*text, |(_, fields)| fields);
            let word = fields.split_whitespace().nth(nth).context("no such field")?;
            Ok(word.parse()?)
        };
        // utime and stime are the fields 14 and 15; the name is the second.
        let ticks = field("stat", 11)? + field("stat", 12)?;
        Ok(Self {
            memory: field("statm", 1)? * page.unsigned_abs(),
            worked: ticks as f64 / tick as f64,
            at: Instant::now(),
        })
    }

    /// The share of a core since an earlier moment.
    pub fn share_since(&self, earlier: &Self) -> f64 {
        (self.worked - earlier.worked) / (self.at - earlier.at).as_secs_f64()
    }
}

#[test]
fn a_process_that_works_is_seen_to() {
    let own = || Usage::of(std::process::id()).expect("this process");
    let before = own();
    let ballast = vec![1_u8; 64 << 20];
    while before.at.elapsed().as_millis() < 300 {
        std::hint::black_box(&ballast);
    }
    let after = own();
    assert!(after.memory > before.memory + (32 << 20), "{} {}", before.memory, after.memory);
    assert!(after.share_since(&before) > 0.05, "{}", after.share_since(&before));
}
