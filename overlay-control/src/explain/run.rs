//! A frame's way through the programs, on watched tables.

use overlay_common::abi::{Egress, Hook, Punt};
use overlay_common::path::{Ingress, from_access, from_underlay, one_armed};
use overlay_common::verdict::{DropReason, Verdict};

use super::event::Event;
use super::watched::Watched;
use super::{Capture, LONGEST, Live, slow};
use crate::controller::Role;
use crate::frame::HostFrame;

/// A frame's whole way.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What one program did, or user space, in their order.
    pub passes: Vec<Pass>,
}

/// Where a pass ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where the frame came in.
    Hook(Hook),
    /// In user space, which was handed the frame.
    Forwarder(Why),
}

/// What user space does with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It waits for the peer's next hop.
    WaitForPeer,
    /// The copies that the kernel does not send.
    Rest,
    /// One of so many parts that it is cut into.
    Part(usize, usize),
    /// It is not cut up: it cannot be.
    Whole,
    /// It is routed once more.
    Routed,
    /// It waits for whoever has an address.
    WaitForNeighbour(overlay_common::abi::NeighbourKey),
    /// The router answers it.
    Answer,
    /// The router tells its sender of an error.
    Tell(Option<DropReason>),
    /// Nothing.
    Nothing,
    /// More than is followed here.
    More,
}

/// What one program did.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Where.
    pub place: Place,
    /// What it asked.
    pub events: Vec<Event>,
    /// What it answered.
    pub result: Result<Verdict, DropReason>,
    /// What it sent, in its order.
    pub sent: Vec<Sent>,
}

/// A frame that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The way out.
    pub egress: Egress,
    /// Its bytes, as on a wire.
    pub bytes: Vec<u8>,
}

impl Ran {
    /// The last of the programs at the hook, whose answer counts.
    pub fn decisive(&self) -> Option<&Pass> {
        self.passes.iter().rfind(|pass| matches!(pass.place, Place::Hook(_)))
    }

    /// Everything that leaves.
    pub fn sent(&self) -> impl Iterator<Item = &Sent> {
        self.passes.iter().flat_map(|pass| &pass.sent)
    }
}

impl Pass {
    /// The frames handed to user space.
    pub fn punts(&self) -> impl Iterator<Item = (&Punt, &[u8])> {
        self.events.iter().filter_map(|event| match event {
            Event::Punt(punt, frame) => Some((punt, frame.as_slice())),
            _ => None,
        })
    }
}

/// Carries a frame as the programs at its hook and user space would, and changes nothing.
pub fn carry(capture: &Capture<'_>, live: &Live<'_>) -> Ran {
    let tables = Watched::new(live);
    let mut passes = Vec::new();
    if capture.hook == Hook::Xdp {
        let pass = at_hook::<false>(capture, &tables, Hook::Xdp);
        let goes_on = pass.result == Ok(Verdict::Defer);
        passes.push(pass);
        if goes_on {
            passes.push(at_hook::<true>(capture, &tables, Hook::Tc));
        }
    } else {
        passes.push(at_hook::<true>(capture, &tables, capture.hook));
    }
    slow::follow(&tables, live, capture, &mut passes);
    Ran { passes }
}

/// Runs the programs of one hook.
fn at_hook<const COPIES: bool>(capture: &Capture<'_>, tables: &Watched<'_>, hook: Hook) -> Pass {
    let mut frame = buffer::<COPIES>(capture, hook);
    let ingress = Ingress { ifindex: capture.ifindex, hook };
    let result = match capture.role {
        Role::Uplink => from_underlay::run(&mut frame, tables, ingress),
        Role::Access => from_access::run(&mut frame, tables, ingress),
        Role::OneArmed => one_armed::run(&mut frame, tables, ingress),
    };
    let sent = sent(&frame, result);
    Pass { place: Place::Hook(hook), events: tables.take(), result, sent }
}

/// What was not captured is zero: it is only its length that counts, nearly always.
fn buffer<const COPIES: bool>(capture: &Capture<'_>, hook: Hook) -> HostFrame<COPIES> {
    let mut bytes = capture.frame.to_vec();
    bytes.truncate(LONGEST as usize);
    let len = capture.len.min(LONGEST) as usize;
    if bytes.len() < len {
        bytes.resize(len, 0);
    }
    let mut frame = HostFrame::<COPIES>::new(&bytes);
    frame.stripped_vlan = capture.stripped_vlan;
    frame.vlan_offload = hook == Hook::Tc || capture.stripped_vlan.is_some();
    frame.as_kernel = hook != Hook::User;
    frame.gso_size = capture.gso_size;
    frame
}

/// What a frame's run sent: the copies, and the frame itself where its verdict names a way out.
pub fn sent<const COPIES: bool>(
    frame: &HostFrame<COPIES>,
    result: Result<Verdict, DropReason>,
) -> Vec<Sent> {
    let copies = frame.copies.iter().map(|copy| {
        let mut wire = HostFrame::<COPIES>::new(&copy.bytes);
        wire.stripped_vlan = copy.vlan;
        Sent { egress: copy.egress, bytes: wire.to_wire() }
    });
    let last = match result {
        Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) => {
            Some(Sent { egress, bytes: frame.to_wire() })
        }
        _ => None,
    };
    copies.chain(last).collect()
}
