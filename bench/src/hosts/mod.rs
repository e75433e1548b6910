//! What applications see: TCP and UDP between two hosts, through two gateways of
//! one kind, with every offload at its default, except where a data plane cannot
//! do with that.
//!
//! - [`plane`], [`pair`]: the gateways, and two hosts around them.
//! - [`clock`], [`cores`]: what counts, when it is over, and where it runs.
//! - [`bulk`], [`exchange`], [`connect`]: the traffic, each a subject.
//! - [`tcp`], [`latency`]: connections and times that they share.
//!
//! Every thread of a measurement is the bench's own; its sockets were made in a
//! host's namespace and stay there.

pub mod bulk;
pub mod clock;
pub mod connect;
pub mod cores;
pub mod exchange;
pub mod latency;
pub mod pair;
pub mod plane;
pub mod tcp;

use std::rc::Rc;
use std::time::Duration;

use crate::results::Case;
use crate::run::{Planned, Setup};
use crate::scenario::{Scenario, Subject};
use bulk::Bulk;
use connect::Connect;
use cores::Cores;
use exchange::{Exchange, Protocol};
use pair::Pair;
use plane::Plane;

/// How often each subject is measured.
const ROUNDS: usize = 7;
const QUICK_ROUNDS: usize = 3;
/// TCP takes longer to settle than a generator of frames.
const TIMES: u32 = 5;

/// The scenarios, each with a pair of hosts for every data plane.
pub fn scenarios(setup: &Setup) -> Vec<Planned> {
    let streams: &[usize] = if setup.quick { &[1, 4] } else { &[1, 4, 16] };
    let connections: &[usize] = if setup.quick { &[1] } else { &[1, 16] };
    let one = Cores::One(setup.cpu);
    vec![
        planned("tcp-bulk", setup, move |pair, time| {
            let bulk = |count: &usize| boxed(Bulk::new(pair, *count, Cores::Any, time));
            let mut subjects: Subjects = streams.iter().map(bulk).collect();
            if pair.plane().follows_threads() {
                subjects.push(boxed(Bulk::new(pair, 1, one, time)));
            }
            subjects
        }),
        planned("tcp-rr", setup, move |pair, time| {
            let exchange =
                |count, cores| boxed(Exchange::new(pair, Protocol::Tcp, count, cores, time));
            let mut subjects: Subjects =
                connections.iter().map(|count| exchange(*count, Cores::Any)).collect();
            if pair.plane().follows_threads() {
                subjects.push(exchange(1, one));
            }
            subjects
        }),
        planned("udp-rr", setup, |pair, time| {
            vec![boxed(Exchange::new(pair, Protocol::Udp, 1, Cores::Any, time))]
        }),
        planned("tcp-connect", setup, |pair, time| vec![boxed(Connect::new(pair, time))]),
    ]
}

fn boxed(subject: impl Subject + 'static) -> Box<dyn Subject> {
    Box::new(subject)
}

/// The subjects of one data plane.
type Subjects = Vec<Box<dyn Subject>>;

/// A scenario whose subjects stand case by case, so that the data planes' turns
/// with the same case follow one another.
fn planned(
    name: &'static str,
    setup: &Setup,
    subjects: impl Fn(&Rc<Pair>, Duration) -> Subjects + 'static,
) -> Planned {
    let rounds = if setup.quick { QUICK_ROUNDS } else { ROUNDS };
    Planned::new(name, name, rounds, move |setup| {
        let mut by_plane = Vec::new();
        let is_wanted = |plane: &Plane| !setup.quick || *plane != Plane::Direct;
        for plane in Plane::available().into_iter().filter(is_wanted) {
            let pair = Rc::new(Pair::new(plane, &setup.overlay, setup.features)?);
            by_plane.push(subjects(&pair, setup.time * TIMES).into_iter());
        }
        Ok(Scenario { name, case: Case::new(), subjects: in_turn(by_plane) })
    })
}

/// The first of each, then the second of each, and so on.
fn in_turn<T>(mut each: Vec<impl Iterator<Item = T>>) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let next: Vec<T> = each.iter_mut().filter_map(Iterator::next).collect();
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use overlay_testbed::require_root;

    use super::*;

    #[test]
    fn planes_take_turns_within_a_case() {
        let each = vec![vec!["a1", "a4"].into_iter(), vec!["b1", "b4"].into_iter()];
        assert_eq!(in_turn(each), ["a1", "b1", "a4", "b4"]);
    }

    #[test]
    fn every_kind_of_traffic_crosses_the_kernels_gateways() {
        if !require_root("every_kind_of_traffic_crosses_the_kernels_gateways") {
            return;
        }
        let pair =
            |plane| Rc::new(Pair::new(plane, Path::new(""), false).expect("a pair of hosts"));
        let direct =
            Bulk::new(&pair(Plane::Direct), 1, Cores::Any, Duration::from_millis(100)).measure();
        assert!(direct.expect("a measurement without gateways")[0].value > 0.0);
        let pair = pair(Plane::Kernel);
        let time = Duration::from_millis(100);
        let kinds: [Box<dyn Subject>; 4] = [
            boxed(Bulk::new(&pair, 2, Cores::Any, time)),
            boxed(Exchange::new(&pair, Protocol::Tcp, 2, Cores::One(0), time)),
            boxed(Exchange::new(&pair, Protocol::Udp, 2, Cores::Any, time)),
            boxed(Connect::new(&pair, time)),
        ];
        for mut kind in kinds {
            let readings = kind.measure().expect("a measurement");
            assert!(readings[0].value > 0.0, "{readings:?}");
            // Nobody holds on to a connection for the next one to stumble over.
            let again = kind.measure().expect("another");
            assert_eq!(again.len(), readings.len());
        }
    }
}
