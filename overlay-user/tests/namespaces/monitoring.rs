//! What a running gateway tells of itself: what is wrong, what happened, and its numbers, as
//! Prometheus' own programs read them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{
    Netns, Process, Scratch, TwoGateways, require_root, require_tools, run, wait_until,
};
use serde_json::Value;

use crate::harness::{Overlay, overlay};

const PATIENCE: Duration = Duration::from_secs(30);

fn status(gateway: &Overlay<'_>) -> Result<Value> {
    let text = gateway.run(&["status", "--json"])?;
    serde_json::from_str(&text).context(text)
}

/// Waits until a problem of this code is in a list of the status.
fn wait_for(gateway: &Overlay<'_>, list: &str, code: &str, subject: &str) -> Result<Value> {
    wait_until(&format!("{code} of {subject} in {list}"), PATIENCE, || {
        let status = status(gateway).ok()?;
        let problems = status[list].as_array()?.clone();
        problems.into_iter().find(|p| p["code"] == code && p["subject"] == subject)
    })
    .with_context(|| format!("{:?}\n{}", status(gateway), gateway.log()))
}

fn curl(netns: &Netns, arguments: &[&str]) -> Result<String> {
    run(netns.command("curl").args(["-sS", "--fail", "--max-time", "30"]).args(arguments))
}

fn metrics(netns: &Netns, name: &str, accept: &str) -> Result<String> {
    let socket = format!("/run/overlay/{name}.sock");
    let accept = format!("accept: {accept}");
    curl(netns, &["--unix-socket", &socket, "-H", &accept, "http://localhost/metrics"])
}

/// The value of a time series, as it is written.
fn value(page: &str, series: &str) -> Result<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {series} in:\n{page}"))?.parse()?)
}

#[test]
fn what_is_wrong_has_its_time_and_its_fix_and_ends() -> Result<()> {
    if !require_root("what_is_wrong_has_its_time_and_its_fix_and_ends") {
        return Ok(());
    }
    let topology = TwoGateways::new()?;
    let (gw1, gw2) = (&topology.gw1, &topology.gw2);
    let config = gw1.config("tc", "tc", &[("gw2", gw2.vtep)]);
    let gateway = Overlay::start(&gw1.netns, &gw1.name, &config)?;
    gateway.wait_for_peers()?;
    wait_until("health", PATIENCE, || (status(&gateway).ok()?["healthy"] == true).then_some(()))
        .with_context(|| format!("{:?}", status(&gateway)))?;
    gateway.run(&["status", "--check"])?;
    let mut follow = overlay(&gw1.netns);
    follow.args(["events", "--follow", "--json", "--name", &gw1.name]);
    let follower = Process::spawn(&mut follow)?;

    gw1.netns.exec("ip link set eth1 down")?;
    let problem = wait_for(&gateway, "problems", "port-down", "port eth1")?;
    ensure!(problem["severity"] == "error" && problem["ended"].is_null(), "{problem}");
    let fix = problem["fix"].as_str().context("a fix")?;
    let command = fix.split(';').next().context("a command")?.to_owned();
    let output = overlay(&gw1.netns).args(["status", "--check", "--name", &gw1.name]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.code() == Some(1), "{:?}: {text}", output.status);
    ensure!(text.contains("DEGRADED") && text.contains(fix), "{text}");

    // What it says is done, as it stands there.
    gw1.netns.exec(&command)?;
    let ended = wait_for(&gateway, "recovered", "port-down", "port eth1")?;
    ensure!(ended["since"] == problem["since"] && ended["ended"].is_string(), "{ended}");
    wait_until("health", PATIENCE, || gateway.run(&["status", "--check"]).ok())?;
    ensure!(gateway.run(&["status"])?.contains("recovered"), "{}", gateway.run(&["status"])?);

    // A configuration that is refused is a problem until one is taken.
    ensure!(gateway.reload("[node]\n").is_err(), "a file with next to nothing in it is taken");
    wait_for(&gateway, "problems", "configuration-refused", "")?;
    gateway.reload(&config)?;
    wait_for(&gateway, "recovered", "configuration-refused", "")?;

    let seen = |kind: &str, subject: &str| {
        wait_until(&format!("event {kind} of {subject}"), PATIENCE, || {
            let told = follower.output();
            told.lines().find_map(|line| {
                let event: Value = serde_json::from_str(line).ok()?;
                (event["kind"] == kind && event["subject"] == subject).then_some(event)
            })
        })
        .with_context(|| follower.output())
    };
    seen("started", "")?;
    seen("ready", "")?;
    seen("port-attached", "port eth1")?;
    seen("peer-ready", "peer gw2")?;
    let down = seen("port-down", "port eth1")?;
    let began = seen("problem-began", "port eth1")?;
    ensure!(began["fields"]["fix"] == fix, "{began}");
    let up = seen("port-up", "port eth1")?;
    seen("problem-ended", "port eth1")?;
    seen("configuration-refused", "")?;
    seen("configuration-applied", "")?;
    ensure!(down["sequence"].as_u64() < up["sequence"].as_u64(), "{down} {up}");

    // Only what came after it.
    let since = up["sequence"].to_string();
    let later = gateway.run(&["events", "--since", &since, "--json"])?;
    ensure!(later.lines().all(|line| !line.contains("\"port-up\"")), "{later}");
    ensure!(later.contains("configuration-refused"), "{later}");
    let text = gateway.run(&["events"])?;
    ensure!(
        text.lines().any(|line| line.contains(" port-down ") && line.contains("eth1")),
        "{text}"
    );
    drop(gateway);
    let ended = follower.wait(PATIENCE)?;
    ensure!(ended.success() && follower.output().contains("\"stopping\""), "{ended}");
    Ok(())
}

