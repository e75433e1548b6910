//! A gateway with one device: the underlay's frames are untagged there, those of its hosts
//! tagged, and both come from one switch.
//!
//! ```text
//!  gw1 eth0 ═══ trunk ┐            ┌ vlan 10 ─── host1 10.0.0.1
//!                     ├── switch ──┤
//!  gw2 eth0 ═══ untagged           └ vlan 20 ─── other 10.0.20.2
//!  gw2 eth1 ─── host2 10.0.0.2
//! ```

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::frame::{self, Tunnel};
use overlay_testbed::{
    Gateway, Netns, Offloads, RawSocket, TwoGateways, is_emulated, mac_of, require_root,
    require_tools, set_mtu, set_offloads, veth, wait_until,
};
use serde_json::Value;

use crate::devices::Tap;
use crate::harness::{
    Overlay, arp, has_feature, hook_of, http_download, marked, octets, ping, stream, tcp, udp_sizes,
};
use crate::watch::{frames, watch};

const TOOLS: &[&str] = &["iperf3", "curl", "python3", "bridge", "ping", "ethtool"];
const SOON: Duration = Duration::from_secs(2);
const HOST1: &str = "10.0.0.1";
const HOST2: &str = "10.0.0.2";

/// The switch's ports, and the VLAN of those whose frames are untagged.
const PORTS: [(&str, u16); 4] = [("trunk", 0), ("gw2", 0), ("h1", 10), ("h3", 20)];

/// The devices of the picture. The switch is the kernel's VLAN-aware bridge, where there is
/// one.
pub struct OneSwitch {
    pub gw1: Gateway,
    gw2: Gateway,
    pub switch: Netns,
    host1: Netns,
    host2: Netns,
    pub other: Netns,
    relay: Option<Relay>,
}

impl OneSwitch {
    pub fn new() -> Result<Self> {
        let gw1 = Gateway::new("gw1", TwoGateways::VTEP1)?;
        let gw2 = Gateway::new("gw2", TwoGateways::VTEP2)?;
        let [switch, host1, host2, other] = ["switch", "host1", "host2", "other"].map(Netns::new);
        let (switch, host1, host2, other) = (switch?, host1?, host2?, other?);
        for (port, netns) in PORTS.into_iter().zip([&gw1.netns, &gw2.netns, &host1, &other]) {
            veth(&switch, port.0, netns, "eth0")?;
        }
        // Frames that XDP sends back arrive where the far end polls.
        set_offloads(&switch, "trunk", Offloads { gro: Some(true), ..Offloads::default() })?;
        let has_bridge = switch.exec("ip link add br0 type bridge vlan_filtering 1").is_ok();
        let relay = if has_bridge { None } else { Some(Relay::start(&switch)?) };
        if has_bridge {
            bridge(&switch)?;
        }
        // Tags are among the bytes, as on a wire.
        switch.exec("ethtool -K trunk txvlan off")?;
        for (netns, device) in
            [(&switch, "trunk"), (&switch, "gw2"), (&gw1.netns, "eth0"), (&gw2.netns, "eth0")]
        {
            set_mtu(netns, device, TwoGateways::UNDERLAY_MTU)?;
        }
        for gateway in [&gw1, &gw2] {
            gateway.add_address("eth0")?;
            let gro = Offloads { gro: Some(true), ..Offloads::default() };
            set_offloads(&gateway.netns, "eth0", gro)?;
        }
        veth(&gw2.netns, "eth1", &host2, "eth0")?;
        for (host, address) in [(&host1, HOST1), (&host2, HOST2), (&other, "10.0.20.2")] {
            host.exec(&format!("ip addr add {address}/24 dev eth0"))?;
            // Checksums that are left to the device do not survive a way through XDP.
            let plain = Offloads { tx: Some(false), gro: Some(true), ..Offloads::default() };
            set_offloads(host, "eth0", plain)?;
        }
        gw2.bridge_vxlan(TwoGateways::VNI, &[TwoGateways::VTEP1])?;
        Ok(Self { gw1, gw2, switch, host1, host2, other, relay })
    }

    pub fn config(&self, mode: &str) -> String {
        let config = self.gw1.config(mode, mode, &[("kernel", TwoGateways::VTEP2)]);
        config.replacen("interface = \"eth1\"", "interface = \"eth0\"\nvlan = 10", 1)
    }

