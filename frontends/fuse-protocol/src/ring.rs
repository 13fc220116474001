//! FUSE over io_uring: what travels beside the messages themselves (`linux/fuse.h`, `fs/fuse/dev_uring.c`).
//!
//! A queue exists for each possible CPU, with entries of ours. An entry is two pieces of memory that the kernel knows:
//! a header of 288 bytes and a payload. A request fills both; the reply is put into the same memory and committed, which
//! also asks for the next request. Header: the message's own header at 0 (for a reply: the reply's), the operation's
//! fixed part at 128, the ring's words at 256. Payload: all that follows the fixed part.

use crate::abi::{IN_HEADER_BYTES, OUT_HEADER_BYTES};
use crate::wire::{Reader, Short, Writer};

pub const HEADER_BYTES: usize = 288;
/// Bytes of the commands' own area in a submission queue entry.
pub const COMMAND_BYTES: usize = 80;
/// The kernel accepts no smaller payload, whatever was agreed about requests.
pub const PAYLOAD_BYTES_MIN: usize = 8192;

/// `fuse_uring_cmd`: gives an entry to the kernel.
pub const REGISTER: u32 = 1;
/// `fuse_uring_cmd`: answers an entry's request and waits for the next.
pub const COMMIT_AND_FETCH: u32 = 2;

const OPERATION_AT: usize = 128;
const OPERATION_BYTES_MAX: usize = 128;
const RING_AT: usize = 256;

/// `fuse_uring_cmd_req`. `commit_id` is that of the request to answer; 0 for REGISTER.
pub fn command(queue: u16, commit_id: u64) -> [u8; COMMAND_BYTES] {
    Writer::new().u64(0).u64(commit_id).u16(queue).zeros(62).done()
}

/// A request as it lies in an entry: its parts, in the order in which `/dev/fuse` would have sent them as one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingRequest<'a> {
    pub header: &'a [u8],
    pub operation: &'a [u8],
    pub payload: &'a [u8],
    pub commit_id: u64,
    pub unique: u64,
}

impl<'a> RingRequest<'a> {
    /// `None` if the lengths contradict each other, which no kernel is known to do.
    pub fn parse(header: &'a [u8; HEADER_BYTES], payload: &'a [u8]) -> Option<Self> {
        let ring = Ring::parse(&header[RING_AT..]).ok()?;
        let message = &header[..IN_HEADER_BYTES];
        let mut fields = Reader(message);
        let length = fields.u32().ok()? as usize;
        let _opcode = fields.u32().ok()?;
        let unique = fields.u64().ok()?;
        let payload = payload.get(..ring.payload_bytes)?;
        let operation_bytes = length.checked_sub(IN_HEADER_BYTES)?.checked_sub(payload.len())?;
        if operation_bytes > OPERATION_BYTES_MAX {
            return None;
        }
        let operation = &header[OPERATION_AT..OPERATION_AT + operation_bytes];
        Some(RingRequest { header: message, operation, payload, commit_id: ring.commit_id, unique })
    }

    pub fn parts(&self) -> [&'a [u8]; 3] {
        [self.header, self.operation, self.payload]
    }

    /// Bytes of the whole message.
    pub fn length(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }
}

/// Puts a reply's header in the place of its request's; the first `payload_bytes` of the payload are its body.
pub fn write_reply(header: &mut [u8; HEADER_BYTES], out_header: &[u8; OUT_HEADER_BYTES], payload_bytes: usize) {
    header[..OUT_HEADER_BYTES].copy_from_slice(out_header);
    let bytes = u32::try_from(payload_bytes).expect("a reply is at most a few MiB");
    header[RING_AT + 16..RING_AT + 20].copy_from_slice(&bytes.to_ne_bytes());
}

/// `fuse_uring_ent_in_out`: flags u64, commit id u64, payload bytes u32, padding, reserved u64.
struct Ring {
    commit_id: u64,
    payload_bytes: usize,
}

impl Ring {
    fn parse(bytes: &[u8]) -> Result<Self, Short> {
        let mut r = Reader(bytes);
        r.skip(8)?;
        Ok(Ring { commit_id: r.u64()?, payload_bytes: r.u32()? as usize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out_header;

    /// A request of `length` bytes in all, `payload` of them in the payload.
    fn header(length: u32, payload: u32) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let message = Writer::<16>::new().u32(length).u32(crate::abi::opcode::WRITE).u64(77).done();
        header[..16].copy_from_slice(&message);
        header[OPERATION_AT..OPERATION_AT + 4].copy_from_slice(b"args");
        let ring = Writer::<32>::new().u64(0).u64(78).u32(payload).zeros(12).done();
        header[RING_AT..].copy_from_slice(&ring);
        header
    }

    #[test]
    fn the_parts_of_a_request_are_the_message_of_dev_fuse() {
        let header = header(40 + 4 + 5, 5);
        let request = RingRequest::parse(&header, b"hello and more").expect("consistent");
        assert_eq!((request.operation, request.payload), (&b"args"[..], &b"hello"[..]));
        assert_eq!((request.commit_id, request.unique, request.length()), (78, 77, 49));
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        let payload = [0; 64];
        for (length, bytes) in [(39, 0), (44, 5), (40 + 129, 0), (40 + 65, 65), (u32::MAX, 0), (0, u32::MAX)] {
            assert_eq!(RingRequest::parse(&header(length, bytes), &payload), None, "{length} {bytes}");
        }
        assert!(RingRequest::parse(&header(40 + 128 + 64, 64), &payload).is_some());
    }

    #[test]
    fn a_reply_takes_the_place_of_its_request() {
        let mut header = header(49, 5);
        let out = out_header(77, None, 3);
        write_reply(&mut header, &out, 3);
        assert_eq!(header[..16], out);
        assert_eq!(header[RING_AT + 16..RING_AT + 20], 3u32.to_ne_bytes());
        assert_eq!(header[RING_AT + 8..RING_AT + 16], 78u64.to_ne_bytes(), "the commit id stays");
    }

    #[test]
    fn commands_have_the_kernels_layout() {
        let command = command(3, 9);
        assert_eq!(command[8..16], 9u64.to_ne_bytes());
        assert_eq!(command[16..18], 3u16.to_ne_bytes());
        assert!(command[18..].iter().chain(&command[..8]).all(|byte| *byte == 0));
    }
}
