//! Objects through the transfer workers while the store does everything that a store may do wrong: one request in twenty
//! fails before or after it took effect, is never answered, is slow, or is answered with bytes that were altered or cut.
//!
//! The layers are those of a mount. Lists may be behind too, but nothing on this way asks for one. With `SHOAL_LONG=1` a million requests instead of a few thousand.

use crate::transfer::{Fetch, Piece, Transfer};
use bytes::Bytes;
use futures_util::future::join_all;
use shoal_kv::Random;
use shoal_object_format::ObjectFormat;
use shoal_object_store::{FaultyStore, HedgedStore, ObjectStore, OpendalStore, RetryingStore, naming};
use shoal_types::{Compression, Errno, ObjectId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const LANES: u64 = 48;
const OBJECT_BYTES_MAX: u64 = 6_000;
const VOLUME: &str = "v";

/// One user of the workers, who knows what it stored. Objects of different lanes have different numbers.
struct Lane {
    transfer: Arc<Transfer>,
    random: Random,
    next: u64,
    stored: BTreeMap<ObjectId, Bytes>,
    deleted: Vec<ObjectId>,
    asked: u64,
    refused: u64,
}

impl Lane {
    fn new(transfer: Arc<Transfer>, number: u64) -> Self {
        let (stored, deleted) = (BTreeMap::new(), Vec::new());
        Lane { transfer, random: Random::new(number), next: number, stored, deleted, asked: 0, refused: 0 }
    }

    async fn step(&mut self) {
        self.asked += 1;
        match self.random.below(10) {
            0..3 => self.upload().await,
            3..5 => self.delete().await,
            _ => self.read().await,
        }
    }

    async fn upload(&mut self) {
        self.next += LANES;
        let object = ObjectId(self.next);
        let length = 1 + self.random.below(OBJECT_BYTES_MAX);
        let content: Bytes = (0..length).map(|at| (at * 7 + object.0 * 31) as u8).collect();
        let (first, second) = (content.slice(..content.len() / 3), content.slice(content.len() / 3..));
        match self.transfer.upload(object, vec![first, second]).wait().await {
            Ok(()) => drop(self.stored.insert(object, content)),
            // It was not acknowledged: it may be there or not.
            Err(_) => self.refused += 1,
        }
    }

    async fn delete(&mut self) {
        let Some(object) = self.any() else { return };
        let deleted = self.transfer.delete(vec![object]).wait().await.expect("single failures are no failure");
        self.stored.remove(&object);
        self.deleted.extend(deleted);
    }

    async fn read(&mut self) {
        let Some(object) = self.any() else { return };
        let length = self.stored[&object].len() as u64;
        let from = self.random.below(length) as u32;
        let count = 1 + self.random.below(length - u64::from(from)) as u32;
        self.check(object, from, count).await;
    }

    async fn check(&mut self, object: ObjectId, from: u32, count: u32) {
        let content = self.stored[&object].clone();
        let object_length = content.len() as u32;
        let piece = Piece { object, object_length, object_offset: from, length: count, target: 0, pack: false };
        let fetch = Fetch { base: None, pieces: vec![piece], length: count as usize };
        match self.transfer.fetch(fetch).wait().await {
            Ok(got) => assert!(got[..] == content[from as usize..(from + count) as usize], "wrong bytes of {object}"),
            Err(errno) => {
                assert_eq!(errno, Errno::EIO, "what is stored is not found: {object}");
                self.refused += 1;
            }
        }
    }

    fn any(&mut self) -> Option<ObjectId> {
        let count = self.stored.len() as u64;
        let at = (count > 0).then(|| self.random.below(count))?;
        self.stored.keys().nth(at as usize).copied()
    }
}

#[test]
fn a_store_with_every_fault_returns_no_wrong_byte_and_loses_nothing_acknowledged() {
    let requests: u64 = if std::env::var_os("SHOAL_LONG").is_some() { 1_000_000 } else { 20_000 };
    let memory: Arc<dyn ObjectStore> = Arc::new(OpendalStore::memory().unwrap());
    let faulty = FaultyStore::new(memory.clone(), 0.02, 11)
        .with_damaged_reads(0.01)
        .with_lost_answers(0.005)
        .with_slow_answers(0.015, Duration::from_millis(30));
    let faulty = Arc::new(faulty);
    let hedged = Arc::new(HedgedStore::new(faulty.clone()));
    let store = RetryingStore::new(hedged).with_try_time(Some(Duration::from_millis(100)));
    let format = ObjectFormat::new(Compression::None, None);
    let transfer = Arc::new(Transfer::start(Arc::new(store), VOLUME.into(), format, 0).unwrap());
    let mut lanes: Vec<Lane> = (0..LANES).map(|number| Lane::new(transfer.clone(), number)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(join_all(lanes.iter_mut().map(|lane| async move {
        for _ in 0..requests / LANES {
            lane.step().await;
        }
    })));
    let injected = faulty.injected();
    let (asked, refused): (u64, u64) =
        lanes.iter().fold((0, 0), |sum, lane| (sum.0 + lane.asked, sum.1 + lane.refused));
    println!("asked for {asked}, refused {refused}; the store: {injected:?}");
    assert!(injected.requests as f64 <= asked as f64 * 1.2, "what the store was asked is more than 1.2 of it");
    // A read is refused when it comes damaged three times in a row.
    assert!(refused <= 3 + asked / 100_000, "{refused} of {asked} were refused");
    let faults = injected.errors_before + injected.errors_after + injected.lost_answers + injected.slow_answers;
    assert!(faults + injected.damaged_reads > asked / 25 && injected.lost_answers > 0 && injected.damaged_reads > 0);
    runtime.block_on(async {
        for lane in &mut lanes {
            for (object, length) in
                lane.stored.iter().map(|(object, content)| (*object, content.len())).collect::<Vec<_>>()
            {
                lane.check(object, 0, length as u32).await;
                let there = memory.get_whole(&naming::object_key(VOLUME, object)).await;
                assert!(there.is_ok(), "{object} was acknowledged and is lost");
            }
            for object in &lane.deleted {
                let gone = memory.get_whole(&naming::object_key(VOLUME, *object)).await;
                assert!(gone.is_err_and(|error| error.is_not_found()), "{object} was deleted and is there");
            }
        }
    });
}
