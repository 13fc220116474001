//! Locks: what one may have beside others, who is told when something becomes free, and what the oracle says to all of it.

use crate::support::*;
use shoal_kv::{Faults, Kv, MemoryKv, Random};
use shoal_kv_sqlite::SqliteKv;
use shoal_metadata::keys::Key;
use shoal_metadata::{
    CancelLockWait, EndSession, LockOutcome, LockWait, MetaError, MetaOp, RemoveInode, SetLock, check,
};
use shoal_oracle::{LockAnswer, LockRequest, LockTable};
use shoal_types::{Errno, Ino, LockMode, LockRange, LockSpace, SessionId};
use std::sync::Arc;

use LockMode::*;

const BLOCKED_HERE: LockOutcome = LockOutcome::Blocked { abroad: false };
const BLOCKED_ABROAD: LockOutcome = LockOutcome::Blocked { abroad: true };

impl Volume {
    fn set_lock(&self, ino: Ino, space: LockSpace, owner: u64, range: LockRange, mode: Option<LockMode>) -> SetLock {
        SetLock { ino, space, owner, pid: owner as u32, range, mode, wait: None, session: self.session }
    }

    fn record(&self, ino: Ino, owner: u64, bytes: (u64, u64), mode: impl Into<Option<LockMode>>) -> LockOutcome {
        let range = LockRange::new(bytes.0, bytes.1).unwrap();
        let mode = mode.into();
        // As the kernel has it: who unlocks does not say for whom.
        let pid = if mode.is_some() { owner as u32 } else { 0 };
        self.lock(SetLock { pid, ..self.set_lock(ino, LockSpace::Record, owner, range, mode) })
    }

    fn flock(&self, ino: Ino, owner: u64, mode: impl Into<Option<LockMode>>) -> LockOutcome {
        self.lock(self.set_lock(ino, LockSpace::Flock, owner, LockRange::WHOLE, mode.into()))
    }

    fn wait(&self, ino: Ino, owner: u64, byte: u64, number: u64) -> LockOutcome {
        let range = LockRange { start: byte, end: byte };
        let wait = Some(LockWait { number, detect_deadlock: true });
        self.lock(SetLock { wait, ..self.set_lock(ino, LockSpace::Record, owner, range, Some(Exclusive)) })
    }

    fn lock(&self, operation: SetLock) -> LockOutcome {
        self.run(MetaOp::SetLock(operation)).into_lock().unwrap()
    }

    fn end(&self, session: SessionId) {
        self.run_steps(MetaOp::EndSession(EndSession { session, if_silent_since: None, now: at(9) }));
    }

    fn rung(&self, session: SessionId) -> u64 {
        let bell = self.get(Key::Bell(session));
        bell.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
    }

    fn assert_sound(&self) {
        assert_eq!(check::run(&self.metadata, &mut |_| {}).unwrap().findings, []);
    }
}

#[test]
fn readers_share_and_writers_exclude_between_owners_and_between_sessions() {
    let volume = Volume::new();
    let other = Volume::join(volume.metadata.kv().clone());
    let ino = volume.file("f");
    assert_eq!(volume.record(ino, 1, (0, 9), Shared), LockOutcome::Done);
    assert_eq!(other.record(ino, 1, (5, 20), Shared), LockOutcome::Done, "the same number is another owner elsewhere");
    assert_eq!(volume.record(ino, 2, (9, 9), Exclusive), BLOCKED_ABROAD);
    assert_eq!(volume.record(ino, 2, (0, 4), Exclusive), BLOCKED_HERE);
    assert_eq!(volume.flock(ino, 2, Exclusive), LockOutcome::Done, "the two kinds never meet");
    assert_eq!(other.flock(ino, 1, Shared), BLOCKED_ABROAD);
    let held = volume.metadata.locks(ino, LockSpace::Record).unwrap();
    let held: Vec<_> = held.iter().map(|lock| (lock.range.start, lock.range.end, lock.session)).collect();
    assert_eq!(held, [(0, 9, volume.session), (5, 20, other.session)]);
    volume.assert_sound();
}

