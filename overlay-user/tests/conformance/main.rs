//! One path, three homes: each vector (frame, tables → verdict, bytes, counters)
//! runs on the host and, through `BPF_PROG_TEST_RUN`, in the kernel's XDP and tc
//! programs, and in the buffers of ports that user space carries. All must agree, and
//! hand-picked vectors must agree with what was written down for them.

mod acl;
mod guard;
mod handed;
mod handed_on;
mod handed_to_router;
mod jumbo;
mod mtu;
mod neighbours;
mod one_armed;
mod picked;
mod rare;
mod reasons;
mod routing;
mod underlay;

use std::collections::BTreeMap;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use overlay_common::abi::{Counters, Hook};
use overlay_proof::home::{Compared, Home};
use overlay_proof::{home, host, outer, user_space, vector};
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
    let mut vectors = picked::vectors();
    vectors.extend(jumbo::vectors());
    vectors.extend(one_armed::vectors());
    let names: BTreeMap<_, _> = vectors.iter().map(|v| (v.vector.name.as_str(), ())).collect();
    assert_eq!(names.len(), vectors.len(), "names are unique");
    assert!(vectors.len() >= 60, "{} vectors", vectors.len());
    for picked in &vectors {
        for hook in picked.hooks() {
            let observed = host::run(&picked.vector, *hook, &Home::imagined());
            if let Err(difference) = picked.check(*hook, &observed) {
                panic!("{} on {}:\n{difference}", picked.vector.name, hook.name());
            }
        }
    }
    println!("{} vectors, each as XDP, as tc and in user space", vectors.len());
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

#[test]
fn xdp_programs_agree_with_the_host_on_frames_of_several_buffers() {
    let name = "xdp_programs_agree_with_the_host_on_frames_of_several_buffers";
    if !require_root(name) {
        return;
    }
    let features = Features::probe().expect("features");
    if !features.has(Feature::XdpFrags) {
        println!("SAME AS xdp_programs_agree_with_the_host: XDP has one buffer here");
        return;
    }
    let vectors: Vec<Vector> = jumbo::vectors().into_iter().map(|p| p.vector).collect();
    let home = Home::new().expect("a namespace with devices");
    let Compared { runs, differences, .. } = home.compare(&vectors, &[Hook::Xdp], features);
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    assert_eq!(runs, vectors.len());
    println!("{} vectors, {runs} comparisons of kernel and host", vectors.len());
}

/// Where not all headers are in the first buffer, tc reads them.
#[test]
fn xdp_leaves_frames_with_scattered_headers_to_tc() {
    let name = "xdp_leaves_frames_with_scattered_headers_to_tc";
    if !require_root(name) {
        return;
    }
    let features = Features::probe().expect("features");
    let home = Home::new().expect("a namespace with devices");
    let vectors: Vec<Vector> = jumbo::vectors().into_iter().map(|p| p.vector).collect();
    match home.run_scattered(&vectors, features).expect("run") {
        Some(count) => println!("{count} runs"),
        None => println!("SAME AS xdp_programs_agree_with_the_host: no test run scatters headers"),
    }
}

/// Whatever comes from either side, to the programs that look which it is; in both forms.
#[test]
fn xdp_and_tc_programs_of_one_armed_devices_agree_with_the_host() {
    let name = "xdp_and_tc_programs_of_one_armed_devices_agree_with_the_host";
    if !require_root(name) {
        return;
    }
    let own = Features::probe().expect("features");
    let older = own.without(Feature::XdpFrags);
    let mut vectors: Vec<Vector> = picked::vectors().into_iter().map(|p| p.vector).collect();
    vectors.extend(generated());
    vectors.iter_mut().for_each(|vector| vector.direction = Direction::OneArmed);
    vectors.extend(one_armed::vectors().into_iter().map(|p| p.vector));
    let home = Home::new().expect("a namespace with devices");
    for features in [own, older] {
        let Compared { runs, differences, .. } =
            home.compare(&vectors, &[Hook::Xdp, Hook::Tc], features);
        assert!(differences.is_empty(), "{}", differences.join("\n\n"));
        assert!(runs + 60 >= 2 * vectors.len(), "only {runs} comparisons");
        println!("{} vectors, {runs} comparisons of kernel and host", vectors.len());
        if older == own || is_emulated() {
            break;
        }
    }
}

/// What only older kernels run must hold on every kernel.
#[test]
fn xdp_programs_for_older_kernels_agree_with_the_host() {
    if require_root("xdp_programs_for_older_kernels_agree_with_the_host") {
        let own = Features::probe().expect("features");
        if !own.has(Feature::XdpFrags) {
            println!("SAME AS xdp_programs_agree_with_the_host: this kernel has no others");
            return;
        }
        agree(Hook::Xdp, own.without(Feature::XdpFrags));
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

#[test]
fn user_space_agrees_with_the_host() {
    let picked = [picked::vectors(), jumbo::vectors(), one_armed::vectors()];
    let mut vectors: Vec<Vector> = picked.into_iter().flatten().map(|p| p.vector).collect();
    vectors.extend(generated());
    // Super-frames and full queues are tried with sockets.
    vectors.retain(|vector| vector.given.gso_size == 0 && !vector.given.nobody_reads);
    let home = Home::imagined();
    let mut compared = 0;
    for vector in &vectors {
        let mut expected = host::run(vector, Hook::User, &home);
        expected.left.punts.sort();
        let observed = user_space::run(vector, &home);
        assert!(observed == expected, "{}: {observed:?}\nhost {expected:?}", vector.name);
        compared += 1;
        // A packet socket has the tag beside the bytes; so have punts then.
        if let Some(mut observed) = user_space::run_stripped(vector, &home) {
            observed.left.punts = expected.left.punts.clone();
            assert!(observed == expected, "{}: {observed:?}\nhost {expected:?}", vector.name);
            compared += 1;
        }
    }
    assert!(compared > vectors.len() + 20, "{compared} comparisons");
    println!("{} vectors, {compared} comparisons of user space and host", vectors.len());
}

/// Features that change what the programs do.
const AFTER_5_10: [Feature; 3] = [Feature::Loop, Feature::EncapL2Eth, Feature::DecapL3];

fn agree(hook: Hook, features: Features) {
    let mut vectors: Vec<Vector> = picked::vectors().into_iter().map(|p| p.vector).collect();
    vectors.extend(generated());
    let home = Home::new().expect("a namespace with devices");
    let Compared { runs, differences, reasons } = home.compare(&vectors, &[hook], features);
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    assert!(runs + 30 >= vectors.len(), "only {runs} comparisons");
    let missing = reasons::missing(&reasons, hook, reasons::IN_THE_KERNEL);
    assert!(missing.is_empty(), "no vector gets these out of the programs: {missing:?}");
    println!("{} vectors, {runs} comparisons of kernel and host", vectors.len());
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
        let Compared { differences, .. } = home.compare(&vectors, &[Hook::Xdp, Hook::Tc], features);
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
                Direction::OneArmed => unreachable!("none is generated"),
            };
            vector.name = format!("generated {number} from {direction}");
            vector
        })
        .collect()
}
