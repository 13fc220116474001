//! Bytes behind the end of a file. The length is read, so of two appends one runs again and stands behind the other.

use super::{write_inline, write_slices};
use crate::inode;
use crate::{Append, Appended, AppendedContent, MetaReply, MetaResult, WriteInline, WriteSlices};
use shoal_kv::Transaction;
use shoal_types::{CHUNK_BYTES, Errno, ObjectId, ObjectKind, Slice, Staging};
use std::collections::BTreeMap;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Append) -> MetaResult<MetaReply> {
    let Append { ino, content, mtime, exempt, session } = operation;
    let (ino, mtime, exempt, session) = (*ino, *mtime, *exempt, *session);
    let offset = inode::length(transaction, ino)?;
    let reply = match content {
        AppendedContent::Inline { bytes, inline_max } => {
            let patches = vec![(offset, bytes.clone())];
            let write = WriteInline {
                ino,
                patches,
                length_min: 0,
                inline_max: *inline_max,
                staging: Staging::default(),
                mtime,
                exempt,
                session,
            };
            write_inline::run(transaction, &write)?
        }
        AppendedContent::Objects(objects) => {
            let count: u64 = objects.iter().map(|(_, length)| u64::from(*length)).sum();
            let length = offset.checked_add(count).ok_or(Errno::EFBIG)?;
            let (chunks, allocated) = (slices(objects, offset), count.cast_signed());
            let write = WriteSlices { ino, chunks, length, mtime, allocated, exempt, session };
            write_slices::run(transaction, &write)?
        }
    };
    Ok(match reply {
        MetaReply::Attributes(attributes) => MetaReply::Appended(Appended { attributes, offset }),
        other => other,
    })
}

/// The objects from `offset` on, cut where chunks end.
fn slices(objects: &[(ObjectId, u32)], mut offset: u64) -> Vec<(u64, Vec<Slice>)> {
    let mut chunks: BTreeMap<u64, Vec<Slice>> = BTreeMap::new();
    for (object, object_length) in objects.iter().copied() {
        let mut object_offset = 0;
        while object_offset < object_length {
            let position = (offset % CHUNK_BYTES) as u32;
            let length = (object_length - object_offset).min(CHUNK_BYTES as u32 - position);
            let kind = ObjectKind::Block;
            let slice = Slice { position, length, object, object_offset, object_length, kind };
            chunks.entry(offset / CHUNK_BYTES).or_default().push(slice);
            object_offset += length;
            offset += u64::from(length);
        }
    }
    chunks.into_iter().collect()
}