#[test]
fn a_flock_that_cannot_be_converted_is_lost_and_a_record_lock_stays() {
    let volume = Volume::new();
    let ino = volume.file("f");
    for owner in [1, 2] {
        assert_eq!(volume.flock(ino, owner, Shared), LockOutcome::Done);
        assert_eq!(volume.record(ino, owner, (0, 0), Shared), LockOutcome::Done);
    }
    assert_eq!(volume.flock(ino, 1, Exclusive), BLOCKED_HERE);
    assert_eq!(volume.record(ino, 1, (0, 0), Exclusive), BLOCKED_HERE);
    let owners =
        |space| -> Vec<u64> { volume.metadata.locks(ino, space).unwrap().iter().map(|lock| lock.owner).collect() };
    assert_eq!((owners(LockSpace::Flock), owners(LockSpace::Record)), (vec![2], vec![1, 2]));
    assert_eq!(volume.flock(ino, 2, Exclusive), LockOutcome::Done, "the only one left converts");
}

#[test]
fn two_sessions_that_wait_for_each_other_are_a_deadlock_over_any_number_of_files() {
    let volume = Volume::new();
    let other = Volume::join(volume.metadata.kv().clone());
    let files = [volume.file("a"), volume.file("b"), volume.file("c")];
    assert_eq!(volume.record(files[0], 1, (7, 7), Exclusive), LockOutcome::Done);
    assert_eq!(other.record(files[1], 1, (7, 7), Exclusive), LockOutcome::Done);
    assert_eq!(volume.record(files[2], 2, (7, 7), Exclusive), LockOutcome::Done);
    assert_eq!(volume.wait(files[1], 1, 7, 100), BLOCKED_ABROAD);
    assert_eq!(other.wait(files[2], 1, 7, 100), BLOCKED_ABROAD);
    assert_eq!(volume.wait(files[0], 2, 7, 101), LockOutcome::Deadlock);
    assert_eq!(volume.get(Key::Waiter(files[0], volume.session, 101)), None, "who is refused does not wait");
    // Who gives up breaks the circle.
    let cancel = CancelLockWait { ino: files[2], owner: 1, number: 100, session: other.session };
    other.run(MetaOp::CancelLockWait(cancel));
    assert_eq!(volume.wait(files[0], 2, 7, 101), BLOCKED_HERE);
    volume.assert_sound();
}

#[test]
fn a_session_is_told_when_another_gives_up_what_it_waits_for_and_only_then() {
    let volume = Volume::new();
    let other = Volume::join(volume.metadata.kv().clone());
    let ino = volume.file("f");
    volume.record(ino, 1, (0, 9), Exclusive);
    volume.record(ino, 1, (20, 29), Exclusive);
    assert_eq!(other.wait(ino, 1, 5, 100), BLOCKED_ABROAD);
    volume.record(ino, 1, (20, 29), None);
    volume.flock(ino, 1, Exclusive);
    volume.flock(ino, 1, None);
    assert_eq!(volume.rung(other.session), 0, "it waits for other bytes, and for the other kind of lock");
    volume.record(ino, 1, (0, 9), Shared);
    assert_eq!(volume.rung(other.session), 1, "a writer has become a reader");
    volume.record(ino, 1, (5, 5), None);
    assert_eq!(volume.rung(other.session), 2);
    assert_eq!(other.wait(ino, 1, 5, 100), LockOutcome::Done);
    assert_eq!(volume.get(Key::Waiter(ino, other.session, 100)), None);
    let held = other.metadata.locks(ino, LockSpace::Record).unwrap();
    let held: Vec<_> = held.iter().map(|lock| (lock.range.start, lock.range.end, lock.mode, lock.pid)).collect();
    assert_eq!(held, [(0, 4, Shared, 1), (5, 5, Exclusive, 1), (6, 9, Shared, 1)], "the reader's lock is split");
    volume.assert_sound();
}

