//! Decoding: what was read is checked frame by frame. Frames that are stored as they are come back as slices of it.

use crate::codec::decompressed;
use crate::footer::{FOOTER_BYTES, check_footer};
use crate::frame::{CHECK_BYTES, bound, check_seed, frame_count, frame_length};
use crate::header::u32_at;
use crate::{FormatError, FrameTable, ObjectFormat};
use bytes::{Bytes, BytesMut};
use shoal_encryption::SealingKey;
use shoal_types::ObjectId;
use std::ops::Range;

impl ObjectFormat {
    /// The plain bytes of whole frames, one `Bytes` a frame. `stored` must be exactly those frames as the table says.
    pub(crate) fn decode_frames(
        &self,
        object: ObjectId,
        table: &FrameTable,
        frames: Range<u32>,
        stored: Bytes,
    ) -> Result<Vec<Bytes>, FormatError> {
        let place = table.stored(&frames);
        let expected = place.end.saturating_sub(place.start);
        if stored.len() as u64 != expected {
            return Err(FormatError::LengthWrong { object, expected, found: stored.len() as u64 });
        }
        let key = self.sealer.as_ref().map(|sealer| sealer.object(object));
        let mut rest = match &key {
            Some(_) => stored.try_into_mut().map_or_else(Rest::Shared, Rest::Own),
            None => Rest::Shared(stored),
        };
        let mut plain = Vec::with_capacity(frames.len());
        for frame in frames {
            let length = table.stored(&(frame..frame + 1));
            let bytes = rest.take((length.end - length.start) as usize);
            plain.push(decode_frame(object, table, frame, key.as_ref(), bytes)?);
        }
        Ok(plain)
    }

    /// The plain bytes of a whole stored object, one `Bytes` a frame, with everything checked that can be.
    pub fn decode_whole(&self, object: ObjectId, stored: Bytes) -> Result<Vec<Bytes>, FormatError> {
        let header = self.check_header(object, &stored)?;
        let table = self.table_behind(object, &header, &stored)?;
        let frames = 0..frame_count(header.object_length);
        let place = table.stored(&frames);
        let (expected, found) = (place.end + FOOTER_BYTES as u64, stored.len() as u64);
        if found != expected {
            return Err(FormatError::LengthWrong { object, expected, found });
        }
        let mut stored = stored;
        let footer = stored.split_off(place.end as usize);
        check_footer(object, &header, &footer)?;
        // What is left has one owner, if it had one before.
        drop(footer);
        let _ = stored.split_to(place.start as usize);
        self.decode_frames(object, &table, frames, stored)
    }
}

/// Stored frames that are still to be decoded.
enum Rest {
    Shared(Bytes),
    /// To decrypt in place.
    Own(BytesMut),
}

impl Rest {
    fn take(&mut self, length: usize) -> Rest {
        match self {
            Rest::Shared(bytes) => Rest::Shared(bytes.split_to(length)),
            Rest::Own(bytes) => Rest::Own(bytes.split_to(length)),
        }
    }

    /// One frame at a time, so that a copy is decrypted while it is in the processor's cache.
    fn into_own(self) -> BytesMut {
        match self {
            Rest::Shared(bytes) => BytesMut::from(&bytes[..]),
            Rest::Own(bytes) => bytes,
        }
    }
}

fn decode_frame(
    object: ObjectId,
    table: &FrameTable,
    frame: u32,
    key: Option<&SealingKey>,
    stored: Rest,
) -> Result<Bytes, FormatError> {
    let codec = table.form(frame).codec;
    let bytes = match (key, stored) {
        (Some(key), stored) => {
            let refused = FormatError::FrameNotSealedByUs { object, frame };
            opened(key, &bound(frame, table.object_length, codec), stored.into_own()).ok_or(refused)?
        }
        (None, Rest::Shared(stored)) => {
            checked(object, frame, stored).ok_or(FormatError::FrameDamaged { object, frame })?
        }
        (None, Rest::Own(_)) => unreachable!("frames are owned to be decrypted"),
    };
    let length = frame_length(table.object_length, frame) as usize;
    match codec {
        None if bytes.len() == length => Ok(bytes),
        None => Err(FormatError::FrameDamaged { object, frame }),
        Some(codec) => {
            let plain = decompressed(codec, &bytes, length);
            plain.map(Bytes::from).ok_or(FormatError::FrameDamaged { object, frame })
        }
    }
}

fn checked(object: ObjectId, frame: u32, mut stored: Bytes) -> Option<Bytes> {
    let check = stored.split_off(stored.len().checked_sub(CHECK_BYTES)?);
    let expected = crc32c::crc32c_append(check_seed(object, frame), &stored);
    (u32_at(&check, 0) == expected).then_some(stored)
}

fn opened(key: &SealingKey, bound: &[u8], mut stored: BytesMut) -> Option<Bytes> {
    let start = stored.as_ptr();
    let plain = key.open(bound, &mut stored)?;
    let (offset, length) = (plain.as_ptr().addr() - start.addr(), plain.len());
    Some(stored.freeze().slice(offset..offset + length))
}
