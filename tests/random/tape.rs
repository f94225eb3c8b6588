//! The numbers that decide what a random script is.

/// Numbers that decide. Once it is exhausted, everything is 0.
#[derive(Clone, Debug)]
pub struct Tape<'t> {
    rest: &'t [u16],
}

impl<'t> Tape<'t> {
    /// Reads `numbers`.
    pub fn new(numbers: &'t [u16]) -> Self {
        Self { rest: numbers }
    }

    /// The next number.
    pub fn next(&mut self) -> u16 {
        let Some((&first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        first
    }

    /// A number below `n`, which is above 0.
    pub fn below(&mut self, n: usize) -> usize {
        (usize::from(self.next()) * n) >> 16
    }

    /// One of `choices`.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// True `percent` times of 100; false where the tape is exhausted.
    pub fn chance(&mut self, percent: u16) -> bool {
        self.below(100) >= 100 - usize::from(percent)
    }
}
