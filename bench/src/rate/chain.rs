//! Generator, gateway and sink: three namespaces in a row.

use std::time::Duration;

use anyhow::{Context, Result};
use overlay_testbed::{Gateway, Netns, mac_of, set_mtu, veth};

use super::frames::{self, Direction, Length};
use super::generator::{Entrance, Generator, Sent};
use super::plane::{ACCESS, Plane, Running, Sight, Site, UPLINK};
use super::population::Population;
use super::sink::{Counts, Sink, Watch};
use crate::run::Setup;

/// The device of both ends.
const END: &str = "eth0";
/// The way to all peers, an address on the uplink's link.
pub const NEXT_HOP: &str = "192.0.2.2";
/// The VTEPs of all peers.
pub const PEERS: &str = "198.18.0.0/15";
const VTEP: &str = "192.0.2.1";
const _: () = assert!(frames::VTEP[0] == 192 && frames::VTEP[3] == 1, "as `VTEP` says");
/// What is left in queues when the generator stops.
const DRAIN: Duration = Duration::from_millis(5);

/// A data plane with a generator and a sink at either side, ready to be measured.
pub struct Chain {
    /// What is measured.
    pub plane: Plane,
    /// Who is around it.
    pub population: Population,
    macs: ([u8; 6], [u8; 6]),
    sinks: [Sink; 2],
    running: Box<dyn Running>,
    inside: Netns,
    outside: Netns,
    gateway: Gateway,
}

/// What went through a chain.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// What the generator did.
    pub sent: Sent,
    /// What the sinks counted.
    pub arrived: Counts,
}

impl Passed {
    /// Frames a second that got through.
    pub fn rate(&self) -> f64 {
        self.arrived.received as f64 / self.sent.time.as_secs_f64()
    }

    /// Frames that did not.
    pub fn lost(&self) -> u64 {
        (self.sent.frames + self.arrived.duplicated).saturating_sub(self.arrived.received)
    }
}

impl Chain {
    /// Builds a chain around `plane`, with sinks that look at sequence numbers if
    /// `order` says so.
    pub fn new(plane: Plane, population: Population, setup: &Setup, order: bool) -> Result<Self> {
        let gateway = Gateway::new("gw", VTEP)?;
        let (inside, outside) = (Netns::new("inside")?, Netns::new("outside")?);
        veth(&gateway.netns, UPLINK, &outside, END)?;
        veth(&gateway.netns, ACCESS, &inside, END)?;
        let macs = underlay(&gateway.netns, &outside)?;
        // Before the gateway, which looks whether its far ends take frames.
        let sinks = sinks(plane, &population, order, [&inside, &outside])?;
        let site = Site {
            gateway: &gateway,
            population: &population,
            overlay: &setup.overlay,
            cpu: setup.cpu,
            features: setup.features,
            macs,
        };
        let running = plane.start(&site).with_context(|| plane.name())?;
        Ok(Self { plane, population, macs, sinks, running, inside, outside, gateway })
    }

    /// A generator for this chain.
    pub fn generator(&self, direction: Direction, length: Length) -> Result<Generator> {
        let entrance = Entrance {
            inside: &self.inside,
            outside: &self.outside,
            interface: END,
            macs: self.macs,
            batch: self.plane.batch(),
        };
        Generator::new(&entrance, &self.population, direction, length)
    }

    /// Sends `count` frames as fast as the chain takes them.
    pub fn send(&self, generator: &mut Generator, cpu: usize, count: u32) -> Result<Passed> {
        self.observe(|| generator.send(&self.inside, cpu, count))
    }

    /// Sends a frame every `interval` for `time`.
    pub fn pace(
        &mut self,
        generator: &mut Generator,
        cpu: usize,
        interval: Duration,
        time: Duration,
    ) -> Result<Passed> {
        for sink in &mut self.sinks {
            sink.forget_flows()?;
        }
        self.observe(|| generator.pace(&self.inside, cpu, interval, time))
    }

    /// Frames that the gateway says it has dropped so far, where it says so.
    pub fn dropped(&self) -> Result<Option<u64>> {
        self.running.dropped(&self.gateway)
    }

