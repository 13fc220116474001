//! Queue entries. In the deletion queue: format, object kind. An inode's own note of its place in the removal queue:
//! format, the queue time (8), or `BEGUN` in its place. A staged file's place in the list of what is to be packed is of the same kind.

use super::fields::u64_at;
use super::{body, damaged};
use shoal_kv::KvResult;
use shoal_types::ObjectKind;

pub fn encode_deletion(kind: ObjectKind) -> Vec<u8> {
    vec![FORMAT, kind as u8]
}

pub fn decode_deletion(bytes: &[u8]) -> KvResult<ObjectKind> {
    match body(DELETION, bytes, FORMAT)? {
        [1] => Ok(ObjectKind::Block),
        [2] => Ok(ObjectKind::Pack),
        other => Err(damaged(DELETION, format!("no object kind {other:?}"))),
    }
}

/// The removal has begun, and nobody can take the inode back. No queue time is this.
pub const BEGUN: u64 = u64::MAX;

pub fn encode_queued(time: u64) -> Vec<u8> {
    [&[FORMAT][..], &time.to_le_bytes()].concat()
}

/// A staged file: format, bytes that it is counted for (4).
pub fn encode_staged(bytes: u32) -> Vec<u8> {
    [&[FORMAT][..], &bytes.to_le_bytes()].concat()
}

pub fn decode_staged(bytes: &[u8]) -> KvResult<u32> {
    let rest = body(STAGED, bytes, FORMAT)?;
    rest.try_into().map(u32::from_le_bytes).map_err(|_| damaged(STAGED, format!("{} bytes instead of 4", rest.len())))
}

pub fn decode_queued(bytes: &[u8]) -> KvResult<u64> {
    let rest = body(QUEUED, bytes, FORMAT)?;
    match rest.len() {
        8 => Ok(u64_at(rest, 0)),
        length => Err(damaged(QUEUED, format!("{length} bytes instead of 8"))),
    }
}

const DELETION: &str = "a deletion queue entry";
const STAGED: &str = "a staged file";
const QUEUED: &str = "a place in the removal queue";
const FORMAT: u8 = 1;
