//! Files without a name: readable while open, gone for good afterwards.

use super::*;
use crate::RenameFlags;
use shoal_kv::Durability;
use shoal_metadata::{MetaOp, Unlink};

const LENGTH: usize = 300 << 10;

fn stored_file(volume: &Shards, called: &str, seed: u64) -> Ino {
    let ino = create_open(volume, 0, called);
    write(volume, 0, ino, 0, pattern(seed, LENGTH)).unwrap();
    flush(volume, 0, ino).unwrap();
    ino
}

#[test]
fn objects_of_removed_files_are_deleted() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    for number in 0..20 {
        let ino = stored_file(&volume, &number.to_string(), number);
        close(&volume, 1, ino);
    }
    assert!(store.count() >= 20);
    (0..20).for_each(|number| unlink(&volume, number % 2, &number.to_string()));
    wait_until("all objects are deleted", || store.count() == 0);
    let accounts = on(&volume, 0, |local| async move { local.quotas_of(Ino::ROOT).await }).unwrap();
    assert_eq!(accounts[0].usage.bytes, 0);
    volume.stop().unwrap();
}

#[test]
fn a_removed_file_can_be_read_and_written_until_it_is_closed() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = stored_file(&volume, "open", 1);
    unlink(&volume, 1, "open");
    assert_eq!(lookup(&volume, 0, "open").unwrap_err(), Errno::ENOENT);
    assert!(read(&volume, 1, ino, 0, LENGTH).unwrap() == pattern(1, LENGTH));
    write(&volume, 1, ino, LENGTH as u64, pattern(2, LENGTH)).unwrap();
    flush(&volume, 0, ino).unwrap();
    assert!(read(&volume, 0, ino, LENGTH as u64, LENGTH).unwrap() == pattern(2, LENGTH));
    assert!(store.count() > 0);
    close(&volume, 1, ino);
    wait_until("its objects are deleted", || store.count() == 0);
    wait_until("the inode is gone", || {
        on(&volume, 0, move |local| async move { local.get_attributes(ino).await }).is_err()
    });
    assert_eq!(open(&volume, 1, ino).unwrap_err(), Errno::ENOENT);
    volume.stop().unwrap();
}

#[test]
fn renaming_over_an_open_file_keeps_the_old_content_readable() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let old = stored_file(&volume, "target", 1);
    let new = stored_file(&volume, "source", 2);
    on(&volume, 1, |local| async move {
        local.rename(Ino::ROOT, &name("source"), Ino::ROOT, &name("target"), RenameFlags::default()).await
    })
    .unwrap();
    assert_eq!(lookup(&volume, 0, "target").unwrap().ino, new);
    assert_eq!(lookup(&volume, 1, "source").unwrap_err(), Errno::ENOENT);
    assert!(read(&volume, 1, old, 0, LENGTH).unwrap() == pattern(1, LENGTH));
    let both = store.count();
    close(&volume, 0, old);
    wait_until("the old objects are deleted", || store.count() == both / 2);
    assert!(read(&volume, 1, new, 0, LENGTH).unwrap() == pattern(2, LENGTH));
    volume.stop().unwrap();
}

#[test]
fn buffered_bytes_of_a_removed_file_give_their_room_back() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 1);
    // Together far more than the budget.
    for number in 0..40 {
        let ino = create_open(&volume, 0, "temporary");
        write(&volume, 0, ino, 0, pattern(number, LENGTH)).unwrap();
        unlink(&volume, 0, "temporary");
        close(&volume, 0, ino);
    }
    let is_empty = || on(&volume, 0, |local| async move { local.write_budget.has_room(1 << 20) });
    wait_until("nothing is buffered", is_empty);
    volume.stop().unwrap();
}

/// As `volume`, for a front end that holds inodes until it forgets them.
fn holding_volume(store: &Arc<TestStore>) -> Shards {
    let kv = MemoryKv::new();
    format(&*kv);
    Shards::start(Config { holds_inodes: true, ..config(kv, store, 2) }).unwrap()
}

/// The front end is told of a new file.
fn known_file(volume: &Shards, called: &str, seed: u64) -> Ino {
    let ino = stored_file(volume, called, seed);
    note_lookup(volume, 1, ino);
    ino
}

fn note_lookup(volume: &Shards, shard: usize, ino: Ino) {
    on(volume, shard, move |local| async move { local.note_lookup(ino) });
}

fn forget(volume: &Shards, shard: usize, ino: Ino) {
    on(volume, shard, move |local| async move { local.forget(ino, 1) });
}

fn is_there(volume: &Shards, ino: Ino) -> bool {
    on(volume, 0, move |local| async move { local.get_attributes(ino).await }).is_ok()
}

