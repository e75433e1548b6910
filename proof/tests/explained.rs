//! The explanation of a frame is what becomes of it.

use overlay_proof::campaign::explained::compare;

#[test]
fn explanations_are_what_the_path_does() {
    let met = compare(0x0e8b_1a17, 4000).unwrap_or_else(|error| panic!("{error:#}"));
    println!("{met:?}");
    assert!(met.ends.iter().all(|count| *count > 20), "ends that were hardly met: {met:?}");
    assert!(met.sent > 1000 && met.punts > 1000, "{met:?}");
}
