//! From samples to rates; what is shown, in which order.
//!
//! The model knows no clock: times come with the samples, from any fixed moment on.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

use super::sample::{Counts, Health, Rows, Sample};
use crate::api::{DropRow, PeerRow, PortRow, SegmentRow};

/// What may be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Tab {
    /// Devices, with their VLANs.
    #[default]
    Ports,
    /// Segments.
    Segments,
    /// Peers.
    Peers,
    /// Drops, by reason, interface and hook.
    Drops,
}

impl Tab {
    /// Every tab, in their order on the screen.
    pub const ALL: [Self; 4] = [Self::Ports, Self::Segments, Self::Peers, Self::Drops];

    /// Its title; in small letters it is the name in JSON and of `show`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Ports => "Ports",
            Self::Segments => "Segments",
            Self::Peers => "Peers",
            Self::Drops => "Drops",
        }
    }

    /// What its rows are sorted by in turn.
    pub const fn sorts(self) -> &'static [Sort] {
        match self {
            Self::Drops => &[Sort::Traffic, Sort::Name],
            _ => &[
                Sort::Traffic,
                Sort::Name,
                Sort::RxPackets,
                Sort::RxBits,
                Sort::TxPackets,
                Sort::TxBits,
            ],
        }
    }

    /// The tab so many places further, round and round.
    pub fn further(self, places: usize) -> Self {
        Self::ALL[(self as usize + places) % Self::ALL.len()]
    }
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// Bits received and sent, together; of drops their packets.
    #[default]
    Traffic,
    /// The name.
    Name,
    /// Packets received.
    RxPackets,
    /// Bits received.
    RxBits,
    /// Packets sent.
    TxPackets,
    /// Bits sent.
    TxBits,
}

impl Sort {
    /// Its name on the screen.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Traffic => "traffic",
            Self::Name => "name",
            Self::RxPackets => "rx-packets",
            Self::RxBits => "rx-bits",
            Self::TxPackets => "tx-packets",
            Self::TxBits => "tx-bits",
        }
    }

    /// What a row weighs, of packets and bytes received and sent.
    fn weight(self, of: [f64; 4]) -> f64 {
        match self {
            // Drops have packets alone; they weigh less than any bit, and only among themselves.
            Self::Traffic if of[1] + of[3] == 0.0 => of[0] + of[2],
            Self::Traffic => of[1] + of[3],
            Self::Name => 0.0,
            Self::RxPackets => of[0],
            Self::RxBits => of[1],
            Self::TxPackets => of[2],
            Self::TxBits => of[3],
        }
    }
}

/// A row of a tab.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is called: a peer's and a segment's own; of ports and drops together with the
    /// first word of `about`.
    pub name: String,
    /// What else there is to say.
    pub about: String,
    /// Whether something is wrong with it.
    pub bad: bool,
    /// Since the counters began.
    pub counts: Counts,
    /// A second, since the sample before; `None` where none is known.
    pub rates: Option<[f64; 4]>,
}

/// What is known of a tab.
#[derive(Clone, Debug, Default)]
struct Table {
    /// When its rows were read.
    at: Option<Duration>,
    answer: Option<Rows>,
    rows: Vec<Row>,
    /// Of the sample before, by name and place.
    before: HashMap<String, Counts>,
}

/// The sums of the rates of some ports.
pub type Sum = Option<[f64; 4]>;

/// What the user has chosen.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The tab.
    pub tab: Tab,
    /// By what it is sorted.
    pub sort: Sort,
    /// Whether the other way round.
    pub reverse: bool,
    /// Rows must have this in their name or in what is said about them; any letters.
    pub filter: String,
    /// Whether counters are shown, not rates.
    pub totals: bool,
    /// Whether nothing changes.
    pub paused: bool,
}

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// What the user has chosen; [`Model::arrange`] after a change.
    pub choice: Choice,
    /// Between two samples.
    pub delay: Duration,
    /// The first row that is shown.
    pub scroll: usize,
    /// What is typed for the filter, while it is typed.
    pub typed: Option<String>,
    /// Whether the keys are explained.
    pub help: bool,
    tables: [Table; 4],
    order: Vec<usize>,
    health: Health,
    now: Duration,
    away_since: Option<(Duration, String)>,
    restarted: Option<Duration>,
}

impl Model {
    /// Nothing yet.
    pub fn new(choice: Choice, delay: Duration) -> Self {
        Self { choice, delay, ..Self::default() }
    }

    /// What has to be asked for: what the head tells, and what is looked at.
    pub fn wanted(&self) -> Vec<Tab> {
        let wanted = |tab: &Tab| matches!(tab, Tab::Ports | Tab::Drops) || *tab == self.choice.tab;
        Tab::ALL.into_iter().filter(wanted).collect()
    }

