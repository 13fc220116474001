//! Which stored bytes a read of some plain bytes needs.

use crate::frame::{FRAME_BYTES, frame_length};
use crate::{FormatError, FrameTable, ObjectFormat};
use bytes::Bytes;
use shoal_types::ObjectId;
use std::ops::Range;

/// The frames that hold a range of plain bytes, and where they are stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FramePlan {
    table: FrameTable,
    /// The plain bytes that are wanted.
    range: Range<u32>,
    pub frames: Range<u32>,
    /// The bytes of the stored object to GET.
    pub stored: Range<u64>,
}

impl FramePlan {
    /// `range` must not be empty and must lie within the object.
    pub fn for_range(table: &FrameTable, range: Range<u32>) -> Self {
        let object_length = table.object_length;
        assert!(range.start < range.end, "a read of nothing");
        assert!(range.end <= object_length, "a read of {range:?} in an object of {object_length} bytes");
        let frames = frames_of(&range);
        let stored = table.stored(&frames);
        FramePlan { table: table.clone(), range, frames, stored }
    }
}

impl ObjectFormat {
    /// Exactly the wanted plain bytes, in order, checked; `stored` is what the GET of `plan.stored` gave.
    pub fn decode(&self, object: ObjectId, plan: &FramePlan, stored: Bytes) -> Result<Vec<Bytes>, FormatError> {
        let plain = self.decode_frames(object, &plan.table, plan.frames.clone(), stored)?;
        Ok(trim(plain, plan.table.object_length, &plan.range))
    }

    /// The same from a GET of the whole object, whose content must be `object_length` bytes.
    pub fn decode_from_whole(
        &self,
        object: ObjectId,
        object_length: u32,
        range: Range<u32>,
        stored: Bytes,
    ) -> Result<Vec<Bytes>, FormatError> {
        let mut plain = self.decode_whole(object, stored)?;
        let found = plain.iter().map(|frame| frame.len() as u32).sum();
        if found != object_length {
            return Err(FormatError::ContentLengthWrong { object, expected: object_length, found });
        }
        let frames = frames_of(&range);
        plain.truncate(frames.end as usize);
        plain.drain(..frames.start as usize);
        Ok(trim(plain, object_length, &range))
    }
}

fn frames_of(range: &Range<u32>) -> Range<u32> {
    range.start / FRAME_BYTES..range.end.div_ceil(FRAME_BYTES)
}

/// Takes from the frames that hold `range` what is not in it.
fn trim(mut frames: Vec<Bytes>, object_length: u32, range: &Range<u32>) -> Vec<Bytes> {
    let last = frames_of(range).end - 1;
    let surplus = last * FRAME_BYTES + frame_length(object_length, last) - range.end;
    if let Some(bytes) = frames.last_mut() {
        bytes.truncate(bytes.len() - surplus as usize);
    }
    if let Some(bytes) = frames.first_mut() {
        *bytes = bytes.slice((range.start % FRAME_BYTES) as usize..);
    }
    frames
}
