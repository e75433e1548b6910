//! What comes in by the underlay.

use anyhow::{Context, Result};
use overlay_testbed::frame::Tunnel;
use overlay_testbed::{mac_of, require_root};

use super::bench::{self, ADDRESS, Bench, FAR, HOST, OTHER_ADDRESS, packet};

const PEER: [u8; 4] = [192, 0, 2, 2];

/// Behind eth2, by hand, so that nothing has to be learnt.
const AT_ETH2: &str = "[[segment.fdb]]\nmac = \"02:00:00:00:00:01\"\ninterface = \"eth2\"\n";

/// A frame of the far station for the host, in a tunnel.
fn tunnel(bench: &Bench, from: [u8; 4], vni: u32) -> Result<Vec<u8>> {
    let to = mac_of(bench.gateway(), "eth0")?;
    let tunnel = Tunnel { macs: (to, [2, 0, 0, 0, 0, 0xfe]), src: from, dst: [192, 0, 2, 1], vni };
    Ok(tunnel.wrap(&packet(HOST, FAR, OTHER_ADDRESS, ADDRESS, 53)))
}

#[test]
fn a_wrong_vni_names_segment_and_peer() -> Result<()> {
    if !require_root("a_wrong_vni_names_segment_and_peer") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let red = "[[segment]]\nname = \"red\"\nvni = 200\n[[segment.port]]\ninterface = \"eth2\"\n\
               vlan = 20\n[[segment.fdb]]\nmac = \"02:00:00:00:00:01\"\ninterface = \"eth2\"\n\
               vlan = 20\n";
    let config = bench.config("", "", red, "");
    let ours = bench.run(&config)?;
    let frame = tunnel(&bench, PEER, 200)?;
    let text = bench.fault(&ours, &frame, "eth0", "drop", "vni-not-permitted")?;
    let words = [
        "may peer peer use red? ✗ no",
        "VNI 200 is segment red, which peer peer (192.0.2.2) may not use: segments = [\"blue\"]",
        "add \"red\" to segments = [...] of peer peer",
    ];
    bench::has(&text, &words)?;
    bench.is_dropped(&ours, 0, &frame, "vni-not-permitted")?;
    let unknown = tunnel(&bench, PEER, 300)?;
    let text = bench.fault(&ours, &unknown, "eth0", "drop", "unknown-vni")?;
    bench::has(
        &text,
        &["sends VNI 300, which no segment here has (those are: 100 (blue), 200 (red))"],
    )?;
    ours.reload(&config.replace("segments = [\"blue\"]", "segments = [\"blue\", \"red\"]"))?;
    bench.forwarded(&ours, &frame, "eth0", "delivered out of eth2")
}

#[test]
fn an_unknown_vtep_is_offered_a_peer() -> Result<()> {
    if !require_root("an_unknown_vtep_is_offered_a_peer") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let ours = bench.run(&bench.config("", "", AT_ETH2, ""))?;
    let frame = tunnel(&bench, [192, 0, 2, 9], 100)?;
    let text = bench.fault(&ours, &frame, "eth0", "drop", "unknown-vtep")?;
    let words = [
        "192.0.2.9 is the vtep of no [[peer]] in the configuration (those are: 192.0.2.2 (peer))",
        "add [[peer]] with vtep = \"192.0.2.9\" and segments = [\"blue\"]",
    ];
    bench::has(&text, &words)?;
    bench.is_dropped(&ours, 0, &frame, "unknown-vtep")?;
    let (assumed, _) = bench.told(&ours, &frame, None)?;
    bench::has(&assumed, &["eth0 (tc), assumed: it is a tunnel to this gateway"])?;
    let peer = "[[peer]]\nname = \"gw9\"\nvtep = \"192.0.2.9\"\nsegments = [\"blue\"]\n";
    ours.reload(&bench.config("", "", AT_ETH2, peer))?;
    bench.forwarded(&ours, &frame, "eth0", "delivered out of eth2")
}

#[test]
fn a_bad_checksum_says_which_would_be_right() -> Result<()> {
    if !require_root("a_bad_checksum_says_which_would_be_right") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let ours = bench.run(&bench.config("", "", AT_ETH2, ""))?;
    let mut frame = tunnel(&bench, PEER, 100)?;
    frame[24] ^= 0x55;
    let text = bench.fault(&ours, &frame, "eth0", "drop", "bad-checksum")?;
    let is = u16::from_be_bytes([frame[24], frame[25]]);
    let words = [
        &*format!("the outer IPv4 header from 192.0.2.2 to 192.0.2.1 has checksum 0x{is:04x}"),
        "see `ethtool -S eth0`",
    ];
    bench::has(&text, &words)?;
    bench.is_dropped(&ours, 0, &frame, "bad-checksum")?;
    let (before, _) = text.split_once(" would be right").context("no right checksum")?;
    let right = before.rsplit("0x").next().context("a number")?;
    let right = u16::from_str_radix(right, 16)?;
    frame[24..26].copy_from_slice(&right.to_be_bytes());
    bench.forwarded(&ours, &frame, "eth0", "delivered out of eth2")
}