    /// Takes in what the daemon said.
    pub fn handle_sample(&mut self, sample: Sample, now: Duration) {
        let other = self.health.pid != 0 && self.health.pid != sample.health.pid;
        if other || (self.health.pid != 0 && sample.health.uptime < self.health.uptime) {
            // Another process counts from the beginning: a difference would mean nothing.
            self.restarted = Some(now);
            self.tables.iter_mut().for_each(|table| table.at = None);
        }
        self.now = now;
        self.away_since = None;
        self.health = sample.health;
        let longest = (self.delay * 3).max(Duration::from_secs(3));
        for (at, rows) in sample.rows {
            self.tables[rows.tab() as usize].take(at, rows, longest);
        }
        self.arrange();
    }

    /// Takes note that no daemon answers, and what was said instead.
    pub fn handle_silence(&mut self, why: String, now: Duration) {
        self.now = now;
        let since = self.away_since.take().map_or(now, |(since, _)| since);
        self.away_since = Some((since, why));
        // What comes next has nothing to be compared with.
        self.tables.iter_mut().for_each(|table| table.at = None);
    }

    /// Puts what is shown in order, after a choice has changed.
    pub fn arrange(&mut self) {
        let table = &self.tables[self.choice.tab as usize];
        let wanted = self.choice.filter.to_lowercase();
        let has = |text: &str| wanted.is_empty() || text.to_lowercase().contains(&wanted);
        let rows = table.rows.iter().enumerate();
        let shown = rows.filter(|(_, row)| has(&row.name) || has(&row.about));
        let (sort, totals) = (self.sort(), self.choice.totals);
        let mut keyed: Vec<(f64, usize)> =
            shown.map(|(index, row)| (sort.weight(row.weights(totals)), index)).collect();
        keyed.sort_by(|(a, i), (b, k)| {
            let names = || table.rows[*i].name.cmp(&table.rows[*k].name).then(i.cmp(k));
            b.partial_cmp(a).unwrap_or(Ordering::Equal).then_with(names)
        });
        self.order = keyed.into_iter().map(|(_, index)| index).collect();
        if self.choice.reverse {
            self.order.reverse();
        }
        self.scroll = self.scroll.min(self.order.len().saturating_sub(1));
    }

    /// The rows that are shown, in order, from the `skip`th on.
    pub fn shown(&self, skip: usize) -> impl Iterator<Item = &Row> {
        let rows = &self.tables[self.choice.tab as usize].rows;
        self.order.iter().skip(skip).filter_map(|index| rows.get(*index))
    }

    /// How many rows are shown.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many rows a tab has, as far as it was read.
    pub fn count(&self, tab: Tab) -> Option<usize> {
        let table = &self.tables[tab as usize];
        table.answer.as_ref().map(|_| table.rows.len())
    }

    /// The daemon's answer about a tab, with its rows in the same order.
    pub fn answer(&self, tab: Tab) -> Option<(&Rows, &[Row])> {
        let table = &self.tables[tab as usize];
        table.answer.as_ref().map(|answer| (answer, &*table.rows))
    }

    /// What the tab is sorted by: what was chosen, if it has that.
    pub fn sort(&self) -> Sort {
        let sorts = self.choice.tab.sorts();
        if sorts.contains(&self.choice.sort) { self.choice.sort } else { Sort::default() }
    }

    /// How the daemon was when it last answered.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// For how long no daemon has answered, and what came instead.
    pub fn away(&self) -> Option<(Duration, &str)> {
        self.away_since.as_ref().map(|(since, why)| (self.now.saturating_sub(*since), &**why))
    }

    /// How long ago the daemon was found to be another one.
    pub fn restarted(&self) -> Option<Duration> {
        self.restarted.map(|at| self.now.saturating_sub(at))
    }

    /// The rates of all ports that face hosts, and of all uplinks. A device that is both is in
    /// both.
    pub fn sums(&self) -> [Sum; 2] {
        let table = &self.tables[Tab::Ports as usize];
        let Some(Rows::Ports(ports)) = &table.answer else { return [None; 2] };
        ["access", "uplink"].map(|role| {
            let of_role = ports.iter().zip(&table.rows).filter(|(port, _)| port.role == role);
            sum(of_role.map(|(_, row)| row))
        })
    }

    /// Dropped packets a second.
    pub fn drop_rate(&self) -> Option<f64> {
        let table = &self.tables[Tab::Drops as usize];
        table.answer.as_ref()?;
        sum(table.rows.iter()).map(|rates| rates[0])
    }

