//! `overlay status`: one screen of 80 columns and 24 lines, whatever is wrong.

use std::fmt::Write as _;

use super::units;
use crate::api::{ProblemRow, Status};

/// The screen.
const WIDTH: usize = 80;
const LINES: usize = 24;
/// What is wrong, and what to do, take so many lines each at most.
const OF_A_TEXT: usize = 2;

/// The text for a screen; for another reader than a screen with everything in it, a line each.
pub fn status(status: &Status, on_screen: bool) -> String {
    let mut lines = vec![status.name.clone(), title(status)];
    lines.push(format!(
        "  up {}, pid {}, version {}, tables v{}, vtep {}",
        units::duration(status.uptime),
        status.pid,
        status.version,
        status.abi_version,
        status.vtep
    ));
    lines.push(format!("  config    {}", status.config));
    lines.push(format!("  pins      {}", status.pins));
    lines.push(format!(
        "  ports {} of {} attached   peers {} of {} ready   segments {}   drops {}",
        status.ports_attached,
        status.ports,
        status.peers_ready,
        status.peers,
        status.segments,
        status.drops
    ));
    lines.push(format!(
        "  fdb       {} of {} ({} loaded; learned {}, moved {}, aged {},",
        status.fdb,
        status.fdb_entries,
        status.fdb_loaded,
        status.fdb_learned,
        status.fdb_moved,
        status.fdb_aged
    ));
    lines.push(format!(
        "            flushed {}, refused {}, limited {}, held {})",
        status.fdb_flushed, status.fdb_refused, status.fdb_limited, status.fdb_held
    ));
    lines.push(format!(
        "  neighbours {} (refused {})",
        status.neighbours, status.neighbours_refused
    ));
    let recovered = status.recovered.iter().take(3).map(ended).collect::<Vec<_>>();
    if !on_screen {
        for problem in &status.problems {
            let [what, fix] = words(problem);
            lines.extend([what, fix]);
        }
        lines.extend(status.recovered.iter().map(ended));
        return lines.into_iter().map(|line| line + "\n").collect();
    }
    let room = LINES - lines.len() - recovered.len() - 1;
    lines.extend(problems(&status.problems, room));
    lines.extend(recovered);
    let mut text = String::new();
    for line in lines {
        let _ = writeln!(text, "{}", cut(&line));
    }
    text
}

fn title(status: &Status) -> String {
    let count = |severity: &str| status.problems.iter().filter(|p| p.severity == severity).count();
    let (errors, warnings) = (count("error"), count("warning"));
    if status.healthy {
        return "  healthy".to_owned();
    }
    let since = status.problems.iter().filter(|p| p.severity != "note").map(|p| p.seconds).max();
    let since = units::duration(since.unwrap_or_default());
    format!("  DEGRADED for {since}: errors {errors}, warnings {warnings}")
}

fn problems(problems: &[ProblemRow], room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, problem) in problems.iter().enumerate() {
        let rest = problems.len() - at;
        let told: Vec<String> = words(problem).iter().flat_map(|text| wrapped(text)).collect();
        if lines.len() + told.len() + usize::from(rest > 1) > room {
            lines.push(format!("  and {rest} more: overlay status --json"));
            break;
        }
        lines.extend(told);
    }
    lines
}

/// What is wrong, and what to do.
fn words(problem: &ProblemRow) -> [String; 2] {
    let (severity, since) = (&problem.severity, units::duration(problem.seconds));
    let what = format!("  {severity} for {since}: {}", problem.what);
    [what, format!("    do: {}", problem.fix)]
}

/// A text on as many lines as it may have; the last one is too long where that is not enough.
fn wrapped(text: &str) -> Vec<String> {
    let indent = if text.starts_with("    ") { "        " } else { "      " };
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        let fits = line + word.trim_end().chars().count() <= WIDTH;
        if !fits && lines.len() < OF_A_TEXT {
            lines.push(indent.to_owned());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

fn ended(problem: &ProblemRow) -> String {
    let ago = units::duration(problem.ended_seconds.unwrap_or_default());
    format!("  recovered {ago} ago: {}", problem.what)
}

fn cut(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(at: usize) -> ProblemRow {
        ProblemRow {
            code: "port-down".to_owned(),
            severity: "error".to_owned(),
            what: format!("port eth{at} is down {}", "€ ".repeat(at % 150)),
            fix: "set it up".to_owned(),
            seconds: 61,
            ended_seconds: Some(5),
            ..ProblemRow::default()
        }
    }

    #[test]
    fn whatever_is_wrong_fits_one_screen() {
        for count in [0, 1, 2, 5, 6, 7, 8, 1000] {
            let problems: Vec<_> = (0..count).map(problem).collect();
            let recovered = problems.clone();
            let name = "n".repeat(64);
            let healthy = count == 0;
            let text = super::status(
                &Status { name, healthy, problems, recovered, ..Status::default() },
                true,
            );
            assert!(text.lines().count() < LINES, "{count}: {}\n{text}", text.lines().count());
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(WIDTH), "{text}");
            assert_eq!(text.contains("DEGRADED for 1 min 1 s"), count > 0 && !healthy, "{text}");
            let told = text.matches("do: set it up").count();
            assert_eq!(told < count, text.contains("more: overlay status --json"), "{text}");
            assert!(told >= count.min(4), "{told} of {count}\n{text}");
        }
    }

    #[test]
    fn each_problem_says_what_to_do() {
        let problems = vec![problem(1)];
        let text =
            super::status(&Status { name: "gw1".into(), problems, ..Status::default() }, true);
        assert!(
            text.starts_with("gw1\n  DEGRADED for 1 min 1 s: errors 1, warnings 0\n"),
            "{text}"
        );
        assert!(text.contains("  error for 1 min 1 s: port eth1 is down"), "{text}");
        assert!(text.contains("    do: set it up\n"), "{text}");
        let recovered = vec![problem(2)];
        let healthy = Status { healthy: true, recovered, ..Status::default() };
        assert!(super::status(&healthy, true).contains("  recovered 5 s ago: port eth2"));
    }

    #[test]
    fn who_is_no_screen_gets_everything() {
        let problems: Vec<_> = (0..200).map(problem).collect();
        let status = Status { problems, ..Status::default() };
        let text = super::status(&status, false);
        assert_eq!(text.matches("do: set it up").count(), 200);
        assert!(text.lines().any(|line| line.chars().count() > WIDTH), "no line is cut");
        let wide = super::wrapped(&format!("    do: {}", "word ".repeat(30)));
        assert_eq!(wide.len(), OF_A_TEXT);
        assert!(
            wide[0].chars().count() <= WIDTH && wide[1].starts_with("        word"),
            "{wide:?}"
        );
    }
}
