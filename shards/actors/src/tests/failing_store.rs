//! What writers, flushes and the end of a mount do while the store fails.

use super::*;
use std::sync::atomic::Ordering::SeqCst;

const PIECE: usize = 100 << 10;
const PIECES: u64 = 200;

fn peak(volume: &Shards) -> usize {
    (0..volume.count()).map(|shard| on(volume, shard, |local| async move { local.write_buffer_peak() })).max().unwrap()
}

/// A task that writes ten times the budget, and the channel on which it tells its end.
fn start_writer(volume: &Shards, shard: usize, ino: Ino) -> mpsc::Receiver<FsResult<()>> {
    let (sender, receiver) = mpsc::channel();
    volume.run(shard, move |local| {
        let local = local.clone();
        shoal_runtime::spawn(async move {
            let mut result = Ok(());
            for number in 0..PIECES {
                let written = write_here(&local, ino, number * PIECE as u64, pattern(number, PIECE)).await;
                result = result.and(written.map(|_| ()));
            }
            sender.send(result).unwrap();
        });
    });
    receiver
}

fn check(volume: &Shards, ino: Ino) {
    for number in 0..PIECES {
        let found = read(volume, 0, ino, number * PIECE as u64, PIECE).unwrap();
        assert!(found == pattern(number, PIECE), "piece {number}");
    }
}

#[test]
fn writing_ten_times_the_budget_keeps_to_the_budget() {
    for shards in [1, 2] {
        let store = Arc::new(TestStore::new(0.0));
        let volume = volume(&store, shards);
        let ino = create_open(&volume, 0, "large");
        let writers: Vec<_> = (0..shards).map(|shard| start_writer(&volume, shard, ino)).collect();
        for writer in writers {
            assert_eq!(writer.recv_timeout(Duration::from_secs(120)), Ok(Ok(())));
        }
        assert!(peak(&volume) <= 1 << 20, "{} bytes were buffered at once", peak(&volume));
        assert_eq!(flush(&volume, 0, ino), Ok(()));
        check(&volume, ino);
        volume.stop().unwrap();
    }
}

#[test]
fn writers_wait_while_the_store_is_down_and_nothing_is_lost() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "large");
    store.down.store(true, SeqCst);
    let writer = start_writer(&volume, 1, ino);
    wait_until("an upload has failed", || store.failures.load(SeqCst) > 0);
    assert_eq!(flush(&volume, 1, ino), Err(Errno::EIO));
    assert_eq!(writer.try_recv(), Err(mpsc::TryRecvError::Empty));
    assert_eq!(store.count(), 0);
    // What was acknowledged is readable, though nothing of it is stored.
    assert!(read(&volume, 1, ino, 0, PIECE).unwrap() == pattern(0, PIECE));
    store.down.store(false, SeqCst);
    assert_eq!(writer.recv_timeout(Duration::from_secs(120)), Ok(Ok(())));
    assert_eq!(flush(&volume, 0, ino), Ok(()));
    assert!(peak(&volume) <= 1 << 20);
    check(&volume, ino);
    volume.stop().unwrap();
}

#[test]
fn the_end_of_a_mount_tells_what_could_not_be_stored() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "lost");
    store.down.store(true, SeqCst);
    write(&volume, 0, ino, 0, pattern(1, PIECE)).unwrap();
    close(&volume, 0, ino);
    assert_eq!(volume.stop(), Err(Errno::EIO));
}

#[test]
fn a_failed_truncation_keeps_what_it_would_have_cut_off() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 1);
    let ino = create_open(&volume, 0, "kept");
    store.down.store(true, SeqCst);
    write(&volume, 0, ino, 0, pattern(1, 20_000)).unwrap();
    assert_eq!(truncate(&volume, 0, ino, 10_000).unwrap_err(), Errno::EIO);
    assert!(read(&volume, 0, ino, 0, 1 << 20).unwrap() == pattern(1, 20_000));
    store.down.store(false, SeqCst);
    assert_eq!(truncate(&volume, 0, ino, 10_000).unwrap().length, 10_000);
    assert!(read(&volume, 0, ino, 0, 1 << 20).unwrap() == pattern(1, 20_000)[..10_000]);
    volume.stop().unwrap();
}

#[test]
fn a_mount_can_end_while_writers_still_wait() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let inodes: Vec<Ino> = (0..2).map(|shard| create_open(&volume, shard, &format!("file-{shard}"))).collect();
    inodes.iter().for_each(|ino| close(&volume, 0, *ino));
    store.down.store(true, SeqCst);
    let (sender, receiver) = mpsc::channel::<()>();
    for (shard, ino) in inodes.into_iter().enumerate() {
        let sender = sender.clone();
        volume.run(shard, move |local| {
            let local = local.clone();
            shoal_runtime::spawn(async move {
                let _until_the_end = sender;
                for number in 0..PIECES {
                    // What becomes of it is not the question here.
                    let _ = write_here(&local, ino, number * PIECE as u64, pattern(number, PIECE)).await;
                }
            });
        });
    }
    wait_until("an upload has failed", || store.failures.load(SeqCst) > 0);
    assert_eq!(volume.stop(), Err(Errno::EIO));
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn a_volume_that_stops_acknowledges_no_write_that_its_last_flush_has_missed() {
    let store = Arc::new(TestStore::new(0.0));
    let folder = tempfile::tempdir().unwrap();
    let kv = || shoal_kv_sqlite::SqliteKv::open(&folder.path().join("volume"), true).unwrap();
    format(&*kv());
    let volume = Shards::start(config(kv(), &store, 1)).unwrap();
    let ino = create_open(&volume, 0, "file");
    store.down.store(true, SeqCst);
    let filled = 1 << 20;
    write(&volume, 0, ino, 0, vec![1; filled]).unwrap();
    let (sender, late) = mpsc::channel();
    volume.run(0, move |local| {
        let local = local.clone();
        shoal_runtime::spawn(async move {
            sender.send(write_here(&local, ino, filled as u64, vec![2; 1000]).await).unwrap()
        });
    });
    // Behind it in the mailbox: by now it waits for room.
    assert_eq!(length_of(&volume, 0, ino), filled as u64);
    store.down.store(false, SeqCst);
    volume.stop().unwrap();
    let acknowledged = late.recv().is_ok_and(|written| written.is_ok());
    let volume = Shards::start(config(kv(), &store, 1)).unwrap();
    let length = length_of(&volume, 0, ino);
    assert_eq!(length, if acknowledged { filled as u64 + 1000 } else { filled as u64 });
    volume.stop().unwrap();
}
