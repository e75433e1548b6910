//! Route and neighbour of every peer, kept current.
//!
//! Routes are asked for again whenever any route changes. Neighbours are kept
//! fresh by the kernel itself, which is told so every second: nothing in the
//! kernel's stack uses these entries, so it would let them go stale.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Lost, Neighbour, Netlink, Prod, Reachability, Route};

/// A confirmed next hop is asked again this often, so that a router that
/// changes its MAC address in silence is noticed.
const CONFIRM_EVERY: Duration = Duration::from_secs(5);
/// A next hop that does not answer to the address it had keeps it for so long
/// while the kernel asks everyone.
const GRACE: Duration = Duration::from_secs(3);

/// The way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Route to the peer's VTEP.
    pub route: Route,
    /// The next hop's MAC address, where known.
    pub mac: Option<[u8; 6]>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    neighbour: Neighbour,
    /// The last MAC address and when it stopped being valid.
    lost: Option<([u8; 6], Instant)>,
}

/// Routes and neighbours of the peers.
#[derive(Default)]
pub struct NextHops {
    routes: HashMap<IpAddr, Vec<Route>>,
    neighbours: HashMap<(u32, IpAddr), Entry>,
    confirmed: HashMap<(u32, IpAddr), Instant>,
}

impl NextHops {
    /// Sets the VTEPs of the peers; those that are new have no route yet.
    pub fn track(&mut self, peers: impl IntoIterator<Item = IpAddr>) {
        let mut known = std::mem::take(&mut self.routes);
        self.routes =
            peers.into_iter().map(|vtep| (vtep, known.remove(&vtep).unwrap_or_default())).collect();
    }

    /// Asks for the way to every peer again.
    /// `source` is this node's VTEP of the same family.
    ///
    /// # Errors
    ///
    /// [`Lost`]: some could not be asked for, and are what they were.
    pub async fn refresh_routes(
        &mut self,
        netlink: &Netlink,
        source: impl Fn(IpAddr) -> Option<IpAddr>,
    ) -> Result<(), Lost> {
        let mut done = Ok(());
        for (vtep, routes) in &mut self.routes {
            let found = match source(*vtep) {
                Some(source) => netlink.routes_to(*vtep, source).await,
                None => Ok(Vec::new()),
            };
            match found {
                Ok(found) => *routes = found,
                Err(lost) => done = Err(lost),
            }
        }
        done
    }

    /// Replaces everything known about neighbours.
    pub fn reset_neighbours(&mut self, neighbours: Vec<Neighbour>, now: Instant) {
        let gone: Vec<_> = {
            let seen: HashSet<_> = neighbours.iter().map(|n| (n.ifindex, n.address)).collect();
            self.neighbours.keys().filter(|key| !seen.contains(*key)).copied().collect()
        };
        for key in gone {
            self.neighbours.remove(&key);
        }
        for neighbour in neighbours {
            self.put_neighbour(neighbour, now);
        }
    }

    /// Takes in a neighbour's new state, and says whether its MAC address
    /// changed: states change all the time.
    pub fn put_neighbour(&mut self, neighbour: Neighbour, now: Instant) -> bool {
        let key = (neighbour.ifindex, neighbour.address);
        let before = self.neighbours.get(&key);
        let lost = match (before, neighbour.mac) {
            (Some(Entry { neighbour: Neighbour { mac: Some(old), .. }, .. }), None) => {
                Some((*old, now))
            }
            (Some(entry), None) => entry.lost,
            _ => None,
        };
        let former = self.neighbours.insert(key, Entry { neighbour, lost });
        former.and_then(|entry| entry.neighbour.mac) != neighbour.mac
    }

    /// Forgets a neighbour.
    pub fn remove_neighbour(&mut self, neighbour: &Neighbour) {
        self.neighbours.remove(&(neighbour.ifindex, neighbour.address));
    }

    /// Forgets what was behind a device.
    pub fn remove_device(&mut self, ifindex: u32) {
        self.neighbours.retain(|(device, _), _| *device != ifindex);
        self.confirmed.retain(|(device, _), _| *device != ifindex);
    }

    /// Whether a peer with a route has a next hop whose MAC address is unknown.
    pub fn any_unresolved(&self, now: Instant) -> bool {
        self.ways(now).any(|(_, ways)| ways.iter().any(|way| way.mac.is_none()))
    }

