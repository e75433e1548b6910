//! What commands say of daemons: of none, of several, and of what does not answer as one.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;

use nix::fcntl::{Flock, FlockArg};
use overlay_testbed::require_root;

use crate::answer;
use crate::harness::{Host, each};

#[test]
fn none_and_several() {
    if !require_root("none_and_several") {
        return;
    }
    let host = Host::new();
    let none = "overlay: no overlay instance runs";
    let unnamed = "overlay: no overlay instance named gw9 runs; overlay run starts one";
    each(
        &host,
        &[
            (&["status"], 1, none),
            (&["show", "fdb"], 1, none),
            (&["down"], 1, none),
            (&["status", "--name", "gw9"], 1, unnamed),
            (&["show", "ports", "--name", "gw9"], 1, unnamed),
            (&["reload", "--name", "gw9"], 1, unnamed),
            (&["save", "--name", "gw9"], 1, unnamed),
            (&["set", "peer/gw2", "mtu=1500", "--name", "gw9"], 1, unnamed),
            (&["fdb", "flush", "--name", "gw9"], 1, unnamed),
            (&["trace", "--name", "gw9"], 1, unnamed),
            (&["capture", "--name", "gw9"], 1, &format!("0 frames captured, 0 missed\n{unnamed}")),
            (&["events", "--name", "gw9"], 1, unnamed),
            (&["top", "--once", "--name", "gw9"], 1, unnamed),
        ],
    );
    for name in ["gw1", "gw2"] {
        host.daemon(name, answer!("200 OK", "[]"));
    }
    let others =
        "overlay: no overlay instance named gw9 runs; others that were started here: gw1, gw2";
    each(&host, &[(&["status", "--name", "gw9"], 1, others)]);
    let several = "overlay: several instances run; choose one with --name:\n  gw1\n  gw2";
    each(&host, &[(&["status"], 2, several), (&["down"], 2, several)]);
}

#[test]
fn the_one_with_a_file() {
    if !require_root("the_one_with_a_file") {
        return;
    }
    let host = Host::new();
    host.daemon("old", answer!("200 OK", "[]"));
    host.daemon("gw1", answer!("200 OK", "{\"config\": \"/etc/overlay/a.toml\", \"changes\": []}"));
    for name in ["gw2", "gw3"] {
        let answer = answer!("200 OK", "{\"config\": \"/etc/overlay/b.toml\", \"changes\": []}");
        host.daemon(name, answer);
    }
    let none = "overlay: no overlay instance runs with the configuration /etc/overlay/c.toml";
    let two = "overlay: several instances run; choose one with --name:\n  gw2\n  gw3";
    each(
        &host,
        &[
            (&["reload", "--config", "/etc/overlay/a.toml"], 0, ""),
            (&["reload", "--config", "/etc/overlay/b.toml"], 2, two),
            (&["reload", "--config", "/etc/overlay/c.toml"], 1, none),
        ],
    );
}

#[test]
fn answers_that_are_none() {
    if !require_root("answers_that_are_none") {
        return;
    }
    let host = Host::new();
    host.daemon("old", answer!("200 OK", "{\"up\": 1}"));
    host.daemon("mute", "");
    host.daemon("busy", answer!("503 Service Unavailable", "{}"));
    host.daemon(
        "full",
        answer!(
            "503 Service Unavailable",
            r#"{"type":"/v1/problems/busy","title":"","status":503,"detail":"there is no room"}"#
        ),
    );
    host.daemon("ended", answer!("200 OK", ""));
    symlink(host.file("loop.sock"), host.file("loop.sock")).unwrap();
    let datagram = UnixDatagram::bind(host.file("datagram.sock")).unwrap();
    let misread = "overlay: the daemon's answer is not understood; is it of another version?: ";
    for command in
        [&["show", "ports"][..], &["top", "--once"], &["show", "configuration", "--json"]]
    {
        let said = host.overlay(&[command, &["--name", "old"]].concat());
        assert!(said.code == 1 && said.words.starts_with(misread), "{command:?}: {said:?}");
    }
    let mute = host.overlay(&["status", "--name", "mute"]);
    let sentence = "overlay: cannot talk to the daemon of mute: ";
    assert!(mute.code == 1 && mute.words.starts_with(sentence), "{mute:?}");
    let said = host.overlay(&["status", "--name", "busy"]);
    assert!(said.code == 1, "{said:?}");
    each(
        &host,
        &[
            (&["status", "--name", "full"], 1, "overlay: there is no room"),
            (
                &["top", "--once", "--name", "full"],
                1,
                "overlay: the daemon of full refuses: there is no room",
            ),
            (
                &["trace", "--count", "1", "--name", "ended"],
                1,
                "overlay: the daemon of ended has ended",
            ),
            (
                &["status", "--name", "loop"],
                1,
                "overlay: cannot connect to /run/overlay/loop.sock: Too many levels of symbolic \
                 links (os error 40)",
            ),
            (
                &["status", "--name", "datagram"],
                1,
                "overlay: cannot connect to /run/overlay/datagram.sock: Protocol wrong type for \
                 socket (os error 91)",
            ),
        ],
    );
    drop(datagram);
}

#[test]
fn one_that_is_between_lives() {
    if !require_root("one_that_is_between_lives") {
        return;
    }
    let host = Host::new();
    let lock = std::fs::File::create(host.file("gw1.lock")).unwrap();
    let lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap();
    each(
        &host,
        &[(
            &["down", "--name", "gw1"],
            1,
            "overlay: gw1 is starting or ending at this moment; try again: its control socket is \
             gone",
        )],
    );
    drop(lock);
    std::fs::remove_file(host.file("gw1.lock")).unwrap();
    std::fs::create_dir(host.file("gw1.lock")).unwrap();
    each(
        &host,
        &[(
            &["down", "--name", "gw1"],
            1,
            "overlay: cannot create /run/overlay/gw1.lock: Is a directory (os error 21)",
        )],
    );
}
