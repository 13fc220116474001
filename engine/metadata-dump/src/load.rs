//! An empty store filled with what a snapshot holds: a dump, or another store.
//!
//! First a note goes in that says whose load this is; each transaction reads it, so that two loads never mix. The settings
//! come last, in the transaction that takes the note away: before that there is no volume.
//! The sessions that were alive at the moment of the snapshot are not alive here. They are ended like dead ones: what they
//! had open without a name is queued for removal, and their locks and leases are free.

use crate::LoadError;
use crate::limits::{BATCH_BYTES, BATCH_PAIRS, BATCHES_IN_FLIGHT, PROGRESS_EVERY};
use shoal_kv::{
    Attempt, Direction, Durability, Job, KeyRange, Kv, KvError, KvResult, Pair, Snapshot, Transaction, Verdict,
};
use shoal_metadata::keys::{self, Counter, Key};
use shoal_metadata::records::{decode_settings, encode_load};
use shoal_metadata::{EndSession, MetaOp, Metadata};
use shoal_types::{Timestamp, VolumeSettings};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A load under way.
pub struct Loading {
    kv: Arc<dyn Kv>,
    note: Vec<u8>,
    /// As stored, once they have come by.
    settings: Option<Vec<u8>>,
    pairs: u64,
}

/// Where the numbers of new objects begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Numbers {
    /// Where they were: for a volume that nobody has changed since the snapshot.
    GoOn,
    /// Far behind all that can have been handed out since the snapshot. The store of objects has those, and local caches
    /// may have their bytes: no number may come to mean two things.
    Skip,
}

impl Loading {
    /// Makes the store this load's own. `number` is one that nobody else has.
    pub fn begin(kv: Arc<dyn Kv>, number: u64) -> Result<Self, LoadError> {
        let note = encode_load(number);
        let own = note.clone();
        let begun = kv.transact(Durability::Durable, move |transaction, attempt| {
            let found = transaction.scan(&KeyRange::all(), 1, Direction::Forward)?;
            let key = Key::Load.encode();
            match found.first() {
                None => transaction.put(&key, &own),
                Some((found, value)) => {
                    let ours = attempt.maybe_committed && *found == key && *value == own;
                    return Ok((ours, Verdict::Abort));
                }
            }
            Ok((true, Verdict::Commit))
        });
        match begun.map_err(of_store)? {
            true => Ok(Loading { kv, note, settings: None, pairs: 0 }),
            false => Err(LoadError::NotEmpty),
        }
    }

    /// Puts everything the snapshot holds, but for the settings. `progress` is told the number of pairs so far.
    pub fn fill(&mut self, source: &mut dyn Snapshot, progress: &mut dyn FnMut(u64)) -> Result<u64, LoadError> {
        let mut batches = Batches::new(&self.kv, &self.note);
        loop {
            let pairs = source.next().map_err(LoadError::Source)?;
            if pairs.is_empty() {
                break;
            }
            for pair in pairs {
                self.pairs += 1;
                if self.pairs.is_multiple_of(PROGRESS_EVERY) {
                    progress(self.pairs);
                }
                match Key::parse(&pair.0) {
                    Some(Key::Settings) => self.settings = Some(pair.1),
                    Some(Key::Load) => return Err(LoadError::NoVolume),
                    _ => batches.add(pair)?,
                }
            }
        }
        batches.end()?;
        progress(self.pairs);
        match self.settings {
            Some(_) => Ok(self.pairs),
            None => Err(LoadError::NoVolume),
        }
    }

    /// Makes the store a volume, durably.
    pub fn finish(self, numbers: Numbers, now: Timestamp) -> Result<VolumeSettings, LoadError> {
        let Loading { kv, note, settings, .. } = self;
        let settings = settings.ok_or(LoadError::NoVolume)?;
        let decoded = decode_settings(&settings).map_err(LoadError::Source)?;
        end_sessions(&Metadata::new(kv.clone()), now)?;
        let finished = kv.transact(Durability::Durable, move |transaction, attempt| {
            let [load, key] = [Key::Load.encode(), Key::Settings.encode()];
            if attempt.maybe_committed && transaction.get(&key)?.as_ref() == Some(&settings) {
                return Ok((true, Verdict::Abort));
            }
            if !is_own(transaction, &note)? {
                return Ok((false, Verdict::Abort));
            }
            transaction.put(&key, &settings);
            transaction.delete(&load);
            // Stamps are the engine's own: new ones might be less than these, and nobody would read them.
            transaction.delete_range(&keys::events())?;
            if numbers == Numbers::Skip {
                transaction.add(&Key::Counter(Counter::NextObject).encode(), NUMBERS_SKIPPED);
            }
            Ok((true, Verdict::Commit))
        });
        match finished.map_err(of_store)? {
            true => Ok(decoded),
            false => Err(LoadError::TakenOver),
        }
    }
}

