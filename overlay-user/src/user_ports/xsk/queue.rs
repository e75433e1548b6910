//! A ring that AF_XDP shares with the kernel: one side writes entries and says how far, the
//! other reads them and says how far. The two numbers run on, past 2³², and are never more
//! than the ring's size apart.
//!
//! Here is only how entries change hands, over memory that anybody may have made.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Where a ring is.
#[derive(Clone, Copy, Debug)]
pub struct Place<T> {
    /// How far entries are written.
    pub producer: NonNull<AtomicU32>,
    /// How far they are read.
    pub consumer: NonNull<AtomicU32>,
    /// What the kernel says of itself.
    pub flags: NonNull<AtomicU32>,
    /// The entries.
    pub entries: NonNull<T>,
    /// How many: a power of two.
    pub size: u32,
}

/// The kernel must be woken to look at the ring.
const NEEDS_WAKEUP: u32 = libc::XDP_RING_NEED_WAKEUP;

impl<T: Copy> Place<T> {
    fn producer(&self) -> &AtomicU32 {
        // SAFETY: whoever made the ring promised a word that lives as long.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { self.consumer.as_ref() }
    }

    /// The entry of a number.
    fn entry(&self, number: u32) -> NonNull<T> {
        // SAFETY: whoever made the ring promised so many entries.
        unsafe { self.entries.add((number & (self.size - 1)) as usize) }
    }
}

/// A ring that this process writes.
pub struct Producer<T> {
    place: Place<T>,
    next: u32,
    /// As it was when it was looked at last.
    consumer: u32,
}

// SAFETY: the memory belongs to the process, not to a thread.
unsafe impl<T: Send> Send for Producer<T> {}

impl<T: Copy> Producer<T> {
    /// The writer's side of a ring.
    ///
    /// # Safety
    ///
    /// The ring is there, and has this one writer, for as long as this lives. Its words are
    /// written atomically, and its entries are no more than `size` ahead of its reader.
    pub unsafe fn new(place: Place<T>) -> Self {
        assert!(place.size.is_power_of_two(), "{} entries", place.size);
        let next = place.producer().load(Ordering::Relaxed);
        let consumer = place.consumer().load(Ordering::Acquire);
        Self { place, next, consumer }
    }

