//! Independent pieces of work, for whoever has threads for them.
//!
//! In: a number of pieces. Out: their results in order, which do not depend on who did them and when: the compiler is a
//! pure function, and starts no thread of its own.

use std::sync::{Mutex, PoisonError};

/// Does pieces of work.
pub trait Workers {
    /// Calls `piece` with each number below `count` once, in any order and on any thread, and returns once all are done.
    fn each(&self, count: usize, piece: &(dyn Fn(usize) + Sync));
}

/// Does one piece after the other, here.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneByOne;

impl Workers for OneByOne {
    fn each(&self, count: usize, piece: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(piece);
    }
}

/// What `of` gives for each item, in their order.
pub(crate) fn map<T: Send, R: Send>(
    workers: &dyn Workers,
    items: Vec<T>,
    of: impl Fn(usize, T) -> R + Sync,
) -> Vec<R> {
    let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    // A piece is done by one thread, so no lock is waited for or poisoned.
    workers.each(items.len(), &|index| {
        let item = items[index].lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(item) = item {
            let result = of(index, item);
            *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    });
    let results = results
        .into_iter()
        .map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
    results
        .map(|result| result.expect("every piece is done once"))
        .collect()
}
