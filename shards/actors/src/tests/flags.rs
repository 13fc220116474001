//! Flags that users set, as far as shards have a part in them.

use super::*;
use shoal_kv::{MemoryOptions, MemoryStore};
use shoal_types::InodeFlags;

const LENGTH: usize = 300 << 10;

fn set_flags(volume: &Shards, shard: usize, ino: Ino, flags: InodeFlags) -> FsResult<Attributes> {
    on(volume, shard, move |local| async move { local.set_flags(ino, flags, InodeFlags::BY_USERS).await })
}

fn open_for(volume: &Shards, ino: Ino, access: Access) -> FsResult<()> {
    on(volume, 0, move |local| async move {
        local.open(ino, access, RemovedFiles::Opened).await?;
        local.close(ino).await;
        Ok(())
    })
}

fn append(volume: &Shards, shard: usize, ino: Ino, data: &'static [u8]) -> FsResult<u64> {
    on(volume, shard, move |local| async move {
        let (sender, receiver) = oneshot::channel();
        local.append(ino, Bytes::from_static(data), true, move |result| sender.send(result).unwrap()).await;
        receiver.await.unwrap_or(Err(Errno::EIO))
    })
}

#[test]
fn what_was_written_before_a_file_became_immutable_is_stored_and_nothing_after_it() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "file");
    write(&volume, 1, ino, 0, pattern(1, LENGTH)).unwrap();
    let set = set_flags(&volume, 1, ino, InodeFlags::IMMUTABLE).unwrap();
    assert_eq!((set.flags, set.length), (InodeFlags::IMMUTABLE, LENGTH as u64));
    for shard in 0..2 {
        assert_eq!(write(&volume, shard, ino, 0, b"x".to_vec()), Err(Errno::EPERM));
        assert_eq!(append(&volume, shard, ino, b"x"), Err(Errno::EPERM));
        assert_eq!(truncate(&volume, shard, ino, 0).map(drop), Err(Errno::EPERM));
    }
    assert_eq!(read(&volume, 0, ino, 0, LENGTH).unwrap(), pattern(1, LENGTH));
    set_flags(&volume, 0, ino, InodeFlags::default()).unwrap();
    write(&volume, 1, ino, 0, b"x".to_vec()).unwrap();
    flush(&volume, 0, ino).unwrap();
    volume.stop().unwrap();
}

#[test]
fn flags_decide_what_a_file_is_opened_for() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "file");
    let accesses = [(false, false), (true, false), (true, true)];
    let opened = || accesses.map(|(write, append)| open_for(&volume, ino, Access { write, append }).is_ok());
    assert_eq!(opened(), [true; 3]);
    set_flags(&volume, 0, ino, InodeFlags::APPEND_ONLY).unwrap();
    assert_eq!(opened(), [true, false, true]);
    set_flags(&volume, 0, ino, InodeFlags::IMMUTABLE).unwrap();
    assert_eq!(opened(), [true, false, false]);
    volume.stop().unwrap();
}

#[test]
fn an_append_only_file_that_is_open_already_is_not_written_over() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "file");
    write(&volume, 0, ino, 0, b"0123".to_vec()).unwrap();
    set_flags(&volume, 0, ino, InodeFlags::APPEND_ONLY).unwrap();
    assert_eq!(write(&volume, 1, ino, 3, b"x".to_vec()), Err(Errno::EPERM));
    write(&volume, 1, ino, 4, b"45".to_vec()).unwrap();
    assert_eq!(append(&volume, 0, ino, b"67"), Ok(6));
    let grow = Fallocation { what: Fallocate::Allocate, keep_length: false };
    fallocate(&volume, 0, ino, grow, 0, 9).unwrap();
    let punch = Fallocation { what: Fallocate::Punch, keep_length: true };
    assert_eq!(fallocate(&volume, 0, ino, punch, 0, 9), Err(Errno::EPERM));
    let source = create_open(&volume, 1, "source");
    write(&volume, 1, source, 0, b"source".to_vec()).unwrap();
    flush(&volume, 1, source).unwrap();
    assert_eq!(copy_range(&volume, 0, (source, 0), (ino, 0), 6), Err(Errno::EPERM));
    assert_eq!(copy_range(&volume, 0, (source, 0), (ino, 9), 6), Ok(6));
    assert_eq!(read(&volume, 0, ino, 0, 20).unwrap(), b"01234567\0source");
    volume.stop().unwrap();
}

#[test]
fn a_write_to_a_file_with_the_flag_for_it_is_durable_when_it_is_answered() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "file");
    set_flags(&volume, 0, ino, InodeFlags::SYNC).unwrap();
    write(&volume, 1, ino, 0, pattern(1, LENGTH)).unwrap();
    assert!(store.count() > 0, "it is stored");
    assert_eq!(store.unsynced(), 0, "and synced");
    assert_eq!(append(&volume, 1, ino, b"more"), Ok(LENGTH as u64));
    assert_eq!(store.unsynced(), 0);
    volume.stop().unwrap();
}

#[test]
fn a_tree_in_which_something_is_protected_is_not_removed_as_a_whole() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let directory = |called: &str, parent| {
        let called = name(called);
        on(&volume, 0, move |local| async move { local.create(parent, &called, new(FileKind::Directory)).await })
            .unwrap()
            .ino
    };
    let top = directory("top", Ino::ROOT);
    let below = directory("below", directory("middle", top));
    let remove =
        || on(&volume, 0, move |local| async move { local.remove_tree(Ino::ROOT, &name("top"), top, true).await });
    for flags in [InodeFlags::IMMUTABLE, InodeFlags::APPEND_ONLY] {
        for ino in [below, top] {
            set_flags(&volume, 1, ino, flags).unwrap();
            assert_eq!(remove(), Err(Errno::EPERM));
            set_flags(&volume, 1, ino, InodeFlags::default()).unwrap();
        }
    }
    remove().unwrap();
    assert_eq!(lookup(&volume, 0, "top").map(drop), Err(Errno::ENOENT));
    volume.stop().unwrap();
}

#[test]
fn what_another_mount_has_buffered_when_a_file_becomes_immutable_is_refused_and_its_writer_told() {
    let store = Arc::new(TestStore::new(0.0));
    let server = MemoryStore::new(MemoryOptions::default());
    format(&*server.client());
    // Each with a client of its own: changes of one are foreign to the other.
    let [first, second] = [(); 2].map(|()| Shards::start(config(server.client(), &store, 1)).unwrap());
    let ino = create_open(&first, 0, "file");
    write(&first, 0, ino, 0, b"before".to_vec()).unwrap();
    flush(&first, 0, ino).unwrap();
    write(&first, 0, ino, 0, b"BEFORE".to_vec()).unwrap();
    set_flags(&second, 0, ino, InodeFlags::IMMUTABLE).unwrap();
    assert_eq!(flush(&first, 0, ino), Err(Errno::EPERM));
    assert_eq!(flush(&first, 0, ino), Ok(()), "told once");
    assert_eq!(read(&first, 0, ino, 0, 9).unwrap(), b"before");
    assert_eq!(open_for(&first, ino, Access { write: true, ..Access::default() }), Err(Errno::EPERM));
    set_flags(&second, 0, ino, InodeFlags::default()).unwrap();
    open_for(&first, ino, Access { write: true, ..Access::default() }).unwrap();
    write(&first, 0, ino, 0, b"after!".to_vec()).unwrap();
    flush(&first, 0, ino).unwrap();
    first.stop().unwrap();
    second.stop().unwrap();
}
