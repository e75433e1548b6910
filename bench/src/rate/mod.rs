//! Packets per second of one core through a gateway.
//!
//! A chain is three namespaces: the gateway under test, and on either side of it a
//! generator (`BPF_PROG_TEST_RUN` with live frames) and a sink. All of it runs on
//! one core, so a rate includes the generator's own cost, which is the same for all
//! planes. Only ratios of one run mean anything.

// What the BPF programs share with their loader; some of it is theirs alone.
#[allow(dead_code, reason = "the loader does not use all of it")]
#[path = "../../ebpf/src/abi.rs"]
mod abi;
mod bpf;
mod chain;
mod frames;
mod generator;
pub mod pin;
mod plane;
pub(crate) mod population;
mod scale;
mod sight;
mod sink;
mod steady;
mod subject;
mod throughput;

use crate::run::{Planned, Setup};

/// Every scenario that measures packets per second.
pub fn scenarios(setup: &Setup) -> Vec<Planned> {
    let parts = [
        throughput::scenarios(setup),
        scale::scenarios(setup),
        steady::scenarios(setup),
        sight::scenarios(setup),
    ];
    parts.into_iter().flatten().collect()
}
