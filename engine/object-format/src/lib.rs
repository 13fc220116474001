//! The bytes of a stored object: `header | frame table | frame 0 | frame 1 | … | footer`, every frame checked on its own.
//!
//! Relies on CRC-32C, LZ4, Zstandard and `shoal-encryption`. Never does I/O, never panics on foreign bytes, never copies
//! file bytes that are stored as they are: encoding gives segments for a vectored write, decoding slices of what was read.
//!
//! One ranged GET fetches exactly the frames a read needs (`FramePlan`). Where frames are compressed, their lengths stand
//! in a table at the front (`table`); otherwise the layout follows from the plain length alone and there is none.
//! `header`, `footer` and `frame` document the layout byte by byte.
//!
//! What the checks do: CRC-32C finds flipped bits, torn writes, and frames or objects in each other's place. It does not
//! stop somebody who forges them on purpose; a cipher does, for all bytes of files. Lengths are not hidden.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod codec;
mod decode;
mod encode;
mod error;
mod footer;
mod format;
mod frame;
mod header;
mod plan;
mod table;
#[cfg(test)]
mod tests;

pub use error::FormatError;
pub use format::{ObjectFormat, stored_length};
pub use frame::FRAME_BYTES;
pub use plan::FramePlan;
pub use table::FrameTable;

/// The largest plain content of an object.
pub const OBJECT_BYTES_MAX: u32 = shoal_types::VolumeSettings::BLOCK_BYTES_MAX;
