//! What `overlay doctor` says of this kernel.

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Netns, is_emulated, require_root, run};

use crate::harness::{binary, doctor, overlay};

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

fn release() -> Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned())
}

/// (6, 1) of `6.1.0-56-cloud-amd64`.
fn version(release: &str) -> Result<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let (major, minor) = numbers.next().zip(numbers.next()).context("not a release")?;
    Ok((major?, minor?))
}
