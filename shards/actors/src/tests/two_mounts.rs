//! Two mounts of one volume, each with an engine and caches of its own.

use super::*;
use shoal_kv_sqlite::SqliteKv;
use shoal_metadata::{MetaOp, RegisterSession};

const LENGTH: usize = 200 << 10;

struct Mounts {
    folder: tempfile::TempDir,
    store: Arc<TestStore>,
    consistency: Consistency,
    first: Shards,
}

impl Mounts {
    fn new() -> Self {
        Mounts::of(Consistency::Coherent)
    }

    fn of(consistency: Consistency) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(TestStore::new(0.0));
        let kv = SqliteKv::open(&folder.path().join("volume.db"), true).unwrap();
        format(&*kv);
        let mut config = config(kv, &store, 2);
        config.session.consistency = consistency;
        config.cache = cache_in(folder.path());
        Mounts { consistency, first: Shards::start(config).unwrap(), folder, store }
    }

    fn another(&self) -> Shards {
        let kv = SqliteKv::open(&self.folder.path().join("volume.db"), false).unwrap();
        let mut config = config(kv, &self.store, 2);
        config.session.consistency = self.consistency;
        config.cache = cache_in(self.folder.path());
        Shards::start(config).unwrap()
    }
}

fn timeouts(volume: &Shards) -> KernelTimeouts {
    on(volume, 1, |local| async move { local.timeouts((Ino(1 << 40), FileKind::Directory), None) })
}

#[test]
fn what_one_mount_has_closed_the_other_reads_when_it_opens() {
    let mounts = Mounts::new();
    let (first, second) = (&mounts.first, mounts.another());
    let ino = create_open(first, 0, "file");
    close(first, 0, ino);
    for round in 0..20u64 {
        let (writer, reader) = if round % 2 == 0 { (first, &second) } else { (&second, first) };
        let length = LENGTH - round as usize * 1000;
        open(writer, 0, ino).unwrap();
        // Open already before the change: its owner has state that must not survive the next open.
        open(reader, 1, ino).unwrap();
        read(reader, 1, ino, 0, LENGTH).unwrap();
        truncate(writer, 1, ino, 0).unwrap();
        write(writer, 1, ino, 0, pattern(round, length)).unwrap();
        flush(writer, 0, ino).unwrap();
        close(writer, 0, ino);
        assert_eq!(open(reader, 0, ino).unwrap().attributes.length, length as u64);
        for shard in 0..2 {
            assert!(read(reader, shard, ino, 0, LENGTH).unwrap() == pattern(round, length), "round {round}");
        }
        close(reader, 1, ino);
        close(reader, 0, ino);
    }
    second.stop().unwrap();
    mounts.first.stop().unwrap();
}

/// As kernels do it: a name is looked up, and what it stood for is opened later. While two mounts live nothing is removed at
/// once, so neither comes too late.
#[test]
fn what_lost_its_name_between_lookup_and_open_can_be_opened_and_goes_with_its_last_close() {
    let mounts = Mounts::new();
    let (first, second) = (&mounts.first, mounts.another());
    for (round, opener) in [first, &second].into_iter().enumerate() {
        let ino = create_open(first, 0, "file");
        write(first, 0, ino, 0, pattern(round as u64, LENGTH)).unwrap();
        flush(first, 0, ino).unwrap();
        close(first, 0, ino);
        assert_eq!(lookup(opener, 0, "file").unwrap().ino, ino);
        unlink(first, 1, "file");
        open(opener, 0, ino).unwrap();
        open(opener, 1, ino).unwrap();
        close(opener, 1, ino);
        assert!(read(opener, 1, ino, 0, LENGTH).unwrap() == pattern(round as u64, LENGTH));
        close(opener, 0, ino);
    }
    second.stop().unwrap();
    wait_until("all objects are deleted", || mounts.store.count() == 0);
    mounts.first.stop().unwrap();
}

