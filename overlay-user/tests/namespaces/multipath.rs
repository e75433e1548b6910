//! Several uplinks, and several next hops for a peer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use overlay_testbed::{RawSocket, require_root, veth, wait_until};

use crate::harness::{Overlay, SOON, TwoPorts, alone, has_mark, marked};

/// Behind the peer.
const FAR: [u8; 6] = [2, 0, 0, 0, 0, 0x22];
const FLOWS: u16 = 64;

/// A station of many, whose frames are a flow of their own.
fn station(number: u16) -> [u8; 6] {
    let [a, b] = number.to_be_bytes();
    [2, 0, 7, 0, a, b]
}

/// A gateway with two uplinks to the same far end, over which a route leads to the peer.
struct TwoUplinks {
    bench: TwoPorts,
    /// The far ends of eth0 and eth3.
    far: [RawSocket; 2],
}

impl TwoUplinks {
    fn new() -> Result<Self> {
        let bench = TwoPorts::new()?;
        veth(&bench.gateway, "eth3", &bench.outside, "eth3")?;
        bench.gateway.exec("ip addr add 203.0.113.1/24 dev eth3")?;
        bench.outside.exec("ip addr add 203.0.113.2/24 dev eth3")?;
        let hops = "nexthop via 192.0.2.2 dev eth0 nexthop via 203.0.113.2 dev eth3";
        bench.gateway.exec(&format!("ip route add 198.51.100.2/32 {hops}"))?;
        let far =
            [RawSocket::open(&bench.outside, "eth0")?, RawSocket::open(&bench.outside, "eth3")?];
        Ok(Self { bench, far })
    }

    fn start(&self, mode: &str) -> Result<Overlay<'_>> {
        let uplink = format!("[[uplink]]\ninterface = \"eth3\"\nmode = \"{mode}\"\n");
        let fdb = "[[segment.fdb]]\nmac = \"02:00:00:00:00:22\"\npeer = \"peer\"\n";
        let config =
            self.bench.config(&uplink, "", fdb, "").replace("192.0.2.2", "198.51.100.2").replace(
                "interface = \"eth0\"\n",
                &format!("interface = \"eth0\"\nmode = \"{mode}\"\n"),
            );
        let gateway = &self.bench.gateway;
        let ours = Overlay::start(gateway, gateway.name(), &config)?;
        ours.wait_for_peers()?;
        self.wait_for(&ours, "eth0,eth3")?;
        Ok(ours)
    }

    /// Waits until the peer is reached over these uplinks.
    fn wait_for(&self, ours: &Overlay<'_>, uplinks: &str) -> Result<()> {
        wait_until(&format!("peer over {uplinks}"), 5 * SOON, || {
            (ours.show("peers").ok()?[0]["interface"] == uplinks).then_some(())
        })
        .with_context(|| format!("{:?}\n{}", ours.show("peers"), ours.log()))
    }

    /// Sends a frame of each flow, and returns which flows came to which end.
    fn round(&self, mark: &str) -> Result<[BTreeSet<u16>; 2]> {
        for number in 0..FLOWS {
            self.bench.ends[0].send(&marked(FAR, station(number), &format!("{mark} {number} ")))?;
        }
        let came = |socket: &RawSocket| -> Result<BTreeSet<u16>> {
            let is_its = |number: &u16| format!("{mark} {number} ");
            let frames = socket.collect(Duration::from_millis(300), |frame| {
                frame.windows(mark.len()).any(|window| window == mark.as_bytes())
            })?;
            let flows = 0..FLOWS;
            Ok(flows.filter(|n| frames.iter().any(|f| has_mark(f, &is_its(n)))).collect())
        };
        Ok([came(&self.far[0])?, came(&self.far[1])?])
    }
}

