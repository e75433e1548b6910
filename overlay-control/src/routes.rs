//! Routes by longest prefix, as the kernel's table finds them.

use std::collections::{BTreeMap, HashMap};

use overlay_common::abi::{Route, RouteKey};

/// The routes, and which lengths there are: of those the longest is looked for first.
#[derive(Debug, Default)]
pub struct Routes {
    by_prefix: HashMap<RouteKey, Route>,
    lengths: BTreeMap<u32, usize>,
}

impl Routes {
    /// Adds a route, or changes where its prefix leads.
    pub fn put(&mut self, key: RouteKey, route: Route) {
        if self.by_prefix.insert(key, route).is_none() {
            *self.lengths.entry(key.bits).or_default() += 1;
        }
    }

    /// Removes a route, if it is there.
    pub fn remove(&mut self, key: &RouteKey) {
        if self.by_prefix.remove(key).is_none() {
            return;
        }
        if let Some(count) = self.lengths.get_mut(&key.bits) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&key.bits);
            }
        }
    }

    /// The route with the longest prefix that holds what is asked for.
    pub fn find(&self, asked: &RouteKey) -> Option<Route> {
        self.find_prefix(asked).map(|(_, route)| route)
    }

    /// The same with its prefix.
    pub fn find_prefix(&self, asked: &RouteKey) -> Option<(RouteKey, Route)> {
        let lengths = self.lengths.range(..=asked.bits).rev();
        let held = |key| self.by_prefix.get(&key).map(|route| (key, *route));
        lengths.map(|(bits, _)| asked.cut(*bits)).find_map(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn key(vrf: u16, address: u32, len: u8) -> RouteKey {
        let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        RouteKey::prefix(vrf, IpAddr::V4(Ipv4Addr::from_bits(address & mask)), len)
    }

    fn prefix() -> impl Strategy<Value = RouteKey> {
        // Few bits that differ, so that prefixes hold one another.
        (1_u16..3, 0_u32..64, 0_u8..=32).prop_map(|(vrf, bits, len)| key(vrf, bits << 24, len))
    }

    proptest! {
        #[test]
        fn the_longest_prefix_that_holds_an_address_is_found(
            changes in proptest::collection::vec((prefix(), any::<bool>(), 0_u16..6), 0..60),
            asked in proptest::collection::vec((1_u16..3, 0_u32..64), 20),
        ) {
            let (mut routes, mut all) = (Routes::default(), BTreeMap::new());
            for (key, is_put, kind) in changes {
                if is_put {
                    let route = Route { kind, ..Route::default() };
                    routes.put(key, route);
                    all.insert(key, route);
                } else {
                    routes.remove(&key);
                    all.remove(&key);
                }
            }
            for (vrf, bits) in asked {
                let asked = key(vrf, bits << 24, 32);
                let held = all.iter().filter(|(key, _)| key.holds(&asked));
                let longest = held.max_by_key(|(key, _)| key.bits).map(|(_, route)| *route);
                prop_assert_eq!(routes.find(&asked), longest);
            }
        }
    }
}