#[test]
fn a_write_brings_a_time_in_the_future_back_though_the_file_is_looked_at_again_before_its_commit() {
    let mounts = Mounts::new();
    let (first, second) = (&mounts.first, mounts.another());
    let ino = create_open(first, 0, "file");
    let future = crate::NewTime::At(shoal_types::Timestamp::new(2_000_000_000_000, 0));
    let changes = AttributeChanges { mtime: Some(future), ..AttributeChanges::default() };
    on(first, 0, move |local| async move { local.set_attributes(ino, changes).await }).unwrap();
    write(first, 0, ino, 0, vec![1; 10]).unwrap();
    // A foreign change makes an opener look at the store.
    create_open(&second, 0, "other");
    open(first, 1, ino).unwrap();
    flush(first, 0, ino).unwrap();
    let written = on(first, 0, move |local| async move { local.get_attributes(ino).await }).unwrap();
    assert!(written.mtime <= crate::shared::now(), "{:?}", written.mtime);
    second.stop().unwrap();
    mounts.first.stop().unwrap();
}

#[test]
fn names_made_by_one_mount_are_seen_by_the_other_at_once() {
    let mounts = Mounts::new();
    let (first, second) = (&mounts.first, mounts.another());
    for round in 0..30 {
        let (maker, other) = if round % 2 == 0 { (first, &second) } else { (&second, first) };
        assert_eq!(lookup(other, 0, "file").unwrap_err(), Errno::ENOENT);
        let ino = create_open(maker, 0, "file");
        close(maker, 0, ino);
        assert_eq!(lookup(other, 0, "file").unwrap().ino, ino);
        assert_eq!(lookup(other, 1, "file").unwrap().nlink, 1);
        unlink(other, 1, "file");
        assert_eq!(lookup(maker, 0, "file").unwrap_err(), Errno::ENOENT);
    }
    second.stop().unwrap();
    mounts.first.stop().unwrap();
}

#[test]
fn a_strict_mount_gives_its_kernel_time_outs_only_while_it_is_alone() {
    let mounts = Mounts::of(Consistency::Strict);
    let first = &mounts.first;
    let second = KernelTimeouts { attributes: Duration::from_secs(1), entries: Duration::from_secs(1) };
    wait_until("the first mount knows that it is alone", || timeouts(first) == second);
    let ino = create_open(first, 0, "file");
    assert!(open(first, 0, ino).unwrap().keep_cache);
    let before = Instant::now();
    let other = mounts.another();
    assert!(before.elapsed() >= second.longest(), "the newcomer waits for what the first has promised");
    assert_eq!(timeouts(first), KernelTimeouts::default());
    assert_eq!(timeouts(&other), KernelTimeouts::default());
    // The newcomer has changed something (itself), so pages from before are looked at again, once.
    assert!(!open(first, 0, ino).unwrap().keep_cache);
    other.stop().unwrap();
    wait_until("the first mount knows that it is alone again", || timeouts(first) == second);
    mounts.first.stop().unwrap();
}

#[test]
fn a_coherent_mount_gives_time_outs_while_others_live_but_not_about_what_they_have_just_changed() {
    let mounts = Mounts::new();
    let (first, second) = (&mounts.first, mounts.another());
    let told = |volume: &Shards, ino| {
        on(volume, 1, move |local| async move { local.timeouts((ino, FileKind::Directory), None) }).attributes
    };
    for volume in [first, &second] {
        wait_until("the feed is read", || told(volume, Ino(1 << 40)) > Duration::ZERO);
    }
    let ino = create_open(first, 0, "file");
    wait_until("the change is known", || told(&second, ino) == Duration::ZERO);
    wait_until("it's a while ago", || told(&second, ino) > Duration::ZERO);
    let missing = on(first, 0, |local| async move { local.missing_timeout() });
    assert_eq!(missing, Duration::ZERO, "what is missing may be there any moment");
    close(first, 0, ino);
    second.stop().unwrap();
    mounts.first.stop().unwrap();
}

#[test]
fn the_session_of_a_dead_process_is_ended_and_not_waited_for() {
    let kv = MemoryKv::new();
    let store = Arc::new(TestStore::new(0.0));
    format(&*kv);
    let config = config(kv.clone(), &store, 1);
    let metadata = Metadata::new(kv);
    let mut record = config.session.clone();
    record.pid = 1 << 30;
    metadata.run(MetaOp::RegisterSession(RegisterSession { record, now: crate::shared::now() }), Visible).unwrap();
    let volume = Shards::start(config).unwrap();
    let sessions = metadata.sessions().unwrap();
    assert_eq!(sessions.iter().map(|info| info.session).collect::<Vec<_>>(), [volume.session()]);
    volume.stop().unwrap();
    assert_eq!(metadata.sessions().unwrap(), []);
}

use shoal_kv::Durability::Visible;
