//! Prints how long compiling long scripts takes: `cargo bench --bench compile`, on a quiet machine. Each row has the least
//! of several runs, from text to programs, for n, 2n and 4n; the last column is what four times the length costs, 4 where
//! time is linear in it.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops where it cannot measure"
)]

mod shapes;

use crumbs::stages;
use crumbs_compiler::driver;
use crumbs_compiler::options::Options;
use crumbs_compiler::target::fixture::FixtureTarget;
use shapes::{SHAPES, Shape};
use std::time::{Duration, Instant};

/// Runs of which the fastest counts.
const RUNS: usize = 5;

fn main() {
    let all = || {
        let target = FixtureTarget::parse(include_str!("../tests/golden/target.txt")).unwrap();
        println!(
            "{:<40} {:>6} {:>9} {:>9} {:>9} {:>7}",
            "ms to compile", "n", "n", "2n", "4n", "4n : n"
        );
        for shape in SHAPES {
            let n = shape.most / 4;
            let [one, two, four] = [n, 2 * n, 4 * n].map(|n| least(shape, n, &target));
            println!(
                "{:<40} {n:>6} {:>9.1} {:>9.1} {:>9.1} {:>7.2}",
                shape.name,
                one,
                two,
                four,
                four / one
            );
        }
    };
    stages::on_large_stack(all).unwrap();
}

/// Milliseconds of the fastest run.
fn least(shape: Shape, n: usize, target: &FixtureTarget) -> f64 {
    let script = (shape.script)(n);
    let run = |_| {
        let begin = Instant::now();
        let checked = stages::check("long", &script, target, &Options::default())
            .unwrap_or_else(|mistaken| panic!("{:?}", mistaken.diagnostics.first()));
        let compiled = driver::compile_with(&checked.script, target, &stages::Threads)
            .unwrap_or_else(|diagnostics| panic!("{:?}", diagnostics.first()));
        let took = begin.elapsed();
        drop(compiled);
        took
    };
    let least: Duration = (0..RUNS).map(run).min().unwrap();
    least.as_secs_f64() * 1e3
}
