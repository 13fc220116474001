//! Two mounts on an engine that can't tell what others have changed: what they keep in memory they know by the feed.

use super::*;
use crate::KernelPages;
use crate::limits::KERNEL_TIMEOUT_MAX;
use shoal_kv::{Durability, Job, KvError, KvResult, MemoryOptions, MemoryStore, Reader, Snapshot, Watch};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// As an engine on a server, which can be out of reach.
struct FarKv {
    kv: Arc<MemoryKv>,
    reads: AtomicU64,
    away: AtomicBool,
}

impl FarKv {
    fn reachable(&self) -> KvResult<()> {
        match self.away.load(SeqCst) {
            true => Err(KvError::Unavailable("cut off".into())),
            false => Ok(()),
        }
    }
}

impl Kv for FarKv {
    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        self.reachable()?;
        self.reads.fetch_add(1, SeqCst);
        self.kv.read(body)
    }

    fn reads_are_local(&self) -> bool {
        false
    }

    fn submit(&self, job: Box<dyn Job>, durability: Durability) {
        match self.reachable() {
            Ok(()) => self.kv.submit(job, durability),
            Err(error) => job.done(Err(error)),
        }
    }

    fn foreign_epoch(&self) -> Option<u64> {
        None
    }

    fn results_may_be_unknown(&self) -> bool {
        false
    }

    fn watch(&self, key: &[u8]) -> KvResult<Box<dyn Watch>> {
        self.kv.watch(key)
    }

    fn watch_stamped(&self) -> KvResult<Box<dyn Watch>> {
        self.kv.watch_stamped()
    }

    fn snapshot(&self) -> KvResult<Box<dyn Snapshot>> {
        self.kv.snapshot()
    }

    fn close(&self) -> KvResult<()> {
        self.kv.close()
    }
}

type Mounted = (Shards, Arc<FarKv>);

struct Far {
    server: MemoryStore,
    store: Arc<TestStore>,
}

impl Far {
    fn new() -> Self {
        let server = MemoryStore::new(MemoryOptions::default());
        format(&*server.client());
        Far { server, store: Arc::new(TestStore::new(0.0)) }
    }

    fn mount(&self, consistency: Consistency) -> Mounted {
        let (reads, away) = (AtomicU64::new(0), AtomicBool::new(false));
        let kv = Arc::new(FarKv { kv: self.server.client(), reads, away });
        let mut config = config(kv.clone(), &self.store, 2);
        config.session.consistency = consistency;
        (Shards::start(config).unwrap(), kv)
    }

    fn coherent_pair(&self) -> (Mounted, Mounted) {
        (self.mount(Consistency::Coherent), self.mount(Consistency::Coherent))
    }
}

fn timeouts(volume: &Shards, ino: Ino) -> KernelTimeouts {
    let inode = (ino, FileKind::Directory);
    on(volume, 1, move |local| async move { local.timeouts(inode, Some((Ino::ROOT, &name("any")))) })
}

fn set_mode(volume: &Shards, ino: Ino, mode: u16) {
    let changes = AttributeChanges { mode: Some(mode), ..AttributeChanges::default() };
    on(volume, 0, move |local| async move { local.set_attributes(ino, changes).await }).unwrap();
}

fn mode_of(volume: &Shards, ino: Ino) -> FsResult<u16> {
    on(volume, 0, move |local| async move { local.get_attributes(ino).await }).map(|attributes| attributes.mode)
}

fn is_alone(volume: &Shards) -> bool {
    on(volume, 0, |local| async move { local.is_alone() })
}

