//! Packs of which little is left, and what in them files still refer to.

use crate::keys::{self, Key};
use crate::ops::live_bytes::live_bytes;
use crate::ops::pack_notes::is_sparse;
use crate::records::{SparseNote, decode_pack_files, decode_slices};
use crate::{MetaResult, Metadata, PackList, SparsePack};
use shoal_kv::{Direction, KvResult, Reader};
use shoal_types::{Ino, ObjectId, Slice, Timestamp};

impl Metadata {
    /// In the order of their numbers, behind the one given; at most `limit`.
    pub fn sparse_packs(&self, behind: Option<ObjectId>, limit: usize) -> MetaResult<Vec<SparsePack>> {
        let range = match behind {
            Some(object) => keys::behind(&Key::SparsePack(object).encode(), &keys::sparse_packs()),
            None => keys::sparse_packs(),
        };
        self.at_snapshot(|reader| {
            let mut notes = Vec::new();
            for (key, value) in reader.scan(&range, limit, Direction::Forward)? {
                // The consistency check names keys that are none.
                if let Some(Key::SparsePack(object)) = Key::parse(&key) {
                    notes.push((object, SparseNote::decode(&value)?));
                }
            }
            let objects: Vec<ObjectId> = notes.iter().map(|(object, _)| *object).collect();
            let found = notes.into_iter().zip(live(reader, &objects)?).map(|((object, note), live)| SparsePack {
                object,
                since: Timestamp::from_nanos(note.since),
                live_bytes: live.max(0).cast_unsigned(),
                is_sparse: is_sparse(live, note.length),
            });
            Ok(found.collect())
        })
    }

    /// Parts of the list of a pack's files, behind the one given; at most `limit`.
    pub fn pack_lists(&self, object: ObjectId, behind: Option<u32>, limit: usize) -> MetaResult<Vec<PackList>> {
        let range = match behind {
            Some(place) => keys::behind(&Key::PackFiles(object, place).encode(), &keys::pack_files(object)),
            None => keys::pack_files(object),
        };
        self.at_snapshot(|reader| {
            let mut found = Vec::new();
            for (key, value) in reader.scan(&range, limit, Direction::Forward)? {
                if let Some(Key::PackFiles(_, place)) = Key::parse(&key) {
                    found.push(PackList { place, files: decode_pack_files(&value)? });
                }
            }
            Ok(found)
        })
    }

    /// The lists of the first chunks of those of these files that refer to the object there.
    pub fn first_chunks_naming(&self, object: ObjectId, files: &[Ino]) -> MetaResult<Vec<(Ino, Vec<Slice>)>> {
        let keys: Vec<Vec<u8>> = files.iter().map(|ino| Key::Chunk(*ino, 0).encode()).collect();
        let values =
            self.at_snapshot(|reader| Ok(reader.get_many(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?))?;
        // The consistency check tells of lists that can't be decoded.
        let lists = values.into_iter().map(|value| decode_slices(&value.unwrap_or_default()).unwrap_or_default());
        let named = |(_, list): &(Ino, Vec<Slice>)| list.iter().any(|slice| slice.object == object);
        Ok(files.iter().copied().zip(lists).filter(named).collect())
    }

    /// How many bytes files have of each of these objects.
    pub fn live_bytes(&self, objects: &[ObjectId]) -> MetaResult<Vec<u64>> {
        let live = self.at_snapshot(|reader| Ok(live(reader, objects)?))?;
        Ok(live.into_iter().map(|live| live.max(0).cast_unsigned()).collect())
    }
}

fn live(reader: &mut dyn Reader, objects: &[ObjectId]) -> KvResult<Vec<i64>> {
    let keys: Vec<Vec<u8>> = objects.iter().map(|object| Key::Object(*object).encode()).collect();
    let values = reader.get_many(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    objects.iter().zip(values).map(|(object, value)| live_bytes(*object, value.as_deref())).collect()
}
