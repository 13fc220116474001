//! Runs operations as transactions, each exactly once in effect.
//!
//! On most engines that is all there is to it. Where the result of a commit can be unknown, an operation whose second
//! run would do or answer something else leaves a record in the same transaction, and a later attempt looks for it.
//! Relies on the engine to report a result as unknown only when that commit is no longer on its way.
//!
//! A record lies in a slot of the session. A slot belongs to one operation at a time, so the number of records is
//! bounded; operations beyond the bound wait here for a slot, and nobody is blocked. Hence all operations of one session
//! go through one [`Executor`].

use crate::keys::{self, Key};
use crate::records::{OperationRecord, SessionRecord};
use crate::{MetaError, MetaOp, MetaReply, MetaResult, RegisterSession, ops};
use crossbeam_queue::{ArrayQueue, SegQueue};
use shoal_kv::{Attempt, Direction, Durability, Job, Kv, KvError, KvResult, Transaction, Verdict};
use shoal_types::SessionId;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU64, AtomicUsize};

type Done = Box<dyn FnOnce(MetaResult<MetaReply>) + Send>;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Executor {
    kv: Arc<dyn Kv>,
    /// None where results are always known: nothing is recorded then.
    slots: Option<Arc<Slots>>,
}

struct Slots {
    free: ArrayQueue<u32>,
    next_operation: AtomicU64,
    waiting: SegQueue<(OperationJob, Durability)>,
    /// How often a job or a slot has come that nobody has looked for yet. Who raises it from zero submits, in a loop, until
    /// it is zero again: a job can end within its submission, and its slot is then used by that loop, and not by a deeper
    /// and deeper recursion.
    news: AtomicUsize,
}

impl Executor {
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        let slots = kv.results_may_be_unknown().then(|| Arc::new(Slots::new()));
        Executor { kv, slots }
    }

    pub fn submit(&self, operation: MetaOp, durability: Durability, done: Done) {
        let recorded_for = recorded_for(&operation);
        let job = OperationJob { operation, answer: None, record: None, done };
        match (&self.slots, recorded_for) {
            (Some(slots), Some(_)) => {
                slots.waiting.push((job, durability));
                self.submit_waiting(slots);
            }
            _ => self.kv.submit(Box::new(job), durability),
        }
    }

    /// Submits what waits, as far as there are slots.
    fn submit_waiting(&self, slots: &Slots) {
        if slots.news.fetch_add(1, SeqCst) > 0 {
            return;
        }
        loop {
            let news = slots.news.load(SeqCst);
            while let Some((mut job, durability, slot)) = slots.next() {
                let session = recorded_for(&job.operation).expect("only recorded operations wait for slots");
                let operation = slots.next_operation.fetch_add(1, SeqCst);
                job.record = Some(Record { session, slot, operation, executor: self.clone() });
                self.kv.submit(Box::new(job), durability);
            }
            if slots.news.fetch_sub(news, SeqCst) == news {
                return;
            }
        }
    }
}

impl Slots {
    fn new() -> Self {
        let free = ArrayQueue::new(SLOTS_MAX as usize);
        (0..SLOTS_MAX).for_each(|slot| free.push(slot).expect("there is room for every slot"));
        Slots { free, next_operation: AtomicU64::new(1), waiting: SegQueue::new(), news: AtomicUsize::new(0) }
    }

    /// A waiting job and a slot for it. Only one thread at a time takes.
    fn next(&self) -> Option<(OperationJob, Durability, u32)> {
        if self.waiting.is_empty() {
            return None;
        }
        let slot = self.free.pop()?;
        let (job, durability) = self.waiting.pop().expect("nobody else takes");
        Some((job, durability, slot))
    }

    fn release(&self, slot: u32) {
        self.free.push(slot).expect("there is room for every slot");
    }
}

/// The session to record an operation under, or `None` for one that can as well run twice.
fn recorded_for(operation: &MetaOp) -> Option<SessionId> {
    match operation {
        MetaOp::Create(operation) => Some(operation.session),
        MetaOp::Link(operation) => Some(operation.session),
        MetaOp::Unlink(operation) => Some(operation.session),
        MetaOp::Rmdir(operation) => Some(operation.session),
        MetaOp::Rename(operation) => Some(operation.session),
        MetaOp::SetAttributes(operation) => Some(operation.session),
        MetaOp::SetFlags(operation) => Some(operation.session),
        MetaOp::SetXattr(operation) => Some(operation.session),
        MetaOp::RemoveXattr(operation) => Some(operation.session),
        MetaOp::Truncate(operation) => Some(operation.session),
        MetaOp::WriteInline(operation) => Some(operation.session),
        MetaOp::WriteSlices(operation) => Some(operation.session),
        MetaOp::ReplaceSlices(operation) => Some(operation.session),
        MetaOp::Pack(operation) => Some(operation.session),
        MetaOp::Repack(operation) => Some(operation.session),
        MetaOp::Fallocate(operation) => Some(operation.session),
        MetaOp::CopyRange(operation) => Some(operation.session),
        MetaOp::CreateNameless(operation) => Some(operation.session),
        MetaOp::Append(operation) => Some(operation.session),
        MetaOp::LeaseInodes(operation) => Some(operation.session),
        MetaOp::LeaseObjects(operation) => Some(operation.session),
        MetaOp::AdjustUsage(operation) => Some(operation.session),
        MetaOp::RemoveTree(operation) => Some(operation.session),
        MetaOp::BeginClone(operation) => Some(operation.session),
        MetaOp::FillClone(operation) => Some(operation.session),
        MetaOp::FinishClone(operation) => Some(operation.session),
        // There is no session yet: an earlier run is known by what it registered.
        MetaOp::RegisterSession(_) => None,
        MetaOp::NoteAccesses(_)
        | MetaOp::Sustain(_)
        | MetaOp::Release(_)
        | MetaOp::Heartbeat(_)
        | MetaOp::EndSession(_)
        | MetaOp::RemoveInode(_)
        | MetaOp::ForgetObjects(_)
        | MetaOp::ForgetSparsePacks(_)
        | MetaOp::SetLock(_)
        | MetaOp::CancelLockWait(_)
        | MetaOp::SetQuota(_)
        | MetaOp::DeleteQuota(_)
        | MetaOp::WalkQuotas
        | MetaOp::SetTrash(_)
        | MetaOp::PurgeTrash(_)
        | MetaOp::CleanClone(_)
        | MetaOp::TrimFeed(_)
        | MetaOp::TakeMaintenance(_) => None,
    }
}

