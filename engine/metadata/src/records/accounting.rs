//! What is counted and limited in this volume, in one record: format, flags, state of owners, generation (4), the last
//! inode whose owner has been counted (8), the directory whose quota is being made or given up (8, 0 for none).

use super::fields::{u32_at, u64_at};
use super::{body, damaged};
use shoal_kv::KvResult;
use shoal_types::Ino;

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

/// What an operation has to count and to check: the part of `Accounting` that stands at the beginning of each session's
/// record, which every operation reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    pub volume: bool,
    /// The generation that counts by owner; 0 for none.
    pub owners: u32,
}

impl Accounting {
    pub fn rules(&self) -> Rules {
        let owners = if self.owners == OwnerState::Off { 0 } else { self.generation };
        Rules { volume: self.volume, owners }
    }

    pub fn encode(&self) -> Vec<u8> {
        let flags = (u8::from(self.volume) * VOLUME) | (u8::from(self.any) * ANY);
        let mut bytes = vec![FORMAT, flags, self.owners as u8];
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.counted.to_le_bytes());
        bytes.extend_from_slice(&self.walking.map_or(0, |ino| ino.0).to_le_bytes());
        bytes
    }

    /// What is missing is a volume without limits.
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
        })
    }
}

const WHAT: &str = "the record of what is counted";
const FORMAT: u8 = 1;
const BYTES: usize = 23;
const VOLUME: u8 = 1;
const ANY: u8 = 2;
