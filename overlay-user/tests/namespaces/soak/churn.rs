//! What is done to the gateways, one thing after the other.

mod changes;
mod devices;
mod life;
mod stations;
mod watchers;

use anyhow::Result;

use super::bed::Bed;

/// Something that happens.
pub struct Turn {
    pub name: &'static str,
    /// Whether it takes the hosts' way away for a while. Everything else costs them no frame.
    pub interrupts: bool,
    pub run: fn(&mut Bed<'_>) -> Result<()>,
}

const fn quiet(name: &'static str, run: fn(&mut Bed<'_>) -> Result<()>) -> Turn {
    Turn { name, interrupts: false, run }
}

const fn interrupting(name: &'static str, run: fn(&mut Bed<'_>) -> Result<()>) -> Turn {
    Turn { name, interrupts: true, run }
}

/// Has a gateway that lives load what it loads when it is first needed, and keeps: programs of
/// every mode, and the tables of access lists.
pub fn everything(bed: &mut Bed<'_>) -> Result<()> {
    [0, 1].into_iter().try_for_each(|side| changes::segments_of(bed, side))?;
    let all = devices::MODES.iter().flat_map(|mode| [(0, mode), (1, mode)]);
    all.into_iter().try_for_each(|(side, mode)| devices::made_again_as(bed, side, mode))
}

/// Has the first gateway's daemon be a new one.
pub fn renew(bed: &mut Bed<'_>) -> Result<()> {
    life::renewed(bed)
}

/// Everything that happens.
pub const TURNS: [Turn; 22] = [
    quiet("nothing", |_| {
        std::thread::sleep(std::time::Duration::from_millis(500));
        Ok(())
    }),
    quiet("stations appear", stations::appear),
    quiet("stations move", stations::move_over),
    quiet("stations ask for others", stations::ask),
    quiet("peers by command", changes::peers_by_command),
    quiet("peers by reload", changes::peers_by_reload),
    quiet("segments, lists and routes by reload", changes::segments),
    quiet("changes that are refused", changes::refused),
    quiet("lists of addresses", changes::addresses),
    quiet("listeners for metrics and the page", changes::listeners),
    quiet("a device is deleted and made", devices::made_again),
    quiet("a device has another name", devices::renamed),
    quiet("MTUs", devices::mtus),
    interrupting("an access port flaps", devices::access_flaps),
    interrupting("the underlay flaps", devices::underlay_flaps),
    quiet("those who watch frames", watchers::frames),
    quiet("those who read numbers", watchers::numbers),
    quiet("those who do not listen", watchers::deaf),
    quiet("those who ask badly", watchers::bad),
    quiet("SIGKILL and a start", life::killed),
    quiet("SIGTERM and a start", life::terminated),
    interrupting("down and a start", life::removed),
];