    /// Dropped packets since the counters began.
    pub fn drops(&self) -> u64 {
        self.tables[Tab::Drops as usize].rows.iter().map(|row| row.counts[0]).sum()
    }
}

/// `None` where the rates of some are not known.
fn sum<'a>(rows: impl Iterator<Item = &'a Row>) -> Sum {
    rows.map(|row| row.rates).try_fold([0.0; 4], |sum, rates| {
        let rates = rates?;
        Some(std::array::from_fn(|i| sum[i] + rates[i]))
    })
}

impl Row {
    fn weights(&self, totals: bool) -> [f64; 4] {
        if totals { self.counts.map(|count| count as f64) } else { self.rates.unwrap_or_default() }
    }
}

impl Table {
    /// Takes in an answer. Rates are those since the answer before, unless that is older than
    /// `longest`.
    fn take(&mut self, at: Duration, answer: Rows, longest: Duration) {
        let since = self.at.and_then(|before| at.checked_sub(before));
        let since = since.filter(|since| !since.is_zero() && *since <= longest);
        let mut rows = rows_of(&answer);
        // What was not dropped before is not listed: it was zero.
        let unlisted = matches!(answer, Rows::Drops(_)).then_some([0; 4]);
        let mut now = HashMap::with_capacity(rows.len());
        for row in &mut rows {
            let key = match answer {
                // Their names are their own; of ports and drops the place tells them apart.
                Rows::Segments(_) | Rows::Peers(_) => row.name.clone(),
                Rows::Ports(_) | Rows::Drops(_) => {
                    format!("{} {}", row.name, row.about.split(' ').next().unwrap_or_default())
                }
            };
            let before = self.before.get(&key).copied().or(unlisted);
            row.rates =
                since.zip(before).and_then(|(since, before)| rates(before, row.counts, since));
            now.insert(key, row.counts);
        }
        (self.at, self.before, self.rows, self.answer) = (Some(at), now, rows, Some(answer));
    }
}

/// A second. A counter that went down began anew, and there is no saying when.
fn rates(before: Counts, after: Counts, since: Duration) -> Option<[f64; 4]> {
    let mut rates = [0.0; 4];
    for ((rate, before), after) in rates.iter_mut().zip(before).zip(after) {
        *rate = after.checked_sub(before)? as f64 / since.as_secs_f64();
    }
    Some(rates)
}

fn rows_of(answer: &Rows) -> Vec<Row> {
    match answer {
        Rows::Ports(ports) => ports.iter().map(port).collect(),
        Rows::Segments(segments) => segments.iter().map(segment).collect(),
        Rows::Peers(peers) => peers.iter().map(peer).collect(),
        Rows::Drops(drops) => drops.iter().map(dropped).collect(),
    }
}

fn row(name: String, about: String, bad: bool, counts: Counts) -> Row {
    Row { name, about, bad, counts, rates: None }
}

/// The first word of what is said about it is that by which ports of one name differ.
fn port(port: &PortRow) -> Row {
    let name = match (port.vlan, port.protocol.as_deref()) {
        (Some(vlan), Some("802.1ad")) => format!("{}.{vlan}ad", port.interface),
        (Some(vlan), _) => format!("{}.{vlan}", port.interface),
        (None, _) => port.interface.clone(),
    };
    let state = if port.up { "up" } else { "down" };
    let hook = port.hook.as_deref().unwrap_or("not attached");
    let about = match &port.segment {
        Some(segment) => format!("{segment} {hook} {state}"),
        None => format!("{} {hook} {state}", port.role),
    };
    let counts = [port.rx_packets, port.rx_bytes, port.tx_packets, port.tx_bytes];
    row(name, about, !port.up || port.hook.is_none(), counts)
}

fn segment(segment: &SegmentRow) -> Row {
    let about = format!("vni {}, {} ports, {} peers", segment.vni, segment.ports, segment.peers);
    let counts = [segment.rx_packets, segment.rx_bytes, segment.tx_packets, segment.tx_bytes];
    row(segment.name.clone(), about, false, counts)
}

fn peer(peer: &PeerRow) -> Row {
    let mut about = format!("{} {}", peer.state, peer.vtep);
    if let Some(why) = &peer.why {
        about = format!("{about}: {why}");
    }
    let counts = [peer.rx_packets, peer.rx_bytes, peer.tx_packets, peer.tx_bytes];
    row(peer.name.clone(), about, peer.state != "ready", counts)
}

fn dropped(drop: &DropRow) -> Row {
    let name = drop.reason.clone();
    row(name, format!("{}/{}", drop.place, drop.hook), false, [drop.packets, 0, 0, 0])
}

#[cfg(test)]
#[path = "model_tests.rs"]
pub(super) mod tests;
