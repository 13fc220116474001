//! fsync makes the whole file durable, whoever wrote it and whenever.

use super::*;

const LENGTH: usize = 300 << 10;

#[test]
fn fsync_after_closing_and_opening_again_syncs_what_was_written_before() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "file");
    write(&volume, 1, ino, 0, pattern(1, LENGTH)).unwrap();
    flush(&volume, 0, ino).unwrap();
    close(&volume, 0, ino);
    wait_until("the file is forgotten", || on(&volume, 0, |local| async move { local.shared.open_files.is_empty() }));
    assert!(store.unsynced() > 0);
    open(&volume, 1, ino).unwrap();
    fsync(&volume, 1, ino).unwrap();
    assert_eq!(store.unsynced(), 0);
    volume.stop().unwrap();
}

#[test]
fn fsync_syncs_what_another_run_left_unsynced() {
    let store = Arc::new(TestStore::new(0.0));
    let kv = MemoryKv::new();
    format(&*kv);
    let volume = Shards::start(config(kv.clone(), &store, 1)).unwrap();
    let ino = create_open(&volume, 0, "file");
    write(&volume, 0, ino, 0, pattern(1, LENGTH)).unwrap();
    close(&volume, 0, ino);
    on(&volume, 0, |_| async {});
    volume.flush_all().unwrap();
    assert!(store.unsynced() > 0);
    // As if it were another process: nothing of the first is asked.
    let second = Shards::start(config(kv, &store, 2)).unwrap();
    open(&second, 0, ino).unwrap();
    fsync(&second, 0, ino).unwrap();
    assert_eq!(store.unsynced(), 0);
    volume.stop().unwrap();
}

#[test]
fn fsync_reports_a_sync_that_failed_and_syncs_at_the_next_try() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 1);
    let ino = create_open(&volume, 0, "file");
    write(&volume, 0, ino, 0, pattern(1, LENGTH)).unwrap();
    flush(&volume, 0, ino).unwrap();
    store.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(fsync(&volume, 0, ino), Err(Errno::EIO));
    store.down.store(false, std::sync::atomic::Ordering::SeqCst);
    fsync(&volume, 0, ino).unwrap();
    assert_eq!(store.unsynced(), 0);
    volume.stop().unwrap();
}

#[test]
fn syncing_the_volume_syncs_what_is_buffered_and_what_was_closed_long_ago() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let closed = create_open(&volume, 0, "closed");
    write(&volume, 1, closed, 0, pattern(1, LENGTH)).unwrap();
    flush(&volume, 0, closed).unwrap();
    close(&volume, 0, closed);
    wait_until("the file is forgotten", || on(&volume, 0, |local| async move { local.shared.open_files.is_empty() }));
    let buffered: Vec<Ino> = (0..2).map(|shard| create_open(&volume, shard, &format!("buffered-{shard}"))).collect();
    for ino in buffered {
        write(&volume, 0, ino, 0, pattern(2, LENGTH)).unwrap();
    }
    on(&volume, 1, |local| async move { local.sync_volume().await }).unwrap();
    assert_eq!(store.unsynced(), 0);
    assert!(store.count() >= 3 * LENGTH / (64 << 10), "the buffered bytes are stored");
    volume.stop().unwrap();
}
