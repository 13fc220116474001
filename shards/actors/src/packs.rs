//! Whole packs in memory: who reads one small file after another fetches their pack once.
//!
//! The first read of a pack fetches what it needs. The next one fetches the whole, and whoever comes meanwhile waits for
//! that. A pack that had to make room before it was of much use is fetched whole later the next time, so that reading at
//! random in more packs than fit costs little more than without.

use crate::recent_map::RecentMap;
use bytes::Bytes;
use shoal_object_format::FRAME_BYTES;
use shoal_types::{FsResult, ObjectId};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;

/// Decoded frames, each of `FRAME_BYTES` but the last.
pub(crate) type Frames = Vec<Bytes>;

pub(crate) struct Packs(Mutex<State>);

struct State {
    bytes_max: usize,
    bytes: usize,
    whole: HashMap<ObjectId, Whole>,
    /// By the time of their last use.
    order: BTreeMap<u64, ObjectId>,
    clock: u64,
    seen: RecentMap<ObjectId, Seen>,
}

struct Whole {
    frames: Arc<OnceCell<Frames>>,
    bytes: usize,
    used: u64,
    reads: u32,
}

#[derive(Clone, Copy)]
struct Seen {
    reads: u32,
    /// Reads after which it's worth fetching the whole.
    worth: u32,
}

impl Packs {
    pub fn new(bytes_max: usize) -> Self {
        let seen = RecentMap::new(SEEN_MAX);
        let (whole, order) = (HashMap::new(), BTreeMap::new());
        Packs(Mutex::new(State { bytes_max, bytes: 0, whole, order, clock: 0, seen }))
    }

    /// A part of a pack is read. The place for the whole of it, if that is there or worth being fetched.
    pub fn read(&self, object: ObjectId, length: u32) -> Option<Arc<OnceCell<Frames>>> {
        self.0.lock().expect("no holder panics").read(object, length as usize)
    }

    /// The bytes of `range` from the frames; fetched by `fetch` where nobody has.
    pub async fn part(
        whole: &OnceCell<Frames>,
        range: Range<u32>,
        fetch: impl Future<Output = FsResult<Frames>>,
    ) -> FsResult<Vec<Bytes>> {
        let frames = whole.get_or_try_init(|| fetch).await?;
        let mut parts = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            let start = number * FRAME_BYTES as usize;
            let first = (range.start as usize).clamp(start, start + frame.len()) - start;
            let end = (range.end as usize).clamp(start, start + frame.len()) - start;
            if first < end {
                parts.push(frame.slice(first..end));
            }
        }
        Ok(parts)
    }
}

impl State {
    fn read(&mut self, object: ObjectId, length: usize) -> Option<Arc<OnceCell<Frames>>> {
        self.clock += 1;
        if let Some(whole) = self.whole.get_mut(&object) {
            self.order.remove(&whole.used);
            self.order.insert(self.clock, object);
            (whole.used, whole.reads) = (self.clock, whole.reads + 1);
            return Some(whole.frames.clone());
        }
        let mut seen = self.seen.get(&object).unwrap_or(Seen { reads: 0, worth: WORTH_MIN });
        seen.reads += 1;
        let worth = seen.reads >= seen.worth && length <= self.bytes_max;
        if worth {
            seen.reads = 0;
        }
        self.seen.insert(object, seen);
        worth.then(|| self.make_room_for(object, length))
    }

    fn make_room_for(&mut self, object: ObjectId, bytes: usize) -> Arc<OnceCell<Frames>> {
        while self.bytes + bytes > self.bytes_max {
            let (_, oldest) = self.order.pop_first().expect("what takes room has been used");
            let evicted = self.whole.remove(&oldest).expect("both know it");
            self.bytes -= evicted.bytes;
            let worth = match evicted.reads {
                READS_MANY.. => WORTH_MIN,
                _ => self.seen.get(&oldest).map_or(WORTH_MIN, |seen| (seen.worth * 2).min(WORTH_MAX)),
            };
            self.seen.insert(oldest, Seen { reads: 0, worth });
        }
        let frames = Arc::new(OnceCell::new());
        self.order.insert(self.clock, object);
        self.whole.insert(object, Whole { frames: frames.clone(), bytes, used: self.clock, reads: 1 });
        self.bytes += bytes;
        frames
    }
}

const SEEN_MAX: usize = 4096;
const WORTH_MIN: u32 = 2;
const WORTH_MAX: u32 = 64;
/// Reads that pay for a whole pack.
const READS_MANY: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u32 = 1 << 20;

    fn wholes(packs: &Packs, reads: impl Iterator<Item = u64>) -> usize {
        let whole = |object| packs.read(ObjectId(object), MIB);
        reads.filter_map(whole).filter(|whole| whole.set(Vec::new()).is_ok()).count()
    }

    #[test]
    fn neighbours_read_in_turn_fetch_each_pack_once() {
        let packs = Packs::new(4 * MIB as usize);
        assert_eq!(wholes(&packs, (0..100).flat_map(|pack| std::iter::repeat_n(pack, 200))), 100);
    }

    #[test]
    fn reading_at_random_in_more_packs_than_fit_fetches_few_of_them() {
        let packs = Packs::new(4 * MIB as usize);
        let fetched = wholes(&packs, (0..10_000).map(|read| read * 7919 % 50));
        assert!(fetched < 500, "{fetched} of 10,000 reads fetched a whole pack");
    }

    #[test]
    fn memory_is_bounded_and_a_pack_that_is_larger_is_never_whole() {
        let packs = Packs::new(MIB as usize);
        assert!((0..10).all(|_| packs.read(ObjectId(1), 2 * MIB).is_none()));
        for object in 0..20 {
            (0..3).for_each(|_| drop(packs.read(ObjectId(object), MIB / 2)));
            let state = packs.0.lock().unwrap();
            assert!(state.bytes <= MIB as usize && state.whole.len() == state.order.len());
        }
    }
}
