//! What is in the store, and what the metadata says should be: the two sides that `gc` and `fsck` hold against each other.
//!
//! A volume in use changes meanwhile. An object is put before anything refers to it and deleted after nothing does, so
//! what seems lost is looked for once more by its name, and then the file is asked once more whether it needs it.

use crate::failure::{Failure, Outcome};
use crate::progress::Progress;
use crate::storage::Objects;
use crate::volume::Opened;
use shoal_metadata::{MetaError, Metadata, check};
use shoal_object_format::stored_length;
use shoal_types::{Errno, Ino, ObjectId, ObjectKind, Slice};
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// One listing of the store.
#[derive(Default)]
pub struct Bucket {
    pub objects: BTreeMap<ObjectId, Stored>,
    /// Keys among the objects that are none of the volume's.
    pub strangers: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    pub bytes: u64,
    pub modified: Option<SystemTime>,
}

/// An object that a file needs and cannot have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Loss {
    pub ino: Ino,
    pub object: ObjectId,
    pub why: String,
}

impl Bucket {
    pub fn list(objects: &Objects) -> Outcome<Self> {
        let progress = Progress::count("listing the objects");
        let mut bucket = Bucket::default();
        objects.list(|object, listed| {
            progress.add(1);
            match object {
                Some(object) => {
                    let stored = Stored { bytes: listed.bytes, modified: listed.modified };
                    bucket.objects.insert(object, stored);
                }
                None => bucket.strangers.push(listed.key),
            }
        })?;
        bucket.strangers.sort();
        Ok(bucket)
    }

    pub fn bytes(&self) -> u64 {
        self.objects.values().map(|stored| stored.bytes).sum()
    }
}

/// Files that have objects, each once.
pub fn files_with_objects(metadata: &Metadata) -> Outcome<Vec<Ino>> {
    let progress = Progress::count("looking for files");
    let mut files: Vec<Ino> = Vec::new();
    // What refers to objects comes file by file.
    check::references(metadata, &mut |ino, _| {
        if files.last() != Some(&ino) {
            progress.add(1);
            files.push(ino);
        }
    })
    .map_err(of_metadata)?;
    files.sort_unstable();
    files.dedup();
    Ok(files)
}

/// Calls `found` for each slice of the file that is kept in an object. A file that is gone has none.
pub fn for_each_slice(metadata: &Metadata, ino: Ino, found: &mut dyn FnMut(&Slice)) -> Outcome<()> {
    let mut first = 0;
    loop {
        let chunks = match metadata.get_chunks(ino, first, CHUNKS_AT_ONCE) {
            Err(MetaError::Refused(Errno::ENOENT)) => return Ok(()),
            chunks => chunks.map_err(of_metadata)?,
        };
        for (_, slices) in &chunks {
            slices.iter().filter(|slice| slice.kind != ObjectKind::Hole).for_each(&mut *found);
        }
        match chunks.last().and_then(|(chunk, _)| chunk.checked_add(1)) {
            Some(next) => first = next,
            None => return Ok(()),
        }
    }
}

/// Objects that files need and that are missing or of a wrong length.
pub fn losses(opened: &Opened, objects: &Objects, bucket: &Bucket) -> Outcome<Vec<Loss>> {
    let Opened { metadata, settings, .. } = opened;
    let files = files_with_objects(metadata)?;
    let progress = Progress::bar("checking files", files.len() as u64);
    let mut found = Vec::new();
    for ino in files {
        progress.add(1);
        let mut suspects = BTreeMap::new();
        for_each_slice(metadata, ino, &mut |slice| {
            let expected = stored_length(settings.compression, settings.cipher.is_some(), slice.object_length);
            match bucket.objects.get(&slice.object) {
                Some(stored) if expected.contains(&stored.bytes) => {}
                Some(stored) => {
                    let belong = match expected.start() == expected.end() {
                        true => expected.start().to_string(),
                        false => format!("{} to {}", expected.start(), expected.end()),
                    };
                    let why = format!("has {} stored bytes where {belong} belong", stored.bytes);
                    suspects.insert(slice.object, why);
                }
                None => {
                    suspects.insert(slice.object, "is missing in the store".to_owned());
                }
            }
        })?;
        found.extend(confirm(metadata, objects, bucket, ino, suspects)?);
    }
    Ok(found)
}

fn confirm(
    metadata: &Metadata,
    objects: &Objects,
    bucket: &Bucket,
    ino: Ino,
    mut suspects: BTreeMap<ObjectId, String>,
) -> Outcome<Vec<Loss>> {
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    for object in suspects.keys().copied().collect::<Vec<_>>() {
        // Put after the listing.
        if !bucket.objects.contains_key(&object) && objects.exists(object)? {
            suspects.remove(&object);
        }
    }
    let mut needed = BTreeSet::new();
    for_each_slice(metadata, ino, &mut |slice| {
        needed.insert(slice.object);
    })?;
    let lost = suspects.into_iter().filter(|(object, _)| needed.contains(object));
    Ok(lost.map(|(object, why)| Loss { ino, object, why }).collect())
}

/// One of a file's paths for people: what would break the line or the terminal is escaped.
pub fn path_of(metadata: &Metadata, ino: Ino) -> Outcome<String> {
    match metadata.path_of(ino) {
        Ok(path) => {
            let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
            let path: String = String::from_utf8_lossy(&path).chars().map(shown).collect();
            Ok(if path.starts_with('/') { path } else { format!("/{path}") })
        }
        Err(MetaError::Refused(Errno::ENOENT)) => Ok(format!("(removed, inode {ino})")),
        Err(error) => Err(of_metadata(error)),
    }
}

fn of_metadata(error: MetaError) -> Failure {
    Failure::of_metadata("the volume's metadata", &error)
}

const CHUNKS_AT_ONCE: usize = 64;
