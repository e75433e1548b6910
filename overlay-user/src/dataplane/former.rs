//! What an earlier run of the instance left in its maps: the addresses that it
//! had learnt, or that were loaded, and the IP addresses that it had heard of. Everything else is configuration or asked of
//! the kernel anew.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Result, bail};
use aya::maps::{Array, Map, MapData};
use overlay_common::abi::{
    ABI_VERSION, FdbEntry, FdbKey, Neighbour, NeighbourKey, Node, Port, Segment, Vtep, Vtep6Key,
    VtepKey, maps,
};
use overlay_common::wire::Mac;
use overlay_control::controller::{Restored, RestoredNeighbour, RestoredPlace};

use super::pins::Pins;
use super::shared;
use super::wire::Wire;

/// What is taken over.
#[derive(Debug, Default)]
pub struct Former {
    /// Learnt and loaded addresses.
    pub stations: Vec<Restored>,
    /// IP addresses that were heard of.
    pub neighbours: Vec<RestoredNeighbour>,
}

/// What the instance's pinned maps hold; nothing where there are no such maps, or maps of another layout, which is said. Whoever was killed
/// while it put new maps in the place of the old left the ones or the others.
pub fn learnt(pins: &Pins) -> Former {
    for directory in pins.former_maps() {
        match read(&directory) {
            Ok(former) => return former,
            Err(error) if directory.exists() => tracing::warn!(
                "the addresses in {} are lost, loaded ones too: {error:#}",
                directory.display()
            ),
            Err(_) => {}
        }
    }
    Former::default()
}

fn read(directory: &Path) -> Result<Former> {
    let node: Array<_, Wire<Node>> = Array::try_from(open(directory, maps::NODE)?)?;
    let Wire(node) = node.get(&0, 0)?;
    if node.abi_version != ABI_VERSION {
        bail!("the pinned maps have layout {}, not {ABI_VERSION}", node.abi_version);
    }
    let ports: Array<_, Wire<Port>> = Array::try_from(open(directory, maps::PORTS)?)?;
    let segments: Array<_, Wire<Segment>> = Array::try_from(open(directory, maps::SEGMENTS)?)?;
    let peers = peers(directory, node.masks.vteps)?;

    let mut vnis = HashMap::new();
    let mut places = HashMap::new();
    let mut restored = Vec::new();
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
            let age = node.epoch.wrapping_sub(entry.seen);
            restored.push(Restored { vni, mac: Mac(key.mac), place, age, is_loaded });
        }
    })?;
    let neighbours = neighbours(directory, &segments)?;
    Ok(Former { stations: restored, neighbours })
}

fn neighbours(
    directory: &Path,
    segments: &Array<MapData, Wire<Segment>>,
) -> Result<Vec<RestoredNeighbour>> {
    let map: aya::maps::HashMap<_, Wire<NeighbourKey>, Wire<Neighbour>> =
        aya::maps::HashMap::try_from(open(directory, maps::NEIGHBOURS)?)?;
    let mut restored = Vec::new();
    for entry in map.iter() {
        let (Wire(key), Wire(neighbour)) = entry?;
        if !neighbour.is_static() {
            let Wire(segment) = segments.get(&u32::from(key.segment), 0)?;
            let (vni, address) = (segment.vni, key.ip());
            restored.push(RestoredNeighbour { vni, address, neighbour });
        }
    }
    Ok(restored)
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

fn open(directory: &Path, name: &str) -> Result<Map> {
    Ok(Map::from_map_data(MapData::from_pin(directory.join(name))?)?)
}
