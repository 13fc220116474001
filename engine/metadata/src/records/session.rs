//! Who a session is: for people who list them, and for telling on one host whether its process still lives.
//!
//! Every operation reads this record to see whether its session lives. So it also says what operations have to count and
//! to keep (`Rules`), in front: format, flags, generation of owners (4), then who it is.

use super::fields::u32_at;
use super::{Rules, body, damaged};
use serde::{Deserialize, Serialize};
use shoal_kv::KvResult;
use shoal_types::{Consistency, Timestamp};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The host's name.
    pub host: String,
    /// The kernel's boot id: another one means that the process is gone, whatever its number.
    pub boot: String,
    pub pid: u32,
    pub started: Timestamp,
    /// Empty unless it's a mount.
    pub mount_point: String,
    pub kind: SessionKind,
    /// Of a mount.
    pub consistency: Consistency,
}

/// Stored by position: add at the end only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SessionKind {
    Mount,
    /// A command that reads or maintains the volume.
    Command,
    /// A program that reads the change feed.
    Watcher,
}

impl SessionRecord {
    pub fn encode(&self, rules: Rules) -> Vec<u8> {
        postcard::to_extend(self, rules.encode()).expect("a record in memory can be encoded")
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        Rules::decode(bytes)?;
        match postcard::take_from_bytes(&bytes[RULES_BYTES..]) {
            Ok((record, [])) => Ok(record),
            Ok((_, trailing)) => Err(damaged(WHAT, format!("{} bytes too many", trailing.len()))),
            Err(error) => Err(damaged(WHAT, error.to_string())),
        }
    }
}

impl Rules {
    fn encode(self) -> Vec<u8> {
        let flag = |set, flag| u8::from(set) * flag;
        let flags = flag(self.volume, VOLUME) | flag(self.trash, TRASH) | flag(self.feed, FEED);
        let mut bytes = vec![FORMAT, flags];
        bytes.extend_from_slice(&self.owners.to_le_bytes());
        bytes
    }

    /// Those in front of a session's record.
    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        body(WHAT, bytes, FORMAT)?;
        match bytes.len() < RULES_BYTES {
            true => Err(damaged(WHAT, format!("only {} bytes", bytes.len()))),
            false => {
                let has = |flag| bytes[1] & flag != 0;
                Ok(Rules { volume: has(VOLUME), owners: u32_at(bytes, 2), trash: has(TRASH), feed: has(FEED) })
            }
        }
    }

    /// A session's record with these in front instead.
    pub fn replace(self, record: &[u8]) -> KvResult<Vec<u8>> {
        Rules::decode(record)?;
        Ok([&self.encode(), &record[RULES_BYTES..]].concat())
    }
}

const WHAT: &str = "a session record";
const FORMAT: u8 = 1;
const RULES_BYTES: usize = 6;
const VOLUME: u8 = 1;
const TRASH: u8 = 2;
const FEED: u8 = 4;
