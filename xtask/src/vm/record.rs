//! What is known of each kernel, in the repository: figures for programs, a page for
//! people.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::Row;
use super::kernels::KERNELS;
use super::plan::COLUMNS;
use super::verdict::Verdict;
use crate::workspace::Workspace;

/// The figures.
const FILE: &str = "bench/kernels.json";
/// The page with the tables made of them, between these lines.
const PAGE: &str = "docs/src/kernels.md";
const BEGIN: &str = "<!-- from bench/kernels.json: cargo xtask test --vm --accept -->";
const END: &str = "<!-- end -->";

/// The verifier gives up after so many instructions.
const LIMIT: u64 = 1_000_000;
/// By how much a program may become costlier to verify before somebody must say so.
const TOLERANCE: f64 = 1.10;

/// What is known of one kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    release: String,
    verdicts: Vec<String>,
    /// Features that it lacks.
    lacks: Vec<String>,
    /// Instructions that the verifier went through: by the form of the programs (its
    /// own, or that for older kernels), and the program.
    verified: BTreeMap<String, u64>,
}

/// What is known, by the kernels' series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(BTreeMap<String, Entry>);

impl Record {
    /// What guests said.
    pub fn of(rows: &[Row]) -> Self {
        Self(rows.iter().map(|row| (row.series.to_owned(), entry(row))).collect())
    }

    /// What the repository holds.
    pub fn read(workspace: &Workspace) -> Result<Self> {
        let path = workspace.root.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {FILE}"))?;
        let value: Map<String, Value> =
            serde_json::from_str(&text).with_context(|| format!("reading {FILE}"))?;
        Ok(Self(value.iter().map(|(series, value)| (series.clone(), from_json(value))).collect()))
    }

    /// These entries, and those of the kernels that are not among them.
    /// Columns that were left out stay as they are.
    pub fn over(self, mut kept: Self) -> Self {
        let left_out = Verdict::LeftOut.to_string();
        for (series, mut entry) in self.0 {
            if let Some(before) = kept.0.remove(&series) {
                for (verdict, former) in entry.verdicts.iter_mut().zip(before.verdicts) {
                    if *verdict == left_out {
                        *verdict = former;
                    }
                }
                if entry.verified.is_empty() {
                    (entry.verified, entry.lacks) = (before.verified, before.lacks);
                }
            }
            kept.0.insert(series, entry);
        }
        kept
    }

    /// Writes the figures, and the page's tables.
    pub fn write(&self, workspace: &Workspace) -> Result<()> {
        let value: Map<String, Value> =
            self.0.iter().map(|(series, entry)| (series.clone(), to_json(entry))).collect();
        let text = format!("{}\n", serde_json::to_string_pretty(&value)?);
        std::fs::write(workspace.root.join(FILE), text)?;
        let page = page(workspace);
        let text = std::fs::read_to_string(&page).with_context(|| format!("reading {PAGE}"))?;
        let text = with_tables(&text, &self.tables())?;
        std::fs::write(&page, text).with_context(|| format!("writing {PAGE}"))?;
        println!("    kept in {FILE} and {PAGE}");
        Ok(())
    }