/// The session whose change is told in the change feed.
fn told_for(operation: &MetaOp) -> Option<SessionId> {
    match operation {
        MetaOp::NoteAccesses(note) => Some(note.session),
        operation => recorded_for(operation),
    }
}

struct OperationJob {
    operation: MetaOp,
    /// Of the last run.
    answer: Option<MetaResult<MetaReply>>,
    record: Option<Record>,
    done: Done,
}

struct Record {
    session: SessionId,
    slot: u32,
    operation: u64,
    executor: Executor,
}

impl OperationJob {
    /// What an earlier run answered, if it has committed after all.
    fn earlier_answer(&self, transaction: &mut dyn Transaction) -> KvResult<Option<MetaReply>> {
        match (&self.operation, &self.record) {
            (MetaOp::RegisterSession(registration), _) => {
                Ok(find_registration(transaction, registration)?.map(MetaReply::Registered))
            }
            (_, Some(record)) => record.read(transaction),
            (_, None) => Ok(None),
        }
    }
}

impl Job for OperationJob {
    fn run(&mut self, transaction: &mut dyn Transaction, attempt: Attempt) -> KvResult<Verdict> {
        if attempt.maybe_committed
            && let Some(reply) = self.earlier_answer(transaction)?
        {
            self.answer = Some(Ok(reply));
            return Ok(Verdict::Abort);
        }
        match ops::run(transaction, &self.operation) {
            Ok(reply) => {
                if let Some(session) = told_for(&self.operation) {
                    ops::feed::tell(transaction, session, &self.operation, &reply)?;
                }
                if let Some(record) = &self.record {
                    record.write(transaction, &reply);
                }
                self.answer = Some(Ok(reply));
                Ok(Verdict::Commit)
            }
            Err(MetaError::Refused(errno)) => {
                self.answer = Some(Err(MetaError::Refused(errno)));
                Ok(Verdict::Abort)
            }
            Err(MetaError::Store(error)) => Err(error),
        }
    }

    fn done(self: Box<Self>, outcome: KvResult<Verdict>) {
        let OperationJob { answer, record, done, .. } = *self;
        if let Some(record) = record {
            record.release();
        }
        done(match outcome {
            Ok(_) => answer.expect("a job that ended well has run"),
            Err(error) => Err(error.into()),
        });
    }
}

impl Record {
    fn key(&self) -> Vec<u8> {
        Key::Operation(self.session, self.slot).encode()
    }

    fn read(&self, transaction: &mut dyn Transaction) -> KvResult<Option<MetaReply>> {
        let Some(bytes) = transaction.get(&self.key())? else { return Ok(None) };
        let found = OperationRecord::decode(&bytes)?;
        // Another number is that of an operation that had the slot before.
        Ok((found.operation == self.operation).then_some(found.reply))
    }

    fn write(&self, transaction: &mut dyn Transaction, reply: &MetaReply) {
        let record = OperationRecord { operation: self.operation, reply: reply.clone() };
        transaction.put(&self.key(), &record.encode());
    }

    /// The operation has ended, whichever way.
    fn release(self) {
        let slots = self.executor.slots.as_ref().expect("records are kept in slots");
        slots.release(self.slot);
        self.executor.submit_waiting(slots);
    }
}

/// The session that these very words were registered as: a record tells the process and the moment of its start.
fn find_registration(transaction: &mut dyn Transaction, registration: &RegisterSession) -> KvResult<Option<SessionId>> {
    let mut range = keys::tag(b's');
    while let Some((key, value)) = transaction.scan(&range, 1, Direction::Forward)?.pop() {
        let session = match Key::parse(&key) {
            Some(Key::Session(session)) if SessionRecord::decode(&value)? == registration.record => {
                return Ok(Some(session));
            }
            key_of_session => key_of_session
                .and_then(|key| key.session())
                .ok_or_else(|| KvError::Damaged(format!("{} is no session's key", key.escape_ascii())))?,
        };
        range.start = keys::session(session).end;
    }
    Ok(None)
}

/// Operations of one executor that may be in flight at once on an engine that needs records; each keeps one record.
const SLOTS_MAX: u32 = 1024;
