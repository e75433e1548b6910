//! Access lists as lists for people.

use overlay_common::abi::FilterKey;
use overlay_common::id::SegmentId;

use super::{AclView, Controller};
use crate::acl::List;

impl Controller {
    /// The rules of every access list, by segment, as the configuration has them, direction and
    /// place; behind them neighbour discovery, which passes unless a rule denies it, and the
    /// default.
    pub fn acls(&self) -> Vec<AclView<'_>> {
        let mut views = Vec::new();
        for segment in &self.config.segments {
            let id = self.ids.segment(&segment.name);
            let directions = [("in", FilterKey::IN), ("out", FilterKey::OUT)];
            for (list, (name, direction)) in segment.acls.iter().zip(directions) {
                let Some(list) = list else { continue };
                let key = id.map(|SegmentId(segment)| FilterKey { segment, direction });
                let placed = key.and_then(|key| self.filters.get(&key));
                let index = |at: usize| placed.and_then(|placed| placed.rules.get(at).copied());
                views.extend(rules(list).enumerate().map(|(at, (position, permits, text))| {
                    let (segment, index) = (&*segment.name, index(at));
                    AclView { segment, direction: name, position, permits, text, index }
                }));
            }
        }
        views
    }
}

fn rules(list: &List) -> impl Iterator<Item = (Option<usize>, bool, String)> {
    let own = list.entries.iter().enumerate();
    let own = own.map(|(at, entry)| (Some(at + 1), entry.permits, entry.to_string()));
    own.chain([
        (None, true, "neighbour discovery".to_owned()),
        (None, list.permits, "default".to_owned()),
    ])
}
