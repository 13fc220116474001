//! The bytes of a stored object: `header | frame 0 | frame 1 | … | footer`, every frame checked on its own.
//!
//! Relies on CRC-32C. Never does I/O, never panics on foreign bytes, never copies file bytes: encoding gives segments
//! for a vectored write, decoding gives slices of what was read.
//!
//! Objects of this version are neither compressed nor encrypted. Their layout follows from the plain length alone, so
//! there is no frame table, and one ranged GET fetches exactly the frames a read needs (`FramePlan`). `header` and
//! `footer` document the fixed parts byte by byte; a frame is its plain bytes followed by a check (`frame`).
//!
//! What the checks do: they find flipped bits, torn writes, and frames or objects in each other's place. They do not
//! stop somebody who forges them on purpose; that takes a cipher.

mod decode;
mod encode;
mod error;
mod footer;
mod frame;
mod header;
mod plan;
#[cfg(test)]
mod tests;

pub use decode::{decode_frames, decode_whole};
pub use encode::encode;
pub use error::FormatError;
pub use frame::{FRAME_BYTES, stored_length};
pub use plan::FramePlan;

/// The largest plain content of an object.
pub const OBJECT_BYTES_MAX: u32 = shoal_types::VolumeSettings::BLOCK_BYTES_MAX;
