//! A volume's metadata as one stream of bytes, and its way from one store to another.
//!
//! A dump holds every pair of the store at one moment, as the store holds it: what is sealed stays sealed. Integers are
//! little-endian.
//!
//! ```text
//! header  "shoaldmp" | format(4) = 1 | length(4) | about the volume (postcard) | check(4)
//! block   01 | pairs(4) | plain bytes(4) | stored bytes(4) | pairs, compressed with zstd | check(4)
//! end     02 | blocks(8) | pairs(8) | plain bytes(8) | check(4)
//! pair    key length(2) | value length(4) | key | value
//! ```
//!
//! Keys ascend through the whole dump. A check is the CRC-32C of the part before it, begun with the check before that one: so
//! a block that is damaged, lost, swapped or there twice is noticed at once. A dump without its end, or with something
//! behind it, is none. The checks tell accidents and not forgery.
//!
//! The dump of an encrypted volume may be sealed as a whole: [`sealed`].
//!
//! [`Loading`] fills an empty store, in small transactions. Until the last one there are no settings in it and so no
//! volume: what an interrupted load leaves behind can't be mounted, and says what it is.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod block;
mod compare;
mod error;
mod header;
mod limits;
mod load;
mod read;
pub mod sealed;
mod write;

pub use compare::{Difference, DifferenceKind, compare};
pub use error::{CompareError, DumpError, LoadError};
pub use header::Header;
pub use load::{Loading, Numbers};
pub use read::DumpReader;
pub use write::{Totals, write};
