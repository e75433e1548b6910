//! The limit: frames cross the gateway untouched.

use anyhow::Result;
use overlay_testbed::Netns;

use super::{ACCESS, Running, UPLINK};
use crate::rate::bpf::Object;

/// A program on each port that sends to the other.
pub struct Redirect {
    _programs: [Object; 2],
}

impl Running for Redirect {}

/// Attaches the programs.
pub fn start(netns: &Netns) -> Result<Redirect> {
    let programs = [between(netns, ACCESS, UPLINK)?, between(netns, UPLINK, ACCESS)?];
    Ok(Redirect { _programs: programs })
}

fn between(netns: &Netns, from: &str, to: &str) -> Result<Object> {
    let mut object = Object::new(&[])?;
    object.set_device("OUT", 0, netns, to)?;
    object.attach_xdp("redirect", netns, from)?;
    Ok(object)
}
