//! What user space makes of what is handed to it, as its forwarder does.

use overlay_common::abi::{Arrival, FdbKey, Hook, NeighbourKey, Punt, PuntReason};
use overlay_common::id::Vlan;
use overlay_common::path::ptb::{self, Remedy};
use overlay_common::path::{Ingress, from_access, router};
use overlay_common::tables::Tables as _;
use overlay_common::verdict::{DropReason, Verdict};
use overlay_common::wire::Tag;

use super::run::{Pass, Place, Why, sent};
use super::watched::Watched;
use super::{Capture, Live};
use crate::fragments;
use crate::frame::Frame;
use crate::router::{echo, error, question};
use crate::tables::TableSet;

/// The most runs that one frame is followed through.
const MOST: usize = 64;

/// Goes on with what the programs handed over.
pub fn follow(
    tables: &Watched<'_>,
    live: &Live<'_>,
    capture: &Capture<'_>,
    passes: &mut Vec<Pass>,
) {
    let mut slow = Slow { tables, live: live.tables, passes };
    let handed: Vec<(Punt, Vec<u8>)> = match slow.passes.last() {
        Some(pass) => pass.punts().map(|(punt, frame)| (*punt, frame.to_vec())).collect(),
        None => return,
    };
    for (punt, frame) in handed {
        if !carries_frame(punt.reason) {
            continue;
        }
        if capture.gso_size != 0 {
            // Its segments go the same way one by one.
            slow.note(Why::More);
        } else {
            slow.take(&punt, &frame);
        }
    }
}

fn carries_frame(reason: u8) -> bool {
    !matches!(PuntReason::from_u8(reason), None | Some(PuntReason::Learn | PuntReason::Neighbour))
}

struct Slow<'a> {
    tables: &'a Watched<'a>,
    live: &'a TableSet,
    passes: &'a mut Vec<Pass>,
}

