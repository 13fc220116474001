//! From one store into another: everything arrives, sessions end, and no number comes to mean two things.

use crate::sample::{Sample, sample, sample_on};
use crate::support::{Volume, at};
use crate::{all, dump, header};
use shoal_kv::{Kv, MemoryKv};
use shoal_kv_sqlite::SqliteKv;
use shoal_metadata::feed::{Change, Event, Stamp};
use shoal_metadata::keys::{self, Counter, Key};
use shoal_metadata::records::encode_event;
use shoal_metadata::{LeaseObjects, MetaOp, Metadata, check};
use shoal_metadata_dump::{CompareError, DifferenceKind, DumpReader, LoadError, Loading, Numbers, compare};
use shoal_types::{Errno, Ino, SessionId};
use std::sync::Arc;

fn load(kv: &Arc<dyn Kv>, bytes: &[u8], numbers: Numbers) -> Result<u64, LoadError> {
    let mut loading = Loading::begin(kv.clone(), 1)?;
    let mut reader = DumpReader::open(bytes).map_err(LoadError::Source)?;
    assert_eq!(*reader.header(), header());
    let pairs = loading.fill(&mut reader, &mut |_| {})?;
    loading.finish(numbers, at(9))?;
    Ok(pairs)
}

fn assert_is_the_sample(sample: &Sample, kv: &Arc<dyn Kv>) {
    let metadata = Metadata::new(kv.clone());
    assert_eq!(check::run(&metadata, &mut |_| {}).unwrap().findings, []);
    assert_eq!(metadata.sessions().unwrap(), []);
    assert_eq!(metadata.get_content(sample.inline).unwrap().inline.as_deref(), Some(b"abcde".as_slice()));
    assert_eq!(metadata.get_chunks(sample.sliced, 0, 9), sample.volume.metadata.get_chunks(sample.sliced, 0, 9));
    assert_eq!(metadata.usage(), sample.volume.metadata.usage());
    let queued: Vec<Ino> = metadata.queued_removals(u64::MAX, 9).unwrap().iter().map(|removal| removal.ino).collect();
    assert_eq!(queued, [sample.queued, sample.sustained], "nobody has it open here");
    assert_eq!(metadata.queued_deletions(u64::MAX, 9), sample.volume.metadata.queued_deletions(u64::MAX, 9));
}

#[test]
fn a_volume_in_use_comes_back_without_its_sessions() {
    let sample = sample();
    let event = Event { session: SessionId(1), change: Change::Joined };
    let last = Key::Event(Stamp([255; 10])).encode();
    sample.volume.raw(move |transaction| transaction.put(&last, &encode_event(&event)));
    let bytes = dump(sample.volume.metadata.kv().as_ref());
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteKv::open(&folder.path().join("volume"), true).unwrap();
    for kv in [MemoryKv::new() as Arc<dyn Kv>, sqlite] {
        let pairs = load(&kv, &bytes, Numbers::GoOn).unwrap();
        assert_eq!(pairs, all(sample.volume.metadata.kv().as_ref()).len() as u64);
        assert_is_the_sample(&sample, &kv);
        assert!(all(kv.as_ref()).iter().all(|(key, _)| !keys::events().contains(key)), "no event comes along");
    }
}

#[test]
fn numbers_of_objects_begin_where_none_can_have_been_handed_out() {
    let sample = sample();
    let bytes = dump(sample.volume.metadata.kv().as_ref());
    let lost = sample.volume.lease_object();
    let kv: Arc<dyn Kv> = MemoryKv::new();
    load(&kv, &bytes, Numbers::Skip).unwrap();
    assert_is_the_sample(&sample, &kv);
    assert!(Volume::join(kv).lease_object().0 > lost.0 + 1_000_000_000);
}

#[test]
fn more_than_a_block_and_a_batch_comes_back_in_order() {
    let volume = Volume::new();
    let first = volume.lease_inodes(3000).0;
    for number in 0..3000 {
        let name = format!("{number:0200}");
        volume.run(MetaOp::Create(shoal_metadata::Create {
            parent: Ino::ROOT,
            name: crate::support::name(&name),
            ino: Ino(first + number),
            kind: shoal_types::FileKind::Regular,
            umask: 0,
            mode: 0o644,
            uid: 1,
            gid: 2,
            rdev: 0,
            target: Vec::new(),
            session: volume.session,
            now: at(2),
        }));
        if number % 100 == 0 {
            volume.write_inline(Ino(first + number), 0, &vec![number as u8; 4096]);
        }
    }
    let kv: Arc<dyn Kv> = MemoryKv::new();
    let bytes = dump(volume.metadata.kv().as_ref());
    let mut loading = Loading::begin(kv.clone(), 1).unwrap();
    let mut reader = DumpReader::open(bytes.as_slice()).unwrap();
    let mut told = Vec::new();
    let pairs = loading.fill(&mut reader, &mut |pairs| told.push(pairs)).unwrap();
    assert!(reader.totals().blocks > 1 && told.is_sorted() && told.last() == Some(&pairs), "{told:?}");
    let mut snapshots = [volume.metadata.kv().snapshot().unwrap(), kv.snapshot().unwrap()];
    let [one, other] = &mut snapshots;
    // The settings are not there yet.
    assert_eq!(compare(one.as_mut(), other.as_mut(), &mut |_| {}), Ok(pairs - 1));
    loading.finish(Numbers::GoOn, at(9)).unwrap();
    assert_eq!(Metadata::find(kv.as_ref()), Metadata::find(volume.metadata.kv().as_ref()));
}