    pub fn start(&self, mode: &str) -> Result<Overlay<'_>> {
        let ours = Overlay::start(&self.gw1.netns, &self.gw1.name, &self.config(mode))?;
        ours.wait_for_peers()?;
        Ok(ours)
    }
}

#[test]
fn a_gateway_with_one_device() -> Result<()> {
    on_each_hook("a_gateway_with_one_device", |bed, mode| {
        let ours = bed.start(mode)?;
        let ports = ours.show("ports")?;
        let shown: Vec<_> = ports
            .iter()
            .map(|p| {
                (
                    p["interface"].as_str(),
                    p["role"].as_str(),
                    p["vlan"].as_u64(),
                    p["hook"].as_str(),
                )
            })
            .collect();
        let eth0 = Some("eth0");
        let wanted = [
            (eth0, Some("uplink"), None, Some(hook_of(mode))),
            (eth0, Some("access"), Some(10), Some(hook_of(mode))),
        ];
        ensure!(shown == wanted, "{ports:?}");

        for (from, to, address) in
            [(&bed.host1, &bed.host2, HOST2), (&bed.host2, &bed.host1, HOST1)]
        {
            arp(from, to, address)?;
            udp_sizes(from, (to, address))?;
            http_download(from, (to, address))?;
        }
        let before = redirected(&bed.gw1.netns)?;
        ping(&bed.host1, HOST2)?;
        // Ten requests and ten answers. A veth sends nothing back by XDP_TX; where it cannot be
        // probed, XDP sends nothing there at all.
        let sent = redirected(&bed.gw1.netns)? - before;
        let by_xdp = match mode {
            "xdp" => has_feature(&bed.gw1.netns, "live-frames")?,
            mode => mode == "user-xdp",
        };
        let is_right = if by_xdp { sent >= 20 } else { sent == 0 };
        ensure!(is_right, "{sent} frames were redirected by XDP\n{}", ours.log());
        match &bed.relay {
            None => tcp(&bed.host1, (&bed.host2, HOST2))?,
            Some(_) => stream(&bed.host1, &bed.host2, &format!("{HOST2}:4000"), 2 << 20, SOON)?,
        }
        ensure!(ours.drops()?.is_empty(), "{:?}", ours.drops());
        Ok(())
    })
}

/// What is told of a frame as it goes on was told of the same as it came in, also where others
/// between them are the node's own.
#[test]
fn a_trace_on_one_device_tells_of_one_frame_at_a_time() -> Result<()> {
    on_each_hook("a_trace_on_one_device_tells_of_one_frame_at_a_time", |bed, mode| {
        let ours = bed.start(mode)?;
        ping(&bed.host1, HOST2)?;
        let mac = mac_of(&bed.gw1.netns, "eth0")?;
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        bed.other.exec(&format!("ip neigh add 10.0.20.9 lladdr {mac} dev eth0"))?;
        let trace = watch(&ours, &bed.gw1, &["trace", "--json", "icmp"])?;
        for _ in 0..10 {
            // In a VLAN that is no segment's; nobody answers.
            let _ = bed.other.exec("ping -c 1 -W 0.01 10.0.20.9");
            bed.host1.exec(&format!("ping -c 1 -W 1 {HOST2}"))?;
        }
        let is_hosts = |form: &Value| {
            let ends = ["0a000001", "0a000002"];
            form["hex"].as_str().is_some_and(|hex| ends.iter().all(|end| hex.contains(end)))
        };
        let sent = |frames: &[Value]| frames.iter().filter(|f| is_hosts(&f["after"])).count();
        let told = wait_until("ten requests and ten answers", SOON, || {
            Some(frames(&trace)).filter(|frames| sent(frames) == 20)
        })
        .with_context(|| trace.output())?;
        for frame in told {
            let of_hosts = ["before", "after"].map(|form| is_hosts(&frame[form]));
            ensure!(of_hosts == [true; 2] || frame["after"].is_null(), "{frame}");
        }
        Ok(())
    })
}

