//! What `overlay doctor` says of this kernel.

use anyhow::{Context, Result, ensure};
use overlay_testbed::{
    Netns, Scratch, TwoGateways, is_emulated, require_root, require_tools, run, veth,
};
use serde_json::Value;

use crate::harness::{Overlay, binary, doctor, overlay};

#[test]
fn the_doctor_tells_kernel_and_features() -> Result<()> {
    let name = "the_doctor_tells_kernel_and_features";
    if !require_root(name) {
        return Ok(());
    }
    let netns = Netns::new("doctor")?;
    let found = doctor(&netns)?;
    ensure!(found["kernel"] == release()?, "{found}");
    for feature in found["features"].as_array().context("no features")? {
        let is_here = feature["here"] == true;
        ensure!(is_here || feature["needed"] == false, "the gateway runs, without {feature}");
        ensure!(feature["commit"].as_str().is_some_and(|commit| commit.len() == 12), "{feature}");
    }
    let table = run(overlay(&netns).arg("doctor"))?;
    ensure!(table.lines().any(|line| line.starts_with("tcx ")), "{table}");

    // Somebody who may not ask is told who may.
    let mut unprivileged = netns.command("setpriv");
    unprivileged.args(["--reuid=65534", "--clear-groups", "--bounding-set=-all"]);
    let output = unprivileged.arg(binary()).arg("doctor").output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1) && complaint.contains("CAP_BPF"), "{complaint}");
    Ok(())
}

/// A kernel has what came before it. Guests have Debian's, to which features are never
/// brought back: these have nothing else.
#[test]
fn a_feature_is_here_from_its_release_on() -> Result<()> {
    let name = "a_feature_is_here_from_its_release_on";
    if !require_root(name) {
        return Ok(());
    }
    let netns = Netns::new("doctor")?;
    let found = doctor(&netns)?;
    let own = version(&release()?)?;
    for feature in found["features"].as_array().context("no features")? {
        let since = version(feature["since"].as_str().context("since when")?)?;
        let is_here = feature["here"].as_bool().context("here or not")?;
        ensure!(is_here || own < since, "Linux {own:?} is said to lack {feature}");
        ensure!(!is_here || own >= since || !is_emulated(), "Linux {own:?} has {feature}");
    }
    Ok(())
}

/// Several things are wrong on purpose. Each is found, and what the finding says to do, done as it
/// stands there, makes it go away.
#[test]
fn what_hurts_is_found_and_its_fix_mends_it() -> Result<()> {
    let name = "what_hurts_is_found_and_its_fix_mends_it";
    if !require_root(name) || !require_tools(name, &["nft", "sysctl"]) {
        return Ok(());
    }
    let topology = TwoGateways::new()?;
    let (netns, beside) = (&topology.gw1.netns, &topology.gw2.netns);
    veth(netns, "eth2", beside, "eth2")?;
    netns.exec("ip link set dev eth2 mtu 1600")?;
    let config = topology.gw1.config("tc", "auto", &[("gw2", topology.gw2.vtep)]);
    let config = config.replacen(
        "[[segment]]",
        "[[uplink]]\ninterface = \"eth2\"\nmode = \"tc\"\n\n[[segment]]",
        1,
    );
    let scratch = Scratch::new()?;
    let file = scratch.write("overlay.toml", &config)?;
    let examine = || -> Result<(Vec<Value>, Option<i32>)> {
        let mut command = overlay(netns);
        let output = command.args(["doctor", "--json", "--config"]).arg(&file).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found: Value = serde_json::from_str(&text)
            .with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?;
        let findings = found["findings"].as_array().context("findings")?.clone();
        let errors = findings.iter().filter(|finding| finding["severity"] == "error").count();
        let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        let sentence = format!("overlay: a gateway does not work so: {errors} error(s)");
        ensure!(said == if errors > 0 { &*sentence } else { "" }, "{said:?}, not {sentence:?}");
        Ok((findings, output.status.code()))
    };
    let find = |findings: &[Value], code: &str, subject: &str| {
        let is_it = |finding: &&Value| {
            finding["code"] == code && finding["subject"] == subject && finding["fix"].is_string()
        };
        findings.iter().find(is_it).cloned()
    };
    let wrong = [
        ("device", "eth1", "ip link set dev eth1 down"),
        ("mtu", "eth0", "ip link set dev eth0 mtu 1500"),
        (
            "rp-filter",
            "eth0",
            "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=1",
        ),
        ("kernel-tunnel", "vx9", "ip link add vx9 type vxlan id 9 dstport 4789 local 192.0.2.1"),
        ("firewall", "", "nft add table inet mine"),
    ];
    netns.exec("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.eth2.rp_filter=0")?;
    let (findings, code) = examine()?;
    for (what, subject, _) in wrong {
        let found = find(&findings, what, subject);
        ensure!(found.is_none(), "nothing is wrong yet: {found:?}");
    }
    ensure!(code == Some(0), "exit code {code:?}: {findings:?}");
    for (_, _, spoil) in wrong {
        netns.exec(spoil)?;
    }
    netns.exec("ip link set dev vx9 up")?;
    for rule in [
        "chain inet mine input { type filter hook input priority 0; policy accept; }",
        "rule inet mine input udp dport 4789 drop",
    ] {
        run(netns.command("nft").arg(format!("add {rule}")))?;
    }
    let (findings, code) = examine()?;
    ensure!(code == Some(1), "a device that is down is an error: {code:?}");
    for (what, subject, _) in wrong {
        let finding = find(&findings, what, subject)
            .with_context(|| format!("{what} of {subject} is not found in {findings:#?}"))?;
        ensure!(finding["why"].as_str().is_some_and(|why| !why.is_empty()), "{finding}");
        let fix = finding["fix"].as_str().context("a fix")?;
        netns.exec(fix)?;
        let (after, _) = examine()?;
        let still = find(&after, what, subject);
        ensure!(still.is_none(), "{fix} does not mend it: {still:?}");
    }
    let (_, code) = examine()?;
    ensure!(code == Some(0), "everything is mended: {code:?}");
    // A gateway's own programs are nobody else's.
    let _running = Overlay::start(netns, &topology.gw1.name, &config)?;
    let (findings, _) = examine()?;
    let others: Vec<_> = findings.iter().filter(|f| f["code"] == "other-program").collect();
    ensure!(others.is_empty(), "{others:?}");
    let text = run(overlay(netns).args(["doctor", "--config"]).arg(&file))?;
    ensure!(text.contains("OK      mtu eth0: full frames fit uplink eth0"), "{text}");
    Ok(())
}

fn release() -> Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned())
}

/// (6, 1) of `6.1.0-56-cloud-amd64`.
fn version(release: &str) -> Result<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let (major, minor) = numbers.next().zip(numbers.next()).context("not a release")?;
    Ok((major?, minor?))
}
