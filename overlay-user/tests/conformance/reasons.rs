//! Every reason for a drop is the outcome of some vector, wherever it can be.

use std::collections::BTreeSet;

use overlay_common::abi::Hook;
use overlay_common::verdict::DropReason::{self, *};
use overlay_proof::home::{Home, Reason};

use crate::vector::Direction::{self, FromAccess, FromUnderlay};
use crate::{host, picked};

/// What the programs of a direction cannot give at some hooks, and why not.
pub struct Exception {
    direction: Direction,
    hooks: &'static [Hook],
    reasons: &'static [DropReason],
    why: &'static str,
}

const ALL_HOOKS: &[Hook] = &[Hook::Xdp, Hook::Tc, Hook::User];

/// Of the path itself. A reason that is new has to be given everywhere, or stand here.
const OF_THE_PATH: &[Exception] = &[
    Exception {
        direction: FromAccess,
        hooks: ALL_HOOKS,
        reasons: &[
            BadLength,
            BadChecksum,
            NoVniFlag,
            UnknownVtep,
            UnknownVni,
            VniNotPermitted,
            InnerTruncated,
            EcnNotCapable,
            SplitHorizon,
            EncapMismatch,
            GeneveVersion,
            GeneveCritical,
            GeneveProtocol,
        ],
        why: "access ports have no tunnels",
    },
    Exception {
        direction: FromUnderlay,
        hooks: ALL_HOOKS,
        reasons: &[UnknownVlan, SamePort, PeerUnresolved, SourceGuard],
        why: "uplinks have no tags and no hosts, and what is routed from them to peers waits in user space",
    },
    Exception {
        direction: FromAccess,
        hooks: &[Hook::Xdp],
        reasons: &[NoReceiver, CopyFailed, PeerUnresolved, Storm],
        why: "XDP leaves floods to tc",
    },
    Exception {
        direction: FromAccess,
        hooks: &[Hook::Xdp],
        reasons: &[NotRoutable, NoRoute, TtlExceeded],
        why: "XDP leaves routing to tc",
    },
    Exception {
        direction: FromUnderlay,
        hooks: &[Hook::Xdp],
        reasons: &[NotRoutable, NoRoute, TtlExceeded],
        why: "XDP leaves routing to tc",
    },
    Exception {
        direction: FromAccess,
        hooks: ALL_HOOKS,
        reasons: &[NeighbourUnresolved],
        why: "user space gives it, when nobody has answered",
    },
    Exception {
        direction: FromUnderlay,
        hooks: ALL_HOOKS,
        reasons: &[NeighbourUnresolved],
        why: "user space gives it, when nobody has answered",
    },
    Exception {
        direction: FromUnderlay,
        hooks: &[Hook::Xdp],
        reasons: &[NoReceiver, CopyFailed, Storm],
        why: "XDP leaves floods to tc",
    },
    Exception {
        direction: FromUnderlay,
        hooks: &[Hook::Xdp],
        reasons: &[ResizeFailed],
        why: "an Ethernet header remains, and what is removed leaves room for a tag",
    },
    Exception {
        direction: FromUnderlay,
        hooks: &[Hook::User],
        reasons: &[ResizeFailed],
        why: "a buffer in memory grows and shrinks as it is told",
    },
];

/// Of what `BPF_PROG_TEST_RUN` can run.
pub const IN_THE_KERNEL: &[Exception] = &[
    Exception {
        direction: FromAccess,
        hooks: &[Hook::Xdp, Hook::Tc],
        reasons: &[Truncated],
        why: "it takes no frame without an Ethernet header, and the programs ask for no more",
    },
    Exception {
        direction: FromAccess,
        hooks: &[Hook::Xdp],
        reasons: &[TooBig],
        why: "XDP leaves it to tc, but for frames too long to be held, which it takes none of",
    },
];

/// The reasons without a vector at a hook.
pub fn missing(given: &BTreeSet<Reason>, hook: Hook, beside: &[Exception]) -> Vec<Reason> {
    let excepted = |reason: &Reason| {
        OF_THE_PATH.iter().chain(beside).any(|exception| exception.covers(*reason))
    };
    let reasons = DropReason::ALL.iter().filter(|reason| !DropReason::RETIRED.contains(reason));
    let wanted = reasons.flat_map(|why| [FromAccess, FromUnderlay].map(|way| (way, hook, *why)));
    wanted.filter(|reason| !given.contains(reason) && !excepted(reason)).collect()
}

impl Exception {
    fn covers(&self, (direction, hook, reason): Reason) -> bool {
        self.direction == direction && self.hooks.contains(&hook) && self.reasons.contains(&reason)
    }
}

#[test]
fn every_reason_is_given_wherever_it_can_be() {
    let mut given = BTreeSet::new();
    for picked in picked::vectors() {
        for hook in picked.hooks() {
            let observed = host::run(&picked.vector, *hook, &Home::imagined());
            let reasons =
                observed.left.drops.keys().filter_map(|(why, _)| DropReason::from_u8(*why));
            given.extend(reasons.map(|why| (picked.vector.direction, *hook, why)));
        }
    }
    for hook in ALL_HOOKS {
        let missing = missing(&given, *hook, &[]);
        assert!(missing.is_empty(), "no vector gets these out of the path: {missing:?}");
    }
    for (direction, hook, reason) in &given {
        assert!(!DropReason::RETIRED.contains(reason), "{} is retired", reason.name());
        let exception = OF_THE_PATH.iter().find(|it| it.covers((*direction, *hook, *reason)));
        let why = exception.map(|exception| exception.why);
        assert_eq!(why, None, "{} is given {direction:?} at {}", reason.name(), hook.name());
    }
    println!("{} reasons, direction and hook by direction and hook", given.len());
}
