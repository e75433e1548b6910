//! The host's network devices, and what is attached to them.

use std::collections::BTreeMap;

use super::LinkInfo;

#[derive(Debug, Default)]
pub struct Links {
    by_name: BTreeMap<String, Link>,
    by_index: BTreeMap<u32, String>,
}

#[derive(Debug)]
struct Link {
    info: LinkInfo,
    /// Egress flags, once a program is attached.
    attached: Option<u32>,
}

impl Links {
    /// Takes a device in, and returns the names of those that changed: its own,
    /// and the one that it had before, if it was renamed.
    pub fn put(&mut self, info: LinkInfo) -> Vec<String> {
        let mut changed = Vec::new();
        let mut attached = None;
        if let Some(old_name) = self.by_index.get(&info.ifindex)
            && *old_name != info.name
        {
            // It is another port, or none: the programs of the one before are taken off it.
            let old_name = old_name.clone();
            self.by_name.remove(&old_name);
            changed.push(old_name);
        }
        match self.by_name.get(&info.name) {
            Some(link) if link.info == info => return changed,
            Some(link) if link.info.ifindex == info.ifindex => attached = link.attached,
            Some(link) => {
                // Another device of the same name; nothing is attached to it.
                self.by_index.remove(&link.info.ifindex);
            }
            None => {}
        }
        changed.push(info.name.clone());
        self.by_index.insert(info.ifindex, info.name.clone());
        self.by_name.insert(info.name.clone(), Link { info, attached });
        changed
    }

    /// Forgets a device, and says whether it was known.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(link) = self.by_name.remove(name) else { return false };
        self.by_index.remove(&link.info.ifindex);
        true
    }

    /// Takes note of what is attached, and says whether that is a change.
    pub fn attach(&mut self, name: &str, flags: u32) -> bool {
        match self.by_name.get_mut(name) {
            Some(link) => link.attached.replace(flags) != Some(flags),
            None => false,
        }
    }

    pub fn named(&self, name: &str) -> Option<&LinkInfo> {
        self.by_name.get(name).map(|link| &link.info)
    }

    pub fn indexed(&self, ifindex: u32) -> Option<&LinkInfo> {
        self.named(self.by_index.get(&ifindex)?)
    }

    /// The device, if frames can leave through it.
    pub fn up(&self, name: &str) -> Option<&LinkInfo> {
        self.named(name).filter(|link| link.up)
    }

    /// The egress flags of a device; `None` where nothing is attached.
    pub fn attached(&self, name: &str) -> Option<u32> {
        self.by_name.get(name)?.attached
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_common::wire::Mac;

    fn link(name: &str, ifindex: u32) -> LinkInfo {
        LinkInfo { name: name.into(), ifindex, mac: Mac([2; 6]), mtu: 1500, up: true }
    }

    #[test]
    fn only_changes_are_reported() {
        let mut links = Links::default();
        assert_eq!(links.put(link("eth0", 2)), ["eth0"]);
        assert_eq!(links.put(link("eth0", 2)), [""; 0]);
        assert_eq!(links.put(LinkInfo { up: false, ..link("eth0", 2) }), ["eth0"]);
        assert!(links.up("eth0").is_none());
        assert!(links.remove("eth0") && !links.remove("eth0"));
        assert!(links.indexed(2).is_none());
    }

    #[test]
    fn a_renamed_device_starts_bare() {
        let mut links = Links::default();
        links.put(link("eth0", 2));
        assert!(links.attach("eth0", 1));
        assert!(!links.attach("eth0", 1));
        assert_eq!(links.put(link("wan0", 2)), ["eth0", "wan0"]);
        assert_eq!(links.attached("wan0"), None);
        assert!(links.named("eth0").is_none());
        assert_eq!(links.indexed(2).unwrap().name, "wan0");
    }

    #[test]
    fn another_device_of_the_same_name_starts_bare() {
        let mut links = Links::default();
        links.put(link("eth0", 2));
        links.attach("eth0", 1);
        assert_eq!(links.put(link("eth0", 7)), ["eth0"]);
        assert_eq!(links.attached("eth0"), None);
        assert!(links.indexed(2).is_none());
    }
}
