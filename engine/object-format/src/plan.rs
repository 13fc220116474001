//! Which stored bytes a read of some plain bytes needs.

use crate::frame::{FRAME_BYTES, frame_length, stored_range};
use crate::{FormatError, decode_frames};
use bytes::Bytes;
use shoal_types::ObjectId;
use std::ops::Range;

/// The frames that hold a range of plain bytes, and where they are stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FramePlan {
    object_length: u32,
    /// The plain bytes that are wanted.
    range: Range<u32>,
    pub frames: Range<u32>,
    /// The bytes of the stored object to GET.
    pub stored: Range<u64>,
}

impl FramePlan {
    /// `range` must not be empty and must lie within the object.
    pub fn for_range(object_length: u32, range: Range<u32>) -> Self {
        assert!(range.start < range.end, "a read of nothing");
        assert!(range.end <= object_length, "a read of {range:?} in an object of {object_length} bytes");
        let frames = range.start / FRAME_BYTES..range.end.div_ceil(FRAME_BYTES);
        let stored = stored_range(object_length, &frames);
        FramePlan { object_length, range, frames, stored }
    }

    /// Exactly the wanted plain bytes, in order, checked; `stored` is what the GET of `self.stored` gave.
    pub fn decode(&self, object: ObjectId, stored: Bytes) -> Result<Vec<Bytes>, FormatError> {
        let mut plain = decode_frames(object, self.object_length, self.frames.clone(), stored)?;
        let last = self.frames.end - 1;
        let surplus = last * FRAME_BYTES + frame_length(self.object_length, last) - self.range.end;
        if let Some(bytes) = plain.last_mut() {
            bytes.truncate(bytes.len() - surplus as usize);
        }
        if let Some(bytes) = plain.first_mut() {
            *bytes = bytes.slice((self.range.start % FRAME_BYTES) as usize..);
        }
        Ok(plain)
    }
}
