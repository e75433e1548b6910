//! Closed by default: hostile frames from the underlay.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{self, BROADCAST, Tunnel};
use overlay_testbed::{Netns, RawSocket, mac_of, require_root, set_mtu, veth, wait_until};

use crate::harness::{Overlay, has_mark, hook_of, marked, octets};

const MARK: &str = "hostile";
const SOON: Duration = Duration::from_secs(2);
const INSIDE: [u8; 6] = [2, 0, 0, 0, 7, 7];
const VTEP: &str = "192.0.2.1";
const PEER: &str = "192.0.2.2";
/// A configured peer that may use `red` only.
const RED_PEER: &str = "192.0.2.3";
const BLUE: u32 = 100;
const RED: u32 = 200;
/// Where the UDP destination port ends: shorter frames are not the overlay's.
const KNOWN_TO_BE_OURS: usize = 38;

/// A gateway with one access port in each of two segments, and an attacker on
/// its underlay.
struct Target {
    gateway: Netns,
    _outside: Netns,
    _inside: Netns,
    attacker: RawSocket,
    hosts: [RawSocket; 2],
    tunnel: Tunnel,
}

impl Target {
    fn new() -> Result<Self> {
        let gateway = Netns::new("gw")?;
        let outside = Netns::new("outside")?;
        let inside = Netns::new("inside")?;
        veth(&gateway, "eth0", &outside, "eth0")?;
        set_mtu(&gateway, "eth0", 1600)?;
        set_mtu(&outside, "eth0", 1600)?;
        gateway.exec(&format!("ip addr add {VTEP}/24 dev eth0"))?;
        for address in [PEER, RED_PEER] {
            outside.exec(&format!("ip addr add {address}/24 dev eth0"))?;
        }
        veth(&gateway, "eth1", &inside, "blue")?;
        veth(&gateway, "eth2", &inside, "red")?;
        let macs = (mac_of(&gateway, "eth0")?, mac_of(&outside, "eth0")?);
        let attacker = RawSocket::open(&outside, "eth0")?;
        let hosts = [RawSocket::open(&inside, "blue")?, RawSocket::open(&inside, "red")?];
        let tunnel = Tunnel { macs, src: octets(PEER), dst: octets(VTEP), vni: BLUE };
        Ok(Self { gateway, _outside: outside, _inside: inside, attacker, hosts, tunnel })
    }

    fn start(&self, mode: &str) -> Result<Overlay<'_>> {
        let name = self.gateway.name();
        let config = format!(
            "[node]\nname = \"{name}\"\nvtep = \"{VTEP}\"\n\
             [[uplink]]\ninterface = \"eth0\"\nmode = \"{mode}\"\n\
             [[segment]]\nname = \"blue\"\nvni = {BLUE}\n\
             [[segment.port]]\ninterface = \"eth1\"\nmode = \"tc\"\n\
             [[segment]]\nname = \"red\"\nvni = {RED}\n\
             [[segment.port]]\ninterface = \"eth2\"\nmode = \"tc\"\n\
             [[peer]]\nname = \"peer\"\nvtep = \"{PEER}\"\nsegments = [\"blue\"]\n\
             [[peer]]\nname = \"red-peer\"\nvtep = \"{RED_PEER}\"\nsegments = [\"red\"]\n"
        );
        let ours = Overlay::start(&self.gateway, name, &config)?;
        ours.wait_for_peers()?;
        Ok(ours)
    }

    /// A good frame, to be broken.
    fn frame(&self) -> Vec<u8> {
        self.tunnel.wrap(&marked(BROADCAST, INSIDE, MARK))
    }

    /// Sends `frames` and expects `reason` to grow by as many, no other reason to
    /// grow, and no host to see anything.
    fn expect_drops(
        &self,
        ours: &Overlay<'_>,
        what: &str,
        reason: &str,
        frames: &[Vec<u8>],
    ) -> Result<()> {
        let before = ours.drops()?;
        for frame in frames {
            self.attacker.send(frame)?;
        }
        let mut wanted = before.clone();
        *wanted.entry(reason.to_owned()).or_default() += frames.len() as u64;
        wait_until(&format!("count of {what}"), SOON, || {
            (ours.drops().ok()? == wanted).then_some(())
        })
        .with_context(|| format!("wanted {wanted:?}, got {:?}", ours.drops()))?;
        self.expect_nothing_inside(what)
    }

    /// A good frame to each segment goes the way of the hostile ones, behind them.
    fn expect_nothing_inside(&self, what: &str) -> Result<()> {
        let red = Tunnel { src: octets(RED_PEER), vni: RED, ..self.tunnel };
        let last = [(self.tunnel, "last in blue"), (red, "last in red")];
        for ((tunnel, mark), host) in last.into_iter().zip(&self.hosts) {
            self.attacker.send(&tunnel.wrap(&marked(BROADCAST, INSIDE, mark)))?;
            let seen = host
                .before(SOON, |frame| has_mark(frame, mark))
                .with_context(|| format!("behind {what}"))?;
            let hostile = seen.iter().find(|frame| has_mark(frame, MARK));
            ensure!(hostile.is_none(), "{what}: delivered {hostile:02x?}");
        }
        Ok(())
    }

    /// The program is still there: a good frame is delivered, once.
    fn expect_delivery(&self) -> Result<()> {
        self.attacker.send(&self.frame())?;
        let found = self.hosts[0].find(SOON, |frame| has_mark(frame, MARK))?;
        let inner = marked(BROADCAST, INSIDE, MARK);
        ensure!(found.as_deref() == Some(&inner[..]), "a good frame: {found:02x?}");
        self.expect_nothing_inside("once is enough")
    }
}

