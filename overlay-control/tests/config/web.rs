//! `[web]`.

use crate::marked::{BLUE, GW2, NODE, UPLINK, accepted, refused};

fn web(text: &str) -> String {
    format!("{NODE}{UPLINK}{BLUE}{GW2}[web]\n{text}\n")
}

#[test]
fn there_is_no_page_unless_asked_for() {
    assert_eq!(accepted(&format!("{NODE}{UPLINK}{BLUE}{GW2}")).web, None);
    let page = accepted(&web("listen = \"127.0.0.1:8080\"")).web.expect("a page");
    assert_eq!(page.listen, "127.0.0.1:8080".parse().unwrap());
    assert!(!page.allow_remote && page.hosts.is_empty());
    assert!(accepted(&web("listen = \"[::1]:80\"")).web.is_some());
}

#[test]
fn other_machines_are_allowed_by_name_only() {
    for listen in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080", "[::ffff:127.0.0.1]:8080"] {
        let message = format!("listen {listen} can be reached from other machines");
        let text = format!("listen = ¦\"{listen}\"\n");
        refused(&web(&text), &[(&message, "allow_remote = true")]);
        refused(&web(&format!("{text}allow_remote = false")), &[(&message, "ssh -L 8080")]);
        let text = format!("listen = \"{listen}\"\nallow_remote = true\nhosts = [\"GW1.example\"]");
        let page = accepted(&web(&text)).web.expect("a page");
        assert!(page.allow_remote && page.hosts == ["gw1.example"]);
    }
}

#[test]
fn values_are_checked() {
    let listen = |value: &str, message: &str| {
        refused(&web(&format!("listen = ¦{value}")), &[(message, "127.0.0.1:8080")]);
    };
    listen("8080", "listen is an integer, not a string");
    listen("\"localhost:8080\"", "listen \"localhost:8080\" is no address with a port");
    listen("\"127.0.0.1\"", "listen \"127.0.0.1\" is no address with a port");
    listen("\"127.0.0.1:0\"", "listen \"127.0.0.1:0\" has port 0, which is another each time");
    let hosts = |value: &str, message: &str| {
        let text = format!("listen = \"[::1]:8080\"\nhosts = ¦{value}");
        refused(&web(&text), &[(message, "names of this machine")]);
    };
    hosts("\"gw1\"", "hosts is a string, not a list");
    hosts("[1]", "hosts holds an integer");
    hosts("[\"gw1:80\"]", "hosts holds \"gw1:80\", which is no host's name");
    hosts("[\"\"]", "hosts holds \"\", which is no host's name");
    refused(&web("¦port = 1\nlisten = \"[::1]:8080\""), &[("unknown key port in [web]", "listen")]);
    let none = format!("{NODE}{UPLINK}¦[web]\n");
    refused(&none, &[("[web] has no listen", "add listen")]);
}
