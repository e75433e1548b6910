//! What is known of each kernel, in the repository: figures for programs, a page for
//! people.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::kernels::KERNELS;
use super::plan::COLUMNS;
use super::row::Row;
use super::table;
use super::verdict::Verdict;
use crate::workspace::Workspace;

/// The figures.
const FILE: &str = "bench/kernels.json";
/// The page with the tables made of them, between these lines.
const PAGE: &str = "docs/src/kernels.md";
const BEGIN: &str = "<!-- from bench/kernels.json: cargo xtask test --vm --accept -->";
const END: &str = "<!-- end -->";

/// What is kept of a column whose tests all passed.
const PASSED: &str = "passed";

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

/// What a run found beside what is kept.
#[derive(Debug, Default)]
pub struct Comparison {
    /// What fails it.
    pub troubles: Vec<String>,
    /// What is only told.
    pub notes: Vec<String>,
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

    /// These entries, and those of the kernels that are not among them. Columns that were
    /// left out stay as they are, where they are of the same release.
    pub fn over(self, mut kept: Self) -> Result<Self> {
        let left_out = Verdict::LeftOut.to_string();
        for (series, mut entry) in self.0 {
            let before = kept.0.remove(&series).filter(|before| before.release == entry.release);
            if let Some(before) = before {
                for (verdict, former) in entry.verdicts.iter_mut().zip(before.verdicts) {
                    if *verdict == left_out {
                        *verdict = former;
                    }
                }
                if entry.verified.is_empty() {
                    (entry.verified, entry.lacks) = (before.verified, before.lacks);
                }
            }
            entry.check()?;
            kept.0.insert(series, entry);
        }
        Ok(kept)
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
        table::aligned(&lines)
    }

