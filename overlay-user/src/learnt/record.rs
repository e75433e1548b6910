//! The records of the file: a byte that says which it is, then its fields, little-endian, all
//! records of a kind of one length.
//!
//! A place is numbered by how many came before it, and stands before the stations that are there.

use std::net::{IpAddr, Ipv6Addr};

use overlay_common::abi::Neighbour;
use overlay_common::wire::Mac;
use overlay_control::controller::{Restored, RestoredNeighbour, RestoredPlace};

use super::Head;

/// What a file begins with; the last byte is the form of the rest.
pub const MAGIC: [u8; 8] = *b"ovlearn\x01";

const PEER: u8 = 1;
const PORT: u8 = 2;
const STATION: u8 = 3;
const NEIGHBOUR: u8 = 4;
const END: u8 = 5;

const LOADED: u8 = 1;
const ROUTER: u8 = 1;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// Behind which stations are.
    Place(RestoredPlace),
    /// A station, whose place is the one of this number.
    Station { vni: u32, mac: Mac, place: u32, age: u32, is_loaded: bool },
    /// Whose an IP address is.
    Neighbour(RestoredNeighbour),
    /// Nothing comes behind it; how many records came before.
    End(u64),
}

impl Record {
    /// The bytes, appended to `to`.
    pub fn put(&self, to: &mut Vec<u8>) {
        match *self {
            Self::Place(RestoredPlace::Peer(vtep)) => {
                to.push(PEER);
                to.extend(sixteen(vtep));
            }
            Self::Place(RestoredPlace::Port { ifindex, vlan }) => {
                to.push(PORT);
                to.extend(ifindex.to_le_bytes());
                to.extend(vlan.to_le_bytes());
            }
            Self::Station { vni, mac, place, age, is_loaded } => {
                to.push(STATION);
                to.extend(vni.to_le_bytes());
                to.extend(mac.0);
                to.extend(place.to_le_bytes());
                to.extend(age.to_le_bytes());
                to.push(if is_loaded { LOADED } else { 0 });
            }
            Self::Neighbour(RestoredNeighbour { vni, address, neighbour }) => {
                to.push(NEIGHBOUR);
                to.extend(vni.to_le_bytes());
                to.extend(sixteen(address));
                to.extend(neighbour.mac().0);
                to.push(if neighbour.is_router() { ROUTER } else { 0 });
            }
            Self::End(count) => {
                to.push(END);
                to.extend(count.to_le_bytes());
            }
        }
    }

    /// How many bytes a record of this kind has behind the first; `None` where there is no such
    /// kind.
    pub const fn len(kind: u8) -> Option<usize> {
        Some(match kind {
            PEER => 16,
            PORT => 6,
            STATION => 19,
            NEIGHBOUR => 27,
            END => 8,
            _ => return None,
        })
    }

    /// The record of this kind with these bytes; `None` where they are none.
    pub fn read(kind: u8, bytes: &[u8]) -> Option<Self> {
        if Self::len(kind) != Some(bytes.len()) {
            return None;
        }
        let mut bytes = Bytes(bytes);
        Some(match kind {
            PEER => Self::Place(RestoredPlace::Peer(address(bytes.take()?))),
            PORT => {
                let (ifindex, vlan) = (bytes.word()?, u16::from_le_bytes(bytes.take()?));
                Self::Place(RestoredPlace::Port { ifindex, vlan })
            }
            STATION => {
                let (vni, mac) = (bytes.word()?, Mac(bytes.take()?));
                let (place, age, [flags]) = (bytes.word()?, bytes.word()?, bytes.take()?);
                Self::Station { vni, mac, place, age, is_loaded: flags & LOADED != 0 }
            }
            NEIGHBOUR => {
                let (vni, address) = (bytes.word()?, address(bytes.take()?));
                let (mac, [flags]) = (Mac(bytes.take()?), bytes.take()?);
                let neighbour = Neighbour::new(mac).with_router(flags & ROUTER != 0);
                Self::Neighbour(RestoredNeighbour { vni, address, neighbour })
            }
            END => Self::End(u64::from_le_bytes(bytes.take()?)),
            _ => return None,
        })
    }

    /// A station.
    pub const fn station(station: &Restored, place: u32) -> Self {
        let Restored { vni, mac, age, is_loaded, .. } = *station;
        Self::Station { vni, mac, place, age, is_loaded }
    }
}

impl Head {
    /// How many bytes it has behind the magic ones.
    pub const LEN: usize = 32;

    /// Those bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.boot.to_vec();
        bytes.extend(self.tables.to_le_bytes());
        bytes.extend(self.epoch.to_le_bytes());
        bytes.extend(self.time.to_le_bytes());
        bytes
    }

    /// From those bytes.
    pub fn read(bytes: [u8; Self::LEN]) -> Option<Self> {
        let mut bytes = Bytes(&bytes);
        Some(Self {
            boot: bytes.take()?,
            tables: bytes.word()?,
            epoch: bytes.word()?,
            time: u64::from_le_bytes(bytes.take()?),
        })
    }
}

/// What is left of a record.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, left) = self.0.split_first_chunk()?;
        self.0 = left;
        Some(*taken)
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
}

fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}