/// Untagged frames that are no tunnel's, and VLANs that are no segment's.
#[test]
fn what_one_device_has_beside_the_overlay_is_the_hosts() -> Result<()> {
    on_each_hook("what_one_device_has_beside_the_overlay_is_the_hosts", |bed, mode| {
        let ours = bed.start(mode)?;
        let (gateway, switch) = (&bed.gw1.netns, &bed.switch);
        ping(&bed.gw2.netns, TwoGateways::VTEP1)?;
        ping(gateway, TwoGateways::VTEP2)?;

        // A priority tag is the host's to take off: it answers.
        let trunk = RawSocket::open(switch, "trunk")?;
        let (own, peer) = (mac_of(gateway, "eth0")?, mac_of(&bed.gw2.netns, "eth0")?);
        let [vtep1, vtep2] = [TwoGateways::VTEP1, TwoGateways::VTEP2].map(octets);
        let question = frame::arp_request(peer, vtep2, vtep1);
        trunk.send(&frame::tagged(&question, 5 << 13))?;
        let is_answer = |f: &[u8]| f[6..12] == own && f[12..14] == [8, 6] && f[20..22] == [0, 2];
        ensure!(trunk.find(SOON, is_answer)?.is_some(), "no answer to a priority-tagged question");

        // VLAN 20 comes to the host's stack, which shows what XDP passes on.
        let host = RawSocket::open(gateway, "eth0")?;
        bed.other.exec("ping -n -q -c 1 -W 1 10.0.20.1").err().context("somebody answered")?;
        let asks = |f: &[u8]| f[12..18] == [0x81, 0, 0, 20, 8, 6];
        ensure!(host.find(SOON, asks)?.is_some(), "VLAN 20 did not pass");
        if is_emulated() {
            // Guests have devices of VLANs.
            gateway.exec("ip link add link eth0 name eth0.20 type vlan id 20")?;
            gateway.exec("ip addr add 10.0.20.1/24 dev eth0.20")?;
            gateway.exec("ip link set eth0.20 up")?;
            ping(&bed.other, "10.0.20.1")?;
        }
        ensure!(ours.drops()?.is_empty(), "{:?}", ours.drops());
        Ok(())
    })
}

/// A device that sends back by `XDP_TX`, as one that faces a wire does.
#[test]
fn a_tap_that_is_both() -> Result<()> {
    const VM: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const FAR: [u8; 6] = [2, 0, 0, 0, 2, 2];
    const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];
    if !require_root("a_tap_that_is_both") {
        return Ok(());
    }
    for mode in ["tc", "xdp", "user"] {
        let gateway = Gateway::new("gw1", TwoGateways::VTEP1)?;
        let netns = &gateway.netns;
        let mut tap = Tap::new(netns, "tap0")?;
        set_mtu(netns, "tap0", TwoGateways::UNDERLAY_MTU)?;
        gateway.add_address("tap0")?;
        let router = "02:00:00:00:00:fe";
        netns.exec(&format!("ip neigh add 192.0.2.2 lladdr {router} dev tap0 nud permanent"))?;
        let config = gateway.config(mode, mode, &[("far", TwoGateways::VTEP2)]);
        let config = config.replace("\"eth0\"", "\"tap0\"").replacen(
            "interface = \"eth1\"",
            "interface = \"tap0\"\nvlan = 10\nprotocol = \"802.1ad\"",
            1,
        );
        let fdb = "[[segment.fdb]]\nmac = \"02:00:00:00:02:02\"\npeer = \"far\"\n\n[[peer]]";
        let ours = Overlay::start(netns, &gateway.name, &config.replacen("[[peer]]", fdb, 1))?;
        ours.wait_for_peers()?;

        let inner = marked(FAR, VM, "outwards");
        tap.0.write_all(&frame::service_tagged(&inner, 10))?;
        let outer =
            tap.receive("outwards")?.with_context(|| format!("{mode}: {:?}", ours.drops()))?;
        ensure!(Tunnel::unwrap(&outer) == Some((TwoGateways::VNI, &inner[..])), "{outer:02x?}");
        ours.wait_for_mac("blue", VM, "tap0")?;

        let inner = marked(VM, FAR, "inwards");
        let tunnel = Tunnel {
            macs: (mac_of(netns, "tap0")?, ROUTER),
            src: octets(TwoGateways::VTEP2),
            dst: octets(TwoGateways::VTEP1),
            vni: TwoGateways::VNI,
        };
        tap.0.write_all(&tunnel.wrap(&inner))?;
        let found = tap.receive("inwards")?;
        ensure!(found == Some(frame::service_tagged(&inner, 10)), "{mode}: {found:02x?}");
        ensure!(ours.drops()?.is_empty(), "{:?}", ours.drops());
    }
    Ok(())
}