fn end_sessions(metadata: &Metadata, now: Timestamp) -> Result<(), LoadError> {
    for session in metadata.sessions().map_err(LoadError::Store)? {
        let end = MetaOp::EndSession(EndSession { session: session.session, if_silent_since: None, now });
        loop {
            let reply = metadata.run(end.clone(), Durability::Visible).map_err(LoadError::Store)?;
            if reply.into_ended().map_err(|errno| LoadError::Store(errno.into()))? {
                break;
            }
        }
    }
    Ok(())
}

fn is_own(transaction: &mut dyn Transaction, note: &[u8]) -> KvResult<bool> {
    Ok(transaction.get(&Key::Load.encode())?.as_deref() == Some(note))
}

fn of_store(error: KvError) -> LoadError {
    LoadError::Store(error.into())
}

/// Transactions on their way. What ended well or not is known a few of them later.
struct Batches<'a> {
    kv: &'a Arc<dyn Kv>,
    note: &'a [u8],
    pairs: Vec<Pair>,
    bytes: usize,
    in_flight: usize,
    ends: Receiver<Result<(), LoadError>>,
    end: SyncSender<Result<(), LoadError>>,
}

impl<'a> Batches<'a> {
    fn new(kv: &'a Arc<dyn Kv>, note: &'a [u8]) -> Self {
        // Room for all of them: who tells an end never waits.
        let (end, ends) = sync_channel(BATCHES_IN_FLIGHT);
        Batches { kv, note, pairs: Vec::new(), bytes: 0, in_flight: 0, ends, end }
    }

    fn add(&mut self, pair: Pair) -> Result<(), LoadError> {
        self.bytes += pair.0.len() + pair.1.len();
        self.pairs.push(pair);
        match self.bytes >= BATCH_BYTES || self.pairs.len() >= BATCH_PAIRS {
            true => self.submit(),
            false => Ok(()),
        }
    }

    fn submit(&mut self) -> Result<(), LoadError> {
        if self.in_flight == BATCHES_IN_FLIGHT {
            self.await_one()?;
        }
        self.bytes = 0;
        let pairs = std::mem::take(&mut self.pairs);
        let job = BatchJob { note: self.note.to_vec(), pairs, own: false, end: self.end.clone() };
        self.in_flight += 1;
        self.kv.submit(Box::new(job), Durability::Visible);
        Ok(())
    }

    fn await_one(&mut self) -> Result<(), LoadError> {
        self.in_flight -= 1;
        self.ends.recv().expect("we hold a sender ourselves")
    }

    fn end(mut self) -> Result<(), LoadError> {
        self.submit()?;
        while self.in_flight > 0 {
            self.await_one()?;
        }
        Ok(())
    }
}

/// Puts pairs, as long as the store is the load's own. To put them twice does no harm.
struct BatchJob {
    note: Vec<u8>,
    pairs: Vec<Pair>,
    own: bool,
    end: SyncSender<Result<(), LoadError>>,
}

impl Job for BatchJob {
    fn run(&mut self, transaction: &mut dyn Transaction, _: Attempt) -> KvResult<Verdict> {
        self.own = is_own(transaction, &self.note)?;
        if !self.own {
            return Ok(Verdict::Abort);
        }
        self.pairs.iter().for_each(|(key, value)| transaction.put(key, value));
        Ok(Verdict::Commit)
    }

    fn done(self: Box<Self>, outcome: KvResult<Verdict>) {
        let end = match outcome {
            Ok(_) if self.own => Ok(()),
            Ok(_) => Err(LoadError::TakenOver),
            Err(error) => Err(of_store(error)),
        };
        // A load that has failed listens no more.
        let _ = self.end.send(end);
    }
}

/// At a million objects a second it would take twelve days to need more.
const NUMBERS_SKIPPED: i64 = 1 << 40;