#[test]
fn flows_take_all_ways_to_a_peer_and_stay_on_theirs() -> Result<()> {
    if !require_root("flows_take_all_ways_to_a_peer_and_stay_on_theirs") {
        return Ok(());
    }
    let uplinks = TwoUplinks::new()?;
    for mode in ["tc", "xdp"] {
        let ours = uplinks.start(mode)?;
        let [first, second] = uplinks.round("before")?;
        ensure!(first.len() + second.len() == usize::from(FLOWS), "{first:?} {second:?}");
        ensure!(first.len().min(second.len()) >= 12, "{mode}: {first:?} {second:?}");
        ensure!(uplinks.round("again")? == [first.clone(), second.clone()], "{mode}: flows moved");
        // What is left of the ways has all flows, and those that were there stay.
        uplinks.bench.outside.exec("ip link set eth3 down")?;
        uplinks.wait_for(&ours, "eth0")?;
        let [all, none] = uplinks.round("without")?;
        ensure!(all.len() == usize::from(FLOWS) && none.is_empty(), "{mode}: {all:?} {none:?}");
        uplinks.bench.outside.exec("ip link set eth3 up")?;
        uplinks.wait_for(&ours, "eth0,eth3")?;
        let back = uplinks.round("back")?;
        ensure!(back[0].len().min(back[1].len()) >= 12, "{mode}: {back:?}");
        println!(
            "{mode}: {} and {} flows, then {} and {}",
            first.len(),
            second.len(),
            back[0].len(),
            back[1].len()
        );
    }
    Ok(())
}

/// The number that a frame of a stream carries.
fn number_of(frame: &[u8], stream: &str) -> Option<usize> {
    let text = String::from_utf8_lossy(frame.get(14 + 50..)?);
    let (_, rest) = text.split_once(stream)?;
    rest.split(' ').next()?.parse().ok()
}

/// How long a link that is lost costs the flows that went over it, by what was sent in between
/// the last frame that it took and the first that another took.
#[test]
fn a_link_that_goes_down_is_left_within_milliseconds() -> Result<()> {
    const TRIES: usize = 5;
    const ENOUGH: Duration = Duration::from_millis(10);
    if !require_root("a_link_that_goes_down_is_left_within_milliseconds") {
        return Ok(());
    }
    let uplinks = TwoUplinks::new()?;
    let ours = uplinks.start("tc")?;
    let _alone = alone();
    let [_, second] = uplinks.round("which")?;
    let flow = station(*second.first().context("no flow took the second uplink")?);
    let mut gaps = Vec::new();
    for attempt in 0..TRIES {
        uplinks.wait_for(&ours, "eth0,eth3")?;
        let stop = Instant::now() + Duration::from_millis(400);
        let stream = format!("try {attempt} no. ");
        let (sent, last, first) = std::thread::scope(|scope| -> Result<_> {
            let sender = scope.spawn(|| -> Result<Vec<Instant>> {
                let mut sent = Vec::new();
                while Instant::now() < stop {
                    let mark = format!("{stream}{} ", sent.len());
                    uplinks.bench.ends[0].send(&marked(FAR, flow, &mark))?;
                    sent.push(Instant::now());
                    std::thread::sleep(Duration::from_micros(100));
                }
                Ok(sent)
            });
            let [other, lost] = &uplinks.far;
            let first = scope.spawn(|| -> Result<Option<usize>> {
                let frame = other.find(SOON, |frame| number_of(frame, &stream).is_some())?;
                Ok(frame.and_then(|frame| number_of(&frame, &stream)))
            });
            let last = scope.spawn(|| -> Result<Option<usize>> {
                let is_its = |frame: &[u8]| number_of(frame, &stream).is_some();
                let frames = lost.collect(Duration::from_millis(350), is_its)?;
                Ok(frames.last().and_then(|frame| number_of(frame, &stream)))
            });
            std::thread::sleep(Duration::from_millis(100));
            uplinks.bench.outside.exec("ip link set eth3 down")?;
            let sent = sender.join().ok().context("the sender")??;
            let last = last.join().ok().context("a listener")??;
            Ok((sent, last, first.join().ok().context("a listener")??))
        })?;
        let last = last.context("the flow did not take the second uplink")?;
        let first = first.context("the flow never took the other uplink")?;
        gaps.push(sent[first].saturating_duration_since(sent[last]));
        uplinks.bench.outside.exec("ip link set eth3 up")?;
    }
    println!("between the last frame over the one and the first over the other: {gaps:?}");
    gaps.sort_unstable();
    // The machine has other things to do as well, which has to wait for none of these.
    ensure!(gaps[0] <= ENOUGH, "{gaps:?}");
    Ok(())
}
