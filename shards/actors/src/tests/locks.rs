//! Locks between programs of one mount and of two, and what they promise about the bytes they protect.

use super::*;
use crate::{KernelPages, LockHolder, LockRequest};
use shoal_kv::Durability::Visible;
use shoal_kv_sqlite::SqliteKv;
use shoal_metadata::keys::Key;
use shoal_metadata::{LockOutcome, MetaOp, RegisterSession, SetLock};
use shoal_types::{LockMode, LockRange, LockSpace};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use LockMode::*;
use LockSpace::*;

/// Well below the interval at which a waiter tries again by itself.
const PROMPT: Duration = Duration::from_millis(700);
const SHORT: Duration = Duration::from_millis(100);

struct Mounts {
    folder: tempfile::TempDir,
    store: Arc<TestStore>,
}

impl Mounts {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kv = SqliteKv::open(&folder.path().join("volume.db"), true).unwrap();
        format(&*kv);
        Mounts { folder, store: Arc::new(TestStore::new(0.0)) }
    }

    fn kv(&self) -> Arc<dyn Kv> {
        SqliteKv::open(&self.folder.path().join("volume.db"), false).unwrap()
    }

    fn mount(&self) -> Shards {
        Shards::start(config(self.kv(), &self.store, 2)).unwrap()
    }
}

/// Handle and owner have one number.
fn request(ino: Ino, space: LockSpace, owner: u64, mode: impl Into<Option<LockMode>>) -> LockRequest {
    LockRequest { ino, space, owner, handle: owner, pid: 42, range: LockRange::WHOLE, mode: mode.into() }
}

fn set(volume: &Shards, shard: usize, request: LockRequest) -> FsResult<()> {
    on(volume, shard, move |local| async move { local.set_lock(request).await })
}

/// A request that waits: its end, and how to interrupt it.
struct Waiting {
    answer: Receiver<FsResult<()>>,
    interrupt: Option<oneshot::Sender<()>>,
}

fn wait(volume: &Shards, shard: usize, request: LockRequest) -> Waiting {
    let (interrupt, interrupted) = oneshot::channel::<()>();
    let answer = begin(volume, shard, move |local| async move {
        let interrupted = async move {
            if interrupted.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        local.wait_for_lock(request, true, interrupted).await
    });
    Waiting { answer, interrupt: Some(interrupt) }
}

impl Waiting {
    fn still_waits(&self) {
        assert_eq!(self.answer.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    }

    #[track_caller]
    fn ends(&self, within: Duration, with: FsResult<()>) {
        assert_eq!(self.answer.recv_timeout(within).expect("it ends in time"), with);
    }

    fn interrupt(&mut self) {
        self.interrupt.take().unwrap().send(()).unwrap();
    }
}

fn release(volume: &Shards, shard: usize, ino: Ino, holder: LockHolder) {
    on(volume, shard, move |local| async move { local.release_locks(ino, holder).await });
}

fn counted(volume: &Shards) -> usize {
    (0..volume.count()).map(|shard| on(volume, shard, |local| async move { local.locks.borrow().len() })).sum()
}

#[test]
fn a_waiter_on_the_same_mount_goes_on_as_soon_as_the_lock_is_given_up() {
    let volume = volume(&Arc::new(TestStore::new(0.0)), 2);
    let ino = create_open(&volume, 0, "f");
    for (space, shards) in [(Flock, [0, 1]), (Record, [1, 0])] {
        set(&volume, shards[0], request(ino, space, 1, Exclusive)).unwrap();
        assert_eq!(set(&volume, shards[1], request(ino, space, 2, Shared)), Err(Errno::EAGAIN));
        let waiters: Vec<_> =
            (2..6).map(|owner| wait(&volume, shards[1], request(ino, space, owner, Shared))).collect();
        waiters.iter().for_each(Waiting::still_waits);
        set(&volume, shards[0], request(ino, space, 1, None)).unwrap();
        waiters.iter().for_each(|waiter| waiter.ends(PROMPT, Ok(())));
        assert_eq!(set(&volume, shards[0], request(ino, space, 1, Exclusive)), Err(Errno::EAGAIN));
        (2..6).for_each(|owner| set(&volume, 0, request(ino, space, owner, None)).unwrap());
    }
    assert_eq!(counted(&volume), 0, "nothing is remembered of what is free");
    volume.stop().unwrap();
}

#[test]
fn a_waiter_on_another_mount_is_told_promptly_and_an_idle_mount_watches_nothing() {
    let mounts = Mounts::new();
    let (first, second) = (mounts.mount(), mounts.mount());
    let ino = create_open(&first, 0, "f");
    open(&second, 0, ino).unwrap();
    for space in [Flock, Record] {
        set(&first, 0, request(ino, space, 1, Exclusive)).unwrap();
        assert_eq!(set(&second, 0, request(ino, space, 1, Exclusive)), Err(Errno::EAGAIN));
        let waiter = wait(&second, 1, request(ino, space, 1, Exclusive));
        waiter.still_waits();
        set(&first, 1, request(ino, space, 1, None)).unwrap();
        waiter.ends(PROMPT, Ok(()));
        set(&second, 1, request(ino, space, 1, None)).unwrap();
    }
    let watching = || {
        std::fs::read_dir("/proc/self/task").unwrap().any(|task| {
            let name = std::fs::read_to_string(task.unwrap().path().join("comm"));
            name.is_ok_and(|name| name.trim() == "lock-bell")
        })
    };
    wait_until("no thread listens for the bell", || !watching());
    second.stop().unwrap();
    first.stop().unwrap();
}

#[test]
fn readers_that_come_and_go_do_not_keep_a_writer_waiting() {
    let volume = volume(&Arc::new(TestStore::new(0.0)), 2);
    let ino = create_open(&volume, 0, "f");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for owner in 2..10 {
            let (volume, done) = (&volume, &done);
            scope.spawn(move || {
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    wait(volume, 0, request(ino, Flock, owner, Shared)).ends(Duration::from_secs(60), Ok(()));
                    std::thread::sleep(Duration::from_millis(5));
                    set(volume, 0, request(ino, Flock, owner, None)).unwrap();
                }
            });
        }
        let writer =
            || wait(&volume, 1, request(ino, Flock, 1, Exclusive)).answer.recv_timeout(Duration::from_secs(10));
        let served = (0..5).all(|_| writer() == Ok(Ok(())) && set(&volume, 1, request(ino, Flock, 1, None)).is_ok());
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(served);
    });
    volume.stop().unwrap();
}

