//! The daemon: one loop in which the host's news, the programs' news and the
//! commands meet the controller, and its actions go into the tables.
//!
//! - `start`: from a configuration file to attached programs.
//! - `events`: what the host and the programs report.
//! - `ledger`: what is written down before a device is changed.
//! - `ports`: attaching, detaching, and what a port can do.
//! - `keeper`: what was learnt is written down.
//! - `reach`: whether redirected frames arrive.
//! - `refusals`: changes of tables that the kernel refused.
//! - `answers`: what is asked over the control socket.
//! - `explain`: what would become of a frame.
//! - `counted`: what segments have counted; `carried`: counters that go on.
//! - `devices`: the names of devices, and what they have dropped once they are gone.
//! - `addresses`: lists of addresses that are loaded and unloaded.
//! - `reload`: another configuration, from the file.
//! - `change`: another configuration, from whoever asks for it.
//! - `watch`: those who watch frames.
//! - `sight`: what is told of the daemon; `health`: what is wrong; `metrics`: the numbers;
//!   `exposition`: the same over TCP.
//! - `memory`: giving back what was needed for a moment.
//! - `web`: the page that shows it.
//! - [`removal`]: leaving nothing behind.

mod addresses;
mod answers;
mod carried;
mod change;
mod counted;
mod devices;
mod events;
mod explain;
mod exposition;
mod health;
mod keeper;
mod ledger;
mod memory;
mod metrics;
mod ports;
mod reach;
mod refusals;
mod reload;
pub mod removal;
mod sight;
mod start;
mod watch;
mod web;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::Result;
use overlay_control::action::Action;
use overlay_control::controller::Controller;
use overlay_control::tables::TableSet;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::api::configuration::running::Running;
use crate::api::server::{Reply, Request, Server};
use crate::api::web::Web;
use crate::api::{Answer, Done, Question};
use crate::dataplane::Dataplane;
use crate::dataplane::punts::Readers;
use crate::events::Kind;
use crate::forwarder::datagrams::Datagrams;
use crate::forwarder::{Forwarder, Learnt, Queues};
use crate::instance::{Instance, Lock};
use crate::netlink::next_hops::Way;
use crate::netlink::{Link, Monitor, Netlink, NextHops};
use crate::user_ports::UserPorts;
use crate::watch::Hub;
use carried::Carrier;
use counted::Gone;
use devices::Devices;
use keeper::Keeper;
use ledger::Ledger;
use ports::Port;
use refusals::Refusals;
use sight::Sight;

/// Neighbours are prodded, and what failed is tried again, this often.
const TICK: Duration = Duration::from_secs(1);
/// Records of source addresses that are taken in before anything else gets its
/// turn.
const LEARN_AT_ONCE: usize = 4096;
/// Changes that are carried out before those who look into the mirror get their turn.
const ACTIONS_AT_ONCE: usize = 256;

/// A gateway.
pub struct Daemon {
    instance: Instance,
    /// Whether `--name` was given, which then stands over the file's name.
    named: bool,
    running: Running,
    started: Instant,

    netlink: Netlink,
    monitor: Monitor,
    /// Why the host could not be read again after changes were lost.
    unread: Option<String>,
    links: HashMap<u32, Link>,
    devices: Devices,
    next_hops: NextHops,
    told: HashMap<IpAddr, Vec<Way>>,
    routes_due: Option<Instant>,
    routes_asked: Instant,
    routes_cost: Duration,

    controller: Controller,
    dataplane: Dataplane,
    mirror: Arc<RwLock<TableSet>>,
    refusals: Refusals,
    gone: Gone,
    carrier: Carrier,

    ports: BTreeMap<String, Port>,
    user_ports: UserPorts,
    ledger: Ledger,
    keeper: Keeper,
    bpffs: PathBuf,
    ticks: u64,

    queues: Queues,
    learnt: Learnt,
    // The readers feed the forwarder, so they go first.
    readers: Option<Readers>,
    hub: Arc<Hub>,
    samples: Option<Readers>,
    datagrams: Option<Datagrams>,
    forwarder: Forwarder,

    sight: Sight,
    signals: Signals,
    server: Option<Server>,
    web: Option<Web>,
    /// Why the page is not served.
    web_problem: Option<String>,
    requests: mpsc::Receiver<Request>,
    /// Held to the end; fields are dropped in their order.
    _lock: Lock,
}

/// Signals, taken from the moment on that there is something to undo.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn take() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// What ends the loop.
enum End {
    /// Whoever sits before it is done with it.
    Interrupt,
    /// A service manager stops it, and will start it, or another version, again.
    Terminate,
    Down(Reply),
}

impl Daemon {
    /// Works until told to end. SIGTERM leaves everything in its place, for a successor, and
    /// forwarding goes on; Ctrl-C and `overlay down` detach it.
    pub async fn run(mut self) -> Result<()> {
        let end = self.work().await?;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let stays = matches!(end, End::Terminate);
        let text = if stays { "what is attached forwards on" } else { "everything is detached" };
        self.tell(Kind::Stopping, String::new(), text, serde_json::json!({ "detaches": !stays }));
        self.sight.log.end();
        let server = self.server.take();
        if matches!(end, End::Terminate) {
            return self.hand_over(server).await;
        }
        tracing::info!("ending: detaching everything");
        let removed = self.remove().await;
        if let End::Down(reply) = end {
            let answer = match &removed {
                Ok(changes) => Ok(Answer::Done(Done { changes: changes.clone() })),
                Err(error) => Err(error.into()),
            };
            let _ = reply.send(answer);
        }
        if let Some(server) = server {
            server.stop().await;
        }
        removed.map(drop)
    }

