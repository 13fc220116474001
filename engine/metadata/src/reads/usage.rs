//! How much of the volume is in use.

use crate::keys::{Counter, Key};
use crate::records::damaged;
use crate::{MetaResult, Metadata, Usage};
use shoal_kv::KvResult;

impl Metadata {
    /// Inodes include the root, and those that have no name left but have not been removed yet.
    pub fn usage(&self) -> MetaResult<Usage> {
        self.at_snapshot(|reader| {
            let keys = [Counter::UsedBytes, Counter::UsedInodes].map(|counter| Key::Counter(counter).encode());
            let values = reader.get_many(&keys.each_ref().map(Vec::as_slice))?;
            let [bytes, inodes] = values.try_into().expect("every key has an answer");
            Ok(Usage { bytes: count(bytes)?, inodes: count(inodes)? })
        })
    }
}

fn count(value: Option<Vec<u8>>) -> KvResult<u64> {
    let Some(value) = value else { return Ok(0) };
    let length = value.len();
    let bytes = value.try_into().map_err(|_| damaged("a usage counter", format!("{length} bytes instead of 8")))?;
    Ok(i64::from_le_bytes(bytes).max(0).cast_unsigned())
}
