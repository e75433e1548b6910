//! Arbitrary configuration files: none panics the parser; every error has a
//! place in the file and says something.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_control::config::{Config, HostFacts};

fuzz_target!(|text: &str| {
    let errors = match Config::parse(text, "fuzz.toml") {
        Ok(config) => config.check_host(&HostFacts::default()),
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            errors
        }
    };
    let lines = text.lines().count().max(1) + 1;
    for error in errors {
        assert!((1..=lines).contains(&error.line), "{error}");
        assert!(error.column >= 1 && !error.message.is_empty(), "{error}");
    }
});