#[test]
fn prometheus_reads_the_metrics() -> Result<()> {
    let name = "prometheus_reads_the_metrics";
    if !require_root(name) || !require_tools(name, &["prometheus", "promtool", "curl"]) {
        return Ok(());
    }
    let topology = TwoGateways::new()?;
    let (gw1, gw2) = (&topology.gw1, &topology.gw2);
    let mut config = gw1.config("tc", "tc", &[("gw2", gw2.vtep)]);
    config += "\n[[segment.acl]]\ndirection = \"in\"\naction = \"permit\"\nprotocol = \"icmp\"\n";
    // The rule belongs to the segment, in front of the peers.
    let (node, peers) = config.split_once("\n[[peer]]").context("a peer")?;
    let (peers, acl) = peers.split_once("\n[[segment.acl]]").context("a rule")?;
    let config = format!(
        "{node}\n[[segment.acl]]{acl}\n[[peer]]{peers}\n[metrics]\nlisten = \"127.0.0.1:9477\"\n"
    );
    let gateway = Overlay::start(&gw1.netns, &gw1.name, &config)?;
    gateway.wait_for_peers()?;
    topology.host1.exec("ping -c 1 -W 1 10.0.0.99 || true").ok();

    let text = metrics(&gw1.netns, &gw1.name, "text/plain")?;
    check_metrics(&text)?;
    ensure!(value(&text, "overlay_peers{state=\"ready\"}")? == 1.0, "{text}");
    ensure!(value(&text, "process_open_fds")? > 10.0, "{text}");
    for family in overlay_user::metrics::Family::ALL {
        // Nothing has been dropped yet; everything else there is has a value.
        let is_there = text.contains(&format!("# TYPE {} ", family.name()));
        let may_be_absent = family.name() == "overlay_drops_total";
        ensure!(is_there || may_be_absent, "no {} in:\n{text}", family.name());
    }
    let open = metrics(&gw1.netns, &gw1.name, "application/openmetrics-text; version=1.0.0")?;
    ensure!(
        open.ends_with("# EOF\n") && open.contains("# TYPE overlay_reloads counter\n"),
        "{open}"
    );

    let scratch = Scratch::new()?;
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring/overlay-alerts.yml");
    let file = scratch.write(
        "prometheus.yml",
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{}]\n\
             scrape_configs:\n- job_name: overlay\n  static_configs: [{{targets: ['127.0.0.1:9477']}}]\n",
            rules.canonicalize()?.display()
        ),
    )?;
    let mut command = gw1.netns.command("prometheus");
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", scratch.path().join("data").display()))
        .arg("--web.listen-address=127.0.0.1:9090");
    let prometheus = Process::spawn(&mut command)?;
    let query = |expression: &str| -> Option<Value> {
        let argument = format!("query={expression}");
        let url = "http://127.0.0.1:9090/api/v1/query";
        let text = curl(&gw1.netns, &["--get", "--data-urlencode", &argument, url]).ok()?;
        let answer: Value = serde_json::from_str(&text).ok()?;
        answer["data"]["result"].as_array()?.first().cloned()
    };
    let wait = |expression: &str, wanted: &str| {
        wait_until(&format!("{expression} = {wanted}"), PATIENCE, || {
            (query(expression)?["value"][1] == wanted).then_some(())
        })
        .with_context(|| format!("{:?}\n{}", query(expression), prometheus.output()))
    };
    wait("up{job=\"overlay\"}", "1")?;
    wait("overlay_peer_ready{peer=\"gw2\"}", "1")?;
    gw1.netns.exec("ip link set eth1 down")?;
    wait("overlay_problems{code=\"port-down\"}", "1")?;
    wait("overlay_healthy", "0")?;
    wait("count(ALERTS{alertname=\"OverlayProblem\",code=\"port-down\"})", "1")?;

    // A reload moves the listener.
    gateway.reload(&config.replace("9477", "9478"))?;
    wait_until("metrics elsewhere", PATIENCE, || {
        curl(&gw1.netns, &["http://127.0.0.1:9478/metrics"]).ok()
    })?;
    ensure!(curl(&gw1.netns, &["http://127.0.0.1:9477/metrics"]).is_err(), "still at 9477");
    ensure!(curl(&gw1.netns, &["http://127.0.0.1:9478/v1/status"]).is_err(), "more than metrics");
    Ok(())
}

