//! The records of the file: a byte that says which it is, then its fields, little-endian, all
//! records of a kind of one length.
//!
//! A place is numbered by how many came before it, and stands before the stations that are there.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Result, bail};
use overlay_common::abi::Neighbour;
use overlay_common::wire::Mac;
use overlay_control::controller::{Restored, RestoredNeighbour, RestoredPlace};

/// What a file begins with; the last byte is the form of the rest.
pub const MAGIC: [u8; 8] = *b"ovlearn\x01";

const PEER: u8 = 1;
const PORT: u8 = 2;
const STATION: u8 = 3;
const NEIGHBOUR: u8 = 4;
const END: u8 = 5;

const LOADED: u8 = 1;
const ROUTER: u8 = 1;

/// Whose tables a file is about, and when they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The run of the kernel.
    pub boot: [u8; 16],
    /// The number that the kernel gave to the map `NODE`: no two processes have made one with the
    /// same.
    pub tables: u32,
    /// The ageing clock of those tables, in seconds.
    pub epoch: u32,
    /// When it stood there, in ms of the monotonic clock, as ageing goes by.
    pub time: u64,
}

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

    /// The record of this kind whose fields come next.
    ///
    /// # Errors
    ///
    /// There is no such kind, or the record is cut short.
    pub fn read(kind: u8, from: &mut impl Read) -> Result<Self> {
        Ok(match kind {
            PEER => Self::Place(RestoredPlace::Peer(address(take(from)?))),
            PORT => {
                let (ifindex, vlan) = (word(from)?, u16::from_le_bytes(take(from)?));
                Self::Place(RestoredPlace::Port { ifindex, vlan })
            }
            STATION => {
                let (vni, mac) = (word(from)?, Mac(take(from)?));
                let (place, age, [flags]) = (word(from)?, word(from)?, take(from)?);
                Self::Station { vni, mac, place, age, is_loaded: flags & LOADED != 0 }
            }
            NEIGHBOUR => {
                let (vni, address) = (word(from)?, address(take(from)?));
                let (mac, [flags]) = (Mac(take(from)?), take(from)?);
                let neighbour = Neighbour::new(mac).with_router(flags & ROUTER != 0);
                Self::Neighbour(RestoredNeighbour { vni, address, neighbour })
            }
            END => Self::End(u64::from_le_bytes(take(from)?)),
            _ => bail!("no record is of kind {kind}"),
        })
    }

    /// A station.
    pub const fn station(station: &Restored, place: u32) -> Self {
        let Restored { vni, mac, age, is_loaded, .. } = *station;
        Self::Station { vni, mac, place, age, is_loaded }
    }
}

impl Head {
    /// The bytes behind the magic ones.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.boot.to_vec();
        bytes.extend(self.tables.to_le_bytes());
        bytes.extend(self.epoch.to_le_bytes());
        bytes.extend(self.time.to_le_bytes());
        bytes
    }

    /// From those bytes.
    ///
    /// # Errors
    ///
    /// There are fewer.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let (boot, tables, epoch) = (take(from)?, word(from)?, word(from)?);
        Ok(Self { boot, tables, epoch, time: u64::from_le_bytes(take(from)?) })
    }
}

fn take<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn word(from: &mut impl Read) -> io::Result<u32> {
    take(from).map(u32::from_le_bytes)
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
