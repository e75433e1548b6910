//! From configuration, links, next hops and learnt addresses to table actions.
//!
//! The order of calls: after any number of `handle_*`, call
//! [`Controller::poll_action`] until it returns `None` and carry the actions out
//! in that order; then wait until the next input or
//! [`Controller::poll_timeout`], whichever comes first.

mod input;
mod view;

use core::time::Duration;
use std::net::IpAddr;

use overlay_common::abi::{FdbEntry, FdbKey, Punt};

use crate::action::Action;
use crate::config::Config;

pub use input::{LinkInfo, NextHop, Restored, RestoredPlace};
pub use view::{FdbTotals, FdbView, PeerState, PeerView, PortView, Role, SegmentView};

/// The node's state machine.
#[derive(Debug)]
pub struct Controller {
    config: Config,
}

impl Controller {
    /// A controller for this configuration, which knows nothing of the host yet.
    pub fn new(config: Config, _now: Duration) -> Self {
        Self { config }
    }

    /// Replaces the configuration. What stays keeps its index and its learnt
    /// addresses.
    pub fn handle_config(&mut self, config: Config, _now: Duration) {
        self.config = config;
    }

    /// A device appeared or changed.
    pub fn handle_link(&mut self, _link: LinkInfo, _now: Duration) {}

    /// A device is gone.
    pub fn handle_link_gone(&mut self, _name: &str, _now: Duration) {}

    /// A program was attached to an interface; `egress_flags` are
    /// [`Egress::XDP`](overlay_common::abi::Egress::XDP) and
    /// [`PEER`](overlay_common::abi::Egress::PEER). To be called again when they
    /// change.
    pub fn handle_attached(&mut self, _interface: &str, _egress_flags: u32, _now: Duration) {}

    /// The way to a peer's VTEP changed; `None`: there is no route.
    pub fn handle_next_hop(&mut self, _vtep: IpAddr, _next_hop: Option<NextHop>, _now: Duration) {}

    /// A packet came from an address that the FDB has not, or has elsewhere.
    pub fn handle_learn(&mut self, _punt: &Punt, _now: Duration) {}

    /// Everything the kernel's FDB holds. `started` is the time at which the
    /// reading began; every action polled before then had been carried out.
    pub fn handle_scan(
        &mut self,
        _entries: impl IntoIterator<Item = (FdbKey, FdbEntry)>,
        _started: Duration,
        _now: Duration,
    ) {
    }

    /// Learnt addresses of an earlier run of the daemon. To be called after
    /// the links are known.
    pub fn handle_restored(
        &mut self,
        _entries: impl IntoIterator<Item = Restored>,
        _now: Duration,
    ) {
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, _now: Duration) {}

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// The next table change.
    pub fn poll_action(&mut self) -> Option<Action> {
        None
    }

    /// Whether it is time to read the kernel's FDB for
    /// [`handle_scan`](Self::handle_scan).
    pub fn wants_scan(&self, _now: Duration) -> bool {
        false
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Uplinks, then access ports, in the configuration's order.
    pub fn ports(&self) -> Vec<PortView> {
        Vec::new()
    }

    /// The segments, in the configuration's order.
    pub fn segments(&self) -> Vec<SegmentView> {
        Vec::new()
    }

    /// The peers, in the configuration's order.
    pub fn peers(&self) -> Vec<PeerView> {
        Vec::new()
    }

    /// The FDB, ordered by segment and address.
    pub fn fdb(&self, _now: Duration) -> Vec<FdbView> {
        Vec::new()
    }

    /// What happened to the FDB so far.
    pub fn fdb_totals(&self) -> FdbTotals {
        FdbTotals::default()
    }
}
