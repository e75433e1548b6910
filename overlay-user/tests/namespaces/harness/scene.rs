//! A gateway with something to see: traffic across, peers that are not there, and drops.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use overlay_testbed::{Process, TwoGateways};

use super::Overlay;

/// Peers that nobody is: one without a next hop that answers, one without a route.
const ABSENT: [(&str, &str); 2] = [("lyon", "192.0.2.77"), ("oslo", "198.51.100.9")];
/// A tunnel's packet for a VNI that nobody has: a VXLAN header with it and an Ethernet frame.
const STRAY_VNI: [u8; 3] = [0, 3, 231];
const BETWEEN_STRAYS: Duration = Duration::from_millis(10);

/// The running gateways with their traffic.
pub struct Scene<'t> {
    /// The gateway that is looked at; its peer `paris` is the other.
    pub ours: Overlay<'t>,
    _other: Overlay<'t>,
    _ping: Process,
    _strays: Strays,
}

impl<'t> Scene<'t> {
    /// Starts everything. `more` is added to the configuration.
    pub fn start(testbed: &'t TwoGateways, more: &str) -> Result<Self> {
        let (gw1, gw2) = (&testbed.gw1, &testbed.gw2);
        let mut peers = vec![("paris", gw2.vtep)];
        peers.extend(ABSENT);
        let config = gw1.config("tc", "tc", &peers);
        let green = "\n[[segment]]\nname = \"green\"\nvni = 200\n\n[[segment.port]]\n\
                     interface = \"eth1\"\nvlan = 20\nmode = \"tc\"\n";
        let ours = Overlay::start(&gw1.netns, &gw1.name, &format!("{config}{green}\n{more}"))?;
        let config = gw2.config("tc", "tc", &[("berlin", gw1.vtep)]);
        let other = Overlay::start(&gw2.netns, &gw2.name, &config)?;
        other.wait_for_peers()?;
        // Some hundred packets a second each way.
        let mut ping = testbed.host1.command("ping");
        ping.args(["-q", "-i", "0.002", "-s", "1000", TwoGateways::HOST2]);
        let strays = Strays::start(testbed)?;
        let ping = Process::spawn(&mut ping)?;
        Ok(Self { ours, _other: other, _ping: ping, _strays: strays })
    }
}

/// Packets of a peer for a VNI that the gateway does not know, until dropped.
struct Strays {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Strays {
    fn start(testbed: &TwoGateways) -> Result<Self> {
        let socket = testbed.gw2.netns.enter(|| UdpSocket::bind((TwoGateways::VTEP2, 0)))??;
        socket.connect((TwoGateways::VTEP1, 4789)).context("the other gateway")?;
        let [a, b, c] = STRAY_VNI;
        let mut packet = vec![8, 0, 0, 0, a, b, c, 0];
        packet.extend(super::marked([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], "stray"));
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                // A refusal is the gateway's own, for a moment while it restarts.
                let _ = socket.send(&packet);
                std::thread::sleep(BETWEEN_STRAYS);
            }
        });
        Ok(Self { ended, thread: Some(thread) })
    }
}

impl Drop for Strays {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