#[test]
fn a_mount_that_ends_gives_up_its_locks_and_tells_who_waits() {
    let mounts = Mounts::new();
    let (first, second) = (mounts.mount(), mounts.mount());
    let ino = create_open(&first, 0, "f");
    open(&second, 0, ino).unwrap();
    set(&first, 0, request(ino, Record, 1, Exclusive)).unwrap();
    let waiter = wait(&second, 0, request(ino, Record, 1, Exclusive));
    waiter.still_waits();
    first.stop().unwrap();
    waiter.ends(PROMPT, Ok(()));
    second.stop().unwrap();
}

#[test]
fn the_locks_of_a_process_that_died_are_free_before_long() {
    let mounts = Mounts::new();
    let volume = mounts.mount();
    let ino = create_open(&volume, 0, "f");
    let metadata = Metadata::new(mounts.kv());
    let mut record = config(mounts.kv(), &mounts.store, 1).session;
    // Beyond the largest number a process can have.
    record.pid = 1 << 30;
    let register = MetaOp::RegisterSession(RegisterSession { record, now: crate::shared::now() });
    let session = metadata.run(register, Visible).unwrap().into_registered().unwrap();
    let LockRequest { space, owner, pid, range, mode, .. } = request(ino, Flock, 1, Exclusive);
    let lock = MetaOp::SetLock(SetLock { ino, space, owner, pid, range, mode, wait: None, session });
    // The mount may have found out about the session first.
    if metadata.run(lock, Visible).and_then(|reply| Ok(reply.into_lock()?)) == Ok(LockOutcome::Done) {
        wait(&volume, 1, request(ino, Flock, 1, Exclusive)).ends(Duration::from_secs(8), Ok(()));
    }
    volume.stop().unwrap();
}

#[test]
fn an_interrupted_waiter_leaves_the_queue_and_its_record() {
    let mounts = Mounts::new();
    let (first, second) = (mounts.mount(), mounts.mount());
    let ino = create_open(&first, 0, "f");
    open(&second, 0, ino).unwrap();
    for space in [Flock, Record] {
        set(&first, 0, request(ino, space, 1, Exclusive)).unwrap();
        for (volume, shard) in [(&first, 0), (&first, 1), (&second, 0), (&second, 1)] {
            let mut waiter = wait(volume, shard, request(ino, space, 2, Exclusive));
            waiter.still_waits();
            waiter.interrupt();
            waiter.ends(PROMPT, Err(Errno::EINTR));
        }
        set(&first, 0, request(ino, space, 1, None)).unwrap();
    }
    let mut left = Vec::new();
    let find = &mut |reader: &mut dyn shoal_kv::Reader| {
        left = reader.scan(&shoal_metadata::keys::inode(ino), 100, shoal_kv::Direction::Forward)?;
        Ok(())
    };
    mounts.kv().read(find).unwrap();
    let locks = left.iter().filter(|(key, _)| matches!(Key::parse(key), Some(Key::Lock(..) | Key::Waiter(..))));
    assert_eq!(locks.count(), 0);
    assert_eq!(counted(&first) + counted(&second), 0);
    second.stop().unwrap();
    first.stop().unwrap();
}