#[test]
fn one_load_at_a_time_and_only_into_an_empty_store() {
    let sample = sample();
    let bytes = dump(sample.volume.metadata.kv().as_ref());
    assert_eq!(load(sample.volume.metadata.kv(), &bytes, Numbers::GoOn), Err(LoadError::NotEmpty));
    let kv: Arc<dyn Kv> = MemoryKv::new();
    let mut first = Loading::begin(kv.clone(), 1).unwrap();
    assert_eq!(Loading::begin(kv.clone(), 2).map(drop), Err(LoadError::NotEmpty));
    // Somebody takes it away, as `shoal load --restart` does, and begins anew.
    let clear = |transaction: &mut dyn shoal_kv::Transaction, _| {
        transaction.delete_range(&shoal_kv::KeyRange::all())?;
        Ok(((), shoal_kv::Verdict::Commit))
    };
    kv.transact(shoal_kv::Durability::Visible, clear).unwrap();
    let second = Loading::begin(kv.clone(), 2).unwrap();
    let mut reader = DumpReader::open(bytes.as_slice()).unwrap();
    assert_eq!(first.fill(&mut reader, &mut |_| {}), Err(LoadError::TakenOver));
    assert_eq!(second.finish(Numbers::GoOn, at(9)), Err(LoadError::NoVolume));
    assert_eq!(all(kv.as_ref()).len(), 1, "nothing of the first has come into it");
}

#[test]
fn a_load_that_has_not_ended_is_no_volume_and_says_so() {
    let sample = sample();
    let bytes = dump(sample.volume.metadata.kv().as_ref());
    let kv: Arc<dyn Kv> = MemoryKv::new();
    let cut = load(&kv, &bytes[..bytes.len() - 1], Numbers::GoOn);
    assert!(matches!(&cut, Err(LoadError::Source(error)) if error.to_string().contains("cut off")), "{cut:?}");
    assert_eq!(Metadata::find(kv.as_ref()), Ok(None));
    assert_eq!(Metadata::is_half_loaded(kv.as_ref()), Ok(true));
    let format = Metadata::format(kv.as_ref(), &crate::support::settings(), (0, 0), at(1));
    assert_eq!(format, Err(Errno::EEXIST.into()));
    assert_eq!(load(&kv, &bytes, Numbers::GoOn), Err(LoadError::NotEmpty));
    assert_eq!(Metadata::is_half_loaded(sample.volume.metadata.kv().as_ref()), Ok(false));
}

#[test]
fn a_difference_is_named() {
    let sample = sample();
    let kv: Arc<dyn Kv> = MemoryKv::new();
    load(&kv, &dump(sample.volume.metadata.kv().as_ref()), Numbers::GoOn).unwrap();
    let copy = sample_on(MemoryKv::new());
    let difference = |copy: &Sample| {
        let (mut one, mut other) =
            (sample.volume.metadata.kv().snapshot().unwrap(), copy.volume.metadata.kv().snapshot().unwrap());
        match compare(one.as_mut(), other.as_mut(), &mut |_| {}) {
            Ok(_) => None,
            Err(CompareError::Differ(difference)) => Some((difference.kind, difference.to_string())),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(difference(&copy), None);
    copy.put(Key::Target(copy.d), b"x");
    assert!(matches!(difference(&copy), Some((DifferenceKind::Surplus, text)) if text.contains("Target")));
    copy.add(Key::Counter(Counter::UsedBytes), 1);
    assert!(matches!(difference(&copy), Some((DifferenceKind::Value, text)) if text.contains("UsedBytes")));
    copy.delete(Key::Counter(Counter::NextSession));
    assert!(matches!(difference(&copy), Some((DifferenceKind::Missing, text)) if text.contains("NextSession")));
    let lease = LeaseObjects { count: 1, session: sample.volume.session };
    sample.volume.run(MetaOp::LeaseObjects(lease));
    assert!(matches!(difference(&copy), Some((DifferenceKind::Value, text)) if text.contains("NextObject")));
}
