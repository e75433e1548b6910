//! What happened to stations and peers, for people who follow it.
//!
//! The controller writes it down as it decides; the caller takes it out after polling the
//! actions. What is not taken out, or is too much at once, is only counted: news must never cost
//! a node memory.

use std::collections::{BTreeMap, VecDeque};

use overlay_common::abi::{FdbKey, Target};
use overlay_common::id::PeerId;

/// News that are kept until they are taken out.
const KEPT: usize = 512;

/// What happened to an address in the FDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A frame came from it for the first time.
    Learned,
    /// It turned up elsewhere.
    Moved,
    /// It was silent for too long.
    Aged,
    /// Its port or peer went away, or the room was needed.
    Flushed,
}

impl Change {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// Every change.
    pub const ALL: [Self; Self::COUNT] = [Self::Learned, Self::Moved, Self::Aged, Self::Flushed];
}

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// An address of the FDB.
    Station {
        /// What happened.
        change: Change,
        /// Segment and MAC.
        key: FdbKey,
        /// Where it is, or was.
        place: Target,
        /// Where it was before, if it moved.
        from: Option<Target>,
    },
    /// A peer became ready or unresolved, or is reached another way.
    Peer {
        /// Its name.
        name: String,
        /// What stands in the way; `None`: it is ready.
        obstacle: Option<String>,
        /// Whether it was ready before; `None`: it is new.
        was_ready: Option<bool>,
        /// The next hops in use, such as `192.0.2.2 dev eth0`, with commas between them.
        via: String,
    },
}

/// News that wait to be taken out.
#[derive(Debug, Default)]
pub struct Stations {
    waiting: VecDeque<News>,
    more: [u64; Change::COUNT],
}

impl Stations {
    pub fn note(&mut self, change: Change, key: FdbKey, place: Target, from: Option<Target>) {
        if self.waiting.len() < KEPT {
            self.waiting.push_back(News::Station { change, key, place, from });
        } else {
            self.more[change as usize] += 1;
        }
    }

    pub fn take(&mut self) -> Option<News> {
        let news = self.waiting.pop_front();
        if news.is_none() {
            self.waiting.shrink_to(0);
        }
        news
    }

    pub fn take_more(&mut self) -> [u64; Change::COUNT] {
        std::mem::take(&mut self.more)
    }
}

/// How peers were last told to be.
#[derive(Debug, Default)]
pub struct Peers {
    told: BTreeMap<PeerId, (bool, String)>,
    waiting: VecDeque<News>,
}

impl Peers {
    /// Takes note of how a peer is now. There is at most one piece of news for each change of a
    /// peer, and what waits is as bounded as the peers are.
    pub fn note(&mut self, id: PeerId, name: &str, obstacle: Option<String>, via: String) {
        let now = (obstacle.is_none(), via);
        let before = self.told.get(&id);
        if before == Some(&now) {
            return;
        }
        let was_ready = before.map(|(ready, _)| *ready);
        let same = was_ready == Some(false) && !now.0;
        if !same && self.waiting.len() < crate::controller::MAX_PEER_NEWS {
            let (name, via) = (name.to_owned(), now.1.clone());
            self.waiting.push_back(News::Peer { name, obstacle, was_ready, via });
        }
        self.told.insert(id, now);
    }

    /// The peer is gone.
    pub fn forget(&mut self, id: PeerId) {
        self.told.remove(&id);
    }

    pub fn take(&mut self) -> Option<News> {
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_news_is_counted() {
        let mut stations = Stations::default();
        for _ in 0..KEPT + 3 {
            stations.note(Change::Aged, FdbKey::default(), Target::port(1), None);
        }
        assert_eq!(std::iter::from_fn(|| stations.take()).count(), KEPT);
        assert_eq!(stations.take_more(), [0, 0, 3, 0]);
        assert_eq!(stations.take_more(), [0; 4]);
    }

    #[test]
    fn a_peer_is_news_when_it_changes() {
        let mut peers = Peers::default();
        let mut told = |obstacle: Option<&str>, via: &str| {
            peers.note(PeerId(1), "gw2", obstacle.map(str::to_owned), via.to_owned());
            peers.take()
        };
        let first = told(Some("no route"), "");
        assert!(matches!(first, Some(News::Peer { was_ready: None, obstacle: Some(_), .. })));
        assert_eq!(told(Some("no route"), ""), None);
        let ready = told(None, "192.0.2.2 dev eth0");
        assert!(matches!(ready, Some(News::Peer { was_ready: Some(false), obstacle: None, .. })));
        let moved = told(None, "192.0.2.9 dev eth0");
        let via = "192.0.2.9 dev eth0".to_owned();
        let name = "gw2".to_owned();
        assert_eq!(moved, Some(News::Peer { name, obstacle: None, was_ready: Some(true), via }));
    }
}
