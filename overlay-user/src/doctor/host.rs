//! The whole machine: memory, clock, BPF.

use super::{Facts, Findings, Severity};

/// Memory that the tables of a small gateway need where it counts against the process, in bytes.
const LOCKED: u64 = 512 << 20;
/// File descriptors of a gateway with many ports and CPUs.
const OPEN_FILES: u64 = 4096;
/// Clock sources that programs read without leaving the CPU.
const QUICK_CLOCKS: &[&str] =
    &["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];

/// What follows for the whole machine.
pub fn examine(facts: &Facts, to: &mut Findings) {
    match facts.jit {
        Some(0) => to.bad(
            ("jit", Severity::Error),
            "",
            "BPF programs are interpreted",
            "each packet costs many times as much, and programs of this size may be refused",
            "sysctl -w net.core.bpf_jit_enable=1",
        ),
        Some(_) => to.ok("jit", "", "BPF programs are compiled"),
        None => {}
    }
    if facts.bpffs {
        to.ok("bpffs", "", "a BPF file system is mounted at /sys/fs/bpf");
    } else {
        to.bad(
            ("bpffs", Severity::Warning),
            "",
            "no BPF file system is mounted",
            "nothing would outlive the daemon; overlay run mounts one itself where it may",
            "mount -t bpf bpf /sys/fs/bpf",
        );
    }
    locked_memory(facts, to);
    if facts.open_files < OPEN_FILES {
        to.bad(
            ("open-files", Severity::Warning),
            "",
            format!("a process may open {} files", facts.open_files),
            "each port in user space, CPU and client takes some",
            "prlimit --pid $$ --nofile=65536; for the service: LimitNOFILE=65536 in its unit",
        );
    } else {
        to.ok("open-files", "", format!("a process may open {} files", facts.open_files));
    }
    clock(facts, to);
}

fn locked_memory(facts: &Facts, to: &mut Findings) {
    match facts.locked_memory {
        _ if facts.memcg_accounting => {
            to.ok("locked-memory", "", "tables do not count as locked memory on this kernel");
        }
        Some(limit) if limit < LOCKED => to.bad(
            ("locked-memory", Severity::Error),
            "",
            format!("a process may lock {} MiB", limit >> 20),
            "before Linux 5.11 tables count as locked memory, and do not fit",
            "prlimit --pid $$ --memlock=unlimited; for the service: LimitMEMLOCK=infinity in its unit",
        ),
        _ => to.ok("locked-memory", "", "tables fit into what a process may lock"),
    }
}

fn clock(facts: &Facts, to: &mut Findings) {
    if let Some(source) = &facts.clocksource {
        if QUICK_CLOCKS.contains(&source.as_str()) {
            to.ok("clocksource", "", format!("the clock source is {source}"));
        } else {
            to.bad(
                ("clocksource", Severity::Warning),
                "",
                format!("the clock source is {source}"),
                "it is slow to read, and limits read the clock for each packet",
                "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource",
            );
        }
    }
    match facts.synchronised {
        Some(false) => to.bad(
            ("clock-synchronised", Severity::Note),
            "",
            "the clock follows no other one",
            "times of events and logs cannot be compared with those of other gateways",
            "timedatectl set-ntp true",
        ),
        Some(true) => to.ok("clock-synchronised", "", "the clock is synchronised"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Facts, examine, facts::Device};
    use super::*;

    fn of(facts: &Facts, code: &str) -> Option<Severity> {
        examine(facts).into_iter().find(|finding| finding.code == code).map(|f| f.severity)
    }

    #[test]
    fn a_machine_without_fault_has_no_findings_that_hurt() {
        let facts = Facts {
            cpus: 2,
            jit: Some(1),
            bpffs: true,
            memcg_accounting: true,
            open_files: 1 << 20,
            clocksource: Some("tsc".to_owned()),
            synchronised: Some(true),
            devices: vec![Device::default()],
            ..Facts::default()
        };
        let bad: Vec<_> =
            examine(&facts).into_iter().filter(|f| f.severity > Severity::Note).collect();
        assert_eq!(bad, []);
    }

    #[test]
    fn each_fault_of_the_machine_is_found() {
        let facts = Facts {
            jit: Some(0),
            locked_memory: Some(64 << 10),
            open_files: 1024,
            clocksource: Some("hpet".to_owned()),
            synchronised: Some(false),
            ..Facts::default()
        };
        assert_eq!(of(&facts, "jit"), Some(Severity::Error));
        assert_eq!(of(&facts, "bpffs"), Some(Severity::Warning));
        assert_eq!(of(&facts, "locked-memory"), Some(Severity::Error));
        assert_eq!(of(&facts, "open-files"), Some(Severity::Warning));
        assert_eq!(of(&facts, "clocksource"), Some(Severity::Warning));
        assert_eq!(of(&facts, "clock-synchronised"), Some(Severity::Note));
        assert_eq!(examine(&facts)[0].severity, Severity::Error, "the worst comes first");
        let newer = Facts { memcg_accounting: true, ..facts.clone() };
        assert_eq!(of(&newer, "locked-memory"), Some(Severity::Ok));
        let unlimited = Facts { locked_memory: None, ..facts };
        assert_eq!(of(&unlimited, "locked-memory"), Some(Severity::Ok));
    }
}
