//! Compaction of packs: what is left of those that are mostly dead comes into new ones, and they are deleted.
//!
//! The session that maintains the volume does it. A pack that goes on losing bytes is left alone, for somebody may be
//! removing all of it; and what is left of several is waited for, for a while, to fill a new one. Two sessions that do it at
//! once lose nothing but a PUT.
//!
//! Looked at are the files that a pack was made of, and of them the first chunks. Where something else refers to it (clones,
//! copies), to move the rest would free nothing: the pack is left as it is, and forgotten until it has lost more.
//!
//! The new pack is synced before a list refers to it, as the old ones were. It goes straight to the store, also past a
//! write-back folder: its bytes are safe already, and nobody shall have to wait for them.
//!
//! In memory there is one pack as it is read, and one as it becomes.

use crate::limits;
use crate::shard::Shard;
use crate::shared::now;
use crate::transfer::{Fetch, Piece};
use bytes::Bytes;
use shoal_kv::Durability;
use shoal_metadata::{ForgetSparsePacks, MetaOp, MovedPart, Repack, SparsePack};
use shoal_types::{FsResult, Ino, ObjectId, Slice, Timestamp};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Repacking {
    running: Rc<Cell<bool>>,
    failed: Rc<Failed>,
}

/// Packs that could not be read, and when.
type Failed = RefCell<HashMap<ObjectId, Instant>>;

/// Packs to be made into one.
#[derive(Default)]
struct Load {
    /// With the times of their notes.
    packs: Vec<(ObjectId, Timestamp)>,
    bytes: u64,
    /// Some of them have waited long enough.
    ripe: bool,
}

/// What files still have of a pack.
#[derive(Default)]
struct Rest {
    object_length: u32,
    files: Vec<FileRest>,
    /// As the books count them: bytes that two slices show are two.
    live_bytes: u64,
}

struct FileRest {
    ino: Ino,
    /// Of the pack.
    ranges: Vec<Range<u32>>,
    /// Length of the whole list.
    slices: usize,
}

#[derive(Default)]
struct NewPack {
    parts: Vec<MovedPart>,
    bytes: Vec<Bytes>,
    length: u32,
    files: Vec<MovedFile>,
}

struct MovedFile {
    ino: Ino,
    /// Numbers of what it refers to.
    parts: Vec<usize>,
    slices: usize,
}

impl Repacking {
    /// Begins with a round, unless one is under way: maintenance must not wait for uploads.
    pub fn start(&self, shard: &Rc<Shard>) {
        if shard.shared.is_fenced() || self.running.replace(true) {
            return;
        }
        let (shard, running, failed) = (shard.clone(), self.running.clone(), self.failed.clone());
        shoal_runtime::spawn(async move {
            if let Err(error) = round(&shard, &failed, false).await {
                tracing::warn!(%error, "packs of which little is left could not be made anew yet");
            }
            running.set(false);
        });
    }
}

impl Shard {
    /// As if all packs of which little is left had been so for long.
    #[cfg(test)]
    pub(crate) async fn repack_all(self: &Rc<Self>, failed: &RefCell<HashMap<ObjectId, Instant>>) -> FsResult<()> {
        round(self, failed, true).await
    }
}

async fn round(shard: &Rc<Shard>, failed: &Failed, all: bool) -> FsResult<()> {
    failed.borrow_mut().retain(|_, at| at.elapsed() < limits::SPARSE_PACK_RETRY_DELAY);
    let (mut behind, mut load, mut idle) = (None, Load::default(), Vec::new());
    loop {
        let page = limits::SPARSE_PACKS_PER_READ;
        let packs = shard.read_metadata(move |metadata| metadata.sparse_packs(behind, page)).await?;
        behind = packs.last().map(|pack| pack.object).filter(|_| packs.len() == page);
        for SparsePack { object, since, live_bytes, is_sparse } in packs {
            let age = Duration::from_nanos(now().as_nanos().saturating_sub(since.as_nanos()));
            if !all && age < limits::SPARSE_PACK_AGE_MIN || failed.borrow().contains_key(&object) {
                continue;
            }
            if !is_sparse {
                idle.push((object, since));
                continue;
            }
            let fits = load.bytes + live_bytes <= shard.shared.settings.block_bytes.into();
            if !fits || load.packs.len() == limits::SPARSE_PACKS_AT_ONCE {
                repack(shard, std::mem::take(&mut load), failed).await?;
            }
            load.packs.push((object, since));
            load.bytes += live_bytes;
            load.ripe |= all || age >= limits::SPARSE_PACK_AGE_RIPE;
        }
        forget(shard, &std::mem::take(&mut idle)).await?;
        if behind.is_none() {
            break;
        }
    }
    if load.ripe { repack(shard, load, failed).await } else { Ok(()) }
}