/// Recomputes the outer IPv4 checksum after a change.
fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
    let end = 14 + usize::from(frame[14] & 0x0f) * 4;
    frame[24..26].fill(0);
    let checksum = frame::ipv4_checksum(&frame[14..end]);
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// The frame with some bytes replaced, and a good checksum.
fn with(frame: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    sealed(frame)
}

fn on_each_hook(name: &str, check: impl Fn(&Target, &Overlay<'_>) -> Result<()>) -> Result<()> {
    if !require_root(name) {
        return Ok(());
    }
    for mode in ["tc", "xdp", "user", "user-xdp"] {
        let target = Target::new()?;
        let ours = target.start(mode)?;
        target.expect_delivery().with_context(|| format!("{mode}, before"))?;
        check(&target, &ours).with_context(|| format!("uplink on {mode}"))?;
        target.expect_delivery().with_context(|| format!("{mode}, afterwards"))?;
        ensure!(ours.is_running() && ours.hook("eth0")? == hook_of(mode));
    }
    Ok(())
}

#[test]
fn strangers_and_foreign_segments() -> Result<()> {
    on_each_hook("strangers_and_foreign_segments", |target, ours| {
        let inner = marked(BROADCAST, INSIDE, MARK);
        let stranger = Tunnel { src: [192, 0, 2, 9], ..target.tunnel }.wrap(&inner);
        target.expect_drops(ours, "an unknown VTEP", "unknown-vtep", &[stranger])?;
        let foreign = Tunnel { vni: RED, ..target.tunnel }.wrap(&inner);
        let other = Tunnel { src: octets(RED_PEER), ..target.tunnel }.wrap(&inner);
        let both = [foreign, other];
        target.expect_drops(ours, "a VNI of another peer", "vni-not-permitted", &both)?;
        let absent = Tunnel { vni: 0xff_ffff, ..target.tunnel }.wrap(&inner);
        let zero = Tunnel { vni: 0, ..target.tunnel }.wrap(&inner);
        target.expect_drops(ours, "a VNI of nobody", "unknown-vni", &[absent, zero])
    })
}

#[test]
fn headers_that_no_vtep_sends() -> Result<()> {
    on_each_hook("headers_that_no_vtep_sends", |target, ours| {
        let good = target.frame();
        let flags: Vec<_> = (0..=255_u8)
            .filter(|flags| flags & 8 == 0)
            .step_by(5)
            .map(|flags| with(&good, 42, &[flags]))
            .collect();
        target.expect_drops(ours, "a clear I flag", "no-vni-flag", &flags)?;

        // These go through the host's stack, and are judged then.
        let options = (1..=10)
            .map(|words| with_options(&good, [192, 0, 2, 99], target.tunnel.dst, words))
            .collect::<Vec<_>>();
        target.expect_drops(ours, "outer options of a stranger", "unknown-vtep", &options)?;

        // A part alone is nobody's, and comes to nothing. A good frame goes the same way,
        // behind them.
        for fragment in [[0x20, 0], [0x00, 3], [0x20, 3]] {
            target.attacker.send(&with(&good, 20, &fragment))?;
        }
        let last = Tunnel { ..target.tunnel }.wrap(&marked(BROADCAST, INSIDE, "last of all"));
        target.attacker.send(&with_options(&last, target.tunnel.src, target.tunnel.dst, 1))?;
        let seen = target.hosts[0].before(SOON, |frame| has_mark(frame, "last of all"))?;
        ensure!(!seen.iter().any(|frame| has_mark(frame, MARK)), "parts: {seen:02x?}");

        let mut flipped = good.clone();
        flipped[24] ^= 0x10;
        target.expect_drops(ours, "a wrong checksum", "bad-checksum", &[flipped])
    })
}

/// A frame from this address with so many words of options.
fn with_options(good: &[u8], src: [u8; 4], dst: [u8; 4], words: usize) -> Vec<u8> {
    let payload = &good[34..];
    let options = vec![1; words * 4];
    let header = frame::ipv4_header(src, dst, &options, 17, payload.len() as u16);
    [&good[..14], &header, payload].concat()
}

#[test]
fn lying_lengths() -> Result<()> {
    on_each_hook("lying_lengths", |target, ours| {
        let good = target.frame();
        let total = (good.len() - 14) as u16;
        let udp = total - 20;
        let longer: Vec<_> = [1, 2, 100, u16::MAX - total]
            .map(|n| with(&good, 16, &(total + n).to_be_bytes()))
            .into();
        target.expect_drops(ours, "an IP length behind the end", "truncated", &longer)?;

        let mut contradictions: Vec<_> = [0, 7, 8, 15, udp - 1, udp + 1, u16::MAX]
            .map(|n| with(&good, 38, &n.to_be_bytes()))
            .into();
        contradictions.push(with(&good, 16, &(total - 1).to_be_bytes()));
        contradictions.push(with(&good, 16, &20_u16.to_be_bytes()));
        contradictions.push(with(&good, 16, &0_u16.to_be_bytes()));
        target.expect_drops(ours, "lengths that differ", "bad-length", &contradictions)?;

        // Both lengths agree, and end inside the inner Ethernet header.
        let short: Vec<_> = (0..14_u16)
            .map(|inner| {
                let frame = with(&good, 38, &(16 + inner).to_be_bytes());
                with(&frame, 16, &(36 + inner).to_be_bytes())
            })
            .collect();
        target.expect_drops(ours, "inner frames too short", "inner-truncated", &short)?;

        // Bytes behind the IP packet are link-layer padding: the frame is good,
        // and they are not delivered.
        let mut padded = good.clone();
        padded.extend([0xee; 20]);
        target.attacker.send(&padded)?;
        let found = target.hosts[0].find(SOON, |frame| has_mark(frame, MARK))?;
        ensure!(found == Some(marked(BROADCAST, INSIDE, MARK)), "padding: {found:02x?}");
        Ok(())
    })
}

#[test]
fn truncated_at_every_byte() -> Result<()> {
    on_each_hook("truncated_at_every_byte", |target, ours| {
        let good = target.frame();
        let cut = |range: std::ops::Range<usize>| -> Vec<_> {
            range.map(|end| good[..end].to_vec()).collect()
        };
        // Too short to show the VXLAN port: not the overlay's to count, unless
        // IP already says UDP for the VTEP.
        for frame in cut(14..KNOWN_TO_BE_OURS) {
            target.attacker.send(&frame)?;
        }
        target.expect_nothing_inside("a cut IP or UDP header")?;
        let rest = cut(KNOWN_TO_BE_OURS..good.len());
        target.expect_drops(ours, "a cut tunnel", "truncated", &rest)?;

        // Cut, with lengths that agree with the cut.
        let honest: Vec<_> = cut(Tunnel::LEN..Tunnel::LEN + 14)
            .into_iter()
            .map(|frame| {
                let total = (frame.len() - 14) as u16;
                let frame = with(&frame, 38, &(total - 20).to_be_bytes());
                with(&frame, 16, &total.to_be_bytes())
            })
            .collect();
        target.expect_drops(ours, "a short inner frame", "inner-truncated", &honest)?;
        let no_vxlan: Vec<_> = cut(42..Tunnel::LEN)
            .into_iter()
            .map(|frame| {
                let total = (frame.len() - 14) as u16;
                let frame = with(&frame, 38, &(total - 20).to_be_bytes());
                with(&frame, 16, &total.to_be_bytes())
            })
            .collect();
        target.expect_drops(ours, "a cut VXLAN header", "bad-length", &no_vxlan)
    })
}

#[test]
fn inner_frames_that_no_bridge_takes() -> Result<()> {
    on_each_hook("inner_frames_that_no_bridge_takes", |target, ours| {
        let wrap = |inner: &[u8]| target.tunnel.wrap(inner);
        let sources: Vec<_> = [[0; 6], BROADCAST, [1, 0, 0x5e, 0, 0, 1]]
            .map(|source| wrap(&marked(BROADCAST, source, MARK)))
            .into();
        target.expect_drops(ours, "impossible sources", "invalid-source", &sources)?;
        let tagged = wrap(&frame::tagged(&marked(BROADCAST, INSIDE, MARK), 10));
        target.expect_drops(ours, "an inner VLAN tag", "inner-vlan", &[tagged])?;
        let group = [1, 0x80, 0xc2, 0, 0, 0];
        let group = wrap(&marked(group, INSIDE, MARK));
        target.expect_drops(ours, "a bridge's own group", "link-local-group", &[group])
    })
}
