//! What to read, what to buffer, what to upload and what to fetch ahead: pure functions and state machines.
//!
//! Relies on the words of `shoal-types`. Never does I/O, never reads a clock, names no runtime.

mod compaction;
mod dirty;
mod flush_plan;
mod identity;
mod readahead;
mod slices;
mod strides;

pub use compaction::{is_fragmented, needs_compaction};
pub use dirty::DirtyMap;
pub use flush_plan::{PlannedObject, plan_objects};
pub use identity::block_identity;
pub use readahead::{Ahead, Readahead};
pub use slices::{Extent, ResolvedChunk, Source, resolve};