    /// A table of what verifying costs.
    pub fn costs(&self) -> String {
        let mut lines = vec![
            ["kernel", "program", "instructions verified", "of the limit"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for entry in self.0.values() {
            for (program, count) in &entry.verified {
                let share = format!("{:.1} %", 100.0 * *count as f64 / LIMIT as f64);
                lines.push(vec![entry.release.clone(), program.clone(), count.to_string(), share]);
            }
        }
        aligned(&lines)
    }

    /// What became costlier to verify than is kept.
    pub fn costlier_than(&self, kept: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (series, entry) in &self.0 {
            let Some(before) = kept.0.get(series) else { continue };
            for (program, count) in &entry.verified {
                let Some(known) = before.verified.get(program) else { continue };
                if *count as f64 > *known as f64 * TOLERANCE {
                    found.push(format!(
                        "Linux {series} verifies {program} in {count} instructions, not {known}; \
                         if that must be, `cargo xtask test --vm {series} --accept`"
                    ));
                }
            }
        }
        found
    }

    /// Both tables of the page.
    fn tables(&self) -> String {
        let in_order = || KERNELS.iter().filter_map(|kernel| self.0.get(kernel.series));
        let mut matrix = vec![vec!["kernel".to_owned()]];
        matrix[0].extend(COLUMNS.iter().map(|column| column.title.to_owned()));
        matrix[0].push("lacks".to_owned());
        for entry in in_order() {
            let mut line = vec![entry.release.clone()];
            line.extend(entry.verdicts.clone());
            line.push(if entry.lacks.is_empty() {
                "–".to_owned()
            } else {
                entry.lacks.join(", ")
            });
            matrix.push(line);
        }
        let mut programs: Vec<&String> = in_order().flat_map(|e| e.verified.keys()).collect();
        programs.sort();
        programs.dedup();
        let mut costs = vec![vec!["instructions verified".to_owned()]];
        costs[0].extend(programs.iter().map(|program| format!("`{program}`")));
        for entry in in_order() {
            let mut line = vec![entry.release.clone()];
            let count = |program: &&String| entry.verified.get(*program).map(u64::to_string);
            line.extend(programs.iter().map(|program| count(program).unwrap_or_default()));
            costs.push(line);
        }
        format!("{}\n{}", markdown(&matrix), markdown(&costs))
    }
}

fn entry(row: &Row) -> Entry {
    let mut entry = Entry {
        release: row.release.clone(),
        verdicts: row.verdicts.iter().map(ToString::to_string).collect(),
        ..Entry::default()
    };
    for line in row.boots.iter().flat_map(|boot| &boot.sections).flat_map(|s| s.output.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["FIGURE", "verified", program, count] => {
                if let Ok(count) = count.parse() {
                    entry.verified.insert(program.to_owned(), count);
                }
            }
            ["LACKS", ref names @ ..] => {
                entry.lacks = names.iter().map(|name| (*name).to_owned()).collect();
            }
            _ => {}
        }
    }
    entry
}

fn to_json(entry: &Entry) -> Value {
    json!({
        "release": entry.release,
        "verdicts": entry.verdicts,
        "lacks": entry.lacks,
        "verified": entry.verified,
    })
}

fn from_json(value: &Value) -> Entry {
    let texts = |key: &str| -> Vec<String> {
        let list = value[key].as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let verified = value["verified"].as_object().into_iter().flatten();
    Entry {
        release: value["release"].as_str().unwrap_or_default().to_owned(),
        verdicts: texts("verdicts"),
        lacks: texts("lacks"),
        verified: verified.filter_map(|(name, n)| Some((name.clone(), n.as_u64()?))).collect(),
    }
}

fn page(workspace: &Workspace) -> PathBuf {
    workspace.root.join(PAGE)
}

fn with_tables(text: &str, tables: &str) -> Result<String> {
    let begin = text.find(BEGIN).map(|start| start + BEGIN.len());
    let end = text.find(END);
    ensure!(begin < end, "{PAGE} has no place for its tables");
    let (begin, end) = begin.zip(end).context("no place for the tables")?;
    Ok(format!("{}\n\n{tables}\n{}", &text[..begin], &text[end..]))
}

fn markdown(lines: &[Vec<String>]) -> String {
    let row = |line: &Vec<String>| format!("| {} |\n", line.join(" | "));
    let rule = format!("|{}\n", " --- |".repeat(lines[0].len()));
    let mut text = row(&lines[0]) + &rule;
    text.extend(lines[1..].iter().map(row));
    text
}

/// A table for a terminal.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|f| f.chars().count()).max()
    };
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let row = |line: &Vec<String>| {
        let fields = line.iter().zip(&widths).map(|(field, width)| format!("{field:<width$}"));
        format!("{}\n", fields.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(count: u64) -> Record {
        let entry = Entry {
            release: "6.1.0-1-cloud-amd64".to_owned(),
            verdicts: vec!["1 passed".to_owned(); COLUMNS.len()],
            lacks: vec!["tcx".to_owned()],
            verified: BTreeMap::from([("tc_access".to_owned(), count)]),
        };
        Record(BTreeMap::from([("6.1".to_owned(), entry)]))
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let kept = record(1000);
        let entry = &kept.0["6.1"];
        assert_eq!(&from_json(&to_json(entry)), entry);
    }

    #[test]
    fn columns_that_were_left_out_stay() {
        let mut part = record(7);
        let entry = part.0.get_mut("6.1").unwrap();
        entry.verdicts[1] = Verdict::LeftOut.to_string();
        entry.verified.clear();
        let merged = part.over(record(1000));
        assert_eq!(merged, record(1000));
    }

    #[test]
    fn a_program_that_becomes_costlier_is_named() {
        let kept = record(1000);
        assert!(record(1099).costlier_than(&kept).is_empty());
        let found = record(1200).costlier_than(&kept);
        assert!(found[0].contains("6.1") && found[0].contains("tc_access"), "{found:?}");
    }

    #[test]
    fn tables_replace_those_on_the_page() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let page = with_tables(&page, &record(1000).tables()).unwrap();
        assert!(page.contains("| 6.1.0-1-cloud-amd64 |") && !page.contains("old"), "{page}");
        assert!(page.starts_with("before\n") && page.ends_with("after\n"), "{page}");
        assert!(with_tables("nothing", "").is_err());
    }

    #[test]
    fn the_page_shows_what_the_repository_holds() {
        let workspace = Workspace::find().unwrap();
        let record = Record::read(&workspace).unwrap();
        assert_eq!(record.0.len(), KERNELS.len(), "each kernel was booted");
        let text = std::fs::read_to_string(page(&workspace)).unwrap();
        assert!(text.contains(&record.tables()), "run `cargo xtask test --vm --accept`");
    }
}
