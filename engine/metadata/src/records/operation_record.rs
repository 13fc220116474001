//! What an operation answered, kept until its slot is used again: format, operation id (8), the reply as postcard.

use super::fields::u64_at;
use super::{body, damaged};
use crate::MetaReply;
use shoal_kv::KvResult;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperationRecord {
    /// Unique within the session.
    pub operation: u64,
    pub reply: MetaReply,
}

impl OperationRecord {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.operation.to_le_bytes());
        postcard::to_extend(&self.reply, bytes).expect("a reply in memory can be encoded")
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        let rest = body(WHAT, bytes, FORMAT)?;
        if rest.len() < 8 {
            return Err(damaged(WHAT, format!("only {} bytes", rest.len())));
        }
        let reply = postcard::from_bytes(&rest[8..]).map_err(|error| damaged(WHAT, error.to_string()))?;
        Ok(OperationRecord { operation: u64_at(rest, 0), reply })
    }
}

const WHAT: &str = "an operation record";
const FORMAT: u8 = 1;
