//! What an earlier run of the instance left in its maps: the addresses that it
//! had learnt, or that were loaded, and the IP addresses that it had heard of. Everything else is configuration or asked of
//! the kernel anew.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use aya::maps::{Array, Map, MapData};
use overlay_common::abi::{
    ABI_VERSION, FdbEntry, FdbKey, Neighbour, NeighbourKey, Node, Port, Segment, Vtep, Vtep6Key,
    VtepKey, maps,
};
use overlay_common::wire::Mac;
use overlay_control::controller::{Restored, RestoredNeighbour, RestoredPlace};

use super::shared;
use super::wire::Wire;
use crate::learnt::{Head, Take};

/// The pinned maps of an instance, of this layout. They may be in use.
pub struct Tables {
    directory: PathBuf,
    node: Node,
    number: u32,
}

/// The number of the map `NODE`, whatever its layout: which maps these are.
pub fn number(directory: &Path) -> Result<u32> {
    Ok(MapData::from_pin(directory.join(maps::NODE))?.info()?.id())
}

impl Tables {
    /// Looks at the maps that are pinned in a directory.
    ///
    /// # Errors
    ///
    /// There are none, or they are of another layout.
    pub fn open(directory: &Path) -> Result<Self> {
        let node: Array<_, Wire<Node>> = Array::try_from(open(directory, maps::NODE)?)?;
        let Wire(node) = node.get(&0, 0)?;
        if node.abi_version != ABI_VERSION {
            bail!("the pinned maps have layout {}, not {ABI_VERSION}", node.abi_version);
        }
        Ok(Self { directory: directory.to_owned(), node, number: number(directory)? })
    }

    /// Which maps these are, and where their ageing clock stood a moment ago.
    pub fn head(&self) -> Head {
        Head::now(self.number, self.node.epoch)
    }

    /// Shows everything that was learnt or loaded. What changes meanwhile is seen as it was, or as
    /// it is.
    ///
    /// # Errors
    ///
    /// A map cannot be read.
    pub fn visit(&self, to: &mut impl Take) -> Result<()> {
        let Self { directory, node, .. } = self;
        let ports: Array<_, Wire<Port>> = Array::try_from(open(directory, maps::PORTS)?)?;
        let segments: Array<_, Wire<Segment>> = Array::try_from(open(directory, maps::SEGMENTS)?)?;
        let peers = peers(directory, node.masks.vteps)?;

        let mut vnis = HashMap::new();
        let mut places = HashMap::new();
        let path = directory.join(maps::FDB);
        shared::for_each_pinned(&path, node.masks.fdb, |key: FdbKey, entry: FdbEntry| {
            let is_loaded = entry.flags & FdbEntry::LOADED != 0;
            if entry.is_static() && !is_loaded {
                return;
            }
            let vni = *vnis.entry(key.segment).or_insert_with(|| {
                segments.get(&u32::from(key.segment), 0).map_or(0, |Wire(segment)| segment.vni)
            });
            let place = *places.entry(entry.target).or_insert_with(|| {
                let index = entry.target.index();
                if entry.target.is_peer() {
                    return peers.get(&index).copied().map(RestoredPlace::Peer);
                }
                let Wire(port) = ports.get(&index, 0).ok()?;
                Some(RestoredPlace::Port { ifindex: port.egress.ifindex, vlan: port.vlan })
            });
            if let Some(place) = place {
                let age = age(node.epoch, entry.seen);
                to.station(Restored { vni, mac: Mac(key.mac), place, age, is_loaded });
            }
        })?;
        neighbours(directory, &segments, to)
    }
}

/// Seconds since an address was seen; a program may have read the clock a moment later.
fn age(epoch: u32, seen: u32) -> u32 {
    let age = epoch.wrapping_sub(seen);
    if age > u32::MAX / 2 { 0 } else { age }
}

fn neighbours(
    directory: &Path,
    segments: &Array<MapData, Wire<Segment>>,
    to: &mut impl Take,
) -> Result<()> {
    let map: aya::maps::HashMap<_, Wire<NeighbourKey>, Wire<Neighbour>> =
        aya::maps::HashMap::try_from(open(directory, maps::NEIGHBOURS)?)?;
    let mut vnis = HashMap::new();
    // The kernel begins again where the entry that it stands at is removed.
    let most = 2 * MapData::from_pin(directory.join(maps::NEIGHBOURS))?.info()?.max_entries();
    for entry in map.iter().take(most as usize) {
        // One that is removed meanwhile is none.
        let Ok((Wire(key), Wire(neighbour))) = entry else { continue };
        if !neighbour.is_static() {
            let vni = *vnis.entry(key.segment).or_insert_with(|| {
                segments.get(&u32::from(key.segment), 0).map_or(0, |Wire(segment)| segment.vni)
            });
            to.neighbour(RestoredNeighbour { vni, address: key.ip(), neighbour });
        }
    }
    Ok(())
}

/// The VTEP of each peer.
fn peers(directory: &Path, mask: u32) -> Result<HashMap<u32, IpAddr>> {
    let mut peers = HashMap::new();
    let path = directory.join(maps::VTEPS);
    shared::for_each_pinned(&path, mask, |VtepKey(address), vtep: Vtep| {
        peers.insert(vtep.peer(), IpAddr::from(address));
    })?;
    let v6: aya::maps::HashMap<_, Wire<Vtep6Key>, Wire<Vtep>> =
        aya::maps::HashMap::try_from(open(directory, maps::VTEPS6)?)?;
    for entry in v6.iter() {
        let (Wire(Vtep6Key(address)), Wire(vtep)) = entry?;
        peers.insert(vtep.peer(), IpAddr::from(address));
    }
    Ok(peers)
}

/// A pinned map of a former process.
pub fn open(directory: &Path, name: &str) -> Result<Map> {
    Ok(Map::from_map_data(MapData::from_pin(directory.join(name))?)?)
}
