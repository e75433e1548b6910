//! Arbitrary requests to change a configuration, as they are sent: none panics; what comes of
//! them is a document, which the parser takes or refuses with a place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_control::config::Config;
use overlay_control::config::edit;

/// How the API reads them, from its own source: the crate that it is part of needs the programs.
#[path = "../../overlay-user/src/api/configuration/request.rs"]
mod request;

const FILE: &str = "[node]\nname = \"gw1\"\nvtep = \"192.0.2.1\"\n\n[[uplink]]\n\
                    interface = \"eth0\"\n\n[[segment]] # hosts\nname = \"blue\"\nvni = 1\n\n\
                    [[segment.port]]\ninterface = \"eth1\"\n\n[[segment.acl]]\n\
                    direction = \"in\"\naction = \"permit\"\n\n[[peer]]\nname = \"gw2\"\n\
                    vtep = \"192.0.2.2\"\nsegments = [\"blue\"]\n\n[[segment]]\nname = \"red\"\n\
                    vni = 2\nport = [{ interface = \"eth2\" }]\n";

fuzz_target!(|body: &[u8]| {
    let Ok(changes) = serde_json::from_slice(body) else { return };
    let Ok(changes) = request::read(changes) else { return };
    let Ok(edited) = edit::apply(FILE, &changes) else { return };
    let whole = edit::whole(&edited.text);
    assert!(whole.is_ok(), "{whole:?}\n{}", edited.text);
    request::json(&whole.unwrap_or_default());
    let lines = edited.text.lines().count().max(1) + 1;
    if let Err(errors) = Config::parse(&edited.text, "fuzz.toml") {
        assert!(!errors.is_empty(), "refused without a reason");
        for error in errors {
            assert!(!error.message.starts_with("syntax"), "{error}\n{}", edited.text);
            assert!((1..=lines).contains(&error.line), "{error}");
            edited.blame(error.line);
        }
    }
    // What was made is undone by putting the whole back, table by table or not at all.
    for change in &changes {
        let _ = edit::find(&edited.text, &change.path);
    }
});
