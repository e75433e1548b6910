//! Files and words that commands are given: changes, lists, frames.

use overlay_testbed::require_root;

use crate::harness::{Host, Said, each};

const PCAP: [u8; 24] =
    [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

fn host(test: &str) -> Option<Host> {
    if !require_root(test) {
        return None;
    }
    let host = Host::new();
    host.daemon("gw1", crate::answer!("200 OK", "[]"));
    Some(host)
}

#[test]
fn changes() {
    let Some(host) = host("changes") else { return };
    each(
        &host,
        &[
            (
                &["set", "peer/gw2", "mtu"],
                2,
                "overlay: \"mtu\" is no KEY=VALUE, such as vtep=192.0.2.3",
            ),
            (&["set", "peer/gw2", "mtu=1500", "mtu=1400"], 2, "overlay: mtu is set twice"),
            (
                &["change", "/nonesuch"],
                2,
                "overlay: cannot read /nonesuch: No such file or directory (os error 2)",
            ),
        ],
    );
    let text = "set peer/gw2 mtu\nset\nput peer/gw2\nset peer/gw2 name=\"a\nunset segment/[\n";
    let said = host.given(&["change", "-"], text);
    let words = "overlay: standard input:1: \"mtu\" is no KEY=VALUE, such as vtep=192.0.2.3\n\
                 standard input:2: set needs the path of a table, such as peer/gw2\n\
                 standard input:3: \"put\" is none of set, replace, insert and unset\n\
                 standard input:4: a quote or a bracket has no end\n\
                 standard input:5: a quote or a bracket has no end\n\
                 nothing was changed";
    assert_eq!(said, Said { code: 2, words: words.to_owned() });
    let long = "#".repeat((1 << 20) + 1);
    let long = host.0.write("long", long).unwrap().display().to_string();
    let sentence = format!("overlay: {long} is longer than 1048576 bytes");
    each(&host, &[(&["change", &long], 2, &sentence)]);
}

#[test]
fn frames() {
    let Some(host) = host("frames") else { return };
    let file = |name: &str, bytes: &[u8]| host.0.write(name, bytes).unwrap().display().to_string();
    let empty = file("empty.pcap", &PCAP);
    let mut other = PCAP;
    other[20] = 113;
    let cooked = file("cooked.pcap", &other);
    let cut = file("cut.pcap", &PCAP[..8]);
    let noise = file("noise", &[0xff, 0xfe]);
    let simulate = |frame: &str| host.overlay(&["trace", "--simulate", frame]);
    for (frame, sentence) in [
        (&*empty, format!("overlay: {empty}: there is no frame in it")),
        (
            &cooked,
            format!(
                "overlay: {cooked}: frames without Ethernet headers; capture on one device \
                 (tcpdump -i eth1), and not on \"any\""
            ),
        ),
        (
            &noise,
            format!("overlay: {noise}: it is no capture (pcap, pcapng) and no hexadecimal digits"),
        ),
        (
            "nonesuch",
            "overlay: \"nonesuch\" is neither a frame ('n' is no hexadecimal digit) nor the name \
             of a file"
                .to_owned(),
        ),
    ] {
        assert_eq!(simulate(frame), Said { code: 2, words: sentence });
    }
    let said = simulate(&cut);
    let sentence = format!("overlay: {cut}: it cannot be read as a capture: ");
    assert!(said.code == 2 && said.words.starts_with(&sentence), "{said:?}");
    let said = host.overlay(&["trace", "--simulate", "00", "--count", "0"]);
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn lists() {
    let Some(host) = host("lists") else { return };
    let sentence = "overlay: cannot read /nonesuch: No such file or directory (os error 2)";
    each(&host, &[(&["fdb", "load", "/nonesuch"], 2, sentence)]);
}