    /// Ends, and leaves programs, tables and what they have learnt to whoever comes next.
    async fn hand_over(mut self, server: Option<Server>) -> Result<()> {
        // What user space has seen of stations is in its own tables alone.
        self.scan();
        self.flush();
        // Where there is no room for it, there may be for the rest.
        let written = self.write_ledger();
        if let Err(error) = &written {
            tracing::error!("{error:#}");
        }
        self.user_ports.stop_all();
        self.keep_counters();
        self.keep_learnt_for_good().await;
        // The forwarder went on meanwhile.
        self.keep_counters();
        tracing::info!(
            "ending: forwarding goes on without a daemon; overlay run takes over again, \
             overlay down --name {} removes everything",
            self.instance.name
        );
        if let Some(server) = server {
            server.stop().await;
        }
        written
    }

    async fn work(&mut self) -> Result<End> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let routes_due = self.routes_due;
            let timeout = self.controller.poll_timeout().map(|at| self.started + at);
            tokio::select! {
                _ = self.signals.interrupt.recv() => return Ok(End::Interrupt),
                _ = self.signals.terminate.recv() => return Ok(End::Terminate),
                _ = self.signals.hangup.recv() => self.reload_and_log().await,
                request = self.requests.recv() => match request {
                    Some(Request::Question { question: Question::Down, reply }) => {
                        return Ok(End::Down(reply));
                    }
                    Some(request) => self.serve(request).await,
                    None => anyhow::bail!("the control socket's task ended"),
                },
                event = self.monitor.next() => match event {
                    Some(event) => self.handle_event(event).await,
                    None => self.reopen_monitor().await,
                },
                () = self.learnt.ready() => self.learn(),
                () = at(routes_due) => self.refresh_routes().await,
                () = at(timeout) => self.controller.handle_timeout(self.now()),
                _ = tick.tick() => self.tick().await,
            }
            if self.controller.wants_scan(self.now()) {
                self.scan();
            }
            self.flush();
        }
    }

    /// The controller's clock.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn learn(&mut self) {
        let now = self.now();
        for punt in self.learnt.take(LEARN_AT_ONCE) {
            // Each takes its own.
            self.controller.handle_learn(&punt, now);
            self.controller.handle_neighbour(&punt, now);
        }
    }

    /// Takes in what the programs know of the FDB: when addresses were seen.
    fn scan(&mut self) {
        // What is still to be written must not pass for lost.
        self.flush();
        // What user space has seen is written down where the programs' sightings are.
        let seen = self.mirror.read().unwrap_or_else(PoisonError::into_inner).take_refreshed();
        self.dataplane.tables.refresh_fdb(seen);
        let now = self.now();
        self.controller.handle_scan(self.dataplane.tables.fdb(), now, now);
    }

    /// Opens the sockets for what the programs leave to the kernel's stack, unless all are
    /// open already: one for each VTEP address and tunnel port. What cannot be opened is tried
    /// again later: an address that is new is not to be had yet.
    fn open_datagrams(&mut self) {
        let (vtep, ports) = (self.controller.config().node.vtep, self.controller.tunnel_ports());
        let ports = || [ports.vxlan, ports.geneve].into_iter().filter(|port| *port != 0);
        let addresses: Vec<SocketAddr> = vtep
            .iter()
            .flat_map(|address| ports().map(move |port| SocketAddr::new(address, port)))
            .collect();
        if self.datagrams.as_ref().is_some_and(|open| open.are(&addresses)) {
            return;
        }
        let before = self.datagrams.take().map(|open| open.problems.clone()).unwrap_or_default();
        let mirror = Arc::clone(&self.mirror);
        match Datagrams::start(addresses, mirror, self.queues.clone()) {
            Ok(open) => {
                if open.problems != before {
                    open.problems.iter().for_each(|problem| tracing::warn!("{problem}"));
                }
                self.datagrams = Some(open);
            }
            Err(error) => tracing::error!("{error:#}"),
        }
    }

    /// Carries out what the controller wants, in the kernel and in the mirror. Whoever looks
    /// into the mirror waits for a few changes, not for all.
    fn flush(&mut self) {
        let mut actions = Vec::new();
        let mut ways_changed = false;
        loop {
            let more = std::iter::from_fn(|| self.controller.poll_action());
            actions.extend(more.take(ACTIONS_AT_ONCE));
            if actions.is_empty() {
                break;
            }
            for action in &actions {
                self.keeper.note(action);
                self.carrier.note(action);
                let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
                self.gone.before(action, &self.dataplane.tables, &self.user_ports, &mirror);
                drop(mirror);
                if let Err(error) = self.dataplane.tables.apply(action) {
                    self.refusals.put(&error);
                }
            }
            let mut mirror = self.mirror.write().unwrap_or_else(PoisonError::into_inner);
            for action in actions.drain(..) {
                ways_changed |= matches!(action, Action::PutPeer(..) | Action::PutNeighbour(..));
                self.user_ports.apply(&action);
                mirror.apply(&action);
            }
        }
        if ways_changed {
            self.forwarder.retry();
        }
        self.keep_counters_if_due();
        self.tell_news();
    }
}

/// Waits until then; for ever where there is no such time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