    /// Does something while somebody looks at the gateway, and sees to it that nobody does
    /// afterwards.
    pub fn seen<T>(&self, act: impl FnOnce(&Sight) -> Result<T>) -> Result<T> {
        let sight = self.running.see(&self.gateway)?;
        let done = act(&sight);
        self.running.see_no_more(sight)?;
        done
    }

    fn observe(&self, send: impl FnOnce() -> Result<Sent>) -> Result<Passed> {
        let before = self.arrived()?;
        let sent = send()?;
        std::thread::sleep(DRAIN);
        Ok(Passed { sent, arrived: self.arrived()?.since(before) })
    }

    fn arrived(&self) -> Result<Counts> {
        let [inside, outside] = &self.sinks;
        Ok(inside.counts()?.plus(outside.counts()?))
    }
}

/// Gives the underlay its addresses, and the gateway its way to the peers. Returns
/// the MAC addresses of the gateway's uplink and of the next hop.
fn underlay(gateway: &Netns, outside: &Netns) -> Result<([u8; 6], [u8; 6])> {
    set_mtu(gateway, UPLINK, 1600)?;
    set_mtu(outside, END, 1600)?;
    gateway.exec(&format!("ip addr add {VTEP}/24 dev {UPLINK}"))?;
    outside.exec(&format!("ip addr add {NEXT_HOP}/24 dev {END}"))?;
    gateway.exec(&format!("ip route add {PEERS} via {NEXT_HOP}"))?;
    let macs = (mac_of(gateway, UPLINK)?, mac_of(outside, END)?);
    let next_hop = super::population::text(macs.1);
    gateway.exec(&format!(
        "ip neigh replace {NEXT_HOP} lladdr {next_hop} dev {UPLINK} nud permanent"
    ))?;
    Ok(macs)
}

/// One for each side.
fn sinks(
    plane: Plane,
    population: &Population,
    order: bool,
    [inside, outside]: [&Netns; 2],
) -> Result<[Sink; 2]> {
    let (plain, tunnel) = (frames::stamp_in_plain(population), frames::stamp_in_tunnel());
    let (delivered, encapsulated) =
        if plane.is_untouched() { (tunnel, plain) } else { (plain, tunnel) };
    let watch = |stamp| Watch { stamp, xdp: plane.is_xdp(), order };
    Ok([Sink::new(inside, END, watch(delivered))?, Sink::new(outside, END, watch(encapsulated))?])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use overlay_testbed::require_root;

    use super::*;
    use crate::rate::abi::PATIENCE;

    const CPU: usize = 0;

    fn setup() -> Setup {
        let (overlay, time) = (PathBuf::new(), Duration::ZERO);
        Setup { overlay, cpu: CPU, quick: true, features: false, time }
    }

    #[test]
    fn frames_cross_the_planes_that_need_no_daemon_of_ours_in_both_directions() {
        if !require_root("rate_chain") {
            return;
        }
        let ours = |plane: &Plane| plane.name().starts_with("overlay");
        for plane in Plane::available().into_iter().filter(|plane| !ours(plane)) {
            let chain = Chain::new(plane, Population::ONE, &setup(), true).unwrap();
            for direction in Direction::SINGLE {
                let mut generator = chain.generator(direction, Length::Imix).unwrap();
                let passed = chain.send(&mut generator, CPU, 640).unwrap();
                assert_eq!(passed.sent.frames, 640);
                let (received, name) = (passed.arrived.received, plane.name());
                assert!(received > 320, "{name} {}: {received} of 640", direction.name());
            }
        }
    }

    #[test]
    fn a_paced_generator_sends_no_more_than_is_due() {
        if !require_root("rate_pace") {
            return;
        }
        const INTERVAL: Duration = Duration::from_micros(20);
        let mut chain = Chain::new(Plane::Redirect, Population::ONE, &setup(), true).unwrap();
        let mut generator = chain.generator(Direction::Both, Length::Fixed(64)).unwrap();
        let passed = chain.pace(&mut generator, CPU, INTERVAL, Duration::from_millis(1)).unwrap();
        let late = Duration::from_nanos(PATIENCE);
        let due = (passed.sent.time + late).as_nanos() / INTERVAL.as_nanos() + 1;
        assert!(u128::from(passed.sent.frames) <= due, "{} of {due}", passed.sent.frames);
        assert!(passed.arrived.received > 0);
        assert_eq!((passed.arrived.duplicated, passed.arrived.reordered), (0, 0));
    }
}