fn check_metrics(text: &str) -> Result<()> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool.stdin.take().context("promtool's input")?.write_all(text.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.success() && said.trim().is_empty(), "promtool: {said}\n{text}");
    Ok(())
}

#[test]
fn the_alert_rules_are_right() -> Result<()> {
    if !require_tools("the_alert_rules_are_right", &["promtool"]) {
        return Ok(());
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring");
    let promtool = |arguments: &[&str]| {
        let mut command = Command::new("promtool");
        run(command.current_dir(&directory).args(arguments))
    };
    let checked = promtool(&["check", "rules", "overlay-alerts.yml"])?;
    ensure!(checked.contains("SUCCESS"), "{checked}");
    let tested = promtool(&["test", "rules", "overlay-alerts-test.yml"])?;
    ensure!(tested.contains("SUCCESS"), "{tested}");
    Ok(())
}

#[test]
fn ten_thousand_peers_are_summed_up() -> Result<()> {
    let name = "ten_thousand_peers_are_summed_up";
    if !require_root(name) || !require_tools(name, &["curl"]) {
        return Ok(());
    }
    let topology = TwoGateways::new()?;
    let gw1 = &topology.gw1;
    let names: Vec<(String, String)> = (0..10_000)
        .map(|i| (format!("p{i}"), format!("198.18.{}.{}", i / 250, i % 250 + 1)))
        .collect();
    let peers: Vec<(&str, &str)> = names.iter().map(|(name, vtep)| (&**name, &**vtep)).collect();
    let config = gw1.config("tc", "tc", &peers);
    let gateway = Overlay::start(&gw1.netns, &gw1.name, &config)?;
    let page = metrics(&gw1.netns, &gw1.name, "text/plain")?;
    let page = metrics(&gw1.netns, &gw1.name, "text/plain").unwrap_or(page);
    let named = page.lines().filter(|line| line.starts_with("overlay_peer_ready{")).count();
    ensure!(named == 1000, "{named} peers have series");
    ensure!(value(&page, "overlay_unreported_series{kind=\"peer\"}")? == 9000.0, "{page}");
    ensure!(value(&page, "overlay_peer_receive_packets_total{peer=\"other\"}")? == 0.0);
    ensure!(value(&page, "overlay_peers{state=\"unresolved\"}")? == 10_000.0);
    let unresolved = "overlay_problems{code=\"peer-unresolved\",severity=\"error\"}";
    ensure!(value(&page, unresolved)? == 65.0, "64, and one for the rest");
    let status = status(&gateway)?;
    let problems = status["problems"].as_array().context("problems")?;
    ensure!(problems.iter().any(|problem| problem["subject"] == "others"), "{status}");
    let page = metrics(&gw1.netns, &gw1.name, "text/plain")?;
    let held = value(&page, "overlay_scrape_duration_seconds")?;
    println!("a scrape with 10000 peers held the loop up for {held} s; {} bytes", page.len());
    Ok(())
}
