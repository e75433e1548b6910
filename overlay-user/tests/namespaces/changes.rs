//! A gateway whose configuration is changed while it runs, by command and by curl.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{TwoGateways, require_root, require_tools, run};
use serde_json::Value;

use crate::harness::{Echoes, Overlay, ping};

const TOOLS: &[&str] = &["tc", "bridge", "ping", "curl"];

/// curl over the control socket; the status, and the body as JSON.
fn curl(name: &str, arguments: &[&str], path: &str) -> Result<(u16, Value)> {
    let socket = format!("/run/overlay/{name}.sock");
    let text = run(Command::new("curl")
        .args(["-sS", "--max-time", "20", "-w", "\n%{http_code}", "--unix-socket", &socket])
        .args(arguments)
        .arg(format!("http://localhost{path}")))?;
    let (body, status) = text.trim_end().rsplit_once('\n').context("a status")?;
    Ok((status.parse()?, serde_json::from_str(body).with_context(|| body.to_owned())?))
}

#[test]
fn peers_and_segments_come_and_go_and_no_packet_is_lost() -> Result<()> {
    let name = "peers_and_segments_come_and_go_and_no_packet_is_lost";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    testbed.gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
    let gateway = &testbed.gw1;
    let config = gateway.config("auto", "auto", &[]);
    let ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
    let vtep = format!("vtep={}", TwoGateways::VTEP2);
    let segment = config.split("[[segment]]").nth(1).context("a segment")?;
    let segment = segment.split("name = \"").nth(1).and_then(|text| text.split('"').next());
    let segments = format!("segments=[{}]", segment.context("its name")?);
    let said = ours.run(&["set", "peer/kernel", &vtep, &segments])?;
    ensure!(said.contains("peer kernel: added") && said.contains("overlay save"), "{said}");
    ours.wait_for_peers()?;
    let mut echoes = Echoes::start(&testbed.host1, (&testbed.host2, TwoGateways::HOST2))?;
    echoes.wait_for_more(20)?;

    ours.run(&["set", "segment/red", "vni=200", "--persist"])?;
    let file = fs::read_to_string(ours.config())?;
    ensure!(file.contains("\"red\"") && !file.contains("kernel"), "{file}");
    ensure!(file.starts_with(config.trim_end()), "what was there is there still:\n{file}");
    let refused = ours.run(&["set", "peer/x", "vtep=192.0.2.9", "segments=[bleu]"]);
    let refused = format!("{:#}", refused.err().context("a change that leads nowhere was made")?);
    ensure!(refused.contains("did you mean") || refused.contains("bleu"), "{refused}");
    ensure!(refused.contains("change 1, patch peer/x"), "{refused}");
    let dry = ours.run(&["unset", "peer/kernel", "--dry-run"])?;
    ensure!(dry.contains("peer kernel: removed") && dry.contains("a dry run"), "{dry}");
    ensure!(ours.show("peers")?.len() == 1 && ours.show("segments")?.len() == 2);

    let red = "/v1/configuration/segment/red";
    let json = ["-X", "PUT", "-H", "Content-Type: application/json", "-d", r#"{"vni": 201}"#];
    let (status, changed) = curl(&gateway.name, &json, red)?;
    ensure!(status == 200 && changed["changes"][0] == "segment red: changed", "{changed}");
    let (status, row) = curl(&gateway.name, &[], red)?;
    ensure!(status == 200 && row["vni"] == 201, "{row}");
    let (status, problem) =
        curl(&gateway.name, &["-X", "DELETE"], "/v1/configuration/segment/rde")?;
    ensure!(status == 404 && problem["type"] == "/v1/problems/not-found", "{problem}");
    let (status, problem) = curl(&gateway.name, &["-X", "PUT"], "/v1/status")?;
    ensure!(status == 405 && problem["instance"] == "/v1/status", "{problem}");

    fs::set_permissions(ours.config(), fs::Permissions::from_mode(0o640))?;
    ours.run(&["save"])?;
    ensure!(fs::metadata(ours.config())?.mode() & 0o777 == 0o640);
    let shown = ours.run(&["show", "configuration"])?;
    ensure!(fs::read_to_string(ours.config())? == shown && shown.contains("kernel"), "{shown}");
    ours.run(&["unset", "segment/red"])?;
    let reloaded = ours.run(&["reload"])?;
    ensure!(reloaded.contains("undone, not in the file: remove segment/red"), "{reloaded}");
    ensure!(ours.show("segments")?.len() == 2);
    echoes.wait_for_more(20)?;
    println!("{} echoes, none lost", echoes.finish()?);
    ping(&testbed.host1, TwoGateways::HOST2)
}

#[test]
fn many_changes_are_one() -> Result<()> {
    let name = "many_changes_are_one";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    let testbed = TwoGateways::new()?;
    let gateway = &testbed.gw1;
    let config = gateway.config("auto", "auto", &[]);
    let ours = Overlay::start(&gateway.netns, &gateway.name, &config)?;
    let list = ours.config().with_file_name("changes");
    let (list, text) = (list.to_string_lossy().into_owned(), |last: &str| {
        format!(
            "# a site more\nset segment/red vni=200\n\nset peer/p1 vtep=198.51.100.1 segments=[red]\n\
             set vrf/v route=[{{prefix=\"10.0.0.0/8\", kind=\"blackhole\"}}]\n{last}\n"
        )
    });
    fs::write(&list, text("set peer/p2 vtep=198.51.100.1 segments=[red]"))?;
    let refused = format!("{:#}", ours.run(&["change", &list]).err().context("taken")?);
    ensure!(refused.contains("change 4") && refused.contains("198.51.100.1"), "{refused}");
    ensure!(ours.show("peers")?.is_empty() && ours.show("segments")?.len() == 1);
    fs::write(&list, text("set peer/p2 vtep=198.51.100.2 segments=[red]"))?;
    let said = ours.run(&["change", &list, "--json"])?;
    let changed: Value = serde_json::from_str(&said)?;
    ensure!(changed["changes"].as_array().is_some_and(|all| all.len() == 4), "{said}");
    ensure!(ours.show("peers")?.len() == 2 && ours.show("segments")?.len() == 2);
    // A device that is not there is refused as it is in a file.
    let refused = ours.run(&["set", "segment/red/port/nonesuch"]).err().context("taken")?;
    let refused = format!("{refused:#}");
    ensure!(refused.contains("change 1, patch segment/red/port/nonesuch: "), "{refused}");
    ensure!(refused.contains("does not exist"), "{refused}");
    ours.run(&["reload"])?;
    ensure!(ours.show("peers")?.is_empty() && fs::read_to_string(ours.config())? == config);
    Ok(())
}
