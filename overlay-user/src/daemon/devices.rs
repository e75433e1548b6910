//! The names of devices. Those that are gone are remembered for a while, since their drop counters
//! are still shown, but not for ever: a host may make a device for each of its guests, for years.

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;

use overlay_common::abi::{DropKey, Hook};
use overlay_common::verdict::DropReason;

use super::Daemon;

/// So many devices that are gone are remembered.
pub const GONE: usize = 256;

/// Where drops are counted.
const HOOKS: [Hook; 3] = [Hook::Xdp, Hook::Tc, Hook::User];

/// What stands for all devices that are remembered no more.
pub const FORGOTTEN: u32 = u32::MAX;

/// Names by the numbers of devices.
#[derive(Debug, Default)]
pub struct Devices {
    names: HashMap<u32, String>,
    /// In the order in which they went.
    gone: VecDeque<u32>,
    /// Grows with each change of names.
    changes: u64,
}

impl Devices {
    /// A device is there, under this name.
    pub fn put(&mut self, ifindex: u32, name: &str) {
        self.gone.retain(|gone| *gone != ifindex);
        if self.names.get(&ifindex).is_none_or(|known| known != name) {
            self.names.insert(ifindex, name.to_owned());
            self.changes += 1;
        }
    }

    /// A device is gone. Returns the one that is forgotten for it, if there is one, and which
    /// inherits its counters: another of the same name, or [`FORGOTTEN`].
    pub fn leave(&mut self, ifindex: u32) -> Option<(u32, u32)> {
        if !self.names.contains_key(&ifindex) || self.gone.contains(&ifindex) {
            return None;
        }
        self.gone.push_back(ifindex);
        if self.gone.len() <= GONE {
            return None;
        }
        let oldest = self.gone.pop_front()?;
        let name = self.names.remove(&oldest)?;
        self.changes += 1;
        let heir = self.names.iter().filter(|(_, other)| **other == name).map(|(index, _)| *index);
        Some((oldest, heir.max().unwrap_or(FORGOTTEN)))
    }

    /// The name of a device that is there, or was not long ago.
    pub fn name(&self, ifindex: u32) -> Option<&String> {
        self.names.get(&ifindex)
    }

    /// All names.
    pub fn names(&self) -> &HashMap<u32, String> {
        &self.names
    }

    /// A number that is another one whenever names have changed since.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Where something was counted.
    pub fn place(&self, ifindex: u32) -> String {
        match (ifindex, self.name(ifindex)) {
            (_, Some(name)) => name.clone(),
            (0 | FORGOTTEN, None) => "-".to_owned(),
            (ifindex, None) => format!("ifindex-{ifindex}"),
        }
    }
}

impl Daemon {
    /// Takes note of a device that is gone, and adds up the drops of one that went long ago with
    /// others': the map of the counters has room for some thousand devices, and no more.
    pub(super) fn device_left(&mut self, ifindex: u32) {
        let Some((former, heir)) = self.devices.leave(ifindex) else { return };
        self.carrier.hurry();
        let mirror = self.mirror.read().unwrap_or_else(PoisonError::into_inner);
        for reason in DropReason::ALL.iter().copied() {
            for hook in HOOKS {
                let key = DropKey::new(former, reason, hook);
                let packets = [
                    self.dataplane.tables.take_drop(key),
                    mirror.take_drop(key),
                    self.queues.take_drop(key),
                    self.user_ports.take_drop(key),
                    self.gone.drops.remove(&key).unwrap_or_default(),
                ];
                let packets: u64 = packets.into_iter().sum();
                if packets != 0 {
                    let key = DropKey::new(heir, reason, hook);
                    *self.gone.drops.entry(key).or_default() += packets;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_that_come_and_go_are_not_remembered_for_ever() {
        let mut devices = Devices::default();
        devices.put(1, "eth0");
        let mut forgotten = Vec::new();
        for number in 0..10_000 {
            devices.put(10 + number, &format!("tap{number}"));
            forgotten.extend(devices.leave(10 + number));
            assert!(devices.names().len() <= GONE + 2, "{}", devices.names().len());
        }
        assert_eq!(forgotten.len(), 10_000 - GONE);
        assert_eq!(forgotten[0], (10, FORGOTTEN));
        assert_eq!(devices.place(10_009), "tap9999");
        assert_eq!(
            (devices.place(10), devices.place(FORGOTTEN)),
            ("ifindex-10".to_owned(), "-".to_owned())
        );
        assert_eq!((devices.place(1), devices.place(0)), ("eth0".to_owned(), "-".to_owned()));
    }

    #[test]
    fn one_of_the_same_name_inherits_and_one_that_is_back_is_kept() {
        let mut devices = Devices::default();
        for number in 1..=GONE as u32 + 1 {
            devices.put(number, "eth3");
            let forgotten = devices.leave(number);
            assert_eq!(forgotten.is_some(), number as usize > GONE, "{number}");
            assert!(forgotten.is_none_or(|told| told == (1, number)), "{forgotten:?}");
        }
        devices.put(2, "eth3");
        devices.put(5000, "other");
        assert_eq!(devices.leave(5000), None, "there is room again");
        assert_eq!(devices.leave(5000), None, "it went before");
    }
}
