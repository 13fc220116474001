//! Backups of the metadata: format, session that makes one or 0 (8), when the last one was begun that was finished, in
//! nanoseconds, or 0 (8).

use super::fields::u64_at;
use super::{body, damaged};
use shoal_kv::KvResult;
use shoal_types::{SessionId, Timestamp};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backups {
    pub maker: Option<SessionId>,
    pub last: Option<Timestamp>,
}

impl Backups {
    pub fn encode(&self) -> Vec<u8> {
        let maker = self.maker.map_or(0, |session| session.0);
        let last = self.last.map_or(0, Timestamp::as_nanos);
        [&[FORMAT][..], &maker.to_le_bytes(), &last.to_le_bytes()].concat()
    }

    /// There is none before the first backup.
    pub fn decode(bytes: Option<&[u8]>) -> KvResult<Self> {
        let Some(bytes) = bytes else { return Ok(Backups::default()) };
        let rest = body(WHAT, bytes, FORMAT)?;
        if rest.len() != 16 {
            return Err(damaged(WHAT, format!("{} bytes instead of 16", rest.len())));
        }
        let (maker, last) = (u64_at(rest, 0), u64_at(rest, 8));
        Ok(Backups {
            maker: (maker != 0).then_some(SessionId(maker)),
            last: (last != 0).then_some(Timestamp::from_nanos(last)),
        })
    }
}

const WHAT: &str = "the note of backups";
const FORMAT: u8 = 1;
