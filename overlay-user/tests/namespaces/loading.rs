//! Addresses that are loaded by command into a running gateway.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Netns, Scratch, require_root, veth};

use crate::harness::{Overlay, overlay};

const ADDRESS: [u8; 6] = [2, 0, 0, 0, 9, 1];
const LIST: &str = "\
# three stations
blue 02:00:00:00:09:01 peer gw2
blue 02:00:00:00:09:02 interface eth1

blue 02:00:00:00:09:03 peer gw3  # the third
";

/// A gateway with an uplink, an access port and two peers.
struct Site {
    gateway: Netns,
    _outside: Netns,
    scratch: Scratch,
}

impl Site {
    fn new() -> Result<Self> {
        let (gateway, outside) = (Netns::new("gw")?, Netns::new("outside")?);
        veth(&gateway, "eth0", &outside, "eth0")?;
        veth(&gateway, "eth1", &outside, "eth1")?;
        gateway.exec("ip addr add 192.0.2.1/24 dev eth0")?;
        Ok(Self { gateway, _outside: outside, scratch: Scratch::new()? })
    }

    fn config(&self, peers: &[u8]) -> String {
        let mut text = format!(
            "[node]\nname = \"{}\"\nvtep = \"192.0.2.1\"\nfdb_entries = 1000\n\
             [[uplink]]\ninterface = \"eth0\"\n\
             [[segment]]\nname = \"blue\"\nvni = 100\n[[segment.port]]\ninterface = \"eth1\"\n",
            self.gateway.name()
        );
        for peer in peers {
            text += &format!(
                "[[peer]]\nname = \"gw{peer}\"\nvtep = \"192.0.2.{peer}\"\nsegments = [\"blue\"]\n"
            );
        }
        text
    }

    fn start(&self) -> Result<Overlay<'_>> {
        Overlay::start(&self.gateway, self.gateway.name(), &self.config(&[2, 3]))
    }

    fn list(&self, text: &str) -> Result<PathBuf> {
        self.scratch.write("list", text)
    }

    /// Has a list loaded or unloaded.
    fn give(&self, ours: &Overlay<'_>, order: &str, text: &str) -> Result<String> {
        let list = self.list(text)?;
        ours.run(&["fdb", order, &list.to_string_lossy()])
    }

    /// What a command that ends with exit code 2 complains about.
    fn complaint(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command: Command = overlay(&self.gateway);
        command.arg("fdb").args(arguments).args(["--name", self.gateway.name()]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        std::io::Write::write_all(&mut stdin, input.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        ensure!(output.status.code() == Some(2), "{arguments:?}: {output:?}");
        Ok(String::from_utf8(output.stderr)?)
    }
}

/// The loaded addresses' last bytes and places.
fn loaded(ours: &Overlay<'_>) -> Result<Vec<(String, String)>> {
    let rows = ours.show("fdb")?;
    let rows = rows.iter().filter(|row| row["loaded"] == true && row["static"] == true);
    Ok(rows
        .map(|row| {
            let place = row["peer"].as_str().or(row["interface"].as_str()).unwrap_or_default();
            let mac = row["mac"].as_str().unwrap_or_default();
            (mac[mac.len().saturating_sub(2)..].to_owned(), place.to_owned())
        })
        .collect())
}

fn places(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(mac, place)| ((*mac).to_owned(), (*place).to_owned())).collect()
}

const ALL: &[(&str, &str)] = &[("01", "gw2"), ("02", "eth1"), ("03", "gw3")];

#[test]
fn loaded_addresses_outlive_a_reload_and_the_daemon_but_not_down() -> Result<()> {
    if !require_root("loaded_addresses_outlive_a_reload_and_the_daemon_but_not_down") {
        return Ok(());
    }
    let site = Site::new()?;
    let mut ours = site.start()?;
    let said = site.give(&ours, "load", LIST)?;
    ensure!(said.contains("loaded 3 addresses"), "{said}");
    ensure!(loaded(&ours)? == places(ALL), "{:?}", ours.show("fdb")?);
    ensure!(ours.place_of("blue", ADDRESS)?.as_deref() == Some("gw2"));
    ensure!(ours.run(&["status"])?.contains("3 loaded"), "{}", ours.run(&["status"])?);

    ours.reload(&site.config(&[2, 3]))?;
    ensure!(loaded(&ours)? == places(ALL), "after a reload: {:?}", ours.show("fdb")?);
    ours.kill()?;
    ours.restart()?;
    ensure!(loaded(&ours)? == places(ALL), "after SIGKILL: {:?}", ours.show("fdb")?);
    ours.kill()?;
    // As where it was killed between removing the former maps and renaming its own.
    let pins = Path::new("/sys/fs/bpf/overlay").join(site.gateway.name());
    std::fs::rename(pins.join("maps"), pins.join("maps-new"))?;
    ours.restart()?;
    ensure!(loaded(&ours)? == places(ALL), "after a kill in a start: {:?}", ours.show("fdb")?);
    ours.reload(&site.config(&[2]))?;
    ensure!(loaded(&ours)? == places(&ALL[..2]), "without gw3: {:?}", ours.show("fdb")?);
    ours.down()?;
    ours.restart()?;
    ensure!(loaded(&ours)?.is_empty(), "after down: {:?}", ours.show("fdb")?);
    Ok(())
}

