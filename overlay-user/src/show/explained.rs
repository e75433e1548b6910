//! `overlay trace`: a frame's way, in 80 columns.

use crate::api::trace::{Explained, ExplainedMiss, ExplainedOutput, ExplainedStep};

/// What a terminal is wide.
const WIDTH: usize = 80;
/// Where text begins behind the name of a stage.
const INDENT: usize = 12;
/// More frames and receivers than this are counted, and not listed.
const LISTED: usize = 8;

/// One frame.
pub fn explained(told: &Explained) -> String {
    let mut text = String::new();
    entry(&mut text, "frame", &told.frame);
    if let Some(inner) = &told.inner {
        entry(&mut text, "inner", inner);
    }
    let hook = format!("{} ({})", told.interface, told.hook);
    let assumed = told.assumed.as_ref().map(|why| format!(", assumed: {why}")).unwrap_or_default();
    entry(&mut text, "in", &format!("{hook}{assumed}"));
    text.push('\n');
    told.steps.iter().for_each(|step| entry(&mut text, &step.stage, &line(step)));
    text.push('\n');
    let verdict = match &told.reason {
        Some(reason) => format!("{}: {reason}", told.verdict.to_uppercase()),
        None => told.verdict.to_uppercase(),
    };
    text.push_str(&verdict);
    text.push('\n');
    outputs(&mut text, &told.outputs);
    misses(&mut text, &told.missed);
    entry(&mut text, "why", &told.cause);
    told.notes.iter().for_each(|note| entry(&mut text, "note", note));
    if let Some(fix) = &told.fix {
        entry(&mut text, "fix", fix);
    }
    text
}

fn line(step: &ExplainedStep) -> String {
    let arrow = if step.end && is_failure(step) { "✗" } else { "→" };
    format!("{} {arrow} {}", step.asked, step.found)
}

/// Frames end where they leave, too.
fn is_failure(step: &ExplainedStep) -> bool {
    !step.asked.starts_with("out of ") && !step.asked.starts_with("and ") && step.stage != "pass"
}

fn outputs(text: &mut String, outputs: &[ExplainedOutput]) {
    for output in outputs.iter().take(LISTED) {
        let to = output.peer.as_ref().map(|peer| format!(" to peer {peer}")).unwrap_or_default();
        entry(text, "out", &format!("{}{to}: {}", output.interface, output.summary));
        if let Some(inner) = &output.inner {
            entry(text, "", inner);
        }
    }
    if outputs.len() > LISTED {
        entry(text, "out", &format!("and {} more (--json has them)", outputs.len() - LISTED));
    }
}

fn misses(text: &mut String, missed: &[ExplainedMiss]) {
    for miss in missed.iter().take(LISTED) {
        entry(text, "no copy", &format!("{}: {}", miss.to, miss.cause));
    }
    if missed.len() > LISTED {
        entry(text, "no copy", &format!("and {} more (--json has them)", missed.len() - LISTED));
    }
}

/// A name and a text, which goes on below itself.
fn entry(text: &mut String, name: &str, content: &str) {
    let mut line = format!("  {name:<width$}", width = INDENT - 2);
    let mut is_empty = true;
    for word in content.split(' ') {
        let len = line.chars().count() + word.chars().count() + usize::from(!is_empty);
        if len > WIDTH && !is_empty {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(INDENT);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Explained {
        let step = |stage: &str, asked: &str, found: &str, end| ExplainedStep {
            stage: stage.to_owned(),
            asked: asked.to_owned(),
            found: found.to_owned(),
            end,
        };
        Explained {
            frame: "60 bytes, 02:00:00:00:00:01 → 02:00:00:00:00:77, 10.0.0.1 → 10.0.0.9, UDP"
                .to_owned(),
            interface: "eth1".to_owned(),
            hook: "tc".to_owned(),
            steps: vec![
                step("classify", "eth1, untagged", "segment blue, VNI 100", false),
                step("police", "access list of blue, in", "rule 1: deny udp", true),
            ],
            verdict: "drop".to_owned(),
            reason: Some("acl-denied".to_owned()),
            cause: "rule 1 of the access list of segment blue, direction in, denies it".to_owned(),
            fix: Some("permit it".to_owned()),
            ..Explained::default()
        }
    }

    #[test]
    fn a_frame_fits_a_terminal_and_ends_with_what_to_do() {
        let text = explained(&told());
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert!(text.contains("  classify  eth1, untagged → segment blue, VNI 100\n"), "{text}");
        assert!(text.contains("✗ rule 1: deny udp\n\nDROP: acl-denied\n"), "{text}");
        assert!(text.ends_with("  fix       permit it\n"), "{text}");
    }

    #[test]
    fn no_more_is_listed_than_people_read() {
        let output = ExplainedOutput { interface: "eth2".to_owned(), ..Default::default() };
        let many = Explained { outputs: vec![output; 100], ..told() };
        let text = explained(&many);
        assert_eq!(text.matches("eth2").count(), LISTED);
        assert!(text.contains("and 92 more"), "{text}");
    }
}
