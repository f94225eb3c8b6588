//! What the target does: every call and its arguments.

use std::collections::BTreeMap;

/// How much the target does, and what scripts are made for.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Threads of the target.
    pub threads: u64,
    /// Calls that each of them makes.
    pub calls: u64,
    /// Distinct keys of maps with many keys: a power of two.
    pub keys: u64,
    /// Milliseconds between two prints.
    pub interval: u64,
    /// Milliseconds that the calls take at least.
    pub lasts: u64,
}

/// A call: the thread's number, the number of the call within the thread, and a value.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// `arg0`.
    pub thread: u64,
    /// `arg1`.
    pub number: u64,
    /// `arg2`, below 4096.
    pub value: u64,
}

impl Scale {
    /// A million calls; as many as `CRUMBS_EXACTNESS_CALLS` says a thread where that is set, for emulated machines.
    pub fn of_this_machine() -> Self {
        let calls = std::env::var("CRUMBS_EXACTNESS_CALLS")
            .ok()
            .and_then(|calls| calls.parse::<u64>().ok());
        match calls {
            None => Self {
                threads: 8,
                calls: 1 << 17,
                keys: 1 << 14,
                interval: 20,
                lasts: 0,
            },
            Some(calls) => Self {
                threads: 8,
                calls,
                keys: (calls / 16).next_power_of_two(),
                interval: 100,
                lasts: 0,
            },
        }
    }

    /// The same with a fraction of the calls, for what needs fewer.
    pub fn divided(self, by: u64) -> Self {
        Self {
            calls: self.calls / by,
            ..self
        }
    }

    /// The same with at least so many calls, for what shows only then.
    pub fn at_least(self, total: u64) -> Self {
        Self {
            calls: self.calls.max(total.div_ceil(self.threads)),
            ..self
        }
    }

    /// How many calls there are.
    pub fn total(self) -> u64 {
        self.threads * self.calls
    }

    /// Every call, in no order that means anything.
    pub fn all(self) -> impl Iterator<Item = Call> {
        (0..self.threads).flat_map(move |thread| {
            (0..self.calls).map(move |number| Call {
                thread,
                number,
                value: (number.wrapping_mul(2_654_435_761) + thread * 40503) >> 7 & 4095,
            })
        })
    }

    /// The sum of a number over all calls, modulo 2^64.
    pub fn sum(self, of: impl Fn(Call) -> u64) -> u64 {
        self.all().map(of).fold(0, u64::wrapping_add)
    }

    /// [`Scale::sum`] by key.
    pub fn sums(self, key: impl Fn(Call) -> u64, of: impl Fn(Call) -> u64) -> BTreeMap<u64, u64> {
        let mut sums = BTreeMap::new();
        for call in self.all() {
            let sum = sums.entry(key(call)).or_insert(0u64);
            *sum = sum.wrapping_add(of(call));
        }
        sums
    }
}