#[test]
fn a_session_that_ends_gives_up_everything_in_steps_and_tells_who_waits() {
    let volume = Volume::new();
    let dead = Volume::join(volume.metadata.kv().clone());
    let (ino, elsewhere) = (volume.file("f"), volume.file("g"));
    for owner in 0..1500 {
        assert_eq!(dead.record(ino, owner, (owner, owner), Exclusive), LockOutcome::Done);
    }
    volume.record(elsewhere, 1, (0, 0), Exclusive);
    dead.wait(elsewhere, 3, 0, 200);
    assert_eq!(volume.wait(ino, 1, 1499, 100), BLOCKED_ABROAD);
    let end = MetaOp::EndSession(EndSession { session: dead.session, if_silent_since: None, now: at(9) });
    assert!(!volume.run(end.clone()).into_ended().unwrap());
    let set = dead.set_lock(ino, LockSpace::Record, 9, LockRange::WHOLE, Some(Shared));
    assert_eq!(dead.try_run(MetaOp::SetLock(set)), Err(MetaError::Refused(Errno::ESTALE)));
    volume.run_steps(end);
    assert!(volume.rung(volume.session) > 0);
    assert_eq!(volume.wait(ino, 1, 1499, 100), LockOutcome::Done);
    volume.record(elsewhere, 1, (0, 0), None);
    assert_eq!(volume.rung(dead.session), 0, "nobody rings for the dead");
    assert_eq!(volume.metadata.sessions().unwrap().len(), 1);
    volume.assert_sound();
}

#[test]
fn what_has_no_inode_cannot_be_locked_and_too_many_ranges_are_refused_whole() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let gone = volume.set_lock(Ino(999), LockSpace::Record, 1, LockRange::WHOLE, Some(Shared));
    assert_eq!(volume.try_run(MetaOp::SetLock(gone)), Err(MetaError::Refused(Errno::ENOENT)));
    for number in 0..4096 {
        volume.record(ino, 1, (2 * number, 2 * number), Shared);
    }
    let at = LockRange { start: 10_000, end: 10_000 };
    let more = volume.set_lock(ino, LockSpace::Record, 1, at, Some(Shared));
    assert_eq!(volume.try_run(MetaOp::SetLock(more)), Err(MetaError::Refused(Errno::ENOLCK)));
    assert_eq!(volume.metadata.locks(ino, LockSpace::Record).unwrap().len(), 4096);
    volume.record(ino, 1, (0, 20_000), None);
    assert_eq!(volume.metadata.locks(ino, LockSpace::Record).unwrap(), []);
    volume.assert_sound();
}

#[test]
fn locks_that_only_one_side_knows_of_are_found() {
    let volume = Volume::new();
    let ino = volume.file("f");
    volume.record(ino, 1, (0, 0), Shared);
    volume.flock(ino, 2, Shared);
    let session = volume.session;
    volume.raw(move |transaction| {
        transaction.delete(&Key::LockOf(session, ino, LockSpace::Record, 1).encode());
        transaction.delete(&Key::Lock(ino, LockSpace::Flock, session, 2).encode());
    });
    let findings = check::run(&volume.metadata, &mut |_| {}).unwrap().findings;
    let problem = check::Problem::Locks { session: volume.session };
    assert_eq!(findings.iter().filter(|finding| finding.problem == problem).count(), 2, "{findings:?}");
}

#[test]
fn an_inode_takes_its_locks_along() {
    let volume = Volume::new();
    let ino = volume.file("f");
    volume.record(ino, 1, (0, 0), Shared);
    volume.unlink("f", &[]);
    for queued in volume.metadata.queued_removals(u64::MAX, 10).unwrap() {
        let remove = RemoveInode { queued_at: queued.queued_at, ino, delete_at: at(9) };
        volume.run_steps(MetaOp::RemoveInode(remove));
    }
    assert_eq!(volume.get(Key::Lock(ino, LockSpace::Record, volume.session, 1)), None);
    volume.record(ino, 1, (0, 0), None);
    volume.end(volume.session);
    volume.assert_sound();
}

/// Random requests of several owners in three sessions, judged by the oracle.
struct Judged {
    volumes: Vec<Volume>,
    oracle: LockTable,
    random: Random,
    files: [Ino; 2],
    /// Number, session's index, request.
    waiting: Vec<(u64, usize, LockRequest, LockMode)>,
    /// What each session has done since it last tried again, and what its bell said then.
    acted: [bool; 3],
    heard: [u64; 3],
    /// Granted at once, granted after waiting, deadlocks.
    ended: [u32; 3],
    sessions: u32,
    seed: u64,
}

