//! The FDB on its way out. As objects its rows would take hundreds of bytes each;
//! so they are made one after the other, as the other side reads them.

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use overlay_common::abi::{FdbEntry, FdbKey};
use overlay_control::config::Place;
use overlay_control::controller::{FdbView, Names, Origin};
use tokio::sync::SemaphorePermit;

use super::model::FdbRow;

/// Rows that are made at once.
const ROWS: usize = 1024;

/// Every entry of the FDB, and what the indices in it mean.
pub struct FdbDump {
    /// The entries, in any order.
    pub entries: Vec<(FdbKey, FdbEntry)>,
    /// The names.
    pub names: Names,
}

impl FdbDump {
    /// A JSON list with one row on each line, ordered by segment and address. The place is given
    /// back when the last row is out.
    pub fn respond(self, place: SemaphorePermit<'static>) -> Response {
        let body = Body::from_stream(futures_util::stream::iter(Pieces::new(self, place)));
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// The list, piece by piece.
struct Pieces {
    dump: FdbDump,
    /// The next entry.
    next: usize,
    /// Whether there was a row yet.
    begun: bool,
    ended: bool,
    /// One of those that may be under way at once.
    _place: SemaphorePermit<'static>,
}

impl Pieces {
    fn new(mut dump: FdbDump, place: SemaphorePermit<'static>) -> Self {
        dump.names.sort(&mut dump.entries);
        Self { dump, next: 0, begun: false, ended: false, _place: place }
    }

    fn piece(&mut self) -> serde_json::Result<Bytes> {
        let mut text = if self.next == 0 { b"[".to_vec() } else { Vec::new() };
        let end = self.dump.entries.len().min(self.next + ROWS);
        for (key, entry) in &self.dump.entries[self.next..end] {
            let Some(view) = self.dump.names.view(*key, entry) else { continue };
            text.extend_from_slice(if self.begun { b",\n" } else { b"\n" });
            serde_json::to_writer(&mut text, &row(&view))?;
            self.begun = true;
        }
        self.next = end;
        if end == self.dump.entries.len() {
            text.extend_from_slice(b"\n]\n");
            self.ended = true;
        }
        Ok(text.into())
    }
}

impl Iterator for Pieces {
    type Item = serde_json::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.ended).then(|| self.piece())
    }
}

fn row<'a>(view: &FdbView<'a>) -> FdbRow<'a> {
    let (peer, interface, vlan) = match view.place {
        Place::Peer(name) => (Some(name.into()), None, None),
        Place::Port { interface, vlan } => (None, Some(interface.into()), vlan),
    };
    FdbRow {
        segment: view.segment.into(),
        vni: view.vni,
        mac: view.mac.to_string().into(),
        peer,
        interface,
        vlan: vlan.map(|vlan| vlan.id()),
        protocol: vlan.map(|vlan| vlan.kind().name().into()),
        is_static: view.origin.is_static(),
        is_loaded: view.origin == Origin::Loaded,
        age: view.age,
    }
}
