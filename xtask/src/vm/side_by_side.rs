//! Several guests at a time.

use std::sync::Mutex;

/// Guests use a core each.
pub const AT_ONCE: usize = 2;

/// Does something for each item, some at a time, and returns the results in their order.
pub fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(0..items.len());
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let index = next.lock().expect("no worker panics here").next();
                let Some(index) = index else { return done };
                done.push((index, work(&items[index])));
            }
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker's results")).collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_their_items() {
        let items: Vec<u64> = (0..10).rev().collect();
        let wait = |item: &u64| {
            std::thread::sleep(std::time::Duration::from_millis(*item));
            *item
        };
        assert_eq!(side_by_side(&items, wait), items);
    }
}
