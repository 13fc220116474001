//! The namespace judged by the oracle: random operation sequences go through both, and every reply and the final trees
//! must agree, on every engine that a test can start.
//!
//! One seed decides a whole run. A failure names the seed and the operation.

// A failed unwrap in a test is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

mod clones;
mod driver;
mod model;
mod operations;
mod tree;

use driver::{Driver, Outcomes};
use shoal_kv::{Faults, Kv, MemoryKv};
use shoal_kv_sqlite::SqliteKv;
use shoal_types::Errno;
use std::ops::Range;
use std::sync::Arc;

/// Every other one with a trash.
fn judge(seeds: Range<u64>, steps: usize, open: impl Fn(u64) -> Arc<dyn Kv>) {
    let mut outcomes = Outcomes::new();
    for seed in seeds {
        for (outcome, count) in Driver::new(open(seed), seed, seed % 2 == 1).run(steps) {
            *outcomes.entry(outcome).or_default() += count;
        }
    }
    for (operation, results) in EVERY_OUTCOME {
        for result in *results {
            let seen = outcomes.contains_key(&(operation.to_string(), result.map(|errno| errno.0)));
            assert!(seen, "{operation} never ended in {result:?}: {outcomes:?}");
        }
    }
}

/// What a run must have met, or it has not looked hard enough.
const EVERY_OUTCOME: &[(&str, &[Option<Errno>])] = &[
    (
        "Create",
        &[
            None,
            Some(Errno::EPERM),
            Some(Errno::ENOENT),
            Some(Errno::ENOTDIR),
            Some(Errno::EEXIST),
            Some(Errno::ENAMETOOLONG),
        ],
    ),
    ("Link", &[None, Some(Errno::ENOENT), Some(Errno::ENOTDIR), Some(Errno::EEXIST), Some(Errno::EPERM)]),
    ("Unlink", &[None, Some(Errno::EPERM), Some(Errno::ENOENT), Some(Errno::ENOTDIR), Some(Errno::EISDIR)]),
    ("Rmdir", &[None, Some(Errno::EPERM), Some(Errno::ENOENT), Some(Errno::ENOTDIR), Some(Errno::ENOTEMPTY)]),
    (
        "Rename",
        &[
            None,
            Some(Errno::EPERM),
            Some(Errno::ENOENT),
            Some(Errno::ENOTDIR),
            Some(Errno::EISDIR),
            Some(Errno::EEXIST),
            Some(Errno::EINVAL),
            Some(Errno::ENOTEMPTY),
        ],
    ),
    ("RemoveTree", &[None, Some(Errno::ENOENT), Some(Errno::ENOTDIR)]),
    ("SetAttributes", &[None, Some(Errno::EPERM), Some(Errno::ENOENT)]),
    ("SetFlags", &[None, Some(Errno::ENOENT), Some(Errno::EPERM), Some(Errno::EOPNOTSUPP)]),
    ("NoteAccesses", &[None]),
    (
        "SetXattr",
        &[
            None,
            Some(Errno::EPERM),
            Some(Errno::ENOENT),
            Some(Errno::EEXIST),
            Some(Errno::ENODATA),
            Some(Errno::E2BIG),
            Some(Errno::EINVAL),
            Some(Errno::EACCES),
            Some(Errno::EOPNOTSUPP),
        ],
    ),
    ("RemoveXattr", &[None, Some(Errno::ENODATA)]),
    ("Truncate", &[None, Some(Errno::ENOENT), Some(Errno::EISDIR), Some(Errno::EINVAL)]),
    ("WriteInline", &[None, Some(Errno::ENOENT)]),
    ("Fallocate", &[None, Some(Errno::ENOENT), Some(Errno::EISDIR), Some(Errno::EINVAL)]),
    ("CreateNameless", &[None, Some(Errno::ENOTDIR)]),
    (
        "Clone",
        &[
            None,
            Some(Errno::ENOENT),
            Some(Errno::ENOTDIR),
            Some(Errno::EEXIST),
            Some(Errno::EINVAL),
            Some(Errno::ECANCELED),
        ],
    ),
];

#[test]
fn metadata_agrees_with_the_oracle_in_memory() {
    judge(0..60, 400, |_| MemoryKv::new());
}

#[test]
fn metadata_agrees_with_the_oracle_through_conflicts_and_unknown_results() {
    judge(100..145, 400, |seed| {
        MemoryKv::with_faults(Faults { seed, conflict_rate: 0.2, unknown_rate: 0.3, ..Faults::default() })
    });
}

#[test]
fn metadata_agrees_with_the_oracle_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    judge(200..224, 400, |seed| SqliteKv::open(&folder.path().join(format!("{seed}.db")), true).unwrap());
}