fn is_queued(volume: &Shards, ino: Ino) -> bool {
    let look = move |metadata: &Metadata| metadata.queued_among(&[ino]);
    !on(volume, 0, move |local| async move { local.read_metadata(look).await }).unwrap().is_empty()
}

#[test]
fn a_removed_file_that_the_front_end_holds_can_be_opened_until_it_is_forgotten() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = holding_volume(&store);
    let ino = known_file(&volume, "held", 1);
    close(&volume, 0, ino);
    unlink(&volume, 1, "held");
    wait_until("the store keeps it", || {
        on(&volume, 0, |local| async move { local.shared.want_maintenance() });
        !is_queued(&volume, ino)
    });
    for shard in 0..2 {
        open(&volume, shard, ino).unwrap();
        assert!(read(&volume, shard, ino, 0, LENGTH).unwrap() == pattern(1, LENGTH));
        close(&volume, shard, ino);
    }
    assert!(is_there(&volume, ino));
    forget(&volume, 1, ino);
    wait_until("its objects are deleted", || store.count() == 0);
    wait_until("the inode is gone", || !is_there(&volume, ino));
    volume.stop().unwrap();
}

#[test]
fn a_file_removed_while_open_is_kept_after_its_close_until_it_is_forgotten() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = holding_volume(&store);
    let ino = known_file(&volume, "open", 1);
    unlink(&volume, 1, "open");
    close(&volume, 0, ino);
    let closed = move |local: Rc<Shard>| async move { local.shared.open_files.get(ino).is_none() };
    wait_until("its close has ended", || on(&volume, 0, closed));
    open(&volume, 1, ino).unwrap();
    assert!(read(&volume, 1, ino, 0, LENGTH).unwrap() == pattern(1, LENGTH));
    close(&volume, 1, ino);
    forget(&volume, 0, ino);
    wait_until("its objects are deleted", || store.count() == 0);
    volume.stop().unwrap();
}

/// The kernel forgets an inode and asks for it anew; what it says of the first time comes after the removal.
#[test]
fn a_forget_that_comes_late_takes_nothing_from_who_holds_a_removed_file() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = holding_volume(&store);
    let ino = known_file(&volume, "held", 1);
    close(&volume, 0, ino);
    note_lookup(&volume, 0, ino);
    unlink(&volume, 1, "held");
    forget(&volume, 0, ino);
    wait_until("the store keeps it", || {
        on(&volume, 0, |local| async move { local.shared.want_maintenance() });
        !is_queued(&volume, ino)
    });
    assert!(is_there(&volume, ino));
    forget(&volume, 1, ino);
    wait_until("the inode is gone", || !is_there(&volume, ino));
    volume.stop().unwrap();
}

/// Maintenance runs between the commit that takes the last name and what the shard does after it.
#[test]
fn a_held_file_is_not_given_up_while_its_removal_is_under_way() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = holding_volume(&store);
    let [held, other] = ["held", "other"].map(|called| stored_file(&volume, called, 1));
    note_lookup(&volume, 0, held);
    [held, other].into_iter().for_each(|ino| close(&volume, 0, ino));
    let (committed, go_on) = (mpsc::channel(), mpsc::channel::<()>());
    volume.run(0, move |local| {
        let local = local.clone();
        shoal_runtime::spawn(async move {
            let _removal = local.shared.held.begin_removal(held);
            let unlink = |called| {
                let session = local.shared.session;
                let now = crate::shared::now();
                MetaOp::Unlink(Unlink { parent: Ino::ROOT, name: name(called), open: Vec::new(), session, now })
            };
            local.mutate(unlink("held"), Durability::Visible).await.unwrap();
            local.mutate(unlink("other"), Durability::Visible).await.unwrap();
            local.shared.want_maintenance();
            committed.0.send(()).unwrap();
            while go_on.1.try_recv() == Err(mpsc::TryRecvError::Empty) {
                shoal_runtime::yield_now().await;
            }
            local.shared.held.put(held);
        });
    });
    committed.1.recv_timeout(Duration::from_secs(60)).unwrap();
    wait_until("what nobody holds is gone", || !is_there(&volume, other));
    assert!(is_there(&volume, held));
    go_on.0.send(()).unwrap();
    forget(&volume, 1, held);
    wait_until("the inode is gone", || !is_there(&volume, held));
    volume.stop().unwrap();
}

#[test]
fn removed_files_that_the_front_end_forgets_go() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = holding_volume(&store);
    for number in 0..100 {
        let ino = known_file(&volume, "short-lived", number);
        close(&volume, 1, ino);
        unlink(&volume, 0, "short-lived");
        forget(&volume, 1, ino);
    }
    wait_until("all objects are deleted", || store.count() == 0);
    volume.stop().unwrap();
}
