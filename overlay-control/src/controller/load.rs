//! Static addresses that are loaded by command: they live beside those of the
//! configuration, which stands above them.

use core::time::Duration;

use overlay_common::abi::FdbKey;

use super::{Controller, Origin};
use crate::addresses::{Address, LineError, List};

/// Why a list is not loaded, or not unloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The configuration is another than that the list was read with.
    Changed,
    /// These lines are at odds with what the FDB holds.
    Lines(Vec<LineError>),
    /// There is room for so many addresses, the configuration's among them.
    Full {
        /// How many there would be.
        wanted: usize,
        /// How many there may be.
        room: usize,
    },
}

/// Not more errors than these are of use.
const ERRORS_MAX: usize = 20;

impl Controller {
    /// Gets ready to load a list, of which learnt addresses may have to make room.
    /// Then every part of it is to be handed to [`handle_load`](Self::handle_load),
    /// with no other input in between.
    ///
    /// # Errors
    ///
    /// The list does not fit; nothing was changed.
    pub fn prepare_load(&mut self, list: &List, now: Duration) -> Result<(), Refusal> {
        self.advance(now);
        self.settle();
        if !list.names.is_of(&self.topology) {
            return Err(Refusal::Changed);
        }
        // Where nothing is configured, nothing need be looked up.
        if self.fdb.of_origin(Origin::Configured) > 0 {
            let help = "remove it here, or from the [[segment.fdb]] of the configuration";
            self.check(list, |origin| {
                let wrong = ("this address is in the configuration", help);
                (origin == Some(Origin::Configured)).then_some(wrong)
            })?;
        }
        let fixed = self.fdb.of_origin(Origin::Configured) + self.fdb.of_origin(Origin::Loaded);
        let (room, listed) = (self.fdb.capacity(), list.addresses.len());
        let mut new = listed;
        if self.fdb.len() + listed > room {
            let origins = list.addresses.iter().map(|address| self.fdb.origin(address.key));
            let (mut unknown, mut loaded) = (0, 0);
            for origin in origins {
                unknown += usize::from(origin.is_none());
                loaded += usize::from(origin == Some(Origin::Loaded));
            }
            let wanted = fixed + listed - loaded;
            if wanted > room {
                return Err(Refusal::Full { wanted, room });
            }
            new = unknown;
        }
        self.fdb.prepare_load(new, self.epoch(), &mut self.actions);
        Ok(())
    }

    /// Loads a part of a list.
    pub fn handle_load(&mut self, part: &[Address], now: Duration) {
        self.advance(now);
        let epoch = self.epoch();
        for address in part {
            self.fdb.load(address.key, address.target, epoch, &mut self.actions);
        }
    }

    /// Whether each address of a list is loaded, so that it can be unloaded.
    ///
    /// # Errors
    ///
    /// The addresses that are not.
    pub fn check_unload(&self, list: &List) -> Result<(), Refusal> {
        if !list.names.is_of(&self.topology) {
            return Err(Refusal::Changed);
        }
        let help = "overlay show fdb says which addresses are loaded";
        self.check(list, |origin| match origin {
            Some(Origin::Loaded) => None,
            Some(Origin::Configured) => Some((
                "this address is in the configuration",
                "remove it from the [[segment.fdb]] of the configuration, then: overlay reload",
            )),
            Some(Origin::Learned) => Some(("this address is learnt, and not loaded", help)),
            None => Some(("this address is not loaded", help)),
        })
    }

    /// Removes loaded addresses. After the last of many,
    /// [`finish_unload`](Self::finish_unload) gives their room back.
    pub fn handle_unload(&mut self, part: &[FdbKey], now: Duration) {
        self.advance(now);
        for key in part {
            if self.fdb.origin(*key) == Some(Origin::Loaded) {
                self.fdb.remove(*key, &mut self.actions);
            }
        }
    }

    /// Gives back the room of addresses that are gone.
    pub fn finish_unload(&mut self) {
        self.fdb.shrink();
    }

    /// Every loaded address.
    pub fn loaded(&self) -> Vec<FdbKey> {
        self.fdb.loaded().collect()
    }

    fn check(
        &self,
        list: &List,
        wrong: impl Fn(Option<Origin>) -> Option<(&'static str, &'static str)>,
    ) -> Result<(), Refusal> {
        let error = |address: &Address| {
            let (message, help) = wrong(self.fdb.origin(address.key))?;
            let (message, help) = (message.to_owned(), help.to_owned());
            Some(LineError { line: address.line, column: 1, message, help })
        };
        let mut errors: Vec<LineError> =
            list.addresses.iter().filter_map(error).take(ERRORS_MAX).collect();
        errors.sort();
        if errors.is_empty() { Ok(()) } else { Err(Refusal::Lines(errors)) }
    }
}
