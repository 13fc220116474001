//! Who maintains the volume: format, session (8).

use super::fields::u64_at;
use super::{body, damaged};
use shoal_kv::KvResult;
use shoal_types::SessionId;

pub fn encode_holder(session: SessionId) -> Vec<u8> {
    [&[FORMAT][..], &session.0.to_le_bytes()].concat()
}

pub fn decode_holder(bytes: &[u8]) -> KvResult<SessionId> {
    let rest = body(WHAT, bytes, FORMAT)?;
    match rest.len() {
        8 => Ok(SessionId(u64_at(rest, 0))),
        length => Err(damaged(WHAT, format!("{length} bytes instead of 8"))),
    }
}

const WHAT: &str = "the record of who maintains the volume";
const FORMAT: u8 = 1;
