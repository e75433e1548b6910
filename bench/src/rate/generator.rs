//! Making frames.

use std::time::Duration;

use anyhow::{Context, Result};
use aya::Pod;
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use overlay_testbed::Netns;

use super::abi::{Generator as State, Lane, TEMPLATES, Template};
use super::bpf::Object;
use super::frames::{self, Direction, Length};
use super::pin::pin;
use super::population::{self, Population};

// SAFETY: `repr(C)`, integers only, no padding.
unsafe impl Pod for State {}
// SAFETY: as above.
unsafe impl Pod for Lane {}
// SAFETY: as above.
unsafe impl Pod for Template {}

/// Invocations of a paced generator in one test run, most of which find that no
/// frame is due.
const STRETCH: u32 = 1 << 21;
const OUTWARDS: u32 = 0;
const INWARDS: u32 = 1;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where a generator's frames enter a chain.
pub struct Entrance<'a> {
    /// The access side's namespace.
    pub inside: &'a Netns,
    /// The underlay's.
    pub outside: &'a Netns,
    /// The device in both.
    pub interface: &'a str,
    /// MAC addresses of the gateway's uplink and of the next hop.
    pub macs: ([u8; 6], [u8; 6]),
    /// Frames that one batch of `BPF_PROG_TEST_RUN` holds.
    pub batch: u32,
}

/// What a generator has done.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Frames.
    pub frames: u64,
    /// How long it took, without the pauses of a paced generator.
    pub time: Duration,
}

/// Makes the frames of one direction, length and population.
pub struct Generator {
    object: Object,
    /// The longest.
    frame: Vec<u8>,
    batch: u32,
    initial: State,
}

impl Generator {
    /// Loads a generator.
    pub fn new(
        entrance: &Entrance<'_>,
        population: &Population,
        direction: Direction,
        length: Length,
    ) -> Result<Self> {
        let mut object = Object::new(&[])?;
        object.load_xdp("generate")?;
        object.set_device("EXIT", OUTWARDS, entrance.inside, entrance.interface)?;
        object.set_device("EXIT", INWARDS, entrance.outside, entrance.interface)?;
        let mut longest = Vec::new();
        for lane in lanes(direction) {
            let frames = of_lane(*lane, entrance, population, length);
            object.set("LANE", *lane, lane_of(*lane, population, frames.len()))?;
            for (index, frame) in (lane * TEMPLATES..).zip(&frames) {
                object.set("HEADERS", index, frames::template(frame))?;
            }
            let candidates = frames.into_iter().chain([longest]);
            longest = candidates.max_by_key(Vec::len).unwrap_or_default();
        }
        let initial = State {
            random: SEED,
            count: 0,
            lane: lanes(direction)[0],
            alternate: u32::from(direction == Direction::Both),
            interval: 0,
            due: 0,
            first: 0,
            last: 0,
        };
        Ok(Self { object, frame: longest, batch: entrance.batch, initial })
    }

    /// Sends `count` frames on one CPU as fast as the chain takes them.
    pub fn send(&mut self, netns: &Netns, cpu: usize, count: u32) -> Result<Sent> {
        self.object.set("GENERATOR", 0, self.initial)?;
        netns.enter(|| pin(cpu).and_then(|()| self.run(count)))??;
        self.sent()
    }

    /// Sends a frame every `interval` for `time`, with a pause at times.
    pub fn pace(
        &mut self,
        netns: &Netns,
        cpu: usize,
        interval: Duration,
        time: Duration,
    ) -> Result<Sent> {
        let interval = u64::try_from(interval.as_nanos()).context("the interval is too long")?;
        let mut state = State { interval, ..self.initial };
        let mut active = Duration::ZERO;
        while active < time {
            self.object.set("GENERATOR", 0, State { first: 0, ..state })?;
            netns.enter(|| pin(cpu).and_then(|()| self.run(STRETCH)))??;
            active += self.sent()?.time;
            state = self.object.get("GENERATOR", 0)?;
        }
        Ok(Sent { frames: state.count, time: active })
    }

    fn sent(&self) -> Result<Sent> {
        let state: State = self.object.get("GENERATOR", 0)?;
        let time = Duration::from_nanos(state.last - state.first);
        Ok(Sent { frames: state.count, time })
    }

    fn run(&self, count: u32) -> Result<()> {
        let program = self.object.ebpf().program("generate").context("no program generate")?;
        let program: &Xdp = program.try_into()?;
        let options = TestRunOptions {
            data_in: Some(&self.frame),
            repeat: count,
            attrs: TestRunAttrs::new().xdp_live_frames(self.batch),
            ..TestRunOptions::new()
        };
        program.test_run(options).context("BPF_PROG_TEST_RUN with live frames")?;
        Ok(())
    }
}

fn lanes(direction: Direction) -> &'static [u32] {
    match direction {
        Direction::Encap => &[OUTWARDS],
        Direction::Decap => &[INWARDS],
        Direction::Both => &[OUTWARDS, INWARDS],
    }
}

fn of_lane(
    lane: u32,
    entrance: &Entrance<'_>,
    population: &Population,
    length: Length,
) -> Vec<Vec<u8>> {
    let frame = |len| match lane {
        OUTWARDS => frames::outwards(population, len),
        _ => frames::inwards(entrance.macs, len),
    };
    length.choices().into_iter().map(frame).collect()
}

