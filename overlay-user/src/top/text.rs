//! The model for scripts: plain text, as the screen shows it and without its limits; and JSON,
//! with the daemon's rows as they are and the rates beside.

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::model::{Model, Row, Sort, Tab};
use super::sample::Rows;
use super::view::number;
use crate::show::table::Table;
use crate::show::units::{duration, scaled};

/// The tab that was chosen, under a line about the gateway.
pub fn plain(model: &Model) -> String {
    let health = model.health();
    let state = match (model.away(), health.problems.len()) {
        (Some((since, why)), _) => format!("{why}, for {}", duration(since.as_secs())),
        (None, 0) => "healthy".to_owned(),
        (None, count) => format!("{count} problem{}", if count == 1 { "" } else { "s" }),
    };
    let drops = model.drop_rate().map_or_else(|| "-".to_owned(), scaled);
    let mut text =
        format!("{}  {state}  up {}  drops {drops} pkt/s\n", health.name, duration(health.uptime));
    for problem in &health.problems {
        text += &format!("! {problem}\n");
    }
    text + &table(model)
}

fn table(model: &Model) -> String {
    let (headings, numbers): (&[&str], &[Sort]) = match model.choice.tab {
        Tab::Drops => (&["REASON", "WHERE/HOOK", ">PKT/S"], &[Sort::RxPackets]),
        _ => (
            &["NAME", "ABOUT", ">RX PKT/S", ">RX BIT/S", ">TX PKT/S", ">TX BIT/S"],
            &[Sort::RxPackets, Sort::RxBits, Sort::TxPackets, Sort::TxBits],
        ),
    };
    let mut table = Table::new(headings);
    for row in model.shown(0) {
        let numbers = numbers.iter().map(|sort| number(row, *sort, false));
        table.row([row.name.clone(), row.about.clone()].into_iter().chain(numbers));
    }
    table.render()
}

/// Everything, in one line.
#[derive(Serialize)]
struct Everything<'a> {
    name: &'a str,
    /// Whether a daemon answers.
    answers: bool,
    /// Seconds since it started.
    uptime: u64,
    problems: &'a [String],
    ports: Vec<Rated<'a>>,
    segments: Vec<Rated<'a>>,
    peers: Vec<Rated<'a>>,
    drops: Vec<Rated<'a>>,
}

/// A row of the daemon's with rates; `null` where they are not known.
#[derive(Serialize)]
#[serde(untagged)]
enum Rated<'a> {
    Traffic {
        #[serde(flatten)]
        row: serde_json::Value,
        rx_packets_per_second: Option<f64>,
        rx_bits_per_second: Option<f64>,
        tx_packets_per_second: Option<f64>,
        tx_bits_per_second: Option<f64>,
    },
    Drop {
        #[serde(flatten)]
        row: &'a crate::api::DropRow,
        packets_per_second: Option<f64>,
    },
}

/// One object with all tabs, on one line.
pub fn json(model: &Model) -> Result<String> {
    let health = model.health();
    let everything = Everything {
        name: &health.name,
        answers: model.away().is_none(),
        uptime: health.uptime,
        problems: &health.problems,
        ports: rated(model, Tab::Ports)?,
        segments: rated(model, Tab::Segments)?,
        peers: rated(model, Tab::Peers)?,
        drops: rated(model, Tab::Drops)?,
    };
    Ok(serde_json::to_string(&everything).context("cannot print what was read")? + "\n")
}

fn rated(model: &Model, tab: Tab) -> Result<Vec<Rated<'_>>> {
    let Some((answer, rows)) = model.answer(tab) else { return Ok(Vec::new()) };
    match answer {
        Rows::Ports(ports) => {
            ports.iter().zip(rows).map(|(row, rates)| traffic(row, rates)).collect()
        }
        Rows::Segments(segments) => {
            segments.iter().zip(rows).map(|(row, rates)| traffic(row, rates)).collect()
        }
        Rows::Peers(peers) => {
            peers.iter().zip(rows).map(|(row, rates)| traffic(row, rates)).collect()
        }
        Rows::Drops(drops) => Ok(drops
            .iter()
            .zip(rows)
            .map(|(row, rated)| Rated::Drop { row, packets_per_second: rate(rated, 0, 1.0) })
            .collect()),
    }
}

fn traffic<'a>(row: &impl Serialize, rates: &Row) -> Result<Rated<'a>> {
    Ok(Rated::Traffic {
        row: serde_json::to_value(row).context("cannot print a row")?,
        rx_packets_per_second: rate(rates, 0, 1.0),
        rx_bits_per_second: rate(rates, 1, 8.0),
        tx_packets_per_second: rate(rates, 2, 1.0),
        tx_bits_per_second: rate(rates, 3, 8.0),
    })
}

/// To a thousandth.
fn rate(row: &Row, index: usize, factor: f64) -> Option<f64> {
    row.rates.map(|rates| (rates[index] * factor * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::{busy, model};
    use super::*;

    #[test]
    fn plain_text_has_every_row() {
        let text = plain(&busy(5_000));
        assert_eq!(text.lines().count(), 5_000 + 3, "{}", &text[..400]);
        assert!(
            text.starts_with("gw1  1 problem  up 1 min 1 s  drops 7 pkt/s\n! peer p0"),
            "{}",
            &text[..400]
        );
        assert!(text.contains("p4999 "));
    }

    #[test]
    fn json_has_the_words_of_the_daemon_and_rates() {
        let line = json(&busy(3)).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["ports"][0]["interface"], "eth0");
        assert_eq!(value["ports"][0]["rx_bits_per_second"], 8000.0);
        assert_eq!(value["drops"][1]["reason"], "unknown-vtep");
        assert_eq!(value["drops"][1]["packets_per_second"], 7.0);
        assert_eq!(value["peers"].as_array().unwrap().len(), 3);
        let unknown: serde_json::Value = serde_json::from_str(&json(&model(1)).unwrap()).unwrap();
        assert_eq!(unknown["ports"][0]["rx_bits_per_second"], serde_json::Value::Null);
    }
}