    /// Writes an entry, which nobody sees before [`submit`](Self::submit); `false` where the
    /// ring is full.
    pub fn push(&mut self, entry: T) -> bool {
        if self.next.wrapping_sub(self.consumer) == self.place.size {
            // What was read is not written again before it is known to be read.
            self.consumer = self.place.consumer().load(Ordering::Acquire);
            if self.next.wrapping_sub(self.consumer) >= self.place.size {
                return false;
            }
        }
        // SAFETY: the reader is done with it, and there is no other writer.
        unsafe { self.place.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Hands over what was written.
    pub fn submit(&mut self) {
        self.place.producer().store(self.next, Ordering::Release);
    }

    /// Whether the reader does not look by itself for what was handed over.
    pub fn needs_wakeup(&self) -> bool {
        // It says so, and looks once more, before it sleeps.
        fence(Ordering::SeqCst);
        // SAFETY: whoever made the ring promised a word that lives as long.
        let flags = unsafe { self.place.flags.as_ref() };
        flags.load(Ordering::Relaxed) & NEEDS_WAKEUP != 0
    }

    /// How many entries were handed over and not read, as far as the reader says.
    pub fn pending(&self) -> u32 {
        self.next.wrapping_sub(self.place.consumer().load(Ordering::Acquire))
    }
}

/// A ring that this process reads.
pub struct Consumer<T> {
    place: Place<T>,
    next: u32,
    /// As it was when it was looked at last.
    producer: u32,
}

// SAFETY: the memory belongs to the process, not to a thread.
unsafe impl<T: Send> Send for Consumer<T> {}

impl<T: Copy> Consumer<T> {
    /// The reader's side of a ring.
    ///
    /// # Safety
    ///
    /// As for [`Producer::new`], and this is the one reader.
    pub unsafe fn new(place: Place<T>) -> Self {
        assert!(place.size.is_power_of_two(), "{} entries", place.size);
        let next = place.consumer().load(Ordering::Relaxed);
        Self { place, next, producer: next }
    }

    /// Reads an entry, which stays the reader's until [`release`](Self::release).
    pub fn pop(&mut self) -> Option<T> {
        if self.next == self.producer {
            self.producer = self.place.producer().load(Ordering::Acquire);
            if self.next == self.producer {
                return None;
            }
        }
        // SAFETY: the writer has handed it over, and does not touch it before it is back.
        let entry = unsafe { self.place.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// Gives back what was read.
    pub fn release(&mut self) {
        self.place.consumer().store(self.next, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring whose numbers begin shortly before they run over.
    struct Ring {
        words: Box<[AtomicU32; 3]>,
        entries: Box<[u64]>,
    }

    const SIZE: u32 = 8;

    impl Ring {
        fn new() -> Self {
            let start = u32::MAX - 20;
            Self {
                words: Box::new([start.into(), start.into(), 0.into()]),
                entries: vec![0; SIZE as usize].into(),
            }
        }

        fn sides(&mut self) -> (Producer<u64>, Consumer<u64>) {
            let [producer, consumer, flags] = self.words.each_ref().map(NonNull::from);
            let entries = NonNull::new(self.entries.as_mut_ptr()).unwrap();
            let place = Place { producer, consumer, flags, entries, size: SIZE };
            // SAFETY: one of each, and the ring outlives them in these tests.
            unsafe { (Producer::new(place), Consumer::new(place)) }
        }
    }

    #[test]
    fn entries_come_in_order_and_none_is_seen_before_it_is_handed_over() {
        let mut ring = Ring::new();
        let (mut producer, mut consumer) = ring.sides();
        let mut written = 0;
        for read in (0..100).step_by(5) {
            while written < read + 5 {
                assert!(producer.push(written));
                written += 1;
            }
            assert_eq!(consumer.pop(), None);
            producer.submit();
            assert_eq!(producer.pending(), 5);
            for expected in read..read + 5 {
                assert_eq!(consumer.pop(), Some(expected));
            }
            assert_eq!((consumer.pop(), producer.pending()), (None, 5));
            consumer.release();
            assert_eq!(producer.pending(), 0);
        }
    }

    #[test]
    fn what_was_not_given_back_is_not_written_again() {
        let mut ring = Ring::new();
        let (mut producer, mut consumer) = ring.sides();
        for round in 0..10 {
            for entry in 0..u64::from(SIZE) {
                assert!(producer.push(round * 100 + entry));
            }
            assert!(!producer.push(99));
            producer.submit();
            assert_eq!(consumer.pop(), Some(round * 100));
            assert!(!producer.push(99), "read, but not given back");
            consumer.release();
            assert!(producer.push(round * 100 + 8));
            assert!(!producer.push(99));
            producer.submit();
            let rest: Vec<_> = std::iter::from_fn(|| consumer.pop()).collect();
            assert_eq!(rest, (1..9).map(|entry| round * 100 + entry).collect::<Vec<_>>());
            consumer.release();
        }
    }

    #[test]
    fn two_threads_hand_over_everything() {
        let mut ring = Ring::new();
        let (mut producer, mut consumer) = ring.sides();
        const COUNT: u64 = 500;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for entry in 0..COUNT {
                    while !producer.push(entry) {
                        std::thread::yield_now();
                    }
                    producer.submit();
                }
            });
            for expected in 0..COUNT {
                let entry = loop {
                    match consumer.pop() {
                        Some(entry) => break entry,
                        None => std::thread::yield_now(),
                    }
                };
                assert_eq!(entry, expected);
                consumer.release();
            }
        });
    }

    #[test]
    fn the_kernel_says_whether_it_must_be_woken() {
        let mut ring = Ring::new();
        let (producer, _) = ring.sides();
        assert!(!producer.needs_wakeup());
        ring.words[2].store(NEEDS_WAKEUP, Ordering::Relaxed);
        assert!(producer.needs_wakeup());
    }
}
