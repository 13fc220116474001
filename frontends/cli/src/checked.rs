//! Everything that files need read from where it is, and every check on it made: what `shoal verify` and
//! `shoal fsck --data` have in common.
//!
//! Objects are read many at a time, each once whoever shares it. A volume in use changes meanwhile: an object that is not
//! there any more is a loss only if a file still needs it afterwards.

use crate::bucket::{self, Loss, Need, Needs};
use crate::failure::{Failure, Outcome};
use crate::output::count;
use crate::progress::Progress;
use crate::size::ByteCount;
use crate::storage::Objects;
use crate::volume::Opened;
use bytes::Bytes;
use shoal_kv::KvError;
use shoal_metadata::{MetaError, Metadata};
use shoal_object_format::ObjectFormat;
use shoal_object_store::{StoreError, StoreResult};
use shoal_types::{Errno, Ino, ObjectId, VolumeSettings};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub struct Checked {
    pub losses: Vec<Loss>,
    objects: u64,
    /// As they are stored.
    bytes: u64,
    elapsed: Duration,
}

/// An object that was read.
struct Reading {
    object: ObjectId,
    bytes: u64,
    result: Result<(), Wrong>,
}

enum Wrong {
    Missing,
    Damaged(String),
    /// Of the store, and perhaps of every other object.
    Store(StoreError),
}

impl Checked {
    /// Needs the key of an encrypted volume.
    pub fn read(opened: &Opened, objects: &Objects, needs: &Needs) -> Outcome<Self> {
        let start = Instant::now();
        let mut checked = Checked {
            losses: lost_inline(&opened.metadata, &needs.inline)?,
            objects: 0,
            bytes: 0,
            elapsed: start.elapsed(),
        };
        checked.read_objects(opened, objects, needs)?;
        checked.losses.sort_unstable();
        checked.elapsed = start.elapsed();
        Ok(checked)
    }

    fn read_objects(&mut self, opened: &Opened, objects: &Objects, needs: &Needs) -> Outcome<()> {
        let VolumeSettings { compression, block_bytes, .. } = opened.settings;
        // Files that share an object agree about its length, or one of them is told.
        let mut lengths: BTreeMap<ObjectId, u32> = BTreeMap::new();
        for need in &needs.objects {
            if *lengths.entry(need.object).or_insert(need.length) != need.length {
                self.losses.push(Loss::of(need.ino, need.object, "has another length in another file"));
            }
        }
        let progress = Progress::bytes("reading objects", lengths.values().map(|length| u64::from(*length)).sum());
        let format = ObjectFormat::new(compression, opened.sealer.clone());
        let wanted: Vec<ObjectId> = lengths.keys().copied().collect();
        let lengths = Arc::new(lengths);
        let look = {
            let lengths = lengths.clone();
            move |object, stored| look(&format, object, lengths[&object], stored)
        };
        let at_once = (READING_BYTES / block_bytes as usize).clamp(READING_MIN, READING_MAX);
        objects.read_each(wanted, at_once, look, |reading| {
            progress.add(lengths[&reading.object].into());
            self.objects += 1;
            self.bytes += reading.bytes;
            match reading.result {
                Ok(()) => Ok(()),
                Err(Wrong::Store(error)) => Err(Failure::of_objects(&objects.url, &error)),
                Err(wrong) => self.tell(opened, needs, reading.object, &wrong),
            }
        })
    }

    /// Notes every file that needs the object.
    fn tell(&mut self, opened: &Opened, needs: &Needs, object: ObjectId, wrong: &Wrong) -> Outcome<()> {
        let first = needs.objects.partition_point(|need| need.object < object);
        for Need { ino, .. } in needs.objects[first..].iter().take_while(|need| need.object == object) {
            match wrong {
                Wrong::Damaged(why) => self.losses.push(Loss::of(*ino, object, why)),
                // It may have been removed with what the file had there.
                _ if bucket::objects_of(&opened.metadata, *ino)?.contains(&object) => {
                    self.losses.push(Loss::of(*ino, object, "is missing in the store"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { objects, bytes, elapsed, .. } = self;
        let rate = ByteCount((*bytes as f64 / elapsed.as_secs_f64().max(0.001)) as u64);
        let (objects, seconds) = (count(*objects, "object", "objects"), elapsed.as_secs_f64());
        write!(f, "read {objects} of {} in {seconds:.1} s, {rate} a second", ByteCount(*bytes))
    }
}

fn look(format: &ObjectFormat, object: ObjectId, length: u32, stored: StoreResult<Bytes>) -> Reading {
    let bytes = stored.as_ref().map_or(0, |stored| stored.len() as u64);
    let result = match stored {
        Ok(stored) => {
            let decoded = format.decode_from_whole(object, length, 0..length, stored);
            decoded.map(drop).map_err(|error| Wrong::Damaged(format!("is damaged: {error}")))
        }
        Err(StoreError::NotFound(_)) => Err(Wrong::Missing),
        Err(error @ StoreError::Other(_)) => Err(Wrong::Damaged(format!("cannot be read: {error}"))),
        Err(error) => Err(Wrong::Store(error)),
    };
    Reading { object, bytes, result }
}

/// Files whose bytes in the metadata can't be read, or opened with the volume's key.
fn lost_inline(metadata: &Metadata, files: &[Ino]) -> Outcome<Vec<Loss>> {
    let progress = Progress::bar("reading small files", files.len() as u64);
    let look = |files: &[Ino]| -> Outcome<Vec<Loss>> {
        let looked = files.iter().filter_map(|ino| {
            progress.add(1);
            match metadata.get_content(*ino) {
                Ok(_) | Err(MetaError::Refused(Errno::ENOENT)) => None,
                Err(MetaError::Store(KvError::Damaged(why))) => Some(Ok(Loss { ino: *ino, what: why })),
                Err(error) => Some(Err(Failure::of_metadata("the volume's metadata", &error))),
            }
        });
        looked.collect()
    };
    // A server has time for others while one of them waits for it.
    let share = files.len().div_ceil(METADATA_READERS).max(1);
    thread::scope(|scope| {
        let readers: Vec<_> = files.chunks(share).map(|some| scope.spawn(|| look(some))).collect();
        let all = readers.into_iter().map(|reader| reader.join().expect("reading never panics"));
        Ok(all.collect::<Outcome<Vec<_>>>()?.concat())
    })
}

/// Objects in memory at any time, about: each is there as it's stored, and decoded.
const READING_BYTES: usize = 64 << 20;
const READING_MIN: usize = 2;
const READING_MAX: usize = 32;
const METADATA_READERS: usize = 8;
