//! Generator, gateway and sink: three namespaces in a row.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{Gateway, Netns, mac_of, set_mtu, veth};

use crate::ends::{Generator, Sink};
use crate::frames::{self, PEER, PLAIN_LEN, TUNNEL_LEN, VTEP};
use crate::plane::{ACCESS, Direction, Plane, Running, UPLINK};

/// The device of both ends.
const END: &str = "eth0";
/// Frames that show whether a chain works at all.
const TRIAL: u32 = 6400;
/// What is left in queues when the generator stops.
const DRAIN: Duration = Duration::from_millis(5);

/// A data plane between a generator and a sink, ready to be measured.
pub struct Chain {
    /// What is measured.
    pub plane: Plane,
    generator: Generator,
    sink: Sink,
    source: Netns,
    // Ends before the namespaces that it lives in.
    _running: Running,
    _sink_netns: Netns,
    _gateway: Gateway,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Frames that the generator made.
    pub sent: u64,
    /// Frames that reached the sink.
    pub received: u64,
    /// How long it took.
    pub time: Duration,
}

impl Sample {
    /// Frames a second that got through.
    pub fn rate(&self) -> f64 {
        self.received as f64 / self.time.as_secs_f64()
    }
}

impl Chain {
    /// Builds a chain around `plane` and sees that frames get through.
    pub fn new(plane: Plane, overlay: &Path, cpu: usize) -> Result<Self> {
        let gateway = Gateway::new("gw", VTEP)?;
        let (inside, outside) = (Netns::new("inside")?, Netns::new("outside")?);
        veth(&gateway.netns, UPLINK, &outside, END)?;
        veth(&gateway.netns, ACCESS, &inside, END)?;
        set_mtu(&gateway.netns, UPLINK, 1600)?;
        set_mtu(&outside, END, 1600)?;
        gateway.netns.exec(&format!("ip addr add {VTEP}/24 dev {UPLINK}"))?;
        outside.exec(&format!("ip addr add {PEER}/24 dev {END}"))?;
        let macs = (mac_of(&gateway.netns, UPLINK)?, mac_of(&outside, END)?);
        let (source, sink_netns, frame, len) = match plane.direction() {
            None => (inside, outside, frames::outwards(), PLAIN_LEN),
            Some(Direction::Encap) => (inside, outside, frames::outwards(), TUNNEL_LEN),
            Some(Direction::Decap) => (outside, inside, frames::inwards(macs), PLAIN_LEN),
        };
        // Before the gateway, which looks whether its far ends take frames.
        let sink = Sink::new(&sink_netns, END, len, plane.is_xdp())?;
        let generator = Generator::new(&source, END, frame)?;
        let running = plane.start(&gateway, overlay).with_context(|| plane.name())?;
        let chain = Self {
            plane,
            generator,
            sink,
            source,
            _running: running,
            _sink_netns: sink_netns,
            _gateway: gateway,
        };
        let trial = chain.measure(cpu, TRIAL)?;
        ensure!(
            trial.received * 2 > trial.sent,
            "{}: of {} frames only {} got through",
            plane.name(),
            trial.sent,
            trial.received
        );
        Ok(chain)
    }

    /// Sends `count` frames.
    pub fn measure(&self, cpu: usize, count: u32) -> Result<Sample> {
        let before = self.sink.received()?;
        let time = self.generator.run(&self.source, cpu, count)?;
        std::thread::sleep(DRAIN);
        let received = self.sink.received()? - before;
        Ok(Sample { sent: u64::from(count), received, time })
    }
}