#[test]
fn what_others_leave_alone_is_remembered_and_what_they_change_is_seen_soon() {
    let far = Far::new();
    let ((first, _), (second, kv)) = far.coherent_pair();
    let ino = create_open(&first, 0, "file");
    close(&first, 0, ino);
    for round in 0..50u16 {
        set_mode(&first, ino, round);
        wait_until("the change is seen", || mode_of(&second, ino) == Ok(round));
        assert_eq!(lookup(&second, 1, "file").unwrap().mode, round);
    }
    wait_until("nothing is on its way", || {
        let before = kv.reads.load(SeqCst);
        assert_eq!(lookup(&second, 0, "file").unwrap().ino, ino);
        kv.reads.load(SeqCst) == before
    });
    let before = kv.reads.load(SeqCst);
    (0..500).for_each(|round| assert_eq!(lookup(&second, round % 2, "file").unwrap().mode, 49));
    let reads = kv.reads.load(SeqCst) - before;
    assert!(reads < 50, "{reads} reads, of which the feed makes a few");
    // What is missing is looked for, whatever is remembered.
    for round in 0..50 {
        let called = format!("new-{round}");
        assert_eq!(lookup(&second, 0, &called).unwrap_err(), Errno::ENOENT);
        let made = create_open(&first, 0, &called);
        assert_eq!(lookup(&second, 0, &called).unwrap().ino, made, "at once");
        close(&first, 0, made);
    }
    second.stop().unwrap();
    first.stop().unwrap();
}

#[test]
fn a_strict_mount_sees_everything_at_once_and_promises_its_kernel_nothing() {
    let far = Far::new();
    let ((first, _), (second, _)) = (far.mount(Consistency::Coherent), far.mount(Consistency::Strict));
    let ino = create_open(&first, 0, "file");
    for round in 0..50u16 {
        set_mode(&first, ino, round);
        assert_eq!(mode_of(&second, ino), Ok(round));
        assert_eq!(timeouts(&second, ino), KernelTimeouts::default());
    }
    close(&first, 0, ino);
    second.stop().unwrap();
    first.stop().unwrap();
}

#[test]
fn who_is_cut_off_serves_nothing_from_memory_after_a_second_and_is_up_to_date_afterwards() {
    let far = Far::new();
    let ((first, _), (second, kv)) = far.coherent_pair();
    let ino = create_open(&first, 0, "file");
    close(&first, 0, ino);
    set_mode(&first, ino, 1);
    wait_until("it's remembered", || {
        mode_of(&second, ino) == Ok(1) && timeouts(&second, Ino(99)).attributes > Duration::ZERO
    });
    let cut = Instant::now();
    kv.away.store(true, SeqCst);
    set_mode(&first, ino, 2);
    wait_until("nothing is served any more", || {
        let told = timeouts(&second, Ino(99));
        // No promise to the kernel outlives the second.
        assert!(cut.elapsed() + told.longest() <= KERNEL_TIMEOUT_MAX + Duration::from_millis(100));
        // A look at the feed that was under way at the cut may have told of the change: then the first of these comes earlier.
        mode_of(&second, ino).is_err() && timeouts(&second, ino) == KernelTimeouts::default()
    });
    assert!(cut.elapsed() < KERNEL_TIMEOUT_MAX + Duration::from_secs(1), "{:?}", cut.elapsed());
    kv.away.store(false, SeqCst);
    assert_eq!(mode_of(&second, ino), Ok(2));
    wait_until("it follows again", || timeouts(&second, Ino(99)).attributes > Duration::ZERO);
    second.stop().unwrap();
    first.stop().unwrap();
}

#[test]
fn a_mount_on_a_server_knows_when_it_is_alone_and_a_newcomer_waits_for_it() {
    let far = Far::new();
    let (first, kv) = far.mount(Consistency::Coherent);
    wait_until("the first knows that it is alone", || is_alone(&first));
    let ino = create_open(&first, 0, "file");
    assert!(open(&first, 0, ino).unwrap().keep_cache, "nobody else can have changed it");
    let before = kv.reads.load(SeqCst);
    for _ in 0..100 {
        assert_eq!(lookup(&first, 0, "missing").unwrap_err(), Errno::ENOENT);
    }
    assert!(kv.reads.load(SeqCst) - before < 50, "what is missing is remembered too");
    let began = Instant::now();
    let (second, _) = far.mount(Consistency::Coherent);
    assert!(began.elapsed() >= KERNEL_TIMEOUT_MAX);
    assert!(!is_alone(&first) && !is_alone(&second));
    assert!(!open(&first, 0, ino).unwrap().keep_cache);
    second.stop().unwrap();
    wait_until("the first knows that it is alone again", || is_alone(&first));
    // One who maintains the volume leaves, and the other takes over.
    let (third, _) = far.mount(Consistency::Coherent);
    first.stop().unwrap();
    wait_until("the last one knows that it is alone", || is_alone(&third));
    third.stop().unwrap();
}

