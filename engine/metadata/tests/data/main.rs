//! Content, sessions, queues, and the consistency check: what operations promise and what must be found when it's broken.

// A failed unwrap in a test is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

mod backups;
mod census;
mod check;
mod clones;
mod feed;
mod links;
mod locks;
mod packs;
mod quotas;
mod random;
mod repair;
mod sample;
mod sealed;
mod sessions;
mod staging;
mod support;
mod trash;
mod truncate;
mod writes;
mod xattrs;
