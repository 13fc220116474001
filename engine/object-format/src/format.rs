//! How one volume's objects are written and read: its codec and its keys.

use crate::codec::Codec;
use crate::footer::FOOTER_BYTES;
use crate::frame::{FrameForm, frame_count};
use crate::header::{HEADER_BYTES, Header};
use crate::table::FrameTable;
use crate::{FRAME_BYTES, FormatError};
use shoal_encryption::VolumeSealer;
use shoal_types::{Compression, ObjectId};
use std::ops::RangeInclusive;

/// Cheap to clone; on any thread.
#[derive(Clone)]
pub struct ObjectFormat {
    pub(crate) compression: Compression,
    pub(crate) sealer: Option<VolumeSealer>,
}

impl ObjectFormat {
    /// Neither compressed nor encrypted.
    pub const PLAIN: ObjectFormat = ObjectFormat { compression: Compression::None, sealer: None };

    pub fn new(compression: Compression, sealer: Option<VolumeSealer>) -> Self {
        ObjectFormat { compression, sealer }
    }

    /// Where the frames lie, if that follows from the length alone. Else it must be read (`FrameTable::stored_range`).
    pub fn even_table(&self, object_length: u32) -> Option<FrameTable> {
        match self.compression {
            Compression::None => Some(FrameTable::even(object_length, self.uncompressed())),
            _ => None,
        }
    }

    /// The table in the first bytes of an object, which are all of `FrameTable::stored_range` or more.
    pub fn read_table(&self, object: ObjectId, object_length: u32, head: &[u8]) -> Result<FrameTable, FormatError> {
        let header = self.check_header(object, head)?;
        if header.object_length != object_length {
            let found = header.object_length;
            return Err(FormatError::ContentLengthWrong { object, expected: object_length, found });
        }
        self.table_behind(object, &header, head)
    }

    /// It is as good to GET such an object whole as to look for one of its frames.
    pub fn has_one_frame(object_length: u32) -> bool {
        object_length <= FRAME_BYTES
    }

    /// How many bytes the store has of a whole object.
    pub fn stored_length(&self, object_length: u32) -> RangeInclusive<u64> {
        stored_length(self.compression, self.sealer.is_some(), object_length)
    }

    pub(crate) fn header(&self, object_length: u32) -> Header {
        Header {
            codec: Codec::of(self.compression),
            cipher: self.sealer.as_ref().map(VolumeSealer::cipher),
            object_length,
        }
    }

    pub(crate) fn uncompressed(&self) -> FrameForm {
        FrameForm { codec: None, sealed: self.sealer.is_some() }
    }

    pub(crate) fn check_header(&self, object: ObjectId, stored: &[u8]) -> Result<Header, FormatError> {
        let header = Header::decode(object, stored)?;
        let expected = self.sealer.as_ref().map(VolumeSealer::cipher);
        match header.cipher == expected {
            true => Ok(header),
            false => Err(FormatError::CipherWrong { object, expected, found: header.cipher }),
        }
    }

    pub(crate) fn table_behind(
        &self,
        object: ObjectId,
        header: &Header,
        stored: &[u8],
    ) -> Result<FrameTable, FormatError> {
        match header.codec {
            None => Ok(FrameTable::even(header.object_length, self.uncompressed())),
            Some(_) => FrameTable::read(object, header, stored),
        }
    }
}

/// How many bytes the store has of a whole object, as far as its length tells.
pub fn stored_length(compression: Compression, encrypted: bool, object_length: u32) -> RangeInclusive<u64> {
    let form = FrameForm { codec: None, sealed: encrypted };
    let header = Header { codec: Codec::of(compression), cipher: None, object_length };
    let fixed = (HEADER_BYTES + header.table_bytes() + FOOTER_BYTES) as u64;
    let min = fixed + u64::from(frame_count(object_length)) * form.stored_bytes(0);
    let max = min + u64::from(object_length);
    match compression {
        Compression::None => max..=max,
        _ => min..=max,
    }
}
