//! The live view: ports, peers, FDB and drops of both gateways, with rates.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use overlay_testbed::Cleanup;
use serde_json::Value;

use super::gateway::{Gateway, field, number};
use super::table::Table;

/// How often the view is drawn.
const PERIOD: Duration = Duration::from_secs(1);
/// Enters the terminal's other screen, so that what was printed before is there
/// again afterwards.
const ENTER: &str = "\x1b[?1049h";
/// Leaves it.
const LEAVE: &str = "\x1b[?1049l";
/// Clears the screen and puts the cursor at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// Headings of what is counted of a port or a peer.
const COUNTED: [&str; 6] = ["rx p/s", "rx b/s", "tx p/s", "tx b/s", "rx packets", "tx packets"];
/// The counters of ports and peers.
const COUNTERS: [&str; 4] = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"];

/// Says which hook each port got, and why.
pub fn print_hooks(gateways: &[Gateway]) -> Result<()> {
    let mut table = Table::new(&["gateway", "port", "role", "mode", "hook", "why"]);
    for gateway in gateways {
        for port in gateway.show("ports")? {
            let cells = ["role", "mode", "hook", "why"].map(|key| field(&port, key));
            table.row([gateway.label.to_owned(), port_name(&port)].into_iter().chain(cells));
        }
    }
    println!("\nthe hook of each port:\n\n{table}");
    Ok(())
}

/// The view; it keeps the last counters, for rates.
pub struct View<'a> {
    gateways: &'a [Gateway],
    /// On a terminal: undoes the change of screens.
    screen: Option<Cleanup>,
    start: Instant,
    last: HashMap<String, Sample>,
}

/// Counters of a port or peer, and when they were read.
#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    counters: [u64; 4],
}

impl<'a> View<'a> {
    /// A view; `on_terminal` says that it may be drawn over itself.
    pub fn new(gateways: &'a [Gateway], on_terminal: bool) -> Self {
        let screen = on_terminal.then(|| {
            print!("{ENTER}");
            Cleanup::new(|| {
                print!("{LEAVE}");
                let _ = std::io::stdout().flush();
            })
        });
        Self { gateways, screen, start: Instant::now(), last: HashMap::new() }
    }

    /// Waits for a period, then draws the gateways as they are.
    pub fn show(&mut self) -> Result<()> {
        if self.last.is_empty() {
            // Only to have counters that the first rates are relative to.
            self.text()?;
        }
        std::thread::sleep(PERIOD);
        let text = self.text()?;
        let mut out = std::io::stdout().lock();
        if self.screen.is_some() {
            write!(out, "{CLEAR}")?;
        }
        let seconds = self.start.elapsed().as_secs();
        writeln!(out, "overlay, live for {seconds} s; Ctrl-C ends it and removes the testbed\n")?;
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    fn text(&mut self) -> Result<String> {
        let columns = |first: &[&'static str]| [first, &COUNTED].concat();
        let mut ports = Table::new(&columns(&["gateway", "port", "role", "hook"]));
        let mut peers = Table::new(&columns(&["gateway", "peer", "state", "next hop"]));
        let mut fdb = Table::new(&["gateway", "segment", "mac", "where", "age s"]);
        let mut drops = Table::new(&["gateway", "reason", "where", "hook", "packets"]);
        for gateway in self.gateways {
            let label = gateway.label;
            let row = |cells: Vec<String>| std::iter::once(label.to_owned()).chain(cells);
            for port in gateway.show("ports")? {
                let role = format!("{} {}", field(&port, "role"), field(&port, "segment"));
                let mut cells = vec![port_name(&port), role.trim().into(), field(&port, "hook")];
                cells.extend(self.counted(&format!("{label} port {}", port_name(&port)), &port));
                ports.row(row(cells));
            }
            for peer in gateway.show("peers")? {
                let name = field(&peer, "name");
                let mut cells = vec![short(&name)];
                cells.extend(["state", "mac"].map(|key| field(&peer, key)));
                cells.extend(self.counted(&format!("{label} peer {name}"), &peer));
                peers.row(row(cells));
            }
            for entry in gateway.show("fdb")? {
                let [segment, mac, age] = ["segment", "mac", "age"].map(|key| field(&entry, key));
                fdb.row(row(vec![segment, mac, place(&entry), age]));
            }
            for drop in gateway.show("drops")? {
                let cells = ["reason", "where", "hook", "packets"].map(|key| field(&drop, key));
                drops.row(row(cells.to_vec()));
            }
        }
        let mut text = format!("ports\n{ports}\npeers\n{peers}\nFDB\n{fdb}\n");
        if drops.is_empty() {
            text.push_str("no drops\n");
        } else {
            text.push_str(&format!("drops\n{drops}"));
        }
        Ok(text)
    }

    /// Packets and bits a second since the last look, and packets in all.
    fn counted(&mut self, name: &str, object: &Value) -> Vec<String> {
        let now = Sample { at: Instant::now(), counters: COUNTERS.map(|key| number(object, key)) };
        let last = self.last.insert(name.to_owned(), now);
        if now.counters == [0; COUNTERS.len()] {
            return vec![String::new(); COUNTED.len()];
        }
        let [rx_packets, rx_bytes, tx_packets, tx_bytes] = now.rates(last.unwrap_or(now));
        let [rx_total, _, tx_total, _] = now.counters.map(|count| count as f64);
        [rx_packets, rx_bytes * 8.0, tx_packets, tx_bytes * 8.0, rx_total, tx_total]
            .map(scaled)
            .to_vec()
    }
}

impl Sample {
    /// Counts a second since `last`.
    fn rates(&self, last: Self) -> [f64; 4] {
        let seconds = self.at.duration_since(last.at).as_secs_f64().max(1e-3);
        let mut rates = [0.0; 4];
        for (index, rate) in rates.iter_mut().enumerate() {
            let delta = self.counters[index].saturating_sub(last.counters[index]);
            *rate = delta as f64 / seconds;
        }
        rates
    }
}

/// A number as people read it: 12, 3.4k, 1.2G.
fn scaled(value: f64) -> String {
    for (unit, size) in [("G", 1e9), ("M", 1e6), ("k", 1e3)] {
        if value >= size {
            return format!("{:.1}{unit}", value / size);
        }
    }
    format!("{value:.0}")
}

/// `eth1`, or `eth1.10` with a VLAN.
fn port_name(port: &Value) -> String {
    let (interface, vlan) = (field(port, "interface"), number(port, "vlan"));
    if vlan == 0 { interface } else { format!("{interface}.{vlan}") }
}

/// Where an FDB entry leads.
fn place(entry: &Value) -> String {
    let peer = field(entry, "peer");
    if peer.is_empty() { port_name(entry) } else { format!("peer {}", short(&peer)) }
}

/// `gw2` of `ov4711-1-gw2`: the rest only keeps testbeds apart.
fn short(name: &str) -> String {
    name.rsplit('-').next().unwrap_or(name).to_owned()
}