#[test]
fn who_opens_what_was_replaced_is_sent_to_look_again() {
    let far = Far::new();
    let ((first, _), (second, _)) = far.coherent_pair();
    let refused = |ino| {
        on(&second, 0, move |local| async move { local.open(ino, Access::default(), RemovedFiles::Refused).await })
    };
    for _ in 0..20 {
        let old = create_open(&first, 0, "file");
        close(&first, 0, old);
        wait_until("it's known", || lookup(&second, 0, "file").map(|found| found.ino) == Ok(old));
        unlink(&first, 0, "file");
        let new = create_open(&first, 0, "file");
        close(&first, 0, new);
        // The kernel may still go by the old name; we don't.
        assert_eq!(refused(old).unwrap_err(), Errno::ESTALE);
        assert_eq!(lookup(&second, 0, "file").unwrap().ino, new);
        assert_eq!(refused(new).unwrap().attributes.ino, new);
        close(&second, 0, new);
        unlink(&first, 0, "file");
    }
    second.stop().unwrap();
    first.stop().unwrap();
}

#[test]
fn the_kernel_keeps_nothing_of_regular_files_while_others_live() {
    let far = Far::new();
    let ((first, _), (second, _)) = far.coherent_pair();
    let ino = create_open(&first, 0, "file");
    wait_until("what is remembered is believed", || timeouts(&second, Ino(1 << 40)).attributes > Duration::ZERO);
    let of_file = on(&second, 1, move |local| async move { local.timeouts((ino, FileKind::Regular), None) });
    assert_eq!(of_file.attributes, Duration::ZERO);
    first.stop().unwrap();
    second.stop().unwrap();
}

/// Of which inodes the kernel is told that their attributes have changed.
#[derive(Default)]
struct ToldKernel(Mutex<Vec<Ino>>);

impl KernelPages for ToldKernel {
    fn forget(&self, _: Ino, done: Box<dyn FnOnce() + Send>) {
        done();
    }

    fn forget_attributes(&self, ino: Ino) {
        self.0.lock().unwrap().push(ino);
    }

    fn forget_entry(&self, _: Ino, _: Name) {}

    fn keep_writes(&self) -> bool {
        false
    }
}

#[test]
fn of_bytes_that_others_write_only_a_relaxed_kernel_is_told() {
    for (consistency, told_of_bytes) in [(Consistency::Coherent, false), (Consistency::Relaxed, true)] {
        let far = Far::new();
        let ((first, _), (second, _)) = (far.mount(Consistency::Coherent), far.mount(consistency));
        let kernel = Arc::new(ToldKernel::default());
        second.set_kernel_pages(kernel.clone());
        let told = || std::mem::take(&mut *kernel.0.lock().unwrap());
        let ino = create_open(&first, 0, "file");
        wait_until("what is remembered is believed", || timeouts(&second, Ino(1 << 40)).attributes > Duration::ZERO);
        // As a directory is told of which shares the file's place in the kernel's view.
        timeouts(&second, ino);
        write(&first, 0, ino, 0, pattern(1, 100)).unwrap();
        flush(&first, 0, ino).unwrap();
        if told_of_bytes {
            wait_until("the kernel is told", || !told().is_empty());
        }
        wait_until("the length is seen", || length_of(&second, 0, ino) == 100);
        timeouts(&second, ino);
        set_mode(&first, ino, 0o600);
        let mut all = Vec::new();
        wait_until("the kernel is told of the mode", || {
            all.extend(told());
            all.contains(&ino)
        });
        // Events are applied in order, and one of them is of the bytes.
        assert_eq!(all, [ino]);
        close(&first, 0, ino);
        first.stop().unwrap();
        second.stop().unwrap();
    }
}
