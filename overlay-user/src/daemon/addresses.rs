//! Lists of addresses that are loaded and unloaded by command.

use overlay_common::abi::FdbKey;
use overlay_control::addresses::{Address, List};
use overlay_control::controller::{Origin, Refusal};

use super::{Daemon, memory};
use crate::api::lists::refused;
use crate::api::problem::Kind;
use crate::api::{Answer, Done, ListOrder, Problem};

/// So many addresses are carried out at once: their actions wait in memory.
const PART: usize = 8192;

impl Daemon {
    /// Carries out an order on a list, wholly or not at all.
    pub(super) fn carry_out(&mut self, order: ListOrder, list: List) -> Result<Answer, Problem> {
        let refused_before = self.refusals.count();
        let change = match order {
            ListOrder::Load => self.load(&list),
            ListOrder::Unload => self.unload(&list),
        };
        drop(list);
        memory::release();
        let changes = vec![change.map_err(failure)?];
        match self.refusals.told_since(refused_before) {
            None => Ok(done(changes)),
            Some(detail) => Err(Problem::machine(detail).with(changes)),
        }
    }

    /// Removes every loaded address.
    pub(super) fn flush_loaded(&mut self) -> Answer {
        let loaded = self.controller.loaded();
        self.remove_loaded(&loaded);
        memory::release();
        done(vec![format!("unloaded {}", addresses(loaded.len()))])
    }

    fn load(&mut self, list: &List) -> Result<String, Refusal> {
        let before = self.controller.fdb_len(Origin::Loaded);
        self.controller.prepare_load(list, self.now())?;
        self.flush();
        for part in list.addresses.chunks(PART) {
            self.controller.handle_load(part, self.now());
            self.flush();
        }
        let again = list.addresses.len() - (self.controller.fdb_len(Origin::Loaded) - before);
        let change = format!("loaded {}", addresses(list.addresses.len()));
        Ok(if again == 0 { change } else { format!("{change}, {again} of them again") })
    }

    fn unload(&mut self, list: &List) -> Result<String, Refusal> {
        self.controller.check_unload(list)?;
        let keys: Vec<FdbKey> = list.addresses.iter().map(|Address { key, .. }| *key).collect();
        self.remove_loaded(&keys);
        Ok(format!("unloaded {}", addresses(keys.len())))
    }

    fn remove_loaded(&mut self, keys: &[FdbKey]) {
        for part in keys.chunks(PART) {
            self.controller.handle_unload(part, self.now());
            self.flush();
        }
        self.controller.finish_unload();
    }
}

fn failure(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Changed => Problem::new(
            Kind::Conflict,
            "the configuration was reloaded while the list was read; nothing was changed: try \
             again",
        ),
        Refusal::Lines(errors) => refused(errors),
        Refusal::Full { wanted, room } => {
            let detail = format!(
                "with the static addresses that are there already these would be {wanted}, and \
                 the FDB takes {room}; nothing was changed: make node.fdb_entries larger and \
                 start again, or load fewer"
            );
            Problem::configuration(detail, Vec::new())
        }
    }
}

fn done(changes: Vec<String>) -> Answer {
    Answer::Done(Done { changes })
}

fn addresses(count: usize) -> String {
    format!("{count} address{}", if count == 1 { "" } else { "es" })
}
