//! What is known of a frame that is dropped.

use std::net::IpAddr;

use overlay_common::abi::{
    Access, AccessKey, Peer, PermitKey, PolicerKey, Port, Route, RouteKey, Target, Vtep,
};

use crate::explain::Capture;
use crate::explain::event::Event;
use crate::explain::headers::{Headers, TunnelHeader};
use crate::explain::words::Words;

/// A frame, and what was asked of the tables until it was dropped.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Names.
    pub words: Words<'a>,
    /// The frame as it came in.
    pub capture: &'a Capture<'a>,
    /// Its headers.
    pub frame: &'a Headers,
    /// What its tunnel carries.
    pub tunnel: Option<&'a (TunnelHeader, Headers)>,
    /// What was asked.
    pub events: &'a [Event],
    /// Whose copy it is.
    pub copy: Option<Target>,
}

impl<'a> Facts<'a> {
    /// The device that it came in by.
    pub fn interface(&self) -> String {
        self.words.device(self.capture.ifindex)
    }

    /// Whether it came out of a tunnel.
    pub fn is_from_peer(&self) -> bool {
        self.vtep().is_some()
    }

    /// The frame that segments see.
    pub fn subject(&self) -> &'a Headers {
        match self.tunnel {
            Some((_, inner)) if self.is_from_peer() => inner,
            _ => self.frame,
        }
    }

    /// The last event of a kind.
    pub fn last<T>(&self, of: impl FnMut(&Event) -> Option<T>) -> Option<T> {
        self.events.iter().rev().find_map(of)
    }

    /// The access port that it came from.
    pub fn access(&self) -> Option<(AccessKey, Option<Access>)> {
        self.last(|event| match event {
            Event::Access(key, found) => Some((*key, *found)),
            _ => None,
        })
    }

    /// Who sent the tunnel.
    pub fn vtep(&self) -> Option<(IpAddr, Option<Vtep>)> {
        self.last(|event| match event {
            Event::Vtep(address, found) => Some((*address, *found)),
            _ => None,
        })
    }

    /// The peer that it came from.
    pub fn sending_peer(&self) -> Option<u32> {
        self.vtep()?.1.map(Vtep::peer)
    }

    /// The name of that peer, and its address.
    pub fn sender(&self) -> String {
        match (self.sending_peer(), self.frame.ends) {
            (Some(index), _) => self.words.peer_at(index),
            (None, Some([from, _])) => {
                let known = self.words.controller().and_then(|own| own.peer_at(from));
                known
                    .map_or_else(|| from.to_string(), |view| format!("peer {} ({from})", view.name))
            }
            (None, None) => self.interface(),
        }
    }

    /// The segment that it is in.
    pub fn segment(&self) -> Option<u16> {
        self.last(|event| match event {
            Event::Access(_, Some(access)) => Some(access.segment),
            Event::Permit(key, Some(permit)) if key.profile == PermitKey::ANY => {
                Some(permit.segment)
            }
            _ => None,
        })
    }

    /// That segment's name.
    pub fn segment_name(&self) -> String {
        self.segment().map_or_else(|| "its segment".to_owned(), |index| self.words.segment(index))
    }

    /// The port that it was to leave by.
    pub fn port(&self) -> Option<(u32, Port)> {
        self.last(|event| match event {
            Event::Port(index, port) => Some((*index, *port)),
            _ => None,
        })
    }

    /// The peer that it was to go to.
    pub fn peer(&self) -> Option<(u32, Peer)> {
        self.last(|event| match event {
            Event::Peer(index, peer) => Some((*index, *peer)),
            _ => None,
        })
    }

    /// The port or peer that it was to go to, whichever was asked for last.
    pub fn way_out(&self) -> Option<Target> {
        self.copy.or_else(|| {
            self.last(|event| match event {
                Event::Port(index, _) => Some(Target::port(*index)),
                Event::Peer(index, _) => Some(Target::peer(*index)),
                _ => None,
            })
        })
    }

    /// The limits that it was held against.
    pub fn limits(&self) -> Option<(PolicerKey, Option<overlay_common::abi::Policer>)> {
        self.last(|event| match event {
            Event::Police(key, level, _) => Some((*key, *level)),
            _ => None,
        })
    }

    /// The route that was looked for.
    pub fn route(&self) -> Option<(RouteKey, Option<(RouteKey, Route)>)> {
        self.last(|event| match event {
            Event::Route(key, found) => Some((*key, *found)),
            _ => None,
        })
    }

    /// Its VRF.
    pub fn vrf(&self) -> String {
        self.route().map_or_else(|| "its VRF".to_owned(), |(key, _)| self.words.vrf(key.vrf()))
    }

    /// The VNI that its tunnel says.
    pub fn vni(&self) -> u32 {
        self.tunnel.map_or(0, |(header, _)| header.vni)
    }

    /// The source station, as people read it.
    pub fn source(&self) -> String {
        let mac = self.subject().source();
        mac.map_or_else(|| "a station".to_owned(), |mac| mac.to_string())
    }

    /// The destination station.
    pub fn destination(&self) -> String {
        let mac = self.subject().destination();
        mac.map_or_else(|| "a station".to_owned(), |mac| mac.to_string())
    }

    /// Where it goes by IP.
    pub fn address(&self) -> String {
        match self.subject().ends {
            Some([_, to]) => to.to_string(),
            None => self.destination(),
        }
    }
}
