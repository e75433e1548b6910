//! Reading what the programs hand to user space, frames and samples of frames: one thread for
//! each CPU's buffer.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use aya::maps::perf::{PerfEvent, PerfEventArrayBuffer};
use aya::maps::{MapData, PerfEventArray};
use bytes::{Bytes, BytesMut};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use overlay_common::abi::{Punt, Record, Sample};

use super::wire;

/// Pages of each CPU's buffer: 512 KiB, about 5,000 records or 300 frames.
const PAGES: usize = 128;

/// A record that bytes of a frame may follow.
pub trait Captured: Record {
    /// How many do.
    fn captured(&self) -> usize;
}

impl Captured for Punt {
    fn captured(&self) -> usize {
        self.captured as usize
    }
}

impl Captured for Sample {
    fn captured(&self) -> usize {
        self.captured as usize
    }
}

/// What came out of a buffer.
#[derive(Debug)]
pub enum Told<R> {
    /// A record, with the frame where it says so.
    Frame(R, Bytes),
    /// So many records found no room in the buffer.
    Lost(u64),
}

/// What the packet's way hands over.
pub type Punted = Told<Punt>;
/// What is told to those who watch.
pub type Sampled = Told<Sample>;

/// The threads that read the buffers.
pub struct Readers {
    threads: Vec<JoinHandle<()>>,
    stop: Arc<EventFd>,
}

impl Readers {
    /// Opens every CPU's buffer and starts its thread. `take` must not block.
    pub fn start<R: Captured>(
        name: &str,
        buffers: &mut PerfEventArray<MapData>,
        take: impl Fn(Told<R>) + Clone + Send + 'static,
    ) -> Result<Self> {
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).context("cannot make an eventfd")?;
        let stop = Arc::new(stop);
        let mut threads = Vec::new();
        let cpus = aya::util::online_cpus()
            .map_err(|(path, error)| anyhow::anyhow!("cannot read {path}: {error}"))?;
        for cpu in cpus {
            let buffer = buffers
                .open(cpu, Some(PAGES))
                .with_context(|| format!("cannot open the buffer of {name} of CPU {cpu}"))?;
            let (take, stop) = (take.clone(), Arc::clone(&stop));
            let thread = std::thread::Builder::new()
                .name(format!("{name}-{cpu}"))
                .spawn(move || read(buffer, &stop, take))
                .context("cannot start a thread")?;
            threads.push(thread);
        }
        Ok(Self { threads, stop })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        // The eventfd stays readable, so every thread sees it.
        let _ = self.stop.write(1);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn read<R: Captured>(
    mut buffer: PerfEventArrayBuffer<MapData>,
    stop: &EventFd,
    take: impl Fn(Told<R>),
) {
    loop {
        let mut ready = [
            PollFd::new(buffer.as_fd(), PollFlags::POLLIN),
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => {
                tracing::error!(%error, "cannot wait for records; those of this CPU are lost");
                return;
            }
        }
        if ready[1].revents().is_some_and(|events| !events.is_empty()) {
            return;
        }
        buffer.for_each(|event| match event {
            PerfEvent::Sample { head, tail } => {
                if let Some(punted) = parse(head, tail) {
                    take(punted);
                }
            }
            PerfEvent::Lost { count } => take(Told::Lost(count)),
        });
    }
}

/// The sample may be in two parts, where it goes around the buffer's end, and
/// is followed by padding.
fn parse<R: Captured>(head: &[u8], tail: &[u8]) -> Option<Told<R>> {
    let record_len = size_of::<R>();
    let record = if head.len() >= record_len {
        wire::read::<R>(head)?
    } else {
        let mut record = [0; LONGEST];
        record[..head.len()].copy_from_slice(head);
        let missing = record_len - head.len();
        record[head.len()..record_len].copy_from_slice(tail.get(..missing)?);
        wire::read::<R>(&record)?
    };
    let captured = record.captured();
    if captured == 0 {
        return Some(Told::Frame(record, Bytes::new()));
    }
    let mut frame = BytesMut::with_capacity(captured);
    let from_head = head.get(record_len..).unwrap_or_default();
    frame.extend_from_slice(&from_head[..from_head.len().min(captured)]);
    let skip = record_len.saturating_sub(head.len());
    frame.extend_from_slice(tail.get(skip..skip + captured - frame.len())?);
    Some(Told::Frame(record, frame.freeze()))
}

/// Of any record.
const LONGEST: usize = 64;
const _: () = assert!(size_of::<Punt>() <= LONGEST && size_of::<Sample>() <= LONGEST);

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(frame: &[u8], padding: usize) -> Vec<u8> {
        let punt = Punt { captured: frame.len() as u32, ifindex: 7, ..Punt::default() };
        // SAFETY: `Punt` is a `Record`: plain bytes without padding.
        let record: [u8; size_of::<Punt>()] = unsafe { std::mem::transmute(punt) };
        [&record[..], frame, &vec![0xee; padding]].concat()
    }

    #[test]
    fn a_sample_parses_wherever_the_buffer_ends() {
        let frame: Vec<u8> = (0..100).collect();
        let bytes = sample(&frame, 4);
        for split in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(split);
            let Some(Punted::Frame(punt, got)) = parse(head, tail) else { panic!("{split}") };
            assert_eq!((punt.ifindex, &got[..]), (7, &frame[..]), "split at {split}");
        }
    }

    #[test]
    fn a_sample_that_ends_early_is_refused() {
        let bytes = sample(&[1; 60], 0);
        for end in 0..bytes.len() {
            assert!(parse::<Punt>(&bytes[..end], &[]).is_none(), "{end}");
        }
    }
}
