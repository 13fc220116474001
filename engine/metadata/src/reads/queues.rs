//! What waits for removal and deletion.

use crate::keys::{self, Key};
use crate::ops::live_bytes;
use crate::records::{BEGUN, decode_deletion, decode_queued};
use crate::{MetaResult, Metadata, QueuedDeletion, QueuedRemoval};
use shoal_kv::{Direction, KvResult, Pair, Reader};
use shoal_types::Ino;

impl Metadata {
    /// Oldest first, those queued at or before `until`.
    pub fn queued_removals(&self, until: u64, limit: usize) -> MetaResult<Vec<QueuedRemoval>> {
        let range = keys::removals_until(until);
        let pairs = self.at_snapshot(|reader| Ok(reader.scan(&range, limit, Direction::Forward)?))?;
        let removals = pairs.iter().filter_map(|(key, _)| match Key::parse(key) {
            Some(Key::Removal(queued_at, ino)) => Some(QueuedRemoval { queued_at, ino }),
            // The consistency check names keys that are none.
            _ => None,
        });
        Ok(removals.collect())
    }

    /// Those of these inodes that wait for their removal, and whose removal has not begun.
    pub fn queued_among(&self, inodes: &[Ino]) -> MetaResult<Vec<Ino>> {
        let keys: Vec<Vec<u8>> = inodes.iter().map(|ino| Key::Queued(*ino).encode()).collect();
        let places =
            self.at_snapshot(|reader| Ok(reader.get_many(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?))?;
        let mut queued = Vec::new();
        for (ino, place) in inodes.iter().zip(places) {
            if place.map(|place| decode_queued(&place)).transpose()?.is_some_and(|time| time != BEGUN) {
                queued.push(*ino);
            }
        }
        Ok(queued)
    }

    /// Oldest first, those queued at or before `until`, which is now less the grace. What a file refers to again is passed over: before bytes are
    /// destroyed, the books are looked at once more.
    pub fn queued_deletions(&self, until: u64, limit: usize) -> MetaResult<Vec<QueuedDeletion>> {
        self.at_snapshot(|reader| {
            let mut range = keys::deletions_until(until);
            let mut found = Vec::new();
            while found.len() < limit {
                let wanted = limit - found.len();
                let pairs = reader.scan(&range, wanted, Direction::Forward)?;
                found.extend(dead(reader, &pairs)?);
                match pairs.last() {
                    Some((last, _)) if pairs.len() == wanted => range = keys::behind(last, &range),
                    _ => break,
                }
            }
            Ok(found)
        })
    }
}

fn dead(reader: &mut dyn Reader, pairs: &[Pair]) -> KvResult<Vec<QueuedDeletion>> {
    let mut entries = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        if let Some(Key::Deletion(delete_at, object)) = Key::parse(key) {
            entries.push(QueuedDeletion { delete_at, object, kind: decode_deletion(value)? });
        }
    }
    let objects: Vec<Vec<u8>> = entries.iter().map(|entry| Key::Object(entry.object).encode()).collect();
    let values = reader.get_many(&objects.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    let mut dead = Vec::with_capacity(entries.len());
    for (entry, value) in entries.into_iter().zip(values) {
        if live_bytes::live_bytes(entry.object, value.as_deref())? <= 0 {
            dead.push(entry);
        }
    }
    Ok(dead)
}
