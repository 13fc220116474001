//! Which objects the volume needs, for whoever wants to delete the others.
//!
//! **List the store first, then take the census.** An object in the listing was put under a number that a session had
//! leased by then. At the later moment of the census it's one of these:
//!
//! * a file refers to it (live), or did and it waits in the queue;
//! * its session lives and may refer to it any moment: then the lease is there, because leases end with the session;
//! * its session has ended. Then nothing will ever refer to it: a commit reads the session's record and is refused. So
//!   what is neither live nor queued is garbage for good.
//!
//! The other way round, an object can be put and referred to between the two, and a list of what is missing would be
//! wrong. All is read at one snapshot where the engine holds one. Where it does not, the order of reading below keeps it
//! safe: an object passes from leased to live to queued, and we look in that order, so that it's never missed on its way.

use super::Source;
use super::walk::{ReadEach, for_each};
use crate::keys::{self, Counter, Key};
use crate::ops::{counter, live_bytes};
use crate::records::{damaged, decode_lease, decode_slices};
use crate::{MetaResult, Metadata};
use shoal_kv::KvResult;
use shoal_types::{Ino, ObjectId, ObjectKind, Slice};
use std::ops::Range;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Files refer to it.
    Live,
    /// It waits in the deletion queue.
    Queued,
    /// A living session may refer to it yet.
    Leased,
    /// Its number has not been handed out: it's not of this volume, or the metadata is older than the store.
    Unborn,
    /// Nothing refers to it, and nothing ever will.
    Garbage,
}

/// Sorted lists of numbers: eight bytes for each object of the volume.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Census {
    live: Vec<ObjectId>,
    queued: Vec<ObjectId>,
    leased: Vec<Range<u64>>,
    next: u64,
}

/// Takes the census.
pub fn objects(metadata: &Metadata) -> MetaResult<Census> {
    match metadata.kv().reads_are_local() {
        true => metadata.at_snapshot(|reader| take(reader)),
        false => take(&mut ReadEach(metadata.kv().as_ref())),
    }
}

/// Where some of a file's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part<'a> {
    /// In the metadata.
    Inline,
    /// In an object; never a hole.
    Slice(&'a Slice),
}

/// Tells of each part of each file where it is; file by file. Lists that can't be decoded are passed over: `run` reports
/// them.
pub fn parts(metadata: &Metadata, found: &mut dyn FnMut(Ino, Part)) -> MetaResult<()> {
    match metadata.kv().reads_are_local() {
        true => metadata.at_snapshot(|reader| refer(reader, found)),
        false => refer(&mut ReadEach(metadata.kv().as_ref()), found),
    }
}

impl Census {
    pub fn verdict(&self, object: ObjectId) -> Verdict {
        if self.live.binary_search(&object).is_ok() {
            Verdict::Live
        } else if self.queued.binary_search(&object).is_ok() {
            Verdict::Queued
        } else if self.leased.iter().any(|lease| lease.contains(&object.0)) {
            Verdict::Leased
        } else if object.0 >= self.next || object.0 == 0 {
            Verdict::Unborn
        } else {
            Verdict::Garbage
        }
    }

    /// What files refer to, in the order of numbers.
    pub fn live(&self) -> &[ObjectId] {
        &self.live
    }
}

fn take(source: Source) -> MetaResult<Census> {
    let next =
        counter::decode(Counter::NextObject, source.get(&Key::Counter(Counter::NextObject).encode())?.as_deref())?;
    let mut census = Census { next, ..Census::default() };
    // A lease that can't be decoded could hold anything, so there is no census then: nothing must be deleted.
    each(source, b's', &mut |key, value| {
        if let Key::ObjectLease(_, start) = key {
            census.leased.push(start..decode_lease(value)?);
        }
        Ok(())
    })?;
    each(source, b'o', &mut |key, value| {
        if let Key::Object(object) = key
            && live_bytes::live_bytes(object, Some(value))? > 0
        {
            census.live.push(object);
        }
        Ok(())
    })?;
    each(source, b'z', &mut |key, _| {
        if let Key::Deletion(_, object) = key {
            census.queued.push(object);
        }
        Ok(())
    })?;
    census.queued.sort_unstable();
    census.leased = joined(census.leased);
    Ok(census)
}

fn refer(source: Source, found: &mut dyn FnMut(Ino, Part)) -> MetaResult<()> {
    for_each(source, keys::tag(b'n'), &mut |key, value| match Key::parse(key) {
        Some(Key::Inline(ino)) => found(ino, Part::Inline),
        Some(Key::Chunk(ino, _)) => {
            let list = decode_slices(value).unwrap_or_default();
            let stored = list.iter().filter(|slice| slice.kind != ObjectKind::Hole);
            stored.for_each(|slice| found(ino, Part::Slice(slice)));
        }
        _ => {}
    })?;
    Ok(())
}

/// A key that means nothing to this program may be what a newer one keeps objects alive by: then there is no census.
fn each(source: Source, tag: u8, record: &mut dyn FnMut(Key, &[u8]) -> KvResult<()>) -> MetaResult<()> {
    let mut result = Ok(());
    for_each(source, keys::tag(tag), &mut |key, value| {
        if result.is_ok() {
            result = match Key::parse(key) {
                Some(key) => record(key, value),
                None => Err(damaged("a key", format!("{} means nothing to this program", key.escape_ascii()))),
            };
        }
    })?;
    Ok(result?)
}

/// Neighbouring leases in one piece: a long-lived session takes one after the other.
fn joined(mut leases: Vec<Range<u64>>) -> Vec<Range<u64>> {
    leases.sort_unstable_by_key(|lease| lease.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for lease in leases {
        match joined.last_mut() {
            Some(last) if last.end >= lease.start => last.end = last.end.max(lease.end),
            _ => joined.push(lease),
        }
    }
    joined
}