#[test]
fn a_list_with_an_error_changes_nothing_and_says_where() -> Result<()> {
    if !require_root("a_list_with_an_error_changes_nothing_and_says_where") {
        return Ok(());
    }
    let site = Site::new()?;
    let ours = site.start()?;
    site.give(&ours, "load", LIST)?;
    let bad = LIST.replace("peer gw3", "peer gw4").replace("gw2", "gw3") + "bleu 02:00 peer gw2\n";
    let file = site.list(&bad)?;
    let file = file.to_string_lossy();
    for (input, name) in [(&*file, &*file), ("-", "standard input")] {
        let said = site.complaint(&["load", input], &bad)?;
        for words in [
            format!("{name}:5:29: there is no peer \"gw4\""),
            "did you mean \"gw2\"?".to_owned(),
            format!("{name}:6:1: there is no segment \"bleu\""),
            "nothing was changed".to_owned(),
        ] {
            ensure!(said.contains(&words), "{words:?} is not in:\n{said}");
        }
        ensure!(loaded(&ours)? == places(ALL), "{:?}", ours.show("fdb")?);
    }
    let said =
        site.complaint(&["unload", "-"], "blue 02:00:00:00:09:01\nblue 02:00:00:00:09:09\n")?;
    ensure!(said.contains("standard input:2:1: this address is not loaded"), "{said}");
    let many: String = (0..1001)
        .map(|n| format!("blue 02:00:00:01:{:02x}:{:02x} peer gw2\n", n / 256, n % 256))
        .collect();
    let said = site.complaint(&["load", "-"], &many)?;
    ensure!(said.contains("standard input:1001:1") && said.contains("node.fdb_entries"), "{said}");
    let almost: String = many.lines().take(998).map(|line| format!("{line}\n")).collect();
    let said = site.complaint(&["load", "-"], &almost)?;
    ensure!(said.contains("1001") && said.contains("takes 1000"), "{said}");
    let said = site.complaint(&["load", "/nowhere/list"], "")?;
    ensure!(said.contains("cannot read /nowhere/list"), "{said}");
    ensure!(loaded(&ours)? == places(ALL), "{:?}", ours.show("fdb")?);
    Ok(())
}

#[test]
fn single_addresses_come_and_go_by_command() -> Result<()> {
    if !require_root("single_addresses_come_and_go_by_command") {
        return Ok(());
    }
    let site = Site::new()?;
    let ours = site.start()?;
    let mac = "02:00:00:00:09:01";
    ours.run(&["fdb", "add", "blue", mac, "peer", "gw2"])?;
    ours.run(&["fdb", "add", "blue", "02:00:00:00:09:02", "interface", "eth1"])?;
    ensure!(loaded(&ours)? == places(&ALL[..2]), "{:?}", ours.show("fdb")?);
    ours.run(&["fdb", "add", "blue", mac, "peer", "gw3"])?;
    ensure!(ours.place_of("blue", ADDRESS)?.as_deref() == Some("gw3"), "it moves");
    let said = site.complaint(&["add", "blue", mac, "peer", "gw4"], "")?;
    ensure!(said.starts_with("overlay: there is no peer \"gw4\""), "{said}");
    ours.run(&["fdb", "del", "blue", mac])?;
    ensure!(ours.place_of("blue", ADDRESS)?.is_none(), "{:?}", ours.show("fdb")?);
    let said = site.complaint(&["del", "blue", mac], "")?;
    ensure!(said.starts_with("overlay: this address is not loaded"), "{said}");
    site.give(&ours, "load", LIST)?;
    site.give(&ours, "unload", "blue 02:00:00:00:09:01\n")?;
    let said = ours.run(&["fdb", "flush"])?;
    ensure!(said.contains("unloaded 2 addresses"), "{said}");
    ensure!(loaded(&ours)?.is_empty(), "{:?}", ours.show("fdb")?);
    Ok(())
}

/// More rows than one page of the table, and one piece of the answer, have.
#[test]
fn a_long_fdb_is_shown_whole_and_in_order() -> Result<()> {
    if !require_root("a_long_fdb_is_shown_whole_and_in_order") {
        return Ok(());
    }
    const COUNT: usize = 10_000;
    let site = Site::new()?;
    let config = site.config(&[2, 3]).replace("fdb_entries = 1000\n", "");
    let ours = Overlay::start(&site.gateway, site.gateway.name(), &config)?;
    ensure!(ours.show("fdb")?.is_empty(), "an empty list is a list");
    let mac = |n: usize| format!("02:00:00:01:{:02x}:{:02x}", n / 256, n % 256);
    let list: String = (0..COUNT).rev().map(|n| format!("blue {} peer gw2\n", mac(n))).collect();
    site.give(&ours, "load", &list)?;
    let rows = ours.show("fdb")?;
    let shown: Vec<&str> = rows.iter().filter_map(|row| row["mac"].as_str()).collect();
    let expected: Vec<String> = (0..COUNT).map(mac).collect();
    ensure!(shown == expected, "{} rows: {:?} ...", shown.len(), &rows[..3]);
    let table = ours.run(&["show", "fdb"])?;
    ensure!(table.lines().count() == COUNT + 1, "{} lines", table.lines().count());
    let last = table.lines().last().context("no lines")?;
    let words: Vec<&str> = last.split_whitespace().collect();
    ensure!(words == ["blue", "100", &mac(COUNT - 1), "peer", "gw2", "loaded", "-"], "{last}");
    Ok(())
}