impl Slow<'_> {
    /// What nothing is run for.
    fn note(&mut self, why: Why) {
        self.push(why, Ok(Verdict::Consumed), None);
    }

    fn push(&mut self, why: Why, result: Result<Verdict, DropReason>, frame: Option<&Frame>) {
        let sent = frame.map(|frame| sent(frame, result)).unwrap_or_default();
        let events = self.tables.take();
        self.passes.push(Pass { place: Place::Forwarder(why), events, result, sent });
    }

    fn is_full(&mut self) -> bool {
        if self.passes.len() < MOST {
            return false;
        }
        if self.passes.last().is_some_and(|last| last.place != Place::Forwarder(Why::More)) {
            self.note(Why::More);
        }
        true
    }

    fn take(&mut self, punt: &Punt, frame: &[u8]) {
        if self.is_full() {
            return;
        }
        match PuntReason::from_u8(punt.reason) {
            Some(PuntReason::PeerUnresolved) => self.note(Why::WaitForPeer),
            Some(PuntReason::Flood) => {
                let mut frame = Frame::new(frame);
                let result = from_access::run_rest(&mut frame, self.tables, punt);
                self.push(Why::Rest, result, Some(&frame));
            }
            Some(PuntReason::Fragment) => self.cut_up(punt, frame, punt.generation.into()),
            Some(PuntReason::Router) => self.route(punt, frame),
            _ => self.note(Why::Nothing),
        }
    }

    fn cut_up(&mut self, punt: &Punt, frame: &[u8], max_frame: usize) {
        let Some(parts) = fragments::of(frame, max_frame) else {
            self.push(Why::Whole, Err(DropReason::TooBig), None);
            return;
        };
        let count = parts.len();
        for (number, part) in (1..).zip(parts) {
            if self.is_full() {
                return;
            }
            self.part(punt, &part, Why::Part(number, count));
        }
    }

    fn part(&mut self, punt: &Punt, bytes: &[u8], why: Why) {
        let ingress = Ingress { ifindex: punt.ifindex, hook: Hook::User };
        if punt.reason == PuntReason::Router as u8 {
            self.route(&Punt { generation: 0, ..*punt }, bytes);
            return;
        }
        let kind = self.live.port(punt.source.index()).map(|port| Vlan::kind_of(port.vlan));
        let mut frame = match punt.vlan {
            0 => Frame::new(bytes),
            tci => Frame::with_stripped_vlan(bytes, Tag::new(kind.unwrap_or_default(), tci)),
        };
        let result = from_access::run_part(&mut frame, self.tables, ingress, punt);
        self.push(why, result, Some(&frame));
        self.go_on();
    }

    /// With what the last run handed over once more.
    fn go_on(&mut self) {
        let Some(last) = self.passes.last() else { return };
        let again: Vec<(Punt, Vec<u8>)> =
            last.punts().map(|(punt, frame)| (*punt, frame.to_vec())).collect();
        for (punt, frame) in again {
            match PuntReason::from_u8(punt.reason) {
                Some(PuntReason::PeerUnresolved) => self.note(Why::WaitForPeer),
                Some(PuntReason::Flood | PuntReason::Fragment | PuntReason::Router) => {
                    self.take(&punt, &frame);
                }
                _ => {}
            }
        }
    }

    fn route(&mut self, punt: &Punt, bytes: &[u8]) {
        let told = u8::try_from(punt.generation).ok().filter(|number| *number != 0);
        let Some(arrival) = router::arrival_of(self.live, punt) else {
            self.push(Why::Routed, Err(DropReason::TableInconsistent), None);
            return;
        };
        match told.and_then(DropReason::from_u8) {
            Some(DropReason::TooBig) => self.too_big(punt, bytes, arrival),
            Some(reason) => self.tell(bytes, arrival, Some(reason), 0),
            None => self.route_again(punt, bytes, arrival),
        }
    }

    fn route_again(&mut self, punt: &Punt, bytes: &[u8], arrival: Arrival) {
        let ingress = Ingress { ifindex: punt.ifindex, hook: Hook::User };
        let mut frame = Frame::new(bytes);
        let result = router::run(&mut frame, self.tables, ingress, arrival);
        self.push(Why::Routed, result, Some(&frame));
        let is_routers = |(punt, _): &(&Punt, &[u8])| punt.reason == PuntReason::Router as u8;
        let last = self.passes.last().and_then(|last| last.punts().find(is_routers));
        let Some(again) = last.map(|(punt, _)| *punt) else { return };
        let told = u8::try_from(again.generation).ok().filter(|number| *number != 0);
        match told.and_then(DropReason::from_u8) {
            Some(DropReason::TooBig) => {
                self.too_big(&Punt { address: again.address, ..*punt }, bytes, arrival);
                return;
            }
            Some(reason) => return self.tell(bytes, arrival, Some(reason), 0),
            None => {}
        }
        match router::wanted(&frame, self.live, arrival) {
            Some(key) if self.is_known(&key) => self.note(Why::WaitForPeer),
            Some(key) => self.ask(key),
            None if router::is_local(&frame, self.live, arrival) => self.answer(bytes, arrival),
            None => self.note(Why::WaitForPeer),
        }
    }

    fn is_known(&self, key: &NeighbourKey) -> bool {
        let station = self.live.neighbour(key).map(|neighbour| neighbour.mac());
        station.is_some_and(|mac| self.live.fdb(&FdbKey::new(mac, key.segment)).is_some())
    }

    /// What it sends is a question of the router's own, and not the frame: that waits.
    fn ask(&mut self, key: NeighbourKey) {
        let known = self.live.router(key.segment).filter(|router| router.vrf != 0);
        let mut asked = known.map(|router| Frame::new(&question(&key, router)));
        if let Some(frame) = &mut asked {
            router::send_to_all(frame, self.tables, key.segment);
        }
        self.push(Why::WaitForNeighbour(key), Ok(Verdict::Consumed), asked.as_ref());
    }

    fn answer(&mut self, bytes: &[u8], arrival: Arrival) {
        let answer = self.live.router(arrival.segment).and_then(|router| echo(bytes, router));
        let Some(answer) = answer else { return self.tell(bytes, arrival, None, 0) };
        let mut answer = Frame::new(&answer);
        let result = router::send_back(&mut answer, self.tables, arrival);
        self.push(Why::Answer, result, Some(&answer));
    }

    fn too_big(&mut self, punt: &Punt, bytes: &[u8], arrival: Arrival) {
        let frame = Frame::new(bytes);
        let Some(room) = router::room(&frame, self.live, arrival) else {
            return self.note(Why::Nothing);
        };
        match ptb::remedy(&frame, room) {
            Remedy::Nothing => self.push(Why::Whole, Err(DropReason::TooBig), None),
            Remedy::Tell(_) => self.tell(bytes, arrival, Some(DropReason::TooBig), room),
            Remedy::Fragment => self.cut_up(punt, bytes, room as usize),
        }
    }

    fn tell(&mut self, bytes: &[u8], arrival: Arrival, reason: Option<DropReason>, room: u32) {
        let message =
            self.live.router(arrival.segment).and_then(|router| error(bytes, router, reason, room));
        let Some(message) = message else { return self.note(Why::Nothing) };
        let mut message = Frame::new(&message);
        let result = router::send_back(&mut message, self.tables, arrival);
        self.push(Why::Tell(reason), result, Some(&message));
    }
}
