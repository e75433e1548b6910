//! What the programs leave to user space of what is sent to routers: answering who asks for the
//! router itself, telling senders of errors, and finding next hops.

use bytes::Bytes;
use overlay_common::abi::{Arrival, FdbKey, Hook, NeighbourKey, Punt, PuntReason};
use overlay_common::path::ptb::{self, Remedy};
use overlay_common::path::{Ingress, router};
use overlay_common::tables::Tables as _;
use overlay_common::verdict::{DropReason, Verdict};
use overlay_control::fragments;
use overlay_control::frame::Frame;
use overlay_control::router::{Asks, echo, error, question};
use overlay_control::tables::TableSet;

use super::{Outcome, Worker};

/// What becomes of a frame that was routed here.
enum Step {
    /// It is done with, by this result.
    Done(Result<Verdict, DropReason>),
    /// The peer that it goes to has no next hop.
    PeerUnresolved,
    /// It waits for whoever has this address.
    Neighbour(NeighbourKey),
    /// It is the router's own.
    Local,
    /// Its sender is told, or it is cut up, by what the path says of it.
    Tell(DropReason, Punt),
}

impl Worker {
    /// Takes a frame that a program handed over.
    pub(super) fn take_routed(&mut self, punt: Punt, frame: &Bytes) {
        for part in self.parts(&punt, frame) {
            self.forward_or_wait(punt, part);
        }
    }

    /// Routes a frame, or says what is to be said of it.
    pub(super) fn route(&mut self, punt: &Punt, bytes: &Bytes) -> Outcome {
        let told = u8::try_from(punt.generation).ok().filter(|number| *number != 0);
        let told = told.and_then(DropReason::from_u8);
        let tables = self.tables();
        let Some(arrival) = router::arrival_of(&*tables, punt) else {
            drop(tables);
            self.count(punt.ifindex, DropReason::TableInconsistent);
            return Outcome::Done;
        };
        let mut frame = Frame::new(bytes);
        let step = match told {
            Some(reason) => Step::Tell(reason, *punt),
            None => step(&mut frame, &tables, punt, arrival),
        };
        drop(tables);
        if let (Step::Tell(reason, _), None) = (&step, told) {
            self.count(punt.ifindex, *reason);
        }
        match step {
            Step::Done(result) => self.send_all(punt.ifindex, &mut frame, result),
            Step::PeerUnresolved => return Outcome::Unresolved,
            Step::Neighbour(key) => self.wait_for(key, punt, bytes),
            Step::Local => self.answer(punt, bytes, arrival),
            Step::Tell(DropReason::TooBig, about) => {
                self.too_big(&Punt { address: about.address, ..*punt }, bytes, arrival);
            }
            Step::Tell(reason, _) => self.tell(punt, bytes, arrival, Some(reason), 0),
        }
        Outcome::Done
    }

    /// Has a frame wait, and asks for its next hop unless that is being asked for.
    fn wait_for(&mut self, key: NeighbourKey, punt: &Punt, bytes: &Bytes) {
        // What comes back as it is waits no longer for what it is told.
        let waiting = (Punt { generation: 0, ..*punt }, bytes.clone());
        match self.pending.put(key, punt.source, waiting, self.started.elapsed()) {
            Ok(true) => self.ask(&key),
            Ok(false) => {}
            Err((punt, frame)) => {
                self.give_up_on(&punt, &frame, DropReason::NeighbourUnresolved);
            }
        }
    }

    fn ask(&self, key: &NeighbourKey) {
        let tables = self.tables();
        let Some(router) = tables.router(key.segment).filter(|router| router.vrf != 0) else {
            return;
        };
        let mut frame = Frame::new(&question(key, router));
        router::send_to_all(&mut frame, &*tables, key.segment);
        drop(tables);
        self.send_all(0, &mut frame, Ok(Verdict::Consumed));
    }

    /// Asks for next hops once more, and gives up on those that were asked for often enough.
    pub(super) fn ask_again(&mut self) {
        for asks in self.pending.due(self.started.elapsed()) {
            match asks {
                Asks::Again(key) => self.ask(&key),
                Asks::GaveUp(_, frames) => {
                    for (punt, bytes) in frames {
                        self.give_up(&punt, &bytes);
                    }
                }
            }
        }
    }

