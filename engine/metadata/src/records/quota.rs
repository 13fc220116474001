//! What an account may have: format, state, bytes (8), inodes (8), then the directories with a quota around this one,
//! innermost first (8 each). A limit of all ones is none.
//!
//! And how far a walk through a directory has come: format, then the last entry's place (cookie and name) or nothing.

use super::fields::u64_at;
use super::{body, damaged};
use crate::{Limits, QuotaState};
use shoal_kv::KvResult;
use shoal_types::Ino;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quota {
    pub state: QuotaState,
    pub limits: Limits,
    pub around: Vec<Ino>,
}

impl Quota {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT, self.state as u8];
        for limit in [self.limits.bytes, self.limits.inodes] {
            bytes.extend_from_slice(&limit.unwrap_or(NONE).to_le_bytes());
        }
        self.around.iter().for_each(|ino| bytes.extend_from_slice(&ino.0.to_le_bytes()));
        bytes
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        body(WHAT, bytes, FORMAT)?;
        if bytes.len() < BYTES_MIN || !(bytes.len() - BYTES_MIN).is_multiple_of(8) {
            return Err(damaged(WHAT, format!("it has {} bytes", bytes.len())));
        }
        let state = QuotaState::from_u8(bytes[1]).ok_or_else(|| damaged(WHAT, format!("no state {}", bytes[1])))?;
        let limit = |at| Some(u64_at(bytes, at)).filter(|limit| *limit != NONE);
        Ok(Quota {
            state,
            limits: Limits { bytes: limit(2), inodes: limit(10) },
            around: (BYTES_MIN..bytes.len()).step_by(8).map(|at| Ino(u64_at(bytes, at))).collect(),
        })
    }
}

/// `place` is what stands behind the subtag in a directory entry's key; empty at the beginning.
pub fn encode_walk(place: &[u8]) -> Vec<u8> {
    [&[FORMAT][..], place].concat()
}

pub fn decode_walk(bytes: &[u8]) -> KvResult<&[u8]> {
    body("a walk through a directory", bytes, FORMAT)
}

const WHAT: &str = "a quota";
const FORMAT: u8 = 1;
const BYTES_MIN: usize = 18;
const NONE: u64 = u64::MAX;
