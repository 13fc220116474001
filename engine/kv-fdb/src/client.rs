//! An open store: the database, the workers whose threads run transactions, and what they share.

use crate::c::{Conflicts, Database, Future, Transaction};
use crate::error::Code;
use crate::job::Slot;
use crate::keys::{Keys, version_of};
use crate::reads::Reads;
use crate::snapshot::{self, FdbSnapshot};
use crate::watch::FdbWatch;
use crossbeam_queue::SegQueue;
use shoal_kv::retry::{SystemClock, retry};
use shoal_kv::{Durability, Job, Kv, KvError, KvResult, Reader, Snapshot, Watch};
use shoal_kv_remote::{Counted, RemoteOptions, Workers, jitter};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) struct Client {
    pub database: Database,
    pub keys: Keys,
    pub options: RemoteOptions,
    pub answer_max: Duration,
    /// Slots that no worker uses just now.
    pub slots: SegQueue<Slot>,
    pub seen: Mutex<Option<Seen>>,
    pub round_trips: AtomicU64,
    pub conflicts: AtomicU64,
}

/// Whether a snapshot is being read, as it was at some value of the cluster's metadata version.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub metadata: Option<Vec<u8>>,
    pub snapshot: Option<Vec<u8>>,
}

/// Metadata on FoundationDB.
pub struct FdbKv {
    client: Arc<Client>,
    workers: Workers,
}

impl FdbKv {
    pub(crate) fn open(client: Client) -> KvResult<Arc<Self>> {
        // So that the first change costs no more than others.
        client.run_small(|transaction| snapshot::current(&Reads::new(&client, transaction, &RefCell::default())))?;
        let client = Arc::new(client);
        let workers = Workers::start(&client, client.options.workers)?;
        Ok(Arc::new(FdbKv { client, workers }))
    }
}

impl Client {
    pub fn new(database: Database, keys: Keys, options: RemoteOptions, answer_max: Duration) -> Self {
        Client {
            database,
            keys,
            options,
            answer_max,
            slots: SegQueue::new(),
            seen: Mutex::default(),
            round_trips: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
        }
    }

    /// One that soon says so when the cluster is not there: somebody stands by.
    pub fn brief(mut self) -> Self {
        self.answer_max = self.answer_max.min(OPEN_TIME_MAX);
        self.options.retry.total_max = OPEN_TIME_MAX;
        self
    }

    pub fn transaction(&self) -> KvResult<Transaction> {
        self.database.transaction().map_err(|code| self.error(code))
    }

    pub fn error(&self, code: Code) -> KvError {
        code.into_error(self.database.client())
    }

    /// Until it's known, but not for ever.
    pub fn wait(&self, future: &Future) -> KvResult<()> {
        match future.wait(self.answer_max) {
            true => future.result().map_err(|code| self.error(code)),
            false => Err(KvError::Unavailable(format!("fdb: no answer within {:?}", self.answer_max))),
        }
    }

    /// Again and again as long as it ends in something that passes.
    pub fn retrying<T>(&self, mut body: impl FnMut() -> KvResult<T>) -> KvResult<T> {
        retry(&self.options.retry, &SystemClock::default(), &mut jitter(), |_| body())
    }

    /// The same with a transaction each time.
    pub fn run_small<T>(&self, body: impl Fn(&Transaction) -> KvResult<T>) -> KvResult<T> {
        self.retrying(|| body(&self.transaction()?))
    }

    /// For what may just as well happen twice.
    pub fn commit_small(&self, transaction: &Transaction) -> KvResult<()> {
        self.wait(&transaction.commit())
    }

    fn read_once(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        let (transaction, trouble) = (self.transaction()?, RefCell::default());
        let result = body(&mut Reads::new(self, &transaction, &trouble));
        trouble.into_inner().map_or(result, Err)
    }

    /// Those of clients that have not been heard of for days.
    pub fn forget_slots(&self) -> KvResult<()> {
        let range = self.keys.all(b's');
        self.run_small(|transaction| {
            let found = transaction.get_range(&range.start, &range.end, SLOTS_LOOKED_AT_MAX, false);
            let version = transaction.read_version();
            self.wait(&found)?;
            self.wait(&version)?;
            let (slots, _) = found.pairs().map_err(|code| self.error(code))?;
            let now = version.version().map_err(|code| self.error(code))?;
            let old = |value: &[u8]| version_of(value.get(8..).unwrap_or_default()) < now - SLOT_VERSIONS_MAX;
            for (key, _) in slots.iter().filter(|(_, value)| old(value)) {
                // Not if its worker has come back.
                transaction.add_conflict(Conflicts::Read, key).map_err(|code| self.error(code))?;
                transaction.clear(key);
            }
            self.commit_small(transaction)
        })
    }

    /// Those of this client. What fails is left to others, after days.
    fn end_slots(&self) {
        let Ok(transaction) = self.transaction() else { return };
        while let Some(slot) = self.slots.pop() {
            transaction.clear(&slot.key);
        }
        let _ = self.commit_small(&transaction);
    }
}

impl Counted for FdbKv {
    fn round_trips(&self) -> u64 {
        self.client.round_trips.load(Ordering::Relaxed)
    }

    fn conflicts(&self) -> u64 {
        self.client.conflicts.load(Ordering::Relaxed)
    }
}

impl Kv for FdbKv {
    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        self.client.retrying(|| self.client.read_once(body))
    }

    fn snapshot(&self) -> KvResult<Box<dyn Snapshot>> {
        Ok(Box::new(FdbSnapshot::take(self.client.clone())?))
    }

    fn reads_are_local(&self) -> bool {
        false
    }

    /// A cluster has every commit on its disks before it acknowledges it.
    fn submit(&self, job: Box<dyn Job>, _: Durability) {
        self.workers.submit(job);
    }

    /// The cluster's metadata version could be one, but then each change would be news to all users of the cluster.
    fn foreign_epoch(&self) -> Option<u64> {
        None
    }

    /// It can, but then the job ends with it and is never run again: nothing needs a record to be found by a later run.
    fn results_may_be_unknown(&self) -> bool {
        false
    }

    fn watch(&self, key: &[u8]) -> KvResult<Box<dyn Watch>> {
        Ok(Box::new(FdbWatch::set(self.client.clone(), self.client.keys.data(key))?))
    }

    fn watch_stamped(&self) -> KvResult<Box<dyn Watch>> {
        Ok(Box::new(FdbWatch::set(self.client.clone(), self.client.keys.bell())?))
    }

    fn close(&self) -> KvResult<()> {
        if self.workers.close()? {
            self.client.end_slots();
        }
        Ok(())
    }
}

impl Drop for FdbKv {
    fn drop(&mut self) {
        // An error here is a worker's panic, which has been printed already.
        let _ = self.close();
    }
}

/// That a cluster is not there is told soon to who opens it.
const OPEN_TIME_MAX: Duration = Duration::from_secs(2);
const SLOTS_LOOKED_AT_MAX: usize = 1000;
/// A week; versions pass at about a million a second.
const SLOT_VERSIONS_MAX: i64 = 7 * 24 * 3600 * 1_000_000;