    /// The ways to each peer.
    pub fn ways(&self, now: Instant) -> impl Iterator<Item = (IpAddr, Vec<Way>)> + '_ {
        self.routes.iter().map(move |(vtep, routes)| {
            let way = |route: &Route| Way { route: *route, mac: self.mac(route, now) };
            (*vtep, routes.iter().map(way).collect())
        })
    }

    fn mac(&self, route: &Route, now: Instant) -> Option<[u8; 6]> {
        let entry = self.neighbours.get(&(route.ifindex, route.next_hop))?;
        let within_grace = |(mac, since): ([u8; 6], Instant)| {
            (now.saturating_duration_since(since) < GRACE).then_some(mac)
        };
        entry.neighbour.mac.or_else(|| entry.lost.and_then(within_grace))
    }

    /// What the kernel should be asked now; to be called once a second.
    pub fn prods(&mut self, now: Instant) -> Vec<(u32, IpAddr, Prod)> {
        let used: HashSet<_> =
            self.routes.values().flatten().map(|r| (r.ifindex, r.next_hop)).collect();
        self.confirmed.retain(|key, _| used.contains(key));
        used.into_iter()
            .filter_map(|key| self.prod(key, now).map(|prod| (key.0, key.1, prod)))
            .collect()
    }

    fn prod(&mut self, key: (u32, IpAddr), now: Instant) -> Option<Prod> {
        let reachability = self.neighbours.get(&key).map(|entry| entry.neighbour.reachability);
        let asked = self.confirmed.get(&key).copied();
        match reachability {
            None | Some(Reachability::Unknown) => Some(Prod::Resolve),
            Some(Reachability::Fixed) => None,
            // No answer for a second at the address it had: ask everyone,
            // instead of the two more tries that the kernel would make there.
            Some(Reachability::Probed) => {
                let silent =
                    asked.is_some_and(|at| now.saturating_duration_since(at).as_millis() >= 900);
                silent.then_some(Prod::Renew)
            }
            Some(Reachability::Stale) => {
                self.confirmed.insert(key, now);
                Some(Prod::Confirm)
            }
            Some(Reachability::Reachable) => {
                let due = asked.is_none_or(|at| now.saturating_duration_since(at) >= CONFIRM_EVERY);
                due.then(|| {
                    self.confirmed.insert(key, now);
                    Prod::Confirm
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::socket::tests::broken;
    use std::net::Ipv4Addr;

    const VTEP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn neighbour(reachability: Reachability) -> Neighbour {
        let mac = (reachability != Reachability::Unknown).then_some(MAC);
        Neighbour { ifindex: 3, address: VTEP, mac, reachability }
    }

    fn tracked() -> NextHops {
        let mut hops = NextHops::default();
        hops.track([VTEP]);
        hops.routes.insert(VTEP, vec![Route { ifindex: 3, next_hop: VTEP, mtu: None }]);
        hops
    }

    /// That nobody answered is not that there is no route.
    #[tokio::test]
    async fn a_route_stays_that_could_not_be_asked_for() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut hops = NextHops::default();
        hops.track([local]);
        let former = vec![Route { ifindex: 3, next_hop: VTEP, mtu: None }];
        hops.routes.insert(local, former.clone());
        let netlink = Netlink::over(broken().await);
        assert!(hops.refresh_routes(&netlink, Some).await.is_err());
        assert_eq!(hops.routes[&local], former);
        assert!(hops.refresh_routes(&netlink, Some).await.is_ok());
        assert_eq!(hops.routes[&local], [], "that route does not leave the host");
    }

    #[test]
    fn an_unknown_next_hop_is_resolved_every_second() {
        let mut hops = tracked();
        let now = Instant::now();
        assert_eq!(hops.prods(now), [(3, VTEP, Prod::Resolve)]);
        hops.put_neighbour(neighbour(Reachability::Unknown), now);
        assert_eq!(hops.prods(now), [(3, VTEP, Prod::Resolve)]);
    }

    #[test]
    fn a_reachable_next_hop_is_confirmed_every_five_seconds() {
        let mut hops = tracked();
        let now = Instant::now();
        hops.put_neighbour(neighbour(Reachability::Reachable), now);
        assert_eq!(hops.prods(now), [(3, VTEP, Prod::Confirm)]);
        assert_eq!(hops.prods(now + Duration::from_secs(1)), []);
        assert_eq!(hops.prods(now + Duration::from_secs(5)), [(3, VTEP, Prod::Confirm)]);
    }

    #[test]
    fn a_silent_next_hop_is_renewed_and_keeps_its_mac_meanwhile() {
        let mut hops = tracked();
        let now = Instant::now();
        hops.put_neighbour(neighbour(Reachability::Stale), now);
        assert_eq!(hops.prods(now), [(3, VTEP, Prod::Confirm)]);
        hops.put_neighbour(neighbour(Reachability::Probed), now);
        let later = now + Duration::from_secs(1);
        assert_eq!(hops.prods(later), [(3, VTEP, Prod::Renew)]);
        hops.put_neighbour(neighbour(Reachability::Unknown), later);
        let mac = |at| hops.ways(at).next().and_then(|(_, ways)| ways.first()?.mac);
        assert_eq!(mac(later + Duration::from_secs(2)), Some(MAC));
        assert_eq!(mac(later + Duration::from_secs(3)), None);
    }

    #[test]
    fn permanent_neighbours_are_left_alone() {
        let mut hops = tracked();
        let now = Instant::now();
        hops.put_neighbour(neighbour(Reachability::Fixed), now);
        assert_eq!(hops.prods(now), []);
    }
}
