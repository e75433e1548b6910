//! `[metrics]`: where the numbers are to be had.

use overlay_control::config::{Config, Metrics, SERIES};

use crate::marked::{NODE, UPLINK, refused};

fn accepted(section: &str) -> Metrics {
    Config::parse(&format!("{NODE}{UPLINK}{section}"), "test.toml").expect("accepted").metrics
}

#[test]
fn metrics_are_served_where_the_file_says() {
    assert_eq!(accepted(""), Metrics { listen: None, allow_remote: false, series: SERIES });
    let local = accepted("[metrics]\nlisten = \"127.0.0.1:9477\"\nseries = 50\n");
    assert_eq!((local.listen, local.series), ("127.0.0.1:9477".parse().ok(), 50));
    let v6 = accepted("[metrics]\nlisten = \"[::1]:9477\"\n");
    assert_eq!(v6.listen, "[::1]:9477".parse().ok());
    let remote = accepted("[metrics]\nlisten = \"192.0.2.1:9477\"\nallow_remote = true\n");
    assert_eq!(remote.listen, "192.0.2.1:9477".parse().ok());
}

#[test]
fn others_reach_them_only_where_that_is_allowed() {
    for address in ["192.0.2.1:9477", "0.0.0.0:9477", "[::]:9477"] {
        let message = format!("listen = \"{address}\" is no loopback address");
        let text = format!("{NODE}{UPLINK}[metrics]\nlisten = ¦\"{address}\"\n");
        refused(&text, &[(&message, "allow_remote = true")]);
        refused(&format!("{text}allow_remote = false\n"), &[(&message, "127.0.0.1:9477")]);
    }
}

#[test]
fn what_is_no_address_is_refused() {
    let refuse = |line: &str, message: &str, help: &str| {
        refused(&format!("{NODE}{UPLINK}[metrics]\n{line}\n"), &[(message, help)]);
    };
    let no_address = "listen = \"localhost\" is no address and port";
    refuse("listen = ¦\"localhost\"", no_address, "127.0.0.1:9477");
    refuse("listen = ¦\"127.0.0.1:0\"", "listen has port 0, which is none", "127.0.0.1:9477");
    refuse("listen = ¦9477", "listen is an integer, not a string", "127.0.0.1:9477");
    refuse("series = ¦100001", "series is 100001: out of range", "0 to 100000");
    refuse("¦lisen = \"127.0.0.1:1\"", "unknown key lisen in [metrics]", "did you mean listen?");
}
