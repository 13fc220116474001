//! Reads, on the caller's thread, each at one snapshot.

mod attributes;
mod clones;
mod content;
mod directory;
mod feed;
mod flags;
mod locks;
mod lookup;
mod packs;
mod path;
mod queues;
mod quotas;
mod sessions;
mod staging;
mod trash;
mod usage;
mod xattrs;

pub(crate) use path::DEPTH_MAX;