#[test]
fn processes_that_wait_for_each_other_on_two_mounts_are_told_of_the_deadlock() {
    let mounts = Mounts::new();
    let (first, second) = (mounts.mount(), mounts.mount());
    let files = ["a", "b"].map(|called| create_open(&first, 0, called));
    for ino in files {
        open(&second, 0, ino).unwrap();
    }
    set(&first, 0, request(files[0], Record, 1, Exclusive)).unwrap();
    set(&second, 0, request(files[1], Record, 1, Exclusive)).unwrap();
    let mut waiter = wait(&first, 0, request(files[1], Record, 1, Exclusive));
    waiter.still_waits();
    wait(&second, 0, request(files[0], Record, 1, Exclusive)).ends(PROMPT, Err(Errno::EDEADLK));
    waiter.still_waits();
    waiter.interrupt();
    waiter.ends(PROMPT, Err(Errno::EINTR));
    second.stop().unwrap();
    first.stop().unwrap();
}

#[test]
fn a_process_loses_its_record_locks_at_any_close_and_a_description_its_own_at_the_last() {
    let volume = volume(&Arc::new(TestStore::new(0.0)), 2);
    let ino = create_open(&volume, 0, "f");
    let free = |space| set(&volume, 1, request(ino, space, 9, Exclusive)).is_ok();
    let through = |owner, handle| LockRequest { handle, ..request(ino, Record, owner, Shared) };
    set(&volume, 0, through(1, 10)).unwrap();
    set(&volume, 0, through(1, 11)).unwrap();
    release(&volume, 1, ino, LockHolder::Process(2));
    assert!(!free(Record), "another process has closed the file");
    release(&volume, 1, ino, LockHolder::Handle(10));
    assert!(!free(Record), "it has another descriptor");
    release(&volume, 1, ino, LockHolder::Handle(11));
    assert!(free(Record));
    release(&volume, 0, ino, LockHolder::Handle(9));
    set(&volume, 0, through(1, 10)).unwrap();
    set(&volume, 0, request(ino, Flock, 7, Exclusive)).unwrap();
    release(&volume, 1, ino, LockHolder::Process(1));
    assert!(free(Record) && !free(Flock), "no process owns a flock");
    release(&volume, 1, ino, LockHolder::Handle(7));
    assert!(free(Flock));
    volume.stop().unwrap();
}