/// The device becomes one-armed, and an uplink again, while traffic runs.
#[test]
fn a_device_becomes_one_armed_in_a_reload() -> Result<()> {
    on_each_hook("a_device_becomes_one_armed_in_a_reload", |bed, mode| {
        let with_port = bed.config(mode);
        let start = with_port.find("[[segment.port]]").context("no port")?;
        let end = with_port[start..].find("[[peer]]").context("no peer")? + start;
        let without = format!("{}{}", &with_port[..start], &with_port[end..]);
        let ours = Overlay::start(&bed.gw1.netns, &bed.gw1.name, &without)?;
        ours.wait_for_peers()?;
        ensure!(ping(&bed.host1, HOST2).is_err(), "there is no port yet");
        for (config, works) in [(&with_port, true), (&without, false), (&with_port, true)] {
            ours.reload(config)?;
            wait_until("change", 3 * SOON, || {
                (crate::harness::answers(&bed.host1, HOST2) == works).then_some(())
            })
            .with_context(|| format!("port: {works}\n{}", ours.log()))?;
            ping(&bed.gw2.netns, TwoGateways::VTEP1)?;
        }
        Ok(())
    })
}

/// Makes the ports those of the bridge.
fn bridge(switch: &Netns) -> Result<()> {
    switch.exec("ip link set br0 up")?;
    for (port, vlan) in PORTS {
        switch.exec(&format!("ip link set {port} master br0"))?;
        if vlan != 0 {
            switch.exec(&format!("bridge vlan del dev {port} vid 1"))?;
            switch.exec(&format!("bridge vlan add dev {port} vid {vlan} pvid untagged"))?;
            switch.exec(&format!("bridge vlan add dev trunk vid {vlan}"))?;
        }
    }
    Ok(())
}

/// A switch for kernels whose bridge knows no VLANs: it carries frames between the trunk and
/// the other ports, and tags them.
struct Relay {
    done: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Relay {
    fn start(switch: &Netns) -> Result<Self> {
        let mut relay = Self { done: Arc::default(), threads: Vec::new() };
        let [trunk, others @ ..] = PORTS;
        let open = |port: &str| RawSocket::open(switch, port);
        for (port, vlan) in others {
            let (from, to) = (open(port)?, open(trunk.0)?);
            relay.carry(from, move |frame| {
                let tagged = if vlan == 0 { frame.to_vec() } else { frame::tagged(frame, vlan) };
                to.send(&tagged)
            });
        }
        let outs = others.map(|(port, vlan)| Ok::<_, anyhow::Error>((open(port)?, vlan)));
        let outs: Vec<(RawSocket, u16)> = outs.into_iter().collect::<Result<_>>()?;
        relay.carry(open(trunk.0)?, move |frame| {
            let vlan = match frame[12..16] {
                [0x81, 0, high, low] => u16::from_be_bytes([high & 0x0f, low]),
                _ => 0,
            };
            let plain =
                if vlan == 0 { frame.to_vec() } else { [&frame[..12], &frame[16..]].concat() };
            outs.iter().filter(|out| out.1 == vlan).try_for_each(|out| out.0.send(&plain))
        });
        Ok(relay)
    }

    fn carry(&mut self, from: RawSocket, to: impl Fn(&[u8]) -> Result<()> + Send + 'static) {
        let done = Arc::clone(&self.done);
        self.threads.push(std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let Some(frame) = from.receive(Duration::from_millis(50))? else { continue };
                if let Err(error) = to(&frame.bytes) {
                    eprintln!("relay: {} bytes: {error:#}", frame.bytes.len());
                }
            }
            Ok(())
        }));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Ports go away with their namespaces.
            let _ = thread.join();
        }
    }
}

fn on_each_hook(name: &str, check: impl Fn(&OneSwitch, &str) -> Result<()>) -> Result<()> {
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for mode in ["tc", "xdp", "user", "user-xdp"] {
        let bed = OneSwitch::new()?;
        check(&bed, mode).with_context(|| format!("the device on {mode}"))?;
    }
    Ok(())
}

/// Frames that came in on the device and that XDP redirected.
fn redirected(netns: &Netns) -> Result<u64> {
    let statistics = netns.exec("ethtool -S eth0")?;
    let values = statistics.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once(": ")?;
        (name.starts_with("rx_") && name.ends_with("xdp_redirect")).then(|| value.parse::<u64>())
    });
    values.map(|value| Ok(value?)).sum()
}