fn lane_of(lane: u32, population: &Population, templates: usize) -> Lane {
    let shape = match (lane, population.tagged) {
        (OUTWARDS, false) => Lane::PLAIN,
        (OUTWARDS, true) => Lane::TAGGED,
        _ => Lane::TUNNEL,
    };
    Lane {
        shape,
        templates: templates as u32,
        entries: population.entries,
        hosts: population.hosts(),
        vni: population::vni(0),
        vtep: population::vtep(0).to_bits(),
        segments: population.segments_each(),
        peers: population.peers_each(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use overlay_testbed::frame::{Tunnel, ipv4_checksum};
    use overlay_testbed::require_root;

    use super::*;
    use crate::rate::abi::{FLOWS, MAGIC};

    const SOME: Population = Population { entries: 500, peers: 50, segments: 20, tagged: true };
    const XDP_REDIRECT: u32 = 4;

    /// Frames of a generator, without a chain that they go through.
    fn frames(direction: Direction, length: Length, count: usize) -> Vec<Vec<u8>> {
        let netns = Netns::new("generator").unwrap();
        let macs = ([2, 9, 0, 0, 0, 1], [2, 9, 0, 0, 0, 2]);
        let ends = Entrance { inside: &netns, outside: &netns, interface: "lo", macs, batch: 64 };
        let mut generator = Generator::new(&ends, &SOME, direction, length).unwrap();
        generator.object.set("GENERATOR", 0, generator.initial).unwrap();
        let program = generator.object.ebpf().program("generate").unwrap();
        let program: &Xdp = program.try_into().unwrap();
        let frame = || {
            let mut bytes = vec![0; 2048];
            let run = program
                .test_run(TestRunOptions {
                    data_in: Some(&generator.frame),
                    data_out: Some(&mut bytes),
                    ..TestRunOptions::new()
                })
                .unwrap();
            assert_eq!(run.return_value, XDP_REDIRECT);
            bytes.truncate(run.data_size_out as usize);
            bytes
        };
        (0..count).map(|_| frame()).collect()
    }

    fn number(bytes: &[u8]) -> u32 {
        bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    /// The flow and the sequence number.
    fn stamp(frame: &[u8], offset: usize) -> (u32, u64) {
        let word = |at: usize| u32::from_ne_bytes(frame[at..at + 4].try_into().unwrap());
        assert_eq!(word(offset), MAGIC);
        let sequence = frame[offset + 8..offset + 16].try_into().unwrap();
        (word(offset + 4), u64::from_ne_bytes(sequence))
    }

    #[test]
    fn frames_outwards_are_tagged_for_the_segment_of_both_hosts() {
        if !require_root("rate_generator_outwards") {
            return;
        }
        let mut remotes = BTreeSet::new();
        for frame in frames(Direction::Encap, Length::Fixed(64), 2000) {
            assert_eq!(frame.len(), 68);
            let (remote, local) = (number(&frame[2..6]), number(&frame[8..12]));
            let segment = SOME.segment_of(remote);
            assert_eq!(frame[..6], population::remote(remote));
            assert_eq!(frame[6..12], population::local(local));
            assert!(SOME.hosts_of(segment).any(|host| host == local));
            assert_eq!(frame[12..14], [0x81, 0]);
            assert_eq!(Some(number(&frame[14..16])), SOME.vlan(segment));
            assert_eq!(ipv4_checksum(&frame[18..38]), 0);
            remotes.insert(remote);
        }
        assert!(remotes.len() > 450, "{} of 500", remotes.len());
    }

    #[test]
    fn frames_inwards_come_from_the_peer_and_in_the_segment_of_the_remote_host() {
        if !require_root("rate_generator_inwards") {
            return;
        }
        for frame in frames(Direction::Decap, Length::Fixed(128), 2000) {
            let (vni, inner) = Tunnel::unwrap(&frame).expect("VXLAN");
            let (local, remote) = (number(&inner[2..6]), number(&inner[8..12]));
            let segment = SOME.segment_of(remote);
            assert_eq!(inner.len(), 128);
            assert_eq!(inner[6..12], population::remote(remote));
            assert!(SOME.hosts_of(segment).any(|host| host == local));
            assert_eq!(vni, population::vni(segment));
            assert_eq!(frame[26..30], population::vtep(SOME.peer_of(remote)).octets());
            assert_eq!(ipv4_checksum(&frame[14..34]), 0, "outer");
            assert_eq!(ipv4_checksum(&inner[14..34]), 0, "inner");
        }
    }

    #[test]
    fn each_flow_counts_its_frames_in_both_directions() {
        if !require_root("rate_generator_flows") {
            return;
        }
        let frames = frames(Direction::Both, Length::Imix, 4 * FLOWS as usize);
        let mut seen = [const { BTreeSet::new() }; 2];
        for (index, frame) in frames.iter().enumerate() {
            let (lane, offset) =
                (index % 2, [frames::stamp_in_plain(&SOME), frames::stamp_in_tunnel()][index % 2]);
            let (flow, sequence) = stamp(frame, offset);
            assert_eq!(sequence, (index as u64 / 2) / FLOWS + 1);
            assert!(seen[lane].insert((flow, sequence)), "flow {flow}, frame {sequence} twice");
        }
        let lengths: BTreeSet<_> = frames.iter().step_by(2).map(Vec::len).collect();
        assert_eq!(lengths, BTreeSet::from([68, 580, 1404]));
    }
}
