//! A volume on a real mount, used as programs use it: everything from the kernel's requests down to SQLite and a folder
//! of objects.
//!
//! Needs `/dev/fuse` and the right to mount.
#![allow(clippy::unwrap_used)] // In tests a failed unwrap is a failed test, which is what it is for.

mod attributes;
mod content;
mod directories;
#[allow(dead_code)] // The test that forks uses the rest of it.
mod harness;
mod options;
mod tree;

/// What the requests of this run travel through.
const RINGS: shoal_fuse::RingUse = shoal_fuse::RingUse::Never;
