//! Random calls on files of a mount, judged by a model; the same on a plain folder, which judges the model.
//!
//! `SHOAL_SEED=7` runs one seed again.

use shoal_ci_conformance::{RandomFile, is_long};
use shoal_ci_testbed::Bed;
use std::path::Path;

#[test]
fn random_calls_on_a_mount_answer_as_the_model_says() {
    let bed = Bed::new(&["--delete-grace", "0s"]);
    let daemon = bed.mount(&[]);
    run(&bed.mount_point());
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn random_calls_on_a_mount_with_small_blocks_and_nothing_inline_answer_as_the_model_says() {
    let bed = Bed::new(&["--delete-grace", "0s", "--block-size", "64K", "--inline-max", "0"]);
    let daemon = bed.mount(&["--shards", "2"]);
    run(&bed.mount_point());
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn random_calls_on_a_plain_folder_answer_as_the_model_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(folder.path());
}

fn run(folder: &Path) {
    let steps = if is_long() { 20_000 } else { 400 };
    for seed in seeds() {
        println!("seed {seed}, {steps} calls");
        RandomFile::new(folder, seed).run(steps);
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("SHOAL_SEED") {
        Ok(seed) => vec![seed.parse().expect("SHOAL_SEED is a number")],
        Err(_) if is_long() => (1..=20).collect(),
        Err(_) => (1..=6).collect(),
    }
}