async fn repack(shard: &Rc<Shard>, load: Load, failed: &Failed) -> FsResult<()> {
    let (mut new, mut held) = (NewPack::default(), Vec::new());
    for (object, since) in load.packs {
        if shard.shared.is_fenced() || shard.stopped.get() {
            return Ok(());
        }
        let rest = find(shard, object).await?;
        // After the look at the files, so that what they lose meanwhile doesn't pass for somebody else's.
        if live_bytes(shard, object).await? > rest.live_bytes {
            held.push((object, since));
            continue;
        }
        let ranges = rest.ranges();
        let bytes: u32 = ranges.iter().map(|range| range.end - range.start).sum();
        // More than the books said, as it was copied meanwhile.
        if new.length > 0 && u64::from(new.length) + u64::from(bytes) > shard.shared.settings.block_bytes.into() {
            store(shard, std::mem::take(&mut new)).await?;
        }
        match read(shard, object, rest.object_length, &ranges).await {
            Ok(bytes) => new.add(object, &rest, &ranges, bytes),
            // It has been made anew by somebody else.
            Err(_) if live_bytes(shard, object).await? == 0 => {}
            Err(error) => {
                tracing::warn!(%error, %object, "a pack of which little is left could not be read");
                failed.borrow_mut().insert(object, Instant::now());
                return Err(error);
            }
        }
        shoal_runtime::yield_now().await;
    }
    store(shard, new).await?;
    forget(shard, &held).await
}

pub(super) async fn live_bytes(shard: &Shard, object: ObjectId) -> FsResult<u64> {
    Ok(shard.read_metadata(move |metadata| metadata.live_bytes(&[object])).await?[0])
}

async fn find(shard: &Rc<Shard>, object: ObjectId) -> FsResult<Rest> {
    let (mut rest, mut behind) = (Rest::default(), None);
    loop {
        let page = limits::PACK_LISTS_PER_READ;
        let lists = shard.read_metadata(move |metadata| metadata.pack_lists(object, behind, page)).await?;
        behind = lists.last().map(|list| list.place).filter(|_| lists.len() == page);
        for list in lists {
            let named = move |metadata: &shoal_metadata::Metadata| metadata.first_chunks_naming(object, &list.files);
            for (ino, slices) in shard.read_metadata(named).await? {
                rest.add(object, ino, &slices);
            }
        }
        if behind.is_none() {
            return Ok(rest);
        }
    }
}

/// The bytes of these ranges. By one GET, as what lies between them is dear only in requests.
async fn read(shard: &Shard, object: ObjectId, object_length: u32, ranges: &[Range<u32>]) -> FsResult<Vec<Bytes>> {
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return Ok(Vec::new()) };
    let (start, length) = (first.start, last.end - first.start);
    let piece = Piece { object, object_length, object_offset: start, length, target: 0, pack: false };
    let _right = shard.shared.transfer.rewrite().wait().await?;
    let fetch = Fetch { base: None, pieces: vec![piece], length: length as usize };
    let span = shard.shared.transfer.fetch(fetch).wait().await?;
    let part = |range: &Range<u32>| &span[(range.start - start) as usize..(range.end - start) as usize];
    Ok(ranges.iter().map(|range| Bytes::copy_from_slice(part(range))).collect())
}

/// Puts the new pack and has the files refer to it, some at a time.
async fn store(shard: &Rc<Shard>, new: NewPack) -> FsResult<()> {
    let NewPack { parts, bytes, length, files } = new;
    if files.is_empty() {
        return Ok(());
    }
    let transfer = &shard.shared.transfer;
    let object = shard.next_object().await?;
    let right = transfer.rewrite().wait().await?;
    transfer.upload_through(object, bytes).wait().await?;
    transfer.sync(vec![object]).wait().await?;
    drop(right);
    refer(shard, object, length, &parts, files).await?;
    shard.shared.want_maintenance();
    if live_bytes(shard, object).await? == 0 {
        // All of the files were changed meanwhile, or the first of them removed before the others came.
        transfer.delete(vec![object]).wait().await?;
    }
    Ok(())
}