    /// What is worse than is kept, and what is only to be told: another release may well
    /// go through more instructions, up to half of the limit, and have more features.
    pub fn beside(&self, kept: &Self) -> Comparison {
        let mut found = Comparison::default();
        for (series, entry) in self.0.iter().filter(|(_, entry)| !entry.verified.is_empty()) {
            let Some(before) = kept.0.get(series) else { continue };
            let is_same = entry.release == before.release;
            let accept = format!(
                "(Linux {}, kept: {}); if that must be, `cargo xtask test --vm {series} --accept`",
                entry.release, before.release
            );
            for (program, count) in &entry.verified {
                let Some(known) = before.verified.get(program) else { continue };
                if *count as f64 > *known as f64 * TOLERANCE {
                    let list = match is_same || *count > LIMIT / 2 {
                        true => &mut found.troubles,
                        false => &mut found.notes,
                    };
                    list.push(format!(
                        "{program} is verified in {count} instructions, not {known} {accept}"
                    ));
                }
            }
            let missing = |names: &[String], from: &[String]| {
                names.iter().filter(|name| !from.contains(name)).cloned().collect::<Vec<_>>()
            };
            let lacks = missing(&entry.lacks, &before.lacks);
            if !lacks.is_empty() {
                found.troubles.push(format!("it lacks {} too {accept}", lacks.join(", ")));
            }
            let has = missing(&before.lacks, &entry.lacks);
            if !has.is_empty() {
                let list = if is_same { &mut found.troubles } else { &mut found.notes };
                list.push(format!("it no longer lacks {} {accept}", has.join(", ")));
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
        format!("{}\n{}", table::markdown(&matrix), table::markdown(&costs))
    }
}

impl Entry {
    /// What is kept is good and whole.
    fn check(&self) -> Result<()> {
        let release = &self.release;
        for (column, verdict) in COLUMNS.iter().zip(&self.verdicts) {
            ensure!(
                verdict == PASSED,
                "Linux {release}: the column `{}` says `{verdict}`, which is not kept: run all \
                 columns until each passes",
                column.title
            );
        }
        ensure!(self.verdicts.len() == COLUMNS.len(), "Linux {release} lacks columns");
        ensure!(!self.verified.is_empty(), "Linux {release}: nobody knows what verifying costs");
        for (program, count) in &self.verified {
            ensure!(*count < LIMIT, "Linux {release}: {program} is over the limit");
        }
        Ok(())
    }
}

/// A verdict, without the number of tests, which changes with every new one.
fn kept(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed(_) => PASSED.to_owned(),
        other => other.to_string(),
    }
}

fn entry(row: &Row) -> Entry {
    let mut entry = Entry {
        release: row.release.clone(),
        verdicts: COLUMNS.iter().map(|column| kept(&row.verdict(column.title))).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(count: u64) -> Record {
        let entry = Entry {
            release: "6.1.0-1-cloud-amd64".to_owned(),
            verdicts: vec![PASSED.to_owned(); COLUMNS.len()],
            lacks: vec!["tcx".to_owned()],
            verified: BTreeMap::from([("tc_access".to_owned(), count)]),
        };
        Record(BTreeMap::from([("6.1".to_owned(), entry)]))
    }

    fn of_release(release: &str, mut record: Record) -> Record {
        record.0.get_mut("6.1").unwrap().release = release.to_owned();
        record
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let kept = record(1000);
        let entry = &kept.0["6.1"];
        assert_eq!(&from_json(&to_json(entry)), entry);
    }

    #[test]
    fn columns_that_were_left_out_stay_where_they_are_of_the_same_release() {
        let mut part = record(7);
        let entry = part.0.get_mut("6.1").unwrap();
        entry.verdicts[1] = Verdict::LeftOut.to_string();
        entry.verified.clear();
        assert_eq!(part.clone().over(record(1000)).unwrap(), record(1000));
        let error = part.over(of_release("6.1.0-2", record(1000))).unwrap_err().to_string();
        assert!(error.contains("`XDP`"), "{error}");
    }

    #[test]
    fn a_flake_is_not_kept() {
        let mut flaky = record(7);
        flaky.0.get_mut("6.1").unwrap().verdicts[0] =
            Verdict::Flaky(vec!["a".to_owned()]).to_string();
        assert!(flaky.over(record(7)).is_err());
    }

    #[test]
    fn a_program_that_becomes_costlier_is_named() {
        let kept = record(1000);
        assert!(record(1099).beside(&kept).troubles.is_empty());
        let found = record(1200).beside(&kept);
        let trouble = &found.troubles[0];
        assert!(trouble.contains("6.1.0-1") && trouble.contains("tc_access"), "{found:?}");
        assert!(found.notes.is_empty());
    }

    #[test]
    fn another_release_may_be_costlier_up_to_half_of_the_limit() {
        let kept = of_release("6.1.0-2-cloud-amd64", record(1000));
        let found = record(1200).beside(&kept);
        assert!(found.troubles.is_empty(), "{found:?}");
        let note = &found.notes[0];
        assert!(note.contains("6.1.0-1-") && note.contains("6.1.0-2-"), "{note}");
        assert_eq!(record(LIMIT / 2 + 1).beside(&kept).troubles.len(), 1);
    }

    #[test]
    fn features_that_a_kernel_lost_or_won_are_named() {
        let with = |lacks: &[&str], mut record: Record| {
            record.0.get_mut("6.1").unwrap().lacks = lacks.iter().map(|&l| l.to_owned()).collect();
            record
        };
        let kept = || with(&["tcx", "loop"], record(7));
        assert!(with(&["loop", "tcx"], record(7)).beside(&kept()).troubles.is_empty());
        let found = with(&["loop", "tcx", "x"], record(7)).beside(&kept());
        assert!(found.troubles[0].contains("lacks x too"), "{found:?}");
        let found = with(&["loop"], record(7)).beside(&kept());
        assert!(found.troubles[0].contains("no longer lacks tcx"), "{found:?}");
        let found = with(&["loop"], record(7)).beside(&of_release("6.1.0-2", kept()));
        assert!(found.troubles.is_empty() && found.notes.len() == 1, "{found:?}");
        let found = with(&["loop", "tcx", "x"], record(7)).beside(&of_release("6.1.0-2", kept()));
        assert_eq!(found.troubles.len(), 1, "{found:?}");
        // Where nothing was loaded, nothing is known.
        let mut unknown = with(&[], record(7));
        unknown.0.get_mut("6.1").unwrap().verified.clear();
        assert!(unknown.beside(&kept()).troubles.is_empty());
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
        record.0.values().for_each(|entry| entry.check().unwrap());
        let text = std::fs::read_to_string(page(&workspace)).unwrap();
        assert!(text.contains(&record.tables()), "run `cargo xtask test --vm --accept`");
    }
}
