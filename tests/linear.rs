//! The compiler's work grows with the length of a script, not faster: what it goes over is counted (`crumbs_compiler::work`)
//! for scripts of n, 2n and 4n pieces. No clock is read, so the load of the machine does not matter.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../benches/shapes.rs"]
mod shapes;

use crumbs::stages;
use crumbs_compiler::driver;
use crumbs_compiler::options::Options;
use crumbs_compiler::target::fixture::FixtureTarget;
use crumbs_compiler::work;
use shapes::SHAPES;

/// What compiling a script takes.
fn work(script: &str, target: &FixtureTarget) -> u64 {
    let before = work::done();
    let checked = stages::check("long", script, target, &Options::default())
        .unwrap_or_else(|mistaken| panic!("{:?}", mistaken.diagnostics.first()));
    driver::compile(&checked.script, target).unwrap_or_else(|errors| panic!("{:?}", errors.first()));
    work::done() - before
}

#[test]
fn work_grows_with_length() {
    if !cfg!(debug_assertions) {
        return;
    }
    let all = || {
        let target = FixtureTarget::parse(include_str!("golden/target.txt")).unwrap();
        for shape in SHAPES {
            // Long enough that what is kept for each branch or slot at most is full, and that functions count as large.
            let n = match shape.name {
                name if name.starts_with("probes") => 15,
                _ => 360,
            };
            assert!(
                4 * n <= shape.most,
                "{}: longer than what is measured",
                shape.name
            );
            let [one, two, four] = [n, 2 * n, 4 * n].map(|n| work(&(shape.script)(n), &target));
            let (first, second) = (two - one, four - two);
            assert!(first > 0, "{}: nothing is counted", shape.name);
            // Twice as much where it is linear, four times as much where it is quadratic.
            assert!(
                second * 10 < first * 25,
                "{}: {one}, {two}, {four} for {n}, {} and {}",
                shape.name,
                2 * n,
                4 * n
            );
        }
    };
    stages::on_large_stack(all).unwrap();
}
