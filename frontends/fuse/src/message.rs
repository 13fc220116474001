//! A request's bytes, owned.
//!
//! Small messages are kept in place; a large one keeps the buffer it was read into. The transport places a message so
//! that the data of a WRITE begins on a page boundary, and hands it on without copying.

use bytes::Bytes;
use shoal_fuse_protocol::abi::WRITE_DATA_START;
use shoal_fuse_protocol::{Malformed, Request, peek_opcode};
use shoal_runtime::AlignedBuffer;

pub struct Message(Storage);

enum Storage {
    Inline { bytes: [u8; INLINE_BYTES], length: usize },
    Buffer { buffer: AlignedBuffer, start: usize },
}

/// Holds every request without data whose names are of ordinary length.
const INLINE_BYTES: usize = 160;
/// Where the data of a WRITE is put in its buffer, and where therefore its message begins.
pub(crate) const DATA_PAGE: usize = 4096;
pub(crate) const MESSAGE_START: usize = DATA_PAGE - WRITE_DATA_START;
/// Up to here write data moves to a buffer of its own size when it's kept: a copy costs less than a whole request
/// buffer that is out of the pool for as long as the data waits.
const COPIED_BYTES_MAX: usize = 16 << 10;

impl Message {
    /// Copies a small message; `None` if it is too large to be copied.
    pub fn inline(message: &[u8]) -> Option<Self> {
        let mut bytes = [0; INLINE_BYTES];
        bytes.get_mut(..message.len())?.copy_from_slice(message);
        Some(Message(Storage::Inline { bytes, length: message.len() }))
    }

    /// The message is the buffer's visible bytes from `start`.
    pub fn from_buffer(buffer: AlignedBuffer, start: usize) -> Self {
        assert!(start <= buffer.len(), "a message begins inside its buffer");
        Message(Storage::Buffer { buffer, start })
    }

    /// The message is these parts one after the other; they are copied.
    pub fn from_parts(parts: &[&[u8]]) -> Self {
        let length = parts.iter().map(|part| part.len()).sum();
        let copy = |mut target: &mut [u8]| {
            for part in parts {
                let (start, rest) = target.split_at_mut(part.len());
                start.copy_from_slice(part);
                target = rest;
            }
        };
        if length <= INLINE_BYTES {
            let mut bytes = [0; INLINE_BYTES];
            copy(&mut bytes[..length]);
            return Message(Storage::Inline { bytes, length });
        }
        let mut buffer = AlignedBuffer::with_capacity(DATA_PAGE + length);
        buffer.set_len(MESSAGE_START + length);
        copy(&mut buffer[MESSAGE_START..]);
        Message::from_buffer(buffer, MESSAGE_START)
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Storage::Inline { bytes, length } => &bytes[..*length],
            Storage::Buffer { buffer, start } => &buffer[*start..],
        }
    }

    pub fn parse(&self) -> Result<Request<'_>, Malformed> {
        Request::parse(self.bytes())
    }

    pub fn opcode(&self) -> Option<u32> {
        peek_opcode(self.bytes())
    }

    /// The `length` bytes of data of a WRITE, as parsed, to be kept after the message is gone.
    pub fn into_write_data(self, length: usize) -> Bytes {
        let data = WRITE_DATA_START..WRITE_DATA_START + length;
        let in_large_buffer = |buffer: &AlignedBuffer| buffer.capacity() > COPIED_BYTES_MAX + 2 * DATA_PAGE;
        let copied = match &self.0 {
            Storage::Inline { .. } => true,
            Storage::Buffer { buffer, .. } => length <= COPIED_BYTES_MAX && in_large_buffer(buffer),
        };
        if copied {
            let mut copy = AlignedBuffer::with_capacity(length);
            copy.set_len(length);
            copy.copy_from_slice(&self.bytes()[data]);
            return copy.into_bytes();
        }
        match self.0 {
            Storage::Buffer { buffer, start } => buffer.into_bytes().slice(start + data.start..start + data.end),
            Storage::Inline { .. } => unreachable!("copied above"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    #[test]
    fn large_write_data_is_handed_on_in_place_and_page_aligned() {
        let start = PAGE - WRITE_DATA_START;
        let mut buffer = AlignedBuffer::with_capacity(PAGE + (64 << 10));
        buffer.set_len(PAGE + (64 << 10));
        buffer[PAGE..].fill(9);
        let place = buffer[PAGE..].as_ptr();
        let data = Message::from_buffer(buffer, start).into_write_data(64 << 10);
        assert_eq!((data.as_ptr(), data.len()), (place, 64 << 10));
        assert_eq!(place as usize % PAGE, 0);
        assert!(data.iter().all(|byte| *byte == 9));
    }

    #[test]
    fn small_write_data_gives_its_request_buffer_back() {
        let mut buffer = AlignedBuffer::with_capacity(1 << 20);
        buffer.set_len(WRITE_DATA_START + 3);
        buffer[WRITE_DATA_START..].copy_from_slice(b"abc");
        let place = buffer[WRITE_DATA_START..].as_ptr();
        let data = Message::from_buffer(buffer, 0).into_write_data(3);
        assert_eq!(&data[..], b"abc");
        assert_ne!(data.as_ptr(), place);
    }

    #[test]
    fn only_small_messages_are_kept_in_place() {
        assert_eq!(Message::inline(&[5; INLINE_BYTES]).expect("small").bytes(), [5; INLINE_BYTES]);
        assert!(Message::inline(&[5; INLINE_BYTES + 1]).is_none());
    }
}
