//! The frame table: where each frame lies in its object.
//!
//! Objects that are not compressed need none: all frames but the last are of one length. In compressed ones it stands
//! between header and frame 0, so that one ranged GET of a known length fetches both:
//!
//! | bytes     | what |
//! |-----------|------|
//! | 4 a frame | stored bytes of the frame; bit 31: it is compressed with the codec of the header |
//! | 4         | CRC-32C of the object number (8 bytes) and the entries |

use crate::FormatError;
use crate::frame::{FRAME_BYTES, FrameForm, frame_count, frame_length};
use crate::header::{HEADER_BYTES, Header, u32_at};
use shoal_types::ObjectId;
use std::ops::Range;
use std::sync::Arc;

/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameTable {
    pub(crate) object_length: u32,
    places: Places,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Places {
    /// Each frame has its plain bytes and so many more.
    Even { form: FrameForm },
    /// Where each frame begins, and where the last one ends; with the form of each.
    Listed(Arc<[(u32, FrameForm)]>),
}

const COMPRESSED: u32 = 1 << 31;
const ENTRY_BYTES: usize = 4;
const CHECK_BYTES: usize = 4;

/// Bytes of the table of an object that has one.
pub(crate) fn table_bytes(object_length: u32) -> usize {
    frame_count(object_length) as usize * ENTRY_BYTES + CHECK_BYTES
}

impl FrameTable {
    pub(crate) fn even(object_length: u32, form: FrameForm) -> Self {
        FrameTable { object_length, places: Places::Even { form } }
    }

    /// What to GET of a compressed object for `read`.
    pub fn stored_range(object_length: u32) -> Range<u64> {
        0..(HEADER_BYTES + table_bytes(object_length)) as u64
    }

    /// `head` is the first bytes of a compressed object, of `header` and more: all of `stored_range`.
    pub(crate) fn read(object: ObjectId, header: &Header, head: &[u8]) -> Result<Self, FormatError> {
        let damaged = FormatError::TableDamaged { object };
        let length = table_bytes(header.object_length);
        let table = head.get(HEADER_BYTES..HEADER_BYTES + length).ok_or(damaged.clone())?;
        let (entries, check) = table.split_at(length - CHECK_BYTES);
        if u32_at(check, 0) != check_of(object, entries) {
            return Err(damaged);
        }
        let mut at = (HEADER_BYTES + length) as u32;
        let mut places = Vec::with_capacity(entries.len() / ENTRY_BYTES + 1);
        for (frame, entry) in entries.chunks_exact(ENTRY_BYTES).enumerate() {
            let entry = u32_at(entry, 0);
            let codec = (entry & COMPRESSED != 0).then_some(header.codec).flatten();
            let form = FrameForm { codec, sealed: header.cipher.is_some() };
            places.push((at, form));
            let stored = entry & !COMPRESSED;
            // A frame that grew would have been stored as it is.
            if u64::from(stored) > form.stored_bytes(frame_length(header.object_length, frame as u32)) {
                return Err(damaged);
            }
            at = at.checked_add(stored).ok_or(damaged.clone())?;
        }
        places.push((at, FrameForm { codec: None, sealed: false }));
        Ok(FrameTable { object_length: header.object_length, places: Places::Listed(places.into()) })
    }

    pub(crate) fn form(&self, frame: u32) -> FrameForm {
        match &self.places {
            Places::Even { form } => *form,
            Places::Listed(places) => places[frame as usize].1,
        }
    }

    /// Where some whole frames lie in the stored object.
    pub(crate) fn stored(&self, frames: &Range<u32>) -> Range<u64> {
        self.start(frames.start)..self.start(frames.end)
    }

    /// Of the frame, or of what follows the last one.
    fn start(&self, frame: u32) -> u64 {
        match &self.places {
            Places::Even { form } => {
                let plain = (u64::from(frame) * u64::from(FRAME_BYTES)).min(u64::from(self.object_length));
                HEADER_BYTES as u64 + plain + u64::from(frame) * form.stored_bytes(0)
            }
            Places::Listed(places) => places[frame as usize].0.into(),
        }
    }
}

/// Fills in the table of frames, given the stored bytes of each and whether it is compressed.
pub(crate) fn write_table(object: ObjectId, frames: &[(usize, bool)], table: &mut [u8]) {
    let (entries, check) = table.split_at_mut(frames.len() * ENTRY_BYTES);
    for (entry, (stored, compressed)) in entries.chunks_exact_mut(ENTRY_BYTES).zip(frames) {
        let flag = if *compressed { COMPRESSED } else { 0 };
        entry.copy_from_slice(&(*stored as u32 | flag).to_le_bytes());
    }
    check.copy_from_slice(&check_of(object, entries).to_le_bytes());
}

fn check_of(object: ObjectId, entries: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&object.0.to_le_bytes()), entries)
}
