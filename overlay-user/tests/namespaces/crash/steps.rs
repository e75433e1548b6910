//! Which changes of a process a fault is tried at.

use super::tracer::Operation;

/// Has every change be tried. Without, of those that are alike and follow each other the first,
/// the middle one and the last are thought of, and of these no more than [`MOST`], evenly spread.
pub const EVERY: &str = "OVERLAY_CRASH_EVERYWHERE";

/// Of each scene, so that all of them take minutes, not an hour.
const MOST: usize = 12;

/// Whether every change is to be tried.
pub fn everywhere() -> bool {
    std::env::var_os(EVERY).is_some()
}

/// The numbers of the changes, from 1.
pub fn chosen(seen: &[Operation], of: impl Fn(&Operation) -> bool) -> Vec<usize> {
    let mut chosen = Vec::new();
    let mut begin = 0;
    for run in seen.chunk_by(Operation::is_like) {
        let (first, last) = (begin + 1, begin + run.len());
        begin = last;
        if !of(&run[0]) {
            continue;
        }
        if everywhere() {
            chosen.extend(first..=last);
        } else {
            chosen.extend([first, usize::midpoint(first, last), last]);
        }
    }
    chosen.dedup();
    if everywhere() || chosen.len() <= MOST {
        return chosen;
    }
    // The first and the last among them.
    (0..MOST).map(|nth| chosen[nth * (chosen.len() - 1) / (MOST - 1)]).collect()
}

/// What was counted, one line for each run of what is alike.
pub fn described(seen: &[Operation]) -> String {
    let line = |run: &[Operation]| format!("{} × {}", run.len(), run[0]);
    seen.chunk_by(|a, b| a == b).map(line).collect::<Vec<_>>().join("; ")
}

#[test]
fn of_a_run_the_ends_and_the_middle_are_chosen() {
    let of = |object: &str| Operation { kind: "remove", object: object.to_owned() };
    let seen = ["a", "b", "b", "b", "b", "b", "a", "a"].map(of);
    if !everywhere() {
        assert_eq!(chosen(&seen, |_| true), [1, 2, 4, 6, 7, 8]);
        assert_eq!(chosen(&seen, |operation| operation.object == "a"), [1, 7, 8]);
    }
    assert_eq!(described(&seen), "1 × remove a; 5 × remove b; 2 × remove a");
}