async fn refer(
    shard: &Rc<Shard>,
    object: ObjectId,
    object_length: u32,
    parts: &[MovedPart],
    files: Vec<MovedFile>,
) -> FsResult<()> {
    let (mut files, mut first) = (files.into_iter().peekable(), true);
    while files.peek().is_some() {
        let (mut inodes, mut numbers, mut slices) = (Vec::new(), BTreeSet::new(), 0);
        while let Some(file) = files.next_if(|file| {
            inodes.is_empty() || (slices + file.slices <= REPACK_COMMIT_SLICES && inodes.len() < REPACK_COMMIT_FILES)
        }) {
            inodes.push(file.ino);
            numbers.extend(file.parts);
            slices += file.slices;
        }
        let repack = Repack {
            object,
            object_length,
            parts: numbers.into_iter().map(|number| parts[number]).collect(),
            files: inodes,
            first: std::mem::take(&mut first),
            last: files.peek().is_none(),
            now: now(),
            session: shard.shared.session,
        };
        shard.mutate(MetaOp::Repack(repack), Durability::Visible).await?;
        shoal_runtime::yield_now().await;
    }
    Ok(())
}

async fn forget(shard: &Rc<Shard>, packs: &[(ObjectId, Timestamp)]) -> FsResult<()> {
    if !packs.is_empty() {
        let forget = ForgetSparsePacks { packs: packs.to_vec() };
        shard.mutate(MetaOp::ForgetSparsePacks(forget), Durability::Visible).await?;
    }
    Ok(())
}

impl Rest {
    fn add(&mut self, object: ObjectId, ino: Ino, list: &[Slice]) {
        let named = list.iter().filter(|slice| slice.object == object);
        self.object_length = named.clone().map(|slice| slice.object_length).fold(self.object_length, u32::max);
        self.live_bytes += named.clone().map(|slice| u64::from(slice.length)).sum::<u64>();
        let ranges = named.map(|slice| slice.object_offset..slice.object_offset + slice.length).collect();
        self.files.push(FileRest { ino, ranges, slices: list.len() });
    }

    /// All that is left, in order; what touches or overlaps is one.
    fn ranges(&self) -> Vec<Range<u32>> {
        let mut all: Vec<Range<u32>> = self.files.iter().flat_map(|file| file.ranges.iter().cloned()).collect();
        all.sort_unstable_by_key(|range| range.start);
        let mut joined: Vec<Range<u32>> = Vec::new();
        for range in all {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        joined
    }
}

impl NewPack {
    fn add(&mut self, from: ObjectId, rest: &Rest, ranges: &[Range<u32>], bytes: Vec<Bytes>) {
        let first = self.parts.len();
        for range in ranges {
            let length = range.end - range.start;
            self.parts.push(MovedPart { from, from_offset: range.start, to_offset: self.length, length });
            self.length += length;
        }
        self.bytes.extend(bytes);
        let number = |range: &Range<u32>| first + ranges.partition_point(|part| part.end < range.end);
        for FileRest { ino, ranges, slices } in &rest.files {
            let (ino, slices) = (*ino, *slices);
            self.files.push(MovedFile { ino, parts: ranges.iter().map(number).collect(), slices });
        }
    }
}

/// What one transaction moves.
const REPACK_COMMIT_FILES: usize = 128;
const REPACK_COMMIT_SLICES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::ObjectKind;

    fn slice(object: u64, object_offset: u32, length: u32) -> Slice {
        let kind = ObjectKind::Pack;
        Slice { position: 0, length, object: ObjectId(object), object_offset, object_length: 1000, kind }
    }

    #[test]
    fn bytes_that_files_share_come_into_the_new_pack_once() {
        let mut rest = Rest::default();
        rest.add(ObjectId(1), Ino(10), &[slice(1, 500, 100), slice(2, 0, 7)]);
        rest.add(ObjectId(1), Ino(11), &[slice(1, 100, 50), slice(1, 520, 10)]);
        rest.add(ObjectId(1), Ino(12), &[slice(1, 150, 20)]);
        let ranges = rest.ranges();
        assert_eq!((&ranges[..], rest.live_bytes), (&[100..170, 500..600][..], 180));
        let mut new = NewPack { length: 30, ..NewPack::default() };
        new.add(ObjectId(1), &rest, &ranges, Vec::new());
        let moved = |from_offset, to_offset, length| MovedPart { from: ObjectId(1), from_offset, to_offset, length };
        assert_eq!(new.parts, [moved(100, 30, 70), moved(500, 100, 100)]);
        assert_eq!(new.files.iter().map(|file| file.parts.clone()).collect::<Vec<_>>(), [vec![1], vec![0, 1], vec![0]]);
        assert_eq!(new.length, 200);
    }
}
