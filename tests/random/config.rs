//! How many cases tests with random inputs have, and which ones.

use proptest::test_runner::{Config, RngSeed};

/// As many cases as `PROPTEST_CASES` says, `default` unless it does; always the same ones, unless `PROPTEST_RNG_SEED`
/// gives another seed.
pub fn config(default: u32, max_shrink_iters: u32) -> Config {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    Config {
        cases: number("PROPTEST_CASES")
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(default),
        max_shrink_iters,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(number("PROPTEST_RNG_SEED").unwrap_or(1)),
        ..Config::default()
    }
}