    fn give_up(&self, punt: &Punt, bytes: &Bytes) {
        let reason = DropReason::NeighbourUnresolved;
        self.give_up_on(punt, bytes, reason);
        let arrival = router::arrival_of(&*self.tables(), punt);
        if let Some(arrival) = arrival {
            self.tell(punt, bytes, arrival, Some(reason), 0);
        }
    }

    /// Routes the frames whose next hops are known by now.
    pub(super) fn route_what_is_known(&mut self) {
        if self.pending.next().is_none() {
            return;
        }
        let tables = self.tables.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let frames = self.pending.known(|key| is_known(&tables, key));
        drop(tables);
        for (punt, bytes) in frames {
            self.forward_or_wait(punt, bytes);
        }
    }

    /// Answers an echo request; nothing else listens at a router's address.
    fn answer(&self, punt: &Punt, bytes: &Bytes, arrival: Arrival) {
        let tables = self.tables();
        let Some(router) = tables.router(arrival.segment) else { return };
        match echo(bytes, router) {
            Some(answer) => {
                let mut answer = Frame::new(&answer);
                let result = router::send_back(&mut answer, &*tables, arrival);
                drop(tables);
                self.send_all(punt.ifindex, &mut answer, result);
            }
            None => {
                drop(tables);
                self.tell(punt, bytes, arrival, None, 0);
            }
        }
    }

    /// Cuts up a packet that is too big for its way on, or tells its sender what would fit.
    fn too_big(&mut self, punt: &Punt, bytes: &Bytes, arrival: Arrival) {
        let tables = self.tables();
        let frame = Frame::new(bytes);
        let Some(room) = router::room(&frame, &*tables, arrival) else { return };
        drop(tables);
        match ptb::remedy(&frame, room) {
            Remedy::Nothing => {}
            Remedy::Tell(_) => self.tell(punt, bytes, arrival, Some(DropReason::TooBig), room),
            Remedy::Fragment => match fragments::of(bytes, room as usize) {
                Some(parts) => {
                    let punt = Punt { generation: 0, ..*punt };
                    parts.into_iter().for_each(|part| self.forward_or_wait(punt, part.into()));
                }
                None => self.count(punt.ifindex, DropReason::TooBig),
            },
        }
    }

    fn tell(
        &self,
        punt: &Punt,
        bytes: &Bytes,
        arrival: Arrival,
        reason: Option<DropReason>,
        room: u32,
    ) {
        let tables = self.tables();
        let Some(router) = tables.router(arrival.segment) else { return };
        let Some(message) = error(bytes, router, reason, room) else { return };
        let mut message = Frame::new(&message);
        let result = router::send_back(&mut message, &*tables, arrival);
        drop(tables);
        self.send_all(punt.ifindex, &mut message, result);
    }
}

/// Runs the path once more, whose tables may know more by now.
fn step(frame: &mut Frame, tables: &TableSet, punt: &Punt, arrival: Arrival) -> Step {
    let ingress = Ingress { ifindex: punt.ifindex, hook: Hook::User };
    let result = router::run(frame, tables, ingress, arrival);
    let is_routers = |punt: &Punt| punt.reason == PuntReason::Router as u8;
    let again = tables.take_punts().into_iter().map(|punted| punted.punt).find(is_routers);
    let Some(again) = again else { return Step::Done(result) };
    match u8::try_from(again.generation).ok().and_then(DropReason::from_u8) {
        Some(reason) if again.generation != 0 => return Step::Tell(reason, again),
        _ => {}
    }
    match router::wanted(frame, tables, arrival) {
        Some(key) if is_known(tables, &key) => Step::PeerUnresolved,
        Some(key) => Step::Neighbour(key),
        None if router::is_local(frame, tables, arrival) => Step::Local,
        None => Step::PeerUnresolved,
    }
}

fn is_known(tables: &TableSet, key: &NeighbourKey) -> bool {
    let station = tables.neighbour(key).map(|neighbour| neighbour.mac());
    station.is_some_and(|mac| tables.fdb(&FdbKey::new(mac, key.segment)).is_some())
}
