//! What is in the store, and what the metadata says should be: the two sides that `gc` and `fsck` hold against each other.
//!
//! A volume in use changes meanwhile. An object is put before anything refers to it and deleted after nothing does, so
//! what seems lost is looked for once more by its name, and then the file is asked once more whether it needs it.

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::Progress;
use crate::storage::Objects;
use crate::volume::Opened;
use crate::writeback::Late;
use shoal_metadata::check::{self, Part};
use shoal_metadata::{MetaError, Metadata};
use shoal_object_format::stored_length;
use shoal_types::{Errno, Ino, ObjectId, ObjectKind, Slice, VolumeSettings};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
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

/// Bytes that a file needs and cannot have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Loss {
    pub ino: Ino,
    pub what: String,
}

impl Loss {
    pub fn of(ino: Ino, object: ObjectId, why: impl Display) -> Self {
        Loss { ino, what: format!("object {object} {why}") }
    }
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

    /// What is wrong with the stored object, as far as the listing tells.
    pub fn lacks(&self, need: &Need, settings: &VolumeSettings) -> Option<String> {
        let expected = stored_length(settings.compression, settings.cipher.is_some(), need.length);
        match self.objects.get(&need.object) {
            Some(stored) if expected.contains(&stored.bytes) => None,
            Some(stored) => {
                let belong = match expected.start() == expected.end() {
                    true => expected.start().to_string(),
                    false => format!("{} to {}", expected.start(), expected.end()),
                };
                Some(format!("has {} stored bytes where {belong} belong", stored.bytes))
            }
            None => Some("is missing in the store".to_owned()),
        }
    }
}

/// An object that a file needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Need {
    pub object: ObjectId,
    /// Of its plain content.
    pub length: u32,
    pub ino: Ino,
}

/// What some files, or all, have their bytes in.
#[derive(Default)]
pub struct Needs {
    /// By object; a file that refers to one many times stands there once.
    pub objects: Vec<Need>,
    /// Files with bytes in the metadata.
    pub inline: Vec<Ino>,
}

impl Needs {
    pub fn of_volume(metadata: &Metadata) -> Outcome<Self> {
        let progress = Progress::count("looking for files");
        let (mut needs, mut last) = (Needs::default(), None);
        let found = &mut |ino, part: Part| {
            // What a file has comes together.
            if last.replace(ino) != Some(ino) {
                progress.add(1);
            }
            match part {
                Part::Inline => needs.inline.push(ino),
                Part::Slice(slice) => needs.refer(ino, slice),
            }
        };
        check::parts(metadata, found).map_err(of_metadata)?;
        Ok(needs.sorted())
    }

    pub fn of_files(metadata: &Metadata, files: &[Ino]) -> Outcome<Self> {
        let progress = Progress::bar("looking at files", files.len() as u64);
        // Whether a file has inline bytes shows when they are read.
        let mut needs = Needs { objects: Vec::new(), inline: files.to_vec() };
        for ino in files {
            progress.add(1);
            for_each_slice(metadata, *ino, &mut |slice| needs.refer(*ino, slice))?;
        }
        Ok(needs.sorted())
    }

    fn refer(&mut self, ino: Ino, slice: &Slice) {
        let need = Need { object: slice.object, length: slice.object_length, ino };
        if self.objects.last() != Some(&need) {
            self.objects.push(need);
        }
    }

    fn sorted(mut self) -> Self {
        self.objects.sort_unstable();
        self.objects.dedup();
        self
    }
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
pub fn losses(opened: &Opened, objects: &Objects, bucket: &Bucket, needs: &Needs) -> Outcome<Vec<Loss>> {
    let mut suspects: BTreeMap<Ino, BTreeMap<ObjectId, String>> = BTreeMap::new();
    for need in &needs.objects {
        if let Some(why) = bucket.lacks(need, &opened.settings) {
            suspects.entry(need.ino).or_default().insert(need.object, why);
        }
    }
    let late = if suspects.is_empty() { Late::default() } else { Late::look(opened)? };
    for missing in suspects.values_mut() {
        missing.retain(|object, _| bucket.objects.contains_key(object) || !late.is_here(*object));
    }
    let progress = Progress::bar("checking files", suspects.len() as u64);
    let mut found = Vec::new();
    for (ino, suspects) in suspects {
        progress.add(1);
        found.extend(confirm(&opened.metadata, objects, bucket, ino, suspects)?);
    }
    late.tell(found.len());
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
    let needed = objects_of(metadata, ino)?;
    let lost = suspects.into_iter().filter(|(object, _)| needed.contains(object));
    Ok(lost.map(|(object, why)| Loss::of(ino, object, why)).collect())
}

/// What a file refers to now.
pub fn objects_of(metadata: &Metadata, ino: Ino) -> Outcome<BTreeSet<ObjectId>> {
    let mut objects = BTreeSet::new();
    for_each_slice(metadata, ino, &mut |slice| {
        objects.insert(slice.object);
    })?;
    Ok(objects)
}

/// Each loss in a line of its own, with the path of the file.
pub fn tell(metadata: &Metadata, losses: &[Loss]) -> Outcome<u64> {
    for Loss { ino, what } in losses {
        output::print(format_args!("{}: {what}", path_of(metadata, *ino)?))?;
    }
    Ok(losses.len() as u64)
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
