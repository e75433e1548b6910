//! Devices that go down, go away, come back, and are not what they were.

use std::time::Duration;

use anyhow::{Context, Result};
use overlay_testbed::frame::BROADCAST;
use overlay_testbed::{RawSocket, TwoGateways, set_mtu, wait_until};

use super::super::bed::Bed;
use crate::harness::{has_mark, marked};

/// What eth3 may be attached with.
pub const MODES: [&str; 5] = ["tc", "xdp", "xdp-generic", "user", "user-xdp"];
const SOON: Duration = Duration::from_secs(20);
const A_WHILE: Duration = Duration::from_millis(300);

/// eth3 is deleted and made again, and attached in another mode; frames go through it then.
pub fn made_again(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    let mode = MODES[bed.below(MODES.len())];
    made_again_as(bed, side, mode)
}

/// The same with a gateway and a mode that are given.
pub fn made_again_as(bed: &mut Bed<'_>, side: usize, mode: &str) -> Result<()> {
    let number = bed.next();
    bed.around.gateway(side).netns.exec("ip link del eth3")?;
    std::thread::sleep(Duration::from_millis(bed.below(600) as u64));
    bed.around.make_third(side)?;
    bed.gateways[side].reload(&bed.config(side, mode, "", ""))?;
    let from = RawSocket::open(&bed.around.third, &format!("eth{side}"))?;
    let to = RawSocket::open(bed.around.host(1 - side), "eth0")?;
    let mark = format!("third {number}");
    wait_until("frame through eth3", SOON, || {
        from.send(&marked(BROADCAST, [2, 0, 0, 0, 3, 3], &mark)).ok()?;
        to.find(A_WHILE, |frame| has_mark(frame, &mark)).ok()?.map(drop)
    })
    .with_context(|| format!("{mode}: {:?}", bed.gateways[side].show("ports")))?;
    bed.restore(side)
}

/// eth2 has another name for a while.
pub fn renamed(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    let netns = &bed.around.gateway(side).netns;
    for (from, to) in [("eth2", "away"), ("away", "eth2")] {
        netns.exec(&format!("ip link set {from} down"))?;
        netns.exec(&format!("ip link set {from} name {to}"))?;
        netns.exec(&format!("ip link set {to} up"))?;
        std::thread::sleep(A_WHILE);
    }
    attached(bed, side, "eth2")
}

/// MTUs of an uplink and of access ports go up and down; the hosts' frames always fit.
pub fn mtus(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    let netns = &bed.around.gateway(side).netns;
    let underlay = TwoGateways::UNDERLAY_MTU;
    for (interface, mtu) in
        [("eth2", 1400), ("eth0", underlay + 50), ("eth3", 1300), ("eth0", underlay - 50)]
    {
        set_mtu(netns, interface, mtu)?;
        std::thread::sleep(A_WHILE);
    }
    for (interface, mtu) in [("eth0", underlay), ("eth2", 1500), ("eth3", 1500)] {
        set_mtu(netns, interface, mtu)?;
    }
    Ok(())
}

pub fn access_flaps(bed: &mut Bed<'_>) -> Result<()> {
    flap(bed, "eth1")
}

pub fn underlay_flaps(bed: &mut Bed<'_>) -> Result<()> {
    flap(bed, "eth0")
}

fn flap(bed: &mut Bed<'_>, interface: &str) -> Result<()> {
    let side = bed.side();
    for _ in 0..1 + bed.below(3) {
        let pause = Duration::from_millis(50 + bed.below(800) as u64);
        let netns = &bed.around.gateway(side).netns;
        netns.exec(&format!("ip link set {interface} down"))?;
        std::thread::sleep(pause);
        netns.exec(&format!("ip link set {interface} up"))?;
        std::thread::sleep(pause / 2);
    }
    Ok(())
}

/// Waits until a port is up and attached.
fn attached(bed: &Bed<'_>, side: usize, interface: &str) -> Result<()> {
    let ours = &bed.gateways[side];
    wait_until(&format!("{interface} attached"), SOON, || {
        let ports = ours.show("ports").ok()?;
        let port = ports.iter().find(|port| port["interface"] == interface)?;
        (port["up"] == true && !port["hook"].is_null()).then_some(())
    })
    .with_context(|| format!("{:?}\n{}", ours.show("ports"), ours.log()))
}
