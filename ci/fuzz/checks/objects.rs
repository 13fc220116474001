//! What holds for any bytes in place of a stored object or of its beginning: refused or read, never a panic. Shared by the
//! fuzz target and `engine/object-format/tests`.

use bytes::Bytes;
use shoal_object_format::{FramePlan, OBJECT_BYTES_MAX, ObjectFormat};
use shoal_types::{Compression, ObjectId};

pub const ID: ObjectId = ObjectId(7);

/// One of each kind that needs no key.
pub fn formats() -> [ObjectFormat; 3] {
    [Compression::None, Compression::Lz4, Compression::Zstd(3)].map(|compression| ObjectFormat::new(compression, None))
}

/// Plain bytes that are read are written as something that reads the same.
pub fn whole(bytes: &[u8]) {
    for format in formats() {
        if let Ok(plain) = format.decode_whole(ID, Bytes::copy_from_slice(bytes)) {
            let again = format.decode_whole(ID, format.encode(ID, &plain).concat().into());
            assert_eq!(again.map(|plain| plain.concat()).ok(), Some(plain.concat()));
        }
    }
}

/// A length and a range in it, then an object: its table and what the plan says.
pub fn part(bytes: &[u8]) {
    let Some((numbers, stored)) = bytes.split_first_chunk::<12>() else { return };
    let number = |at: usize| u32::from_le_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
    let length = 1 + number(0) % OBJECT_BYTES_MAX;
    let start = number(4) % length;
    let range = start..start + 1 + number(8) % (length - start);
    for format in formats() {
        let Ok(table) = format.read_table(ID, length, stored) else { continue };
        let plan = FramePlan::for_range(&table, range.clone());
        let (from, to) = (plan.stored.start as usize, plan.stored.end as usize);
        let Some(fetched) = stored.get(from..to) else { continue };
        if let Ok(plain) = format.decode(ID, &plan, Bytes::copy_from_slice(fetched)) {
            assert_eq!(plain.iter().map(Bytes::len).sum::<usize>(), range.len(), "just what was asked for");
        }
    }
}
