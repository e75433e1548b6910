//! The kinds of events. Their names are part of the interface.

/// Declares [`Kind`] with the name and the meaning of each kind in one place.
macro_rules! kinds {
    ($($variant:ident = $name:literal, $about:literal;)*) => {
        /// What kind of thing happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(usize)]
        pub enum Kind {
            $(#[doc = $about] $variant,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it means.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

kinds! {
    Started = "started", "The daemon has begun its work.";
    Ready = "ready", "The gateway forwards.";
    Stopping = "stopping", "The daemon is ending.";
    ConfigurationApplied = "configuration-applied", "A configuration came into force; `changes` lists what is different.";
    ConfigurationRefused = "configuration-refused", "A configuration was refused; nothing was changed.";
    PortAttached = "port-attached", "Programs, or threads in user space, take a port's frames.";
    PortDetached = "port-detached", "A port's frames are no longer taken.";
    PortUp = "port-up", "A port's device is up and has a carrier.";
    PortDown = "port-down", "A port's device is down or has no carrier.";
    PortAppeared = "port-appeared", "A port's device is there.";
    PortVanished = "port-vanished", "A port's device is gone.";
    PortRenamed = "port-renamed", "A port's device has another name.";
    PortMtu = "port-mtu", "A port's device has another MTU.";
    PortMac = "port-mac", "A port's device has another MAC address.";
    PeerReady = "peer-ready", "Frames can be sent to a peer.";
    PeerUnresolved = "peer-unresolved", "Frames cannot be sent to a peer; the text says what is missing.";
    NextHopChanged = "next-hop-changed", "A peer is reached another way.";
    AddressLearned = "address-learned", "A MAC address is new in the FDB.";
    AddressMoved = "address-moved", "A MAC address is elsewhere.";
    AddressAged = "address-aged", "A MAC address was silent for `node.ageing` and is forgotten.";
    AddressFlushed = "address-flushed", "A MAC address is forgotten because its port or peer went away, or for want of room.";
    ProblemBegan = "problem-began", "Something is wrong; `code` says what, `fix` what to do.";
    ProblemEnded = "problem-ended", "Something is right again.";
    Limited = "limited", "A limit held frames or addresses back: `reason` says which.";
    Lost = "lost", "Not an event: the reader was too slow, and so many events are missing here.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_has_every_kind() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/monitoring.md");
        let text = std::fs::read_to_string(page).unwrap();
        for (number, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, number);
            let row = format!("| `{}` | {} |", kind.name(), kind.about());
            assert!(text.contains(&row), "docs/src/monitoring.md lacks: {row}");
        }
    }
}
