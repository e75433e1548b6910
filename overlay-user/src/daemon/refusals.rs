//! Changes of tables that the kernel refused.

/// How many there were, and the last.
#[derive(Debug, Default)]
pub struct Refusals {
    count: u64,
    /// The table, the change, and why.
    last: String,
}

impl Refusals {
    /// Takes note of one.
    pub fn put(&mut self, error: &anyhow::Error) {
        self.count += 1;
        self.last = format!("{error:#}");
        tracing::error!("the kernel refused a table entry: {}", self.last);
    }

    /// How many there were.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// What there is to tell, in a sentence; nothing where nothing was refused.
    pub fn told(&self) -> Option<String> {
        self.told_since(0)
    }

    /// The same of those that came after so many.
    pub fn told_since(&self, before: u64) -> Option<String> {
        let last = &self.last;
        match self.count - before {
            0 => None,
            1 => Some(format!("the kernel refused a table entry: {last}")),
            count => Some(format!(
                "the kernel refused {count} table entries, which the daemon's log names; the \
                 last: {last}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_is_named_and_the_others_are_counted() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.told(), None);
        refusals.put(&anyhow::anyhow!("no room").context("PEERS: PutPeer(1)"));
        let one = "the kernel refused a table entry: PEERS: PutPeer(1): no room";
        assert_eq!(refusals.told().as_deref(), Some(one));
        refusals.put(&anyhow::anyhow!("no room").context("FDB: PutFdb(2)"));
        let two = "the kernel refused 2 table entries, which the daemon's log names; the last: \
                   FDB: PutFdb(2): no room";
        assert_eq!(refusals.told().as_deref(), Some(two));
        let later = "the kernel refused a table entry: FDB: PutFdb(2): no room";
        assert_eq!(refusals.told_since(1).as_deref(), Some(later));
        assert_eq!((refusals.told_since(2), refusals.count()), (None, 2));
    }
}
