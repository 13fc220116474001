//! What stands in the values, byte by byte. Every value begins with its format number (accumulators excepted, whose
//! bytes belong to the store; in a slice list every entry has its own, because lists grow by appending).
//!
//! Hot records have a fixed little-endian layout; cold ones are postcard after the format byte. A reader refuses a
//! format it doesn't know, and bytes of a known format that make no sense. It never guesses and never panics.

mod accounting;
mod backups;
mod clone;
mod dirent;
mod feed;
mod fields;
mod holder;
mod identity;
mod inline;
mod lease;
mod load;
mod lock;
mod operation_record;
mod origin;
mod packs;
mod queue;
mod quota;
mod session;
mod settings;
mod slices;
mod wrapped_key;
mod writeback_folder;
mod xattr_index;

pub use accounting::{Accounting, OwnerState, Rules};
pub use backups::Backups;
pub use clone::{
    CloneFile, CloneRecord, CloneState, FileVersion, decode_clone_directory, decode_clone_link, encode_clone_directory,
    encode_clone_link,
};
pub use dirent::Dirent;
pub use feed::{Audience, decode_event, encode_event};
pub use holder::{decode_holder, encode_holder};
pub use identity::Identity;
pub use inline::{decode_content, encode_content};
pub use lease::{decode_lease, encode_lease};
pub use load::{decode_load, encode_load};
pub use lock::{LockRecord, WaiterRecord, decode_waiter_of, encode_waiter_of};
pub use operation_record::OperationRecord;
pub use origin::{decode_origin, encode_origin};
pub use packs::{SparseNote, decode_pack_files, encode_pack_files};
pub use queue::{BEGUN, decode_deletion, decode_queued, decode_staged, encode_deletion, encode_queued, encode_staged};
pub use quota::{Quota, decode_walk, encode_walk};
pub use session::{SessionKind, SessionRecord};
pub use settings::{decode_settings, encode_settings};
pub use slices::{decode_slices, encode_slices, is_sound};
pub use wrapped_key::{decode_wrapped_key, encode_wrapped_key};
pub use writeback_folder::WritebackFolder;
pub use xattr_index::XattrIndex;

use shoal_kv::{KvError, KvResult};
use shoal_types::Consistency;

/// The rest of a record behind its format byte, if that's the format we know.
fn body<'a>(what: &str, bytes: &'a [u8], format: u8) -> KvResult<&'a [u8]> {
    match bytes.split_first() {
        Some((found, rest)) if *found == format => Ok(rest),
        Some((found, _)) if *found > format => Err(newer(what, *found, format)),
        Some((found, _)) => Err(damaged(what, format!("format {found} never existed"))),
        None => Err(damaged(what, "it is empty".into())),
    }
}

fn newer(what: &str, found: u8, known: u8) -> KvError {
    KvError::Damaged(format!("{what} has format {found}, which is newer than this program (it knows {known})"))
}

pub(crate) fn damaged(what: &str, why: String) -> KvError {
    KvError::Damaged(format!("{what}: {why}"))
}

fn encode_cold<T: serde::Serialize>(format: u8, record: &T) -> Vec<u8> {
    postcard::to_extend(record, vec![format]).expect("a record in memory can be encoded")
}

fn decode_cold<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8], format: u8) -> KvResult<T> {
    let rest = body(what, bytes, format)?;
    match postcard::take_from_bytes(rest) {
        Ok((record, [])) => Ok(record),
        Ok((_, trailing)) => Err(damaged(what, format!("{} bytes too many", trailing.len()))),
        Err(error) => Err(damaged(what, error.to_string())),
    }
}

#[cfg(test)]
mod golden_tests;