/// A kernel that takes its time to write back what programs have changed in its pages.
#[derive(Default)]
struct SlowKernel {
    is_slow: AtomicBool,
    asked: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl KernelPages for SlowKernel {
    fn forget(&self, _: Ino, done: Box<dyn FnOnce() + Send>) {
        match self.is_slow.load(SeqCst) {
            true => self.asked.lock().unwrap().push(done),
            false => done(),
        }
    }

    fn forget_attributes(&self, _: Ino) {}

    fn forget_entry(&self, _: Ino, _: Name) {}

    fn keep_writes(&self) -> bool {
        true
    }
}

#[test]
fn who_does_not_wait_is_not_refused_for_a_lock_that_a_close_is_giving_up() {
    let volume = volume(&Arc::new(TestStore::new(0.0)), 2);
    let kernel = Arc::new(SlowKernel::default());
    volume.set_kernel_pages(kernel.clone());
    let ino = create_open(&volume, 0, "f");
    for (space, shard) in [(Flock, 0), (Flock, 1), (Record, 0), (Record, 1)] {
        set(&volume, 0, request(ino, space, 1, Exclusive)).unwrap();
        kernel.is_slow.store(true, SeqCst);
        let closed =
            begin(&volume, 0, move |local| async move { local.release_locks(ino, LockHolder::Handle(1)).await });
        wait_until("what was written is being committed", || !kernel.asked.lock().unwrap().is_empty());
        let wanted = request(ino, space, 2, Exclusive);
        let locked = begin(&volume, shard, move |local| async move { local.set_lock(wanted).await });
        let tested = begin(&volume, shard, move |local| async move { local.get_lock(wanted).await });
        assert_eq!(locked.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
        assert_eq!(tested.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
        kernel.is_slow.store(false, SeqCst);
        kernel.asked.lock().unwrap().drain(..).for_each(|done| done());
        closed.recv_timeout(PROMPT).unwrap();
        assert_eq!(locked.recv_timeout(PROMPT).unwrap(), Ok(()));
        assert_eq!(tested.recv_timeout(PROMPT).unwrap(), Ok(None));
        set(&volume, 0, request(ino, space, 2, None)).unwrap();
    }
    assert_eq!(counted(&volume), 0, "nothing is remembered of what is free");
    volume.stop().unwrap();
}

#[test]
fn who_gets_a_lock_reads_what_others_wrote_under_theirs_through_files_that_stayed_open() {
    let mounts = Mounts::new();
    let (first, second) = (mounts.mount(), mounts.mount());
    for (called, length) in [("small", 100), ("large", 300 << 10)] {
        let ino = create_open(&first, 0, called);
        open(&second, 0, ino).unwrap();
        for round in 0..10 {
            let (writer, reader) = if round % 2 == 0 { (&first, &second) } else { (&second, &first) };
            set(writer, 0, request(ino, Record, 1, Exclusive)).unwrap();
            write(writer, 1, ino, 0, pattern(round, length)).unwrap();
            set(writer, 1, request(ino, Record, 1, None)).unwrap();
            set(reader, 1, request(ino, Record, 1, Shared)).unwrap();
            assert_eq!(length_of(reader, 0, ino), length as u64);
            assert!(read(reader, 0, ino, 0, length).unwrap() == pattern(round, length), "{called}, round {round}");
            set(reader, 0, request(ino, Record, 1, None)).unwrap();
        }
    }
    second.stop().unwrap();
    first.stop().unwrap();
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Ino>>);

impl KernelPages for Recorder {
    fn forget(&self, ino: Ino, done: Box<dyn FnOnce() + Send>) {
        self.0.lock().unwrap().push(ino);
        done();
    }

    fn forget_attributes(&self, _: Ino) {}

    fn forget_entry(&self, _: Ino, _: Name) {}

    fn keep_writes(&self) -> bool {
        false
    }
}

#[test]
fn the_kernel_is_made_to_forget_pages_only_when_another_mount_has_changed_something() {
    let mounts = Mounts::new();
    let first = mounts.mount();
    let recorder = Arc::new(Recorder::default());
    first.set_kernel_pages(recorder.clone());
    let ino = create_open(&first, 0, "f");
    let lock_again = || {
        set(&first, 0, request(ino, Flock, 1, Exclusive)).unwrap();
        set(&first, 0, request(ino, Flock, 1, None)).unwrap();
        std::mem::take(&mut *recorder.0.lock().unwrap())
    };
    assert_eq!(lock_again(), []);
    let second = mounts.mount();
    assert_eq!(lock_again(), [ino]);
    // A mount that has just come still commits things of its own.
    assert!((0..20).any(|_| lock_again().is_empty()), "with nothing changed there is nothing to forget");
    let other = create_open(&second, 0, "g");
    close(&second, 0, other);
    assert_eq!(lock_again(), [ino]);
    second.stop().unwrap();
    first.stop().unwrap();
}

#[test]
fn nothing_counted_under_a_lock_is_lost_between_two_mounts() {
    const ROUNDS: u64 = 60;
    let mounts = Mounts::new();
    let volumes = [mounts.mount(), mounts.mount()];
    let ino = create_open(&volumes[0], 0, "f");
    write(&volumes[0], 0, ino, 0, vec![0; 8]).unwrap();
    flush(&volumes[0], 0, ino).unwrap();
    open(&volumes[1], 0, ino).unwrap();
    std::thread::scope(|scope| {
        for (volume, owner) in volumes.iter().flat_map(|volume| (0..3).map(move |owner| (volume, owner))) {
            scope.spawn(move || {
                let shard = owner as usize % 2;
                for _ in 0..ROUNDS {
                    wait(volume, shard, request(ino, Flock, owner, Exclusive)).ends(Duration::from_secs(60), Ok(()));
                    let bytes = read(volume, shard, ino, 0, 8).unwrap();
                    let next = u64::from_le_bytes(bytes.try_into().unwrap()) + 1;
                    write(volume, shard, ino, 0, next.to_le_bytes().to_vec()).unwrap();
                    set(volume, shard, request(ino, Flock, owner, None)).unwrap();
                }
            });
        }
    });
    set(&volumes[1], 0, request(ino, Flock, 1, Shared)).unwrap();
    assert_eq!(read(&volumes[1], 0, ino, 0, 8).unwrap(), (6 * ROUNDS).to_le_bytes());
    volumes.into_iter().for_each(|volume| volume.stop().unwrap());
}
