//! Where a run was made, of what, and how.

use crate::results::{Commit, Machine, Options, Record};
use crate::scenario::Order;

/// What stands above the figures.
pub fn header(record: &Record) -> String {
    let mut lines = machine(&record.machine);
    lines.push(format!("commit {}", record.commit.as_ref().map_or("unknown".to_owned(), commit)));
    let took = format!("{}, {:.0} s", record.date, record.seconds);
    lines.push(format!("{took}: {}", options(&record.options)));
    let load = |load: [f64; 3]| load.map(|average| format!("{average:.2}")).join(" ");
    let (before, after) = (load(record.load.before), load(record.load.after));
    lines.push(format!("load average before {before}, after {after}"));
    lines.join("\n") + "\n"
}

fn machine(machine: &Machine) -> Vec<String> {
    let Machine { cpu, cores, memory, kernel, .. } = machine;
    let place = if machine.is_virtual { " of a virtual machine" } else { "" };
    let hardening = machine.jit_hardening.map_or("unknown".to_owned(), |level| level.to_string());
    let mut lines = vec![
        format!("{cpu}, {cores} cores{place}, {memory} MiB"),
        format!("Linux {kernel}, BPF JIT hardening {hardening}"),
    ];
    lines.extend(machine.mitigations.iter().map(|line| format!("  {line}")));
    let open_vswitch = machine.open_vswitch.as_deref().unwrap_or("is not installed");
    lines.push(format!("Open vSwitch {open_vswitch}"));
    lines
}

fn commit(commit: &Commit) -> String {
    format!("{}{}", commit.hash, if commit.dirty { " and changes" } else { "" })
}

fn options(options: &Options) -> String {
    let Options { milliseconds, cpu, .. } = options;
    let quick = if options.quick { "quick, " } else { "" };
    let features = if options.features { "with features, " } else { "" };
    let rounds = options.rounds.map_or("each scenario's".to_owned(), |rounds| rounds.to_string());
    let order = match options.order {
        Order::Listed => "as listed",
        Order::Reversed => "reversed",
    };
    format!(
        "{quick}{features}{milliseconds} ms a measurement, {rounds} rounds, planes {order}, on CPU {cpu}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::record;

    #[test]
    fn it_says_where_what_and_how() {
        let mut record = record(Vec::new());
        record.machine = Machine {
            cpu: "EPYC".to_owned(),
            cores: 2,
            memory: 8000,
            is_virtual: true,
            kernel: "6.18".to_owned(),
            mitigations: vec!["spectre_v2: Mitigation: Retpolines".to_owned()],
            jit_hardening: Some(0),
            open_vswitch: None,
        };
        record.commit = Some(Commit { hash: "f00".to_owned(), dirty: true });
        record.date = "2026-11-23T15:49:27Z".to_owned();
        record.seconds = 60.4;
        record.options =
            Options { milliseconds: 300, cpu: 1, order: Order::Reversed, ..Options::default() };
        record.load.before = [0.1, 0.2, 0.3];
        record.load.after = [1.0, 1.5, 2.0];
        let expected = "\
EPYC, 2 cores of a virtual machine, 8000 MiB
Linux 6.18, BPF JIT hardening 0
  spectre_v2: Mitigation: Retpolines
Open vSwitch is not installed
commit f00 and changes
2026-11-23T15:49:27Z, 60 s: 300 ms a measurement, each scenario's rounds, planes reversed, on CPU 1
load average before 0.10 0.20 0.30, after 1.00 1.50 2.00
";
        assert_eq!(header(&record), expected);
    }
}
