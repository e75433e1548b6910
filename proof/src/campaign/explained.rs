//! What explains frames against the path itself: the same frames over the same tables have the
//! same end, byte for byte, and whatever is explained leaves no trace in the tables.

use anyhow::{Context as _, Result, ensure};
use overlay_common::abi::{Hook, PolicerKey, Punt};
use overlay_common::path::{Ingress, from_access, from_underlay, one_armed};
use overlay_common::verdict::{DropReason, Verdict};
use overlay_control::action::Action;
use overlay_control::controller::Role;
use overlay_control::explain::{Capture, Live, Outcome, Ran, carry, explain};
use overlay_control::frame::HostFrame;
use overlay_control::sample::Devices;
use overlay_control::tables::TableSet;

use super::frames;
use super::said::hex;
use super::seed::Seed;
use super::world::World;
use crate::vector::{Direction, Vector};

/// Frames that meet the same tables.
const FRAMES: u64 = 64;
/// Kinds of numbers that follow from a seed.
const KINDS: [u64; 2] = [11, 12];
/// Late enough for every limit to be open, and not so late that none is shut.
const NOW: u64 = 1_000_000_000;

/// How often each end was met, so that a test may ask for all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Met {
    /// By [`Outcome`].
    pub ends: [u64; 8],
    /// Frames that left.
    pub sent: u64,
    /// Frames that user space was handed.
    pub punts: u64,
}

/// What the path itself did.
struct Plain {
    result: Result<Verdict, DropReason>,
    sent: Vec<(u32, Vec<u8>)>,
    punts: Vec<(Punt, Vec<u8>)>,
}

/// Compares so many frames, which follow from a seed.
///
/// # Errors
///
/// A frame that is explained to have another end than it has, or whose explanation changed
/// something.
pub fn compare(seed: u64, count: u64) -> Result<Met> {
    let mut met = Met::default();
    for number in 0..count {
        let table = number / FRAMES;
        let world = World::new(&mut Seed::new(seed, KINDS[0], table), &Devices::default());
        let vector = frames::frame(&mut Seed::new(seed, KINDS[1], number), &world);
        for hook in [Hook::Xdp, Hook::Tc, Hook::User] {
            one(&world, &vector, hook, &mut met).with_context(|| {
                let name = hook.name();
                format!("frame {number} of seed {seed} at {name}: {}", hex(&vector.frame))
            })?;
        }
    }
    Ok(met)
}

fn one(world: &World, vector: &Vector, hook: Hook, met: &mut Met) -> Result<()> {
    let tables = filled(&world.actions, hook);
    let live = Live { tables: &tables, controller: None, now: NOW, levels: &|_: &PolicerKey| None };
    let role = match vector.direction {
        Direction::FromAccess => Role::Access,
        Direction::FromUnderlay => Role::Uplink,
        Direction::OneArmed => Role::OneArmed,
    };
    let capture = Capture {
        stripped_vlan: vector.given.stripped_vlan,
        gso_size: vector.given.gso_size,
        ..Capture::new(&vector.frame, world.ingress, role, hook)
    };
    let before = format!("{tables:?}");
    let ran = carry(&capture, &live);
    let told = explain(&capture, &live);
    ensure!(format!("{tables:?}") == before, "the tables have changed");
    agrees(&ran, &tables, vector, world.ingress, hook, met)?;
    met.ends[told.outcome as usize] += 1;
    let is_dropped = ran.decisive().is_some_and(|pass| pass.result.is_err());
    ensure!(!is_dropped || told.outcome == Outcome::Drop, "told otherwise: {told:#?}");
    ensure!(!told.cause.is_empty(), "nothing is told");
    ensure!(told.reason.is_none() || told.fix.is_some(), "no fix: {told:#?}");
    ensure!(told.outputs.len() == ran.sent().count(), "other frames are told of: {told:#?}");
    Ok(())
}

/// Runs the path itself, which leaves its traces, and compares.
fn agrees(
    ran: &Ran,
    tables: &TableSet,
    vector: &Vector,
    ingress: u32,
    hook: Hook,
    met: &mut Met,
) -> Result<()> {
    let mut passes = ran.passes.iter();
    let mut hooks = vec![hook];
    if hook == Hook::Xdp {
        hooks.push(Hook::Tc);
    }
    for hook in hooks {
        let plain = match hook {
            Hook::Xdp => run::<false>(tables, vector, ingress, hook),
            _ => run::<true>(tables, vector, ingress, hook),
        };
        let pass = passes.next().context("a run is missing")?;
        ensure!(pass.result == plain.result, "{:?} is told, {:?} is so", pass.result, plain.result);
        let sent: Vec<(u32, Vec<u8>)> =
            pass.sent.iter().map(|sent| (sent.egress.ifindex, sent.bytes.clone())).collect();
        ensure!(sent == plain.sent, "{sent:02x?} is told to leave, {:02x?} does", plain.sent);
        let punts: Vec<(Punt, Vec<u8>)> =
            pass.punts().map(|(punt, frame)| (*punt, frame.to_vec())).collect();
        ensure!(punts == plain.punts, "{punts:?} is told to be handed over, {:?} is", plain.punts);
        met.sent += sent.len() as u64;
        met.punts += punts.len() as u64;
        if plain.result != Ok(Verdict::Defer) {
            break;
        }
    }
    Ok(())
}

fn filled(actions: &[Action], hook: Hook) -> TableSet {
    let mut tables = TableSet::new(hook);
    actions.iter().for_each(|action| tables.apply(action));
    tables.set_time(NOW);
    tables
}

fn run<const COPIES: bool>(tables: &TableSet, vector: &Vector, ingress: u32, hook: Hook) -> Plain {
    let mut frame = HostFrame::<COPIES>::new(&vector.frame);
    frame.stripped_vlan = vector.given.stripped_vlan;
    frame.vlan_offload = hook == Hook::Tc || vector.given.stripped_vlan.is_some();
    frame.as_kernel = hook != Hook::User;
    frame.gso_size = vector.given.gso_size;
    let from = Ingress { ifindex: ingress, hook };
    let result = match vector.direction {
        Direction::FromAccess => from_access::run(&mut frame, tables, from),
        Direction::FromUnderlay => from_underlay::run(&mut frame, tables, from),
        Direction::OneArmed => one_armed::run(&mut frame, tables, from),
    };
    let mut sent: Vec<(u32, Vec<u8>)> = frame
        .copies
        .iter()
        .map(|copy| {
            let mut wire = HostFrame::<COPIES>::new(&copy.bytes);
            wire.stripped_vlan = copy.vlan;
            (copy.egress.ifindex, wire.to_wire())
        })
        .collect();
    if let Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) = result {
        sent.push((egress.ifindex, frame.to_wire()));
    }
    let punts = tables.take_punts().into_iter().map(|punted| (punted.punt, punted.frame)).collect();
    Plain { result, sent, punts }
}
