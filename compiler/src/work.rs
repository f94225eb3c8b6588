//! How much the compiler does, counted in debug builds, so that tests can tell how it grows with a script without a clock.
//!
//! Counted is what is gone over, where that could be more than once for each piece of a script: instructions by passes,
//! facts that are copied or compared, words of bit sets, places that are tried. A release build counts nothing.

use std::cell::Cell;

thread_local! {
    static DONE: Cell<u64> = const { Cell::new(0) };
}

/// Counts `pieces` that are gone over.
pub(crate) fn count(pieces: usize) {
    if cfg!(debug_assertions) {
        DONE.set(DONE.get() + pieces as u64);
    }
}

/// What this thread has done so far; 0 in release builds.
pub fn done() -> u64 {
    DONE.get()
}
