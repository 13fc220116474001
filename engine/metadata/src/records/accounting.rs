//! What is counted, limited and kept in this volume, in one record: format, flags, state of owners, generation (4), the
//! last inode whose owner has been counted (8), the directory whose quota is being made or given up (8, 0 for none), days
//! that the trash keeps (4).

use super::fields::{u32_at, u64_at};
use super::{body, damaged};
use shoal_kv::KvResult;
use shoal_types::{Ino, Timestamp};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Accounting {
    /// The volume as a whole has limits.
    pub volume: bool,
    /// Something has limits.
    pub any: bool,
    pub owners: OwnerState,
    /// Of what is counted by owner now, or was counted last. An inode is counted if it bears this number.
    pub generation: u32,
    /// While owners are being counted: inodes up to this one have been.
    pub counted: u64,
    pub walking: Option<Ino>,
    /// How long removed files are kept; 0 for not at all.
    pub trash_days: u32,
}

/// Whether bytes and inodes are counted by users and groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum OwnerState {
    #[default]
    Off = 0,
    /// New inodes and those that have been passed are; the rest is being looked through.
    Counting = 1,
    On = 2,
}

/// What an operation has to count, to check and to keep: the part of `Accounting` that stands at the beginning of each session's
/// record, which every operation reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    pub volume: bool,
    /// The generation that counts by owner; 0 for none.
    pub owners: u32,
    /// What loses its last name goes to the trash.
    pub trash: bool,
    /// Changes are told in the change feed.
    pub feed: bool,
}

impl Accounting {
    /// As for a volume that nobody else uses.
    pub fn rules(&self) -> Rules {
        let owners = if self.owners == OwnerState::Off { 0 } else { self.generation };
        Rules { volume: self.volume, owners, trash: self.trash_days > 0, feed: false }
    }

    /// What came into the trash in hours that ended before this moment is to go. Without a trash nothing is kept, also not
    /// what is in it from before.
    pub fn trash_due_before(&self, now: Timestamp) -> Timestamp {
        match self.trash_days {
            0 => Timestamp::new(now.seconds + HOUR_SECONDS, 0),
            days => Timestamp::new(now.seconds - i64::from(days) * DAY_SECONDS, 0),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let flags = (u8::from(self.volume) * VOLUME) | (u8::from(self.any) * ANY);
        let mut bytes = vec![FORMAT, flags, self.owners as u8];
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.counted.to_le_bytes());
        bytes.extend_from_slice(&self.walking.map_or(0, |ino| ino.0).to_le_bytes());
        bytes.extend_from_slice(&self.trash_days.to_le_bytes());
        bytes
    }

    /// What is missing is a volume without limits and without a trash.
    pub fn decode(bytes: Option<&[u8]>) -> KvResult<Self> {
        let Some(bytes) = bytes else { return Ok(Accounting::default()) };
        body(WHAT, bytes, FORMAT)?;
        if bytes.len() != BYTES {
            return Err(damaged(WHAT, format!("{} bytes instead of {BYTES}", bytes.len())));
        }
        let owners = match bytes[2] {
            0 => OwnerState::Off,
            1 => OwnerState::Counting,
            2 => OwnerState::On,
            other => return Err(damaged(WHAT, format!("no state {other}"))),
        };
        Ok(Accounting {
            volume: bytes[1] & VOLUME != 0,
            any: bytes[1] & ANY != 0,
            owners,
            generation: u32_at(bytes, 3),
            counted: u64_at(bytes, 7),
            walking: Some(Ino(u64_at(bytes, 15))).filter(|ino| ino.0 != 0),
            trash_days: u32_at(bytes, 23),
        })
    }
}

const WHAT: &str = "the record of what is counted";
const FORMAT: u8 = 1;
const BYTES: usize = 27;
const VOLUME: u8 = 1;
const ANY: u8 = 2;
const HOUR_SECONDS: i64 = 3_600;
const DAY_SECONDS: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_kept_for_their_days_and_not_at_all_without_a_trash() {
        let now = Timestamp::new(1_000_000, 5);
        let due = |trash_days| Accounting { trash_days, ..Accounting::default() }.trash_due_before(now).seconds;
        assert_eq!(due(1), 1_000_000 - 86_400);
        assert_eq!(due(0), 1_000_000 + 3_600, "the hour that has begun goes too");
        assert!(due(u32::MAX) < 0, "longer than there is time");
    }
}