/// Another session. Its process has a number of its own, by which a registration is known that seems to have failed.
fn join(volume: &Volume, number: u32) -> Volume {
    let metadata = volume.metadata.clone();
    Volume { session: register(&metadata, 100 + number), metadata }
}

const OWNERS: u64 = 3;
const BYTES: u64 = 8;

impl Judged {
    fn new(kv: Arc<dyn Kv>, seed: u64) -> Self {
        let first = Volume::on(kv);
        let volumes: Vec<_> = (0..3).map(|index| join(&first, index)).collect();
        let files = [first.file("a"), first.file("b")];
        Judged {
            volumes,
            oracle: LockTable::default(),
            random: Random::new(seed),
            files,
            waiting: Vec::new(),
            acted: [false; 3],
            heard: [0; 3],
            ended: [0; 3],
            sessions: 3,
            seed,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    /// Owners of all sessions in one row, as the oracle counts them.
    fn request(&mut self, session: usize) -> (LockRequest, LockMode) {
        let (one, other) = (self.below(BYTES), self.below(BYTES));
        let space = if self.random.chance(0.25) { LockSpace::Flock } else { LockSpace::Record };
        let to_the_end = if self.random.chance(0.2) { LockRange::WHOLE.end } else { one.max(other) };
        let range = match space {
            LockSpace::Flock => LockRange::WHOLE,
            LockSpace::Record => LockRange { start: one.min(other), end: to_the_end },
        };
        let ino = self.files[self.below(2) as usize];
        let request = LockRequest { ino, space, owner: session as u64 * OWNERS + self.below(OWNERS), range };
        (request, if self.random.chance(0.5) { Shared } else { Exclusive })
    }

    fn submit(&self, session: usize, request: LockRequest, mode: Option<LockMode>, number: Option<u64>) -> LockAnswer {
        let volume = &self.volumes[session];
        let LockRequest { ino, space, owner, range } = request;
        let wait = number.map(|number| LockWait { number, detect_deadlock: true });
        let operation = SetLock { wait, ..volume.set_lock(ino, space, owner % OWNERS, range, mode) };
        match volume.lock(operation) {
            LockOutcome::Done => LockAnswer::Granted,
            LockOutcome::Blocked { .. } => LockAnswer::Blocked,
            LockOutcome::Deadlock => LockAnswer::Deadlock,
        }
    }

    fn step(&mut self, step: u64) {
        let session = self.below(3) as usize;
        let (request, mode) = self.request(session);
        let context = format!("seed {}, step {step}: session {session}, {mode:?} {request:?}", self.seed);
        match self.below(20) {
            0..=6 => {
                let found = self.submit(session, request, Some(mode), None);
                assert_eq!(found, self.oracle.lock(request, mode), "{context}");
                self.ended[0] += u32::from(found == LockAnswer::Granted);
            }
            7..=11 => self.wait(step, session, request, mode, &context),
            12..=16 => {
                self.submit(session, request, None, None);
                self.oracle.unlock(request);
            }
            17 | 18 if !self.waiting.is_empty() => self.cancel(),
            19 if self.random.chance(0.2) => self.end(session),
            _ => {}
        }
        self.acted[session] = true;
        self.retry(&context);
        self.compare(&context);
    }

    fn wait(&mut self, number: u64, session: usize, request: LockRequest, mode: LockMode, context: &str) {
        if self.oracle.waiting().contains(&(request, mode)) {
            return;
        }
        let found = self.submit(session, request, Some(mode), Some(number));
        assert_eq!(found, self.oracle.lock_or_wait(request, mode), "{context}, waiting");
        match found {
            LockAnswer::Granted => {}
            LockAnswer::Blocked => self.waiting.push((number, session, request, mode)),
            LockAnswer::Deadlock => self.ended[2] += 1,
        }
    }

    fn cancel(&mut self) {
        let index = self.below(self.waiting.len() as u64) as usize;
        let (number, session, request, mode) = self.waiting.swap_remove(index);
        let volume = &self.volumes[session];
        let LockRequest { ino, owner, .. } = request;
        let owner = owner % OWNERS;
        volume.run(MetaOp::CancelLockWait(CancelLockWait { ino, owner, number, session: volume.session }));
        self.oracle.cancel(request, mode);
    }

    fn end(&mut self, session: usize) {
        self.volumes[session].end(self.volumes[session].session);
        (0..OWNERS).for_each(|owner| self.oracle.release(session as u64 * OWNERS + owner));
        self.waiting.retain(|(_, of, ..)| *of != session);
        self.sessions += 1;
        self.heard[session] = 0;
        self.volumes[session] = join(&self.volumes[session], self.sessions);
    }

    /// What waits is made again only by sessions that were told: by what they did themselves, or by their bell. In the
    /// end nothing waits that could be served.
    fn retry(&mut self, context: &str) {
        while let Some(session) =
            (0..3).find(|session| self.acted[*session] || self.rung(*session) > self.heard[*session])
        {
            self.acted[session] = false;
            self.heard[session] = self.rung(session);
            for waiting in self.waiting.clone().into_iter().filter(|waiting| waiting.1 == session) {
                let (number, _, request, mode) = waiting;
                let found = self.submit(session, request, Some(mode), Some(number));
                assert_eq!(found, self.oracle.lock_or_wait(request, mode), "{context}, again {request:?}");
                if found != LockAnswer::Blocked {
                    self.waiting.retain(|other| *other != waiting);
                    self.ended[1] += u32::from(found == LockAnswer::Granted);
                    self.acted[session] = true;
                }
            }
        }
        for (_, session, request, mode) in &self.waiting {
            let blocked = !self.oracle.blockers(*request, *mode).is_empty();
            assert!(blocked, "{context}: nobody has told session {session} that {request:?} is free");
        }
    }

    fn rung(&self, session: usize) -> u64 {
        self.volumes[0].rung(self.volumes[session].session)
    }

    fn compare(&self, context: &str) {
        for (ino, space) in self.files.into_iter().flat_map(|ino| [(ino, LockSpace::Flock), (ino, LockSpace::Record)]) {
            let held = self.volumes[0].metadata.locks(ino, space).unwrap();
            for (session, volume) in self.volumes.iter().enumerate() {
                for (owner, byte) in (0..OWNERS).flat_map(|owner| (0..BYTES + 2).map(move |byte| (owner, byte))) {
                    let at = LockRange { start: byte, end: byte };
                    let of = held.iter().filter(|lock| (lock.session, lock.owner) == (volume.session, owner));
                    let found = of.filter(|lock| lock.range.overlaps(at)).map(|lock| lock.mode).collect::<Vec<_>>();
                    let expected = self.oracle.held(ino, space, session as u64 * OWNERS + owner, byte);
                    assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{context}: {space:?} byte {byte}");
                }
            }
        }
    }
}

fn judge(seeds: std::ops::Range<u64>, steps: u64, open: impl Fn(u64) -> Arc<dyn Kv>) {
    let mut ended = [0; 3];
    for seed in seeds {
        let mut judged = Judged::new(open(seed), seed);
        (0..steps).for_each(|step| judged.step(step));
        judged.volumes[0].assert_sound();
        for (sum, count) in ended.iter_mut().zip(judged.ended) {
            *sum += count;
        }
    }
    assert!(ended.iter().all(|count| *count > 5), "too little has happened: {ended:?}");
}

#[test]
fn locks_agree_with_the_oracle_in_memory() {
    judge(0..60, 300, |_| MemoryKv::new());
}

#[test]
fn locks_agree_with_the_oracle_through_conflicts_and_unknown_results() {
    judge(100..106, 120, |seed| {
        MemoryKv::with_faults(Faults { seed, conflict_rate: 0.2, unknown_rate: 0.3, ..Faults::default() })
    });
}

#[test]
fn locks_agree_with_the_oracle_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    judge(200..204, 300, |seed| SqliteKv::open(&folder.path().join(format!("{seed}.db")), true).unwrap());
}
