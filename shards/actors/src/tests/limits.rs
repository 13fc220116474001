//! Limits as programs meet them: at the write, and where somebody else was faster at the flush, once.

use super::*;
use shoal_kv::Durability;
use shoal_metadata::{Account, Limits, MetaOp, SetQuota, check};

const LIMIT: u64 = 1 << 20;
const PIECE: usize = 48 << 10;

fn limit(volume: &Shards, bytes: u64) {
    let limits = Limits { bytes: Some(bytes), inodes: None };
    let set = MetaOp::SetQuota(SetQuota { account: Account::Volume, limits });
    on(volume, 0, |local| async move { local.shared.metadata.run(set, Durability::Visible) }).unwrap();
}

fn used(volume: &Shards) -> u64 {
    on(volume, 0, |local| async move { local.quotas_of(Ino::ROOT).await }).unwrap()[0].usage.bytes
}

/// Writes at the end until there is no room; how much was taken, and what the refusal was.
fn fill(volume: &Shards, ino: Ino) -> (u64, Errno) {
    let mut length = 0;
    loop {
        match write(volume, 0, ino, length, pattern(length, PIECE)) {
            Ok(written) => length += u64::from(written),
            Err(errno) => return (length, errno),
        }
    }
}

#[test]
fn writers_stop_at_the_limit_and_everything_they_were_told_is_stored() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    limit(&volume, LIMIT);
    let files: Vec<Ino> = (0..8).map(|number| create_open(&volume, number % 2, &number.to_string())).collect();
    let filled: Vec<(u64, Errno)> = std::thread::scope(|scope| {
        let volume = &volume;
        let writers: Vec<_> = files.iter().map(|ino| scope.spawn(|| fill(volume, *ino))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert!(filled.iter().all(|(_, errno)| *errno == Errno::ENOSPC), "{filled:?}");
    let taken: u64 = filled.iter().map(|(length, _)| length).sum();
    for ino in &files {
        flush(&volume, 0, *ino).unwrap();
    }
    assert_eq!(used(&volume), taken);
    assert!(taken <= LIMIT && taken > LIMIT * 3 / 4, "{taken}");
    // A program that goes on gets what has been left, and no more.
    let (last, _) = (0..).map(|_| fill_from(&volume, files[0], filled[0].0)).find(|(taken, _)| *taken == 0).unwrap();
    assert_eq!((last, used(&volume)), (0, LIMIT));
    truncate(&volume, 0, files[1], 0).unwrap();
    assert!(write(&volume, 1, files[1], 0, pattern(1, 100)).is_ok(), "what is given back can be had again");
    flush(&volume, 0, files[1]).unwrap();
    volume.stop().unwrap();
}

/// As `fill`, from behind what has been written; tells how much came to it.
fn fill_from(volume: &Shards, ino: Ino, length: u64) -> (u64, Errno) {
    let mut taken = 0;
    let end = length_of(volume, 0, ino).max(length);
    loop {
        match write(volume, 0, ino, end + taken, pattern(taken, PIECE)) {
            Ok(written) => taken += u64::from(written),
            Err(errno) => {
                flush(volume, 0, ino).unwrap();
                return (taken, errno);
            }
        }
    }
}

#[test]
fn bytes_that_no_longer_fit_are_dropped_and_the_next_flush_says_so_once() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "file");
    write(&volume, 0, ino, 0, pattern(1, 5000)).unwrap();
    flush(&volume, 0, ino).unwrap();
    // Less than a block, which would be stored at once.
    write(&volume, 0, ino, 5000, pattern(2, 60_000)).unwrap();
    limit(&volume, 5000);
    assert_eq!(flush(&volume, 1, ino), Err(Errno::ENOSPC));
    assert_eq!(flush(&volume, 0, ino), Ok(()), "told once");
    assert_eq!(length_of(&volume, 0, ino), 5000);
    assert!(read(&volume, 1, ino, 0, 10_000).unwrap() == pattern(1, 5000));
    wait_until("what was stored in vain is deleted", || store.count() <= 1);
    limit(&volume, 1 << 20);
    // Whether there are limits, and which, is looked at once in a while.
    wait_until("the new limit is known", || write(&volume, 0, ino, 5000, pattern(3, 10)).is_ok());
    assert_eq!(fsync(&volume, 0, ino), Ok(()));
    let metadata = on(&volume, 0, |local| async move { local.shared.metadata.clone() });
    for check in check::accounts(&metadata, &mut |_| {}).unwrap() {
        assert_eq!(check.recorded, check.counted);
    }
    volume.stop().unwrap();
}
