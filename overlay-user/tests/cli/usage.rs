//! Command lines that are wrong, and places that are.

use overlay_testbed::{require_root, require_tools};

use crate::harness::{Host, Said, each};

#[test]
fn values_of_options() {
    if !require_root("values_of_options") {
        return;
    }
    let host = Host::new();
    for (arguments, sentence) in [
        (
            &["status", "--name", "a b"][..],
            "error: invalid value 'a b' for '--name <NAME>': 1 to 64 of A-Z a-z 0-9 . _ -, not \
             beginning with a dot",
        ),
        (
            &["top", "--delay", "soon"],
            "error: invalid value 'soon' for '--delay <SECONDS>': not a number of seconds",
        ),
        (
            &["top", "--delay", "0.1"],
            "error: invalid value '0.1' for '--delay <SECONDS>': between 0.2 and 3600 seconds",
        ),
        (&["show", "prots"], "error: invalid value 'prots' for '<WHAT>'"),
        (&["stauts"], "error: unrecognized subcommand 'stauts'"),
        (&["check", "--cofnig", "x"], "error: unexpected argument '--cofnig' found"),
    ] {
        let said = host.overlay(arguments);
        assert_eq!(said.code, 2, "{said:?}");
        assert_eq!(said.words.lines().next(), Some(sentence), "{said:?}");
    }
}

#[test]
fn terminals() {
    if !require_root("terminals") || !require_tools("terminals", &["script"]) {
        return;
    }
    let host = Host::new();
    host.daemon("gw1", crate::answer!("200 OK", "[]"));
    each(
        &host,
        &[(
            &["top"],
            2,
            "overlay: overlay top draws on a terminal, and this is none; --once or --batch print \
             plain text, --json JSON",
        )],
    );
    let on_terminal = ["script -qec \"$0 $*\" /dev/null 1>&2"];
    let said = host.with(&on_terminal, &["capture"], "");
    let sentence = "overlay: a capture is not for a terminal: --write FILE, or | tshark -i -";
    assert!(said.code == 2 && said.words.contains(sentence), "{said:?}");
}

#[test]
fn who_is_not_root() {
    if !require_root("who_is_not_root") || !require_tools("who_is_not_root", &["setpriv"]) {
        return;
    }
    let host = Host::new();
    let nobody =
        ["setpriv --bounding-set -all --inh-caps -all --ambient-caps -all -- \"$0\" \"$@\""];
    let said = host.with(&nobody, &["doctor"], "");
    let sentence = "overlay: the kernel does not say what it can do; root, or CAP_BPF and \
                    CAP_NET_ADMIN, would do: cannot find out whether this kernel has ";
    assert!(said.code == 1 && said.words.starts_with(sentence), "{said:?}");
}

#[test]
fn features_that_are_not_to_be_used() {
    if !require_root("features_that_are_not_to_be_used") {
        return;
    }
    let host = Host::new();
    let said = host.with(&["OVERLAY_WITHOUT=lop", "\"$0\"", "\"$@\""], &["doctor"], "");
    let sentence = "overlay: OVERLAY_WITHOUT: no feature `lop`; there are ";
    assert!(said.code == 1 && said.words.starts_with(sentence), "{said:?}");
    let without = ["OVERLAY_WITHOUT=devmap-hash", "\"$0\"", "\"$@\""];
    let said = host.with(&without, &["doctor"], "");
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let sentence = format!(
        "overlay: this kernel is {}; it lacks devmap-hash (Linux 5.4); Overlay needs Linux 5.10 \
         or newer",
        release.trim()
    );
    assert_eq!(said, Said { code: 1, words: sentence });
}

#[test]
fn folders_that_cannot_be_made() {
    if !require_root("folders_that_cannot_be_made") {
        return;
    }
    let host = Host::new();
    let file = host.0.write("file", "").unwrap().display().to_string();
    std::fs::create_dir_all(host.file("out/completions/overlay.bash")).unwrap();
    std::fs::create_dir_all(host.file("pages/man/overlay.1")).unwrap();
    let folder = |name: &str| host.file(name).display().to_string();
    let (out, pages) = (folder("out"), folder("pages"));
    each(
        &host,
        &[
            (
                &["generate", &file],
                1,
                &format!("overlay: cannot create {file}/man: Not a directory (os error 20)"),
            ),
            (
                &["generate", &out],
                1,
                &format!(
                    "overlay: cannot write to {out}/completions: Is a directory (os error 21)"
                ),
            ),
            (
                &["generate", &pages],
                1,
                &format!(
                    "overlay: cannot write to {pages}/man: the page of overlay: Is a directory \
                     (os error 21)"
                ),
            ),
            (
                &["capture", "--write", &pages],
                1,
                &format!("overlay: cannot write {pages}: Is a directory (os error 21)"),
            ),
            (
                &["check", "--config", &pages],
                2,
                &format!("overlay: cannot read {pages}: Is a directory (os error 21)"),
            ),
        ],
    );
    let bare = "[node]\nname = \"x y\"\n";
    let bare = host.0.write("bare.toml", bare).unwrap().display().to_string();
    let said = host.overlay(&["check", "--config", &bare]);
    assert!(said.code == 2 && said.words.ends_with("\noverlay: 3 errors"), "{said:?}");
}

#[test]
fn a_daemon_that_cannot_start() {
    if !require_root("a_daemon_that_cannot_start") {
        return;
    }
    let host = Host::new();
    let long = host.file("long.toml");
    std::fs::File::create(&long).unwrap().set_len((64 << 20) + 1).unwrap();
    let long = long.display().to_string();
    let sentence = format!("overlay: cannot read {long}: it is longer than 67108864 bytes");
    each(&host, &[(&["check", "--config", &long], 2, &sentence)]);
    let bare = host.0.write("bare.toml", "").unwrap().display().to_string();
    for (value, sentence) in [
        ("off", "OVERLAY_SANDBOX=off: the daemon keeps every privilege"),
        ("maybe", "OVERLAY_SANDBOX=maybe is neither on nor off; taken for on"),
    ] {
        let switch = format!("OVERLAY_SANDBOX={value}");
        let words = [switch.as_str(), "\"$0\"", "\"$@\""];
        let said = host.with(&words, &["run", "--config", &bare], "");
        assert!(said.code == 2 && said.words.contains(sentence), "{said:?}");
    }
}

#[test]
fn a_configuration_that_is_not_there() {
    if !require_root("a_configuration_that_is_not_there") {
        return;
    }
    let host = Host::new();
    for command in ["check", "run"] {
        let said = host.overlay(&[command, "--config", "/nonesuch"]);
        let words = "overlay: cannot read /nonesuch: No such file or directory (os error 2)\n  \
                     help: --config FILE names another; a package has an example, \
                     /usr/share/doc/overlay/examples/overlay.toml";
        assert_eq!(said, Said { code: 2, words: words.to_owned() }, "{command}");
    }
}

/// Descriptors for what every process has, and one to read libraries with.
#[test]
fn a_process_without_descriptors() {
    if !require_root("a_process_without_descriptors") {
        return;
    }
    let host = Host::new();
    let said = host.with(&["ulimit -n 4 && exec", "\"$0\"", "\"$@\""], &["status"], "");
    let words = "overlay: cannot start: Too many open files (os error 24)";
    assert_eq!(said, Said { code: 1, words: words.to_owned() });
}
