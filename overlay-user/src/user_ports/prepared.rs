//! A port's sockets, which take no frames yet.

use std::num::NonZero;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use anyhow::Result;

use super::gateway::Gate;
use super::ring::Ring;
use super::socket;
use super::source::Source as _;
use super::tally::Tally;
use super::thread::{Running, Shared};
use super::xsk;

/// A port's sockets, which take no frames yet.
pub enum Prepared {
    /// AF_PACKET: a pair for each of a device's queues, as far as there are cores for them.
    Packet(Vec<Pair>),
    /// AF_XDP: one for each queue.
    Xdp(Vec<Queue>),
}

/// Where a thread's frames come from, and where they go.
pub struct Pair {
    ring: Ring,
    sender: OwnedFd,
}

/// The same for a queue. What leaves through other devices may want a packet socket.
pub struct Queue {
    ends: xsk::Ends,
    other: OwnedFd,
}

impl Prepared {
    /// Opens packet sockets for a device whose longest packet has `mtu` bytes.
    ///
    /// # Errors
    ///
    /// There are no packet sockets to be had, or no memory for one, or the device is gone.
    pub fn packet(ifindex: u32, mtu: u32, queues: u32) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let count = (queues as usize).clamp(1, cores);
        let mut pairs = Vec::new();
        let mut group = None;
        for _ in 0..count {
            let ring = Ring::open(ifindex, mtu)?;
            let joined = if count > 1 { ring.join(group).map(Some) } else { Ok(None) };
            pairs.push(Pair { ring, sender: socket::sending()? });
            match joined {
                Ok(joined) => group = joined,
                // Some kernels have no groups on a device that is down. One socket has all.
                Err(error) if group.is_none() => {
                    tracing::info!(ifindex, "one thread for all queues: {error:#}");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self::Packet(pairs))
    }

    /// Opens AF_XDP sockets for such a device, which may have so many queues.
    ///
    /// # Errors
    ///
    /// A frame does not hold so long a packet, or the kernel or the device has no AF_XDP, or
    /// somebody else has a queue.
    pub fn xdp(ifindex: u32, mtu: u32, queues: u32) -> Result<Self> {
        let open = |ends| Ok(Queue { ends, other: socket::sending()? });
        let ends = xsk::open(ifindex, mtu, queues)?;
        Ok(Self::Xdp(ends.into_iter().map(open).collect::<Result<_>>()?))
    }

    /// The sockets that a program is to hand frames to, by the numbers of their queues.
    pub fn sockets(&self) -> impl Iterator<Item = (u32, BorrowedFd<'_>)> {
        let queues = match self {
            Self::Packet(_) => &[][..],
            Self::Xdp(queues) => queues,
        };
        queues.iter().map(|queue| (queue.ends.number, queue.ends.receiver.as_fd()))
    }

    /// What the sockets are.
    pub fn describe(&self) -> String {
        match self {
            Self::Packet(_) => "over AF_PACKET".to_owned(),
            Self::Xdp(queues) => {
                let is_zero_copy = queues.iter().all(|queue| queue.ends.receiver.is_zero_copy());
                let how = if is_zero_copy { "zero-copy" } else { "the kernel copies" };
                let plural = if queues.len() == 1 { "" } else { "s" };
                format!("over AF_XDP: {how}, {} queue{plural}", queues.len())
            }
        }
    }

    /// Starts a thread for each socket, with a tally of its own.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub fn start(
        self,
        gate: Gate,
        shared: &Shared,
        mut tally: impl FnMut() -> Arc<Tally>,
    ) -> Result<Vec<Running>> {
        match self {
            Self::Packet(pairs) => {
                let start = |(number, Pair { ring, sender })| {
                    ring.listen()?;
                    Running::start((gate, number), ring, sender, shared.clone(), tally())
                };
                pairs.into_iter().enumerate().map(start).collect()
            }
            Self::Xdp(queues) => {
                let (mut running, mut senders) = (Vec::new(), Vec::new());
                for (number, Queue { ends, other }) in queues.into_iter().enumerate() {
                    let (gate, receiver) = ((gate, number), ends.receiver);
                    running.push(Running::start(gate, receiver, other, shared.clone(), tally())?);
                    senders.push(ends.sender);
                }
                shared.exits.put(gate.ifindex, senders);
                Ok(running)
            }
        }
    }
}
