//! Access lists as lists for people.

use overlay_common::abi::FilterKey;
use overlay_common::id::SegmentId;

use super::{AclView, Controller};

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
                let rules = key.map_or(&[][..], |key| self.filters.rules(&key, list));
                views.extend(list.lines().enumerate().map(|(place, line)| {
                    let indices = rules.get(place).map(|index| self.filters.counting(*index));
                    let (segment, indices) = (&*segment.name, indices.unwrap_or_default());
                    AclView { segment, direction: name, line, indices }
                }));
            }
        }
        views
    }
}
