//! Readers of unchecked input (`fuzz/targets.rs`) on what was found to break them (`fuzz/corpus`) and on damaged copies of
//! that: nothing makes them panic. This is what fuzzing with libFuzzer found, kept, and a small run of the same without it.
//!
//! `PROPTEST_CASES` says how many damaged inputs there are, `PROPTEST_RNG_SEED` which ones.
#![expect(clippy::unwrap_used, reason = "tests")]

mod damage;
#[path = "../random/config.rs"]
mod random;
#[path = "../../fuzz/targets.rs"]
mod targets;

use damage::{PIECES, damage};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::fs;
use std::path::Path;
use targets::READERS;

/// The inputs that are kept for a reader, in a fixed order.
fn corpus(reader: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(reader);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut inputs: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    if reader == "script" {
        inputs.extend(goldens().into_iter().map(String::into_bytes));
    }
    inputs
}

/// The scripts of the goldens.
fn goldens() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut scripts = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "golden"))
    {
        let text = fs::read_to_string(file).unwrap();
        for part in text.split("=== script ").skip(1) {
            let script = part.split_once('\n').map_or("", |(_, rest)| rest);
            scripts.push(script.split("\n===").next().unwrap_or("").to_owned());
        }
    }
    assert!(scripts.len() > 100, "{} golden scripts", scripts.len());
    scripts
}

/// Damaged inputs of a reader.
fn damaged(reader: &str, default: u32) {
    let inputs = corpus(reader);
    assert!(!inputs.is_empty());
    let count = inputs.len();
    let damaged = (0..count, 0..count, vec(damage(), 0..6));
    let inputs = prop_oneof![
        8 => damaged.prop_map(move |(one, other, damages)| {
            let mut input = inputs[one].clone();
            if damages.len() > 4 {
                input.extend_from_slice(&inputs[other]);
            }
            damages.iter().for_each(|damage| damage.apply(&mut input));
            input
        }),
        1 => vec(any::<u8>(), 0..400),
        1 => vec(0..PIECES.len(), 0..60)
            .prop_map(|pieces| pieces.iter().flat_map(|&piece| PIECES[piece].bytes()).collect()),
    ];
    let outcome = TestRunner::new(random::config(default, 1000)).run(&inputs, |input| {
        targets::run(reader, &input);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn what_was_found_does_no_harm() {
    for reader in READERS {
        let inputs = corpus(reader.name);
        inputs.iter().for_each(|input| targets::run(reader.name, input));
    }
}

#[test]
fn damaged_scripts() {
    damaged("script", 400);
}

#[test]
fn damaged_declarations() {
    damaged("declarations", 400);
}

#[test]
fn damaged_tracepoints() {
    damaged("tracepoint", 200);
}

#[test]
fn damaged_binaries() {
    damaged("binary", 200);
}

#[test]
fn damaged_debug_information() {
    damaged("dwarf", 200);
}

#[test]
fn damaged_static_probes() {
    damaged("usdt", 400);
}

#[test]
fn damaged_links_to_debug_files() {
    damaged("links", 200);
}

#[test]
fn damaged_kernel_types() {
    damaged("btf", 200);
}

#[test]
fn damaged_maps_of_processes() {
    damaged("maps", 400);
}

#[test]
fn damaged_loader_caches() {
    damaged("loader_cache", 400);
}

#[test]
fn damaged_saved_results() {
    damaged("results", 200);
}
