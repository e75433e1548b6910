//! One path, three homes: each vector (frame, tables → verdict, bytes, counters)
//! runs on the host and, through `BPF_PROG_TEST_RUN`, in the kernel's XDP and tc
//! programs. All three must agree, and hand-picked vectors must agree with what
//! was written down for them.

mod home;
mod host;
mod kernel;
mod mtu;
mod outer;
mod picked;
mod vector;

use std::collections::BTreeMap;

use home::Home;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use overlay_common::abi::{Counters, Hook};
use overlay_testbed::{is_emulated, require_root};
use overlay_user::dataplane::features::{Feature, Features};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRng, TestRunner};
use vector::{Direction, Vector};

/// How many generated vectors there are beside the hand-picked ones.
const GENERATED: usize = 400;
/// The first of them, where a machine is emulated and much slower.
const GENERATED_IN_GUESTS: usize = 100;

#[test]
fn hand_picked_vectors_hold_on_the_host() {
    let vectors = picked::vectors();
    let names: BTreeMap<_, _> = vectors.iter().map(|v| (v.vector.name.as_str(), ())).collect();
    assert_eq!(names.len(), vectors.len(), "names are unique");
    assert!(vectors.len() >= 60, "{} vectors", vectors.len());
    for picked in &vectors {
        for hook in [Hook::Tc, Hook::Xdp] {
            let observed = host::run(&picked.vector, hook, &Home::imagined());
            if let Err(difference) = picked.check(hook, &observed) {
                panic!("{} on {}:\n{difference}", picked.vector.name, hook.name());
            }
        }
    }
    println!("{} vectors, each as XDP and as tc", vectors.len());
}

#[test]
fn xdp_programs_agree_with_the_host() {
    if require_root("xdp_programs_agree_with_the_host") {
        agree(Hook::Xdp, Features::probe().expect("features"));
    }
}

#[test]
fn tc_programs_agree_with_the_host() {
    if require_root("tc_programs_agree_with_the_host") {
        agree(Hook::Tc, Features::probe().expect("features"));
    }
}

/// What only older kernels run must hold on every kernel.
#[test]
fn tc_programs_for_older_kernels_agree_with_the_host() {
    if require_root("tc_programs_for_older_kernels_agree_with_the_host") {
        let own = Features::probe().expect("features");
        let older = AFTER_5_10.into_iter().fold(own, Features::without);
        if older == own {
            println!("SAME AS tc_programs_agree_with_the_host: this kernel has no others");
            return;
        }
        agree(Hook::Tc, older);
    }
}

/// Features that change what the programs do.
const AFTER_5_10: [Feature; 3] = [Feature::Loop, Feature::EncapL2Eth, Feature::DecapL3];

fn agree(hook: Hook, features: Features) {
    let mut vectors: Vec<Vector> = picked::vectors().into_iter().map(|p| p.vector).collect();
    vectors.extend(generated());
    let home = Home::new().expect("a namespace with devices");
    let (compared, differences) = home.compare(&vectors, &[hook], features);
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    assert!(compared + 10 >= vectors.len(), "only {compared} comparisons");
    println!("{} vectors, {compared} comparisons of kernel and host", vectors.len());
}

#[test]
fn counts_of_any_cpu_are_shown() {
    if !require_root("counts_of_any_cpu_are_shown") {
        return;
    }
    let vectors: Vec<Vector> = picked::vectors().into_iter().map(|p| p.vector).collect();
    let home = Home::new().expect("a namespace with devices");
    let cpus = aya::util::online_cpus().expect("a list of CPUs");
    let features = Features::probe().expect("features");
    for cpu in &cpus {
        let mut set = CpuSet::new();
        set.set(*cpu as usize).expect("a CPU's number");
        sched_setaffinity(Pid::from_raw(0), &set).expect("kept to a CPU");
        let (_, differences) = home.compare(&vectors, &[Hook::Xdp, Hook::Tc], features);
        assert!(differences.is_empty(), "CPU {cpu}: {}", differences.join("\n\n"));
    }
    println!("{} vectors on each of {} CPUs", vectors.len(), cpus.len());
}

#[test]
fn counts_are_gone_with_a_port_or_a_peer() {
    if !require_root("counts_are_gone_with_a_port_or_a_peer") {
        return;
    }
    let vectors: Vec<Vector> = picked::vectors().into_iter().map(|p| p.vector).collect();
    let home = Home::new().expect("a namespace with devices");
    let [before, after] = home.remove_everything(&vectors).expect("run and removed");
    for (what, before, after) in
        [("ports", &before.ports, &after.ports), ("peers", &before.peers, &after.peers)]
    {
        let counts = |c: &&Counters| c.rx_bytes * c.rx_packets > 0 || c.tx_bytes * c.tx_packets > 0;
        assert!(before.iter().filter(counts).count() >= 2, "{what}: {before:?}");
        assert!(after.iter().all(|c| *c == Counters::default()), "{what}: {after:?}");
    }
}

/// Generated from a fixed seed: frames of both directions, mutated at random.
fn generated() -> Vec<Vector> {
    let rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = vector::strategy();
    let count = if is_emulated() { GENERATED_IN_GUESTS } else { GENERATED };
    (0..count)
        .map(|number| {
            let mut vector = strategy.new_tree(&mut runner).expect("a vector").current();
            let direction = match vector.direction {
                Direction::FromAccess => "access",
                Direction::FromUnderlay => "underlay",
            };
            vector.name = format!("generated {number} from {direction}");
            vector
        })
        .collect()
}
