//! What a test needs from the machine, and how it says that it is missing.

use std::path::Path;
use std::sync::OnceLock;

/// Whether the test may go on: root, network namespaces and a bpffs are there.
/// Otherwise prints `SKIPPED name: why`.
///
/// # Panics
///
/// Under `CI=true` a missing requirement is a failure, not a skip.
pub fn require_root(test: &str) -> bool {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    met(test, MISSING.get_or_init(missing_privilege).as_deref())
}

/// Whether every one of these programs is in the path. Says so as
/// [`require_root`] does where one is not.
///
/// # Panics
///
/// Under `CI=true` a missing program is a failure, not a skip.
pub fn require_tools(test: &str, programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| !in_path(program));
    met(test, missing.map(|program| format!("{program} is not installed")).as_deref())
}

fn met(test: &str, missing: Option<&str>) -> bool {
    let Some(why) = missing else { return true };
    assert!(
        std::env::var_os("CI").is_none_or(|value| value != "true"),
        "{test} cannot run: {why}; with CI=true that is a failure"
    );
    println!("SKIPPED {test}: {why}");
    false
}

fn missing_privilege() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("it needs root".into());
    }
    for program in ["ip", "ethtool"] {
        if !in_path(program) {
            return Some(format!("{program} is not installed"));
        }
    }
    if !Path::new("/proc/self/ns/net").exists() {
        return Some("this kernel has no network namespaces".into());
    }
    crate::ensure_bpffs().err().map(|error| format!("{error:#}"))
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
