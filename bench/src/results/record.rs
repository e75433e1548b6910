//! A run's record: what was found, where, of what and how. It is kept as JSON.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Commit, Load, Machine, Series};
use crate::scenario::Order;

/// The version of the format.
const SCHEMA: u64 = 1;

/// Everything about one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the format.
    schema: u64,
    /// When it began: `2026-11-23T15:49:27Z`.
    pub date: String,
    /// How many seconds it took.
    pub seconds: f64,
    /// Where it ran.
    pub machine: Machine,
    /// What was measured, where that is known.
    pub commit: Option<Commit>,
    /// How it was asked for.
    pub options: Options,
    /// What else was going on.
    pub load: Load,
    /// Every sample.
    pub series: Vec<Series>,
    /// Scenarios that could not be measured.
    pub failures: Vec<Failure>,
}

/// How a run was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The core that was measured on.
    pub cpu: usize,
    /// Whether it was a quick one.
    pub quick: bool,
    /// Whether this project's gateways did more than by default.
    #[serde(default)]
    pub features: bool,
    /// Milliseconds of each measurement.
    pub milliseconds: u64,
    /// Rounds of each scenario, where they were not left to it.
    pub rounds: Option<usize>,
    /// In which order the data planes had their turns.
    pub order: Order,
    /// Which scenarios; all where empty.
    pub only: Vec<String>,
}

/// A scenario that could not be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The scenario's title.
    pub title: String,
    /// Why.
    pub error: String,
}

impl Record {
    /// The record of a run that begins now on this machine.
    pub fn begin(options: Options) -> Result<Self> {
        let load = Load::now()?;
        Ok(Self {
            schema: SCHEMA,
            date: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            seconds: 0.0,
            machine: Machine::look()?,
            commit: Commit::of_this_tree(),
            options,
            load: Load { before: load, after: load },
            series: Vec::new(),
            failures: Vec::new(),
        })
    }

    /// Takes in the samples of another run on this machine, as further rounds.
    pub fn join(&mut self, other: Self) -> Result<()> {
        ensure!(
            self.machine == other.machine,
            "the runs of {} and {} are of two machines, kernels or settings",
            self.date,
            other.date
        );
        ensure!(
            self.options.features == other.options.features,
            "one of the runs of {} and {} is with features, and the other without",
            self.date,
            other.date
        );
        for series in other.series {
            let plane = series.plane.clone();
            let same = |known: &&mut Series| known.plane == plane && known.is_beside(&series);
            match self.series.iter_mut().find(same) {
                Some(known) => known.samples.extend(series.samples),
                None => self.series.push(series),
            }
        }
        self.seconds += other.seconds;
        self.load.after = other.load.after;
        self.failures.extend(other.failures);
        Ok(())
    }

    /// As JSON.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// From JSON.
    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let schema = value["schema"].as_u64().context("not a record of a run: no `schema`")?;
        ensure!(schema == SCHEMA, "format {schema}; this program reads format {SCHEMA}");
        Ok(serde_json::from_value(value)?)
    }

    /// Writes it to a file, which is whole at any time.
    pub fn save(&self, file: &Path) -> Result<()> {
        let unfinished = file.with_extension("part");
        fs::write(&unfinished, self.to_json()? + "\n")
            .and_then(|()| fs::rename(&unfinished, file))
            .with_context(|| format!("writing {}", file.display()))
    }

    /// Reads it from a file.
    pub fn load(file: &Path) -> Result<Self> {
        fs::read_to_string(file)
            .map_err(Into::into)
            .and_then(|text| Self::from_json(&text))
            .with_context(|| format!("reading {}", file.display()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::series::tests::series;
    use super::*;

    /// A record of these series.
    pub(crate) fn record(series: Vec<Series>) -> Record {
        let mut record = Record::begin(Options::default()).unwrap();
        record.series = series;
        record
    }

    #[test]
    fn json_brings_back_what_was_written() {
        let mut record = record(vec![
            series("redirect", &[4_051_234.567_891, 1.0 / 3.0, 1e-9]),
            series("kernel", &[]),
        ]);
        record.options = Options {
            cpu: 1,
            quick: true,
            features: true,
            milliseconds: 50,
            rounds: Some(3),
            order: Order::Reversed,
            only: vec!["rate".to_owned()],
        };
        record.commit = Some(Commit { hash: "f00".to_owned(), dirty: true });
        record.failures =
            vec![Failure { title: "control".to_owned(), error: "no bridge".to_owned() }];
        let text = record.to_json().unwrap();
        assert_eq!(Record::from_json(&text).unwrap(), record);
    }

    #[test]
    fn a_run_with_features_is_no_further_round_of_one_without() {
        let mut first = record(vec![series("redirect", &[1.0])]);
        let mut second = record(vec![series("redirect", &[2.0])]);
        second.options.features = true;
        assert!(first.join(second.clone()).unwrap_err().to_string().contains("with features"));
        first.options.features = true;
        first.join(second).unwrap();
        assert_eq!(first.series[0].samples, [1.0, 2.0]);
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let scratch = overlay_testbed::Scratch::new().unwrap();
        let file = scratch.write("run.json", String::new()).unwrap();
        let record = record(vec![series("redirect", &[1.0])]);
        record.save(&file).unwrap();
        assert_eq!(Record::load(&file).unwrap(), record);
    }

    #[test]
    fn runs_of_one_machine_are_joined_round_by_round() {
        let mut all = record(vec![series("redirect", &[4.0]), series("kernel", &[1.0])]);
        all.join(record(vec![series("kernel", &[2.0]), series("ovs", &[3.0])])).unwrap();
        let found: Vec<_> = all.series.iter().map(|s| (&*s.plane, &*s.samples)).collect();
        let expected: [(&str, &[f64]); 3] =
            [("redirect", &[4.0]), ("kernel", &[1.0, 2.0]), ("ovs", &[3.0])];
        assert_eq!(found, expected);
        let mut elsewhere = record(Vec::new());
        elsewhere.machine.kernel.push_str("-other");
        assert!(all.join(elsewhere).is_err());
    }

    #[test]
    fn other_formats_are_refused_by_number() {
        let mut value = serde_json::to_value(record(Vec::new())).unwrap();
        value["schema"] = 7.into();
        let error = Record::from_json(&value.to_string()).unwrap_err().to_string();
        assert!(error.contains("format 7"), "{error}");
        let error = Record::from_json("{}").unwrap_err().to_string();
        assert!(error.contains("schema"), "{error}");
    }
}
