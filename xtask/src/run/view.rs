//! The live view: ports, peers, FDB and drops of both gateways, with rates.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::gateway::{Gateway, field, number};
use super::table::Table;

/// How often the view is drawn.
const PERIOD: Duration = Duration::from_secs(1);
/// Clears the screen and puts the cursor at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// The counters of ports and peers.
const COUNTERS: &[&str] = &["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"];

/// Says which hook each port got, and why.
pub fn print_hooks(gateways: &[Gateway]) -> Result<()> {
    let mut table = Table::new(&["gateway", "port", "role", "mode", "hook", "why"]);
    for gateway in gateways {
        for port in gateway.show("ports")? {
            let cells = ["role", "mode", "hook", "why"].map(|key| field(&port, key));
            table.row([gateway.label.to_owned(), port_name(&port)].into_iter().chain(cells));
        }
    }
    println!("the hook of each port:\n\n{table}");
    Ok(())
}

/// The view; it keeps the last counters, for rates.
pub struct View<'a> {
    gateways: &'a [Gateway],
    redraw: bool,
    start: Instant,
    last: HashMap<String, Sample>,
}

/// Counters of a port or peer, and when they were read.
struct Sample {
    at: Instant,
    counters: Vec<u64>,
}

impl<'a> View<'a> {
    /// A view that is drawn over itself where `redraw` (on a terminal).
    pub fn new(gateways: &'a [Gateway], redraw: bool) -> Self {
        Self { gateways, redraw, start: Instant::now(), last: HashMap::new() }
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
        if self.redraw {
            write!(out, "{CLEAR}")?;
        }
        let seconds = self.start.elapsed().as_secs();
        writeln!(out, "overlay, live for {seconds} s (Ctrl-C ends it and removes the testbed)\n")?;
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    fn text(&mut self) -> Result<String> {
        const RATES: [&str; 4] = ["rx kpps", "rx Mb/s", "tx kpps", "tx Mb/s"];
        let columns = |first: &[&'static str]| [first, &RATES].concat();
        let mut ports = Table::new(&columns(&["gateway", "port", "role", "segment", "hook"]));
        let mut peers = Table::new(&columns(&["gateway", "peer", "vtep", "state", "next hop"]));
        let mut fdb = Table::new(&["gateway", "segment", "mac", "where", "age s"]);
        let mut drops = Table::new(&["gateway", "reason", "where", "hook", "packets"]);
        for gateway in self.gateways {
            let label = gateway.label;
            let row = |cells: Vec<String>| std::iter::once(label.to_owned()).chain(cells);
            for port in gateway.show("ports")? {
                let mut cells = vec![port_name(&port)];
                cells.extend(["role", "segment", "hook"].map(|key| field(&port, key)));
                cells.extend(self.rates(&format!("{label} port {}", port_name(&port)), &port));
                ports.row(row(cells));
            }
            for peer in gateway.show("peers")? {
                let name = field(&peer, "name");
                let rates = self.rates(&format!("{label} peer {name}"), &peer);
                let mut cells = vec![short(&name)];
                cells.extend(["vtep", "state", "mac"].map(|key| field(&peer, key)));
                cells.extend(rates);
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

    /// Packets and bits a second since the last look, as cells.
    fn rates(&mut self, name: &str, object: &Value) -> Vec<String> {
        let now = Sample {
            at: Instant::now(),
            counters: COUNTERS.iter().map(|key| number(object, key)).collect(),
        };
        let cells = match self.last.get(name) {
            None => vec![String::new(); COUNTERS.len()],
            Some(last) => {
                let seconds = now.at.duration_since(last.at).as_secs_f64().max(1e-3);
                let deltas = now.counters.iter().zip(&last.counters);
                let rate = |(index, (now, last)): (usize, (&u64, &u64))| {
                    let delta = now.saturating_sub(*last) as f64 / seconds;
                    // Packets, then bytes.
                    let scaled = if index % 2 == 0 { delta / 1e3 } else { delta * 8.0 / 1e6 };
                    format!("{scaled:.1}")
                };
                deltas.enumerate().map(rate).collect()
            }
        };
        self.last.insert(name.to_owned(), now);
        cells
    }
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
