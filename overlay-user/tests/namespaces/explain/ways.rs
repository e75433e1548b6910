//! What stands in the way out.

use anyhow::Result;
use overlay_testbed::frame::{ethernet, ipv4_udp};
use overlay_testbed::require_root;

use super::bench::{self, ADDRESS, Bench, FAR, HOST, OTHER, OTHER_ADDRESS, packet};

#[test]
fn an_mtu_says_which_and_how_large() -> Result<()> {
    if !require_root("an_mtu_says_which_and_how_large") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let ours = bench.run(&bench.config("", "", &bench.known(), ""))?;
    let payload = vec![0; 1472];
    let frame = ethernet(FAR, HOST, 0x0800, &ipv4_udp((ADDRESS, 7), (OTHER_ADDRESS, 7), &payload));
    let text = bench.fault(&ours, &frame, "eth1", "answer", "too-big")?;
    let words = [
        "the packet has 1500 bytes, and the way to peer peer (192.0.2.2) takes 1450: uplink eth0 \
         has MTU 1500, and a tunnel adds 50",
        "raise the MTU of eth0 to 1550 or more",
        "its sender is told what fits",
    ];
    bench::has(&text, &words)?;
    bench.is_dropped(&ours, 1, &frame, "too-big")?;
    bench.gateway().exec(bench::command(&text, "ip link set dev eth0 mtu")?)?;
    bench.forwarded(&ours, &frame, "eth1", "sent to peer peer out of eth0")
}

#[test]
fn a_missing_neighbour_says_who_does_not_answer_where() -> Result<()> {
    if !require_root("a_missing_neighbour_says_who_does_not_answer_where") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let far = "[[segment.fdb]]\nmac = \"02:00:00:00:00:05\"\npeer = \"gw3\"\n";
    let peer = "[[peer]]\nname = \"gw3\"\nvtep = \"192.0.2.3\"\nsegments = [\"blue\"]\n";
    let ours = bench.start(&bench.config("", "", far, peer))?;
    let frame = packet(OTHER, HOST, ADDRESS, OTHER_ADDRESS, 53);
    let text = bench.fault(&ours, &frame, "eth1", "wait", "peer-unresolved")?;
    let words = [
        "frames cannot be sent to peer gw3 (192.0.2.3): next hop 192.0.2.3 does not answer on eth0",
        "`ping -I eth0 192.0.2.3`",
    ];
    bench::has(&text, &words)?;
    bench.is_dropped(&ours, 1, &frame, "peer-unresolved")?;
    let enter = bench::command(&text, "ip neigh replace")?;
    bench.gateway().exec(&enter.replace("MAC", "02:00:00:00:00:fe"))?;
    bench.forwarded(&ours, &frame, "eth1", "sent to peer gw3 out of eth0")
}

#[test]
fn a_link_that_is_down_says_which() -> Result<()> {
    if !require_root("a_link_that_is_down_says_which") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let known = "[[segment.fdb]]\nmac = \"02:00:00:00:00:05\"\ninterface = \"eth2\"\n";
    let ours = bench.run(&bench.config("", "", known, ""))?;
    let frame = packet(OTHER, HOST, ADDRESS, OTHER_ADDRESS, 53);
    bench.forwarded(&ours, &frame, "eth1", "delivered out of eth2")?;
    bench.gateway().exec("ip link set eth2 down")?;
    bench.is_dropped(&ours, 1, &frame, "port-down")?;
    let text = bench.fault(&ours, &frame, "eth1", "drop", "port-down")?;
    let words = ["port eth2 ✗ down", "02:00:00:00:00:05 is behind port eth2, and eth2 is down"];
    bench::has(&text, &words)?;
    bench.gateway().exec(bench::command(&text, "ip link set eth2 up")?)?;
    bench.forwarded(&ours, &frame, "eth1", "delivered out of eth2")
}
