//! The tests of `volume_mount` once more, with all requests travelling through io_uring.
//!
//! Needs a kernel that has FUSE over io_uring, and root, who may switch it on.
#![allow(clippy::unwrap_used)] // In tests a failed unwrap is a failed test, which is what it is for.

#[path = "volume_mount/attributes.rs"]
mod attributes;
#[path = "volume_mount/content.rs"]
mod content;
#[path = "volume_mount/directories.rs"]
mod directories;
#[allow(dead_code)] // The test that forks uses the rest of it.
#[path = "volume_mount/harness.rs"]
mod harness;
#[path = "volume_mount/options.rs"]
mod options;
#[path = "volume_mount/tree.rs"]
mod tree;

/// What the requests of this run travel through.
const RINGS: shoal_fuse::RingUse = shoal_fuse::RingUse::Always;
