//! The census of objects, and the check where reads are not at one snapshot.

use crate::sample::*;
use crate::support::*;
use shoal_kv::{Durability, Job, Kv, KvResult, MemoryKv, Reader, Snapshot, Watch};
use shoal_metadata::check::{self, Part, Problem, Verdict};
use shoal_metadata::keys::{Accumulator, Counter, Key};
use shoal_metadata::{EndSession, MetaOp};
use shoal_types::ObjectId;
use std::sync::Arc;

/// An engine far away: what is read at one moment is not what is read at the next.
struct Far(Arc<MemoryKv>);

impl Kv for Far {
    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        self.0.read(body)
    }

    fn snapshot(&self) -> KvResult<Box<dyn Snapshot>> {
        self.0.snapshot()
    }

    fn reads_are_local(&self) -> bool {
        false
    }

    fn submit(&self, job: Box<dyn Job>, durability: Durability) {
        self.0.submit(job, durability);
    }

    fn foreign_epoch(&self) -> Option<u64> {
        None
    }

    fn results_may_be_unknown(&self) -> bool {
        false
    }

    fn watch(&self, key: &[u8]) -> KvResult<Box<dyn Watch>> {
        self.0.watch(key)
    }

    fn watch_stamped(&self) -> KvResult<Box<dyn Watch>> {
        self.0.watch_stamped()
    }

    fn close(&self) -> KvResult<()> {
        self.0.close()
    }
}

#[test]
fn on_an_engine_far_away_damage_is_found_and_passing_doubts_are_not_reported() {
    let sample = sample_on(Arc::new(Far(MemoryKv::new())));
    assert_eq!(sample.findings(), []);
    let passing = sample.volume.number(Key::Counter(Counter::UsedBytes));
    sample.add(Key::Counter(Counter::UsedBytes), 1);
    sample.add(Key::Accumulator(sample.d, Accumulator::Entries), 3);
    let mut ended_passes = 0;
    let mut last = 0;
    let report = check::run(&sample.volume.metadata, &mut |seen| {
        // The first pass is over when it has told its last number; then the counter is mended.
        ended_passes += 1;
        last = seen;
        if ended_passes == 1 {
            sample.put(Key::Counter(Counter::UsedBytes), &passing.to_le_bytes());
        }
    })
    .unwrap();
    assert_eq!(ended_passes, 2, "a pass over so few records tells its progress once, at its end; {last} records");
    let lasting = finding(sample.d, "/d", Problem::Entries { recorded: 5, counted: 2 });
    assert_eq!(report.findings, [lasting]);
}

#[test]
fn the_census_knows_each_object_by_what_may_still_need_it() {
    for sample in [sample(), sample_on(Arc::new(Far(MemoryKv::new())))] {
        let volume = &sample.volume;
        let other = Volume::join(volume.metadata.kv().clone());
        let (leased, theirs) = (volume.lease_object(), other.lease_object());
        let end = EndSession { session: other.session, if_silent_since: None, now: at(9) };
        let verdicts = |objects: &[ObjectId]| -> Vec<Verdict> {
            let census = check::objects(&volume.metadata).unwrap();
            objects.iter().map(|object| census.verdict(*object)).collect()
        };
        let objects = [sample.object, sample.dropped, leased, theirs, ObjectId(theirs.0 + 1)];
        use Verdict::*;
        assert_eq!(verdicts(&objects), [Live, Queued, Leased, Leased, Unborn]);
        volume.run_steps(MetaOp::EndSession(end));
        volume.forget_queued();
        // `dropped` has a number that the living session leased: it's left alone as long as that lasts.
        assert_eq!(verdicts(&objects), [Live, Leased, Leased, Garbage, Unborn]);
        let (mut inline, mut references) = (Vec::new(), Vec::new());
        check::parts(&volume.metadata, &mut |ino, part| match part {
            Part::Inline => inline.push(ino),
            Part::Slice(slice) => references.push((ino, slice.object)),
        })
        .unwrap();
        assert_eq!(references, [(sample.sliced, sample.object)]);
        assert!(inline.contains(&sample.inline) && !inline.contains(&sample.sliced));
    }
}

#[test]
fn there_is_no_census_where_something_unknown_could_keep_objects_alive() {
    let sample = sample();
    sample.volume.raw(|transaction| transaction.put(b"s\0\0\0\0\0\0\0\x01\x0f", b""));
    assert!(check::objects(&sample.volume.metadata).is_err());
}
