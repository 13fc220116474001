//! A volume that keeps what is removed, as a mount serves it.

use super::*;
use crate::RenameFlags;
use shoal_kv::Durability;
use shoal_kv_sqlite::SqliteKv;
use shoal_metadata::{FormatOptions, MetaOp, RegisterSession, TrashName, Unlink, check};
use shoal_types::Timestamp;

const LENGTH: usize = 300 << 10;

/// Each mount has an engine of its own.
struct Place(tempfile::TempDir);

impl Place {
    fn keeping(days: u32) -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        let (kv, now) = (SqliteKv::open(&place.database(), true).unwrap(), crate::shared::now());
        let options = FormatOptions { trash_days: days, ..Default::default() };
        Metadata::format_with(&*kv, &settings(), &options, (0, 0), now).unwrap();
        place
    }

    fn database(&self) -> std::path::PathBuf {
        self.0.path().join("volume.db")
    }

    fn kv(&self) -> Arc<dyn Kv> {
        SqliteKv::open(&self.database(), false).unwrap()
    }

    fn mount(&self, store: &Arc<TestStore>, shards: usize) -> Shards {
        Shards::start(config(self.kv(), store, shards)).unwrap()
    }

    fn assert_clean(&self) {
        let report = check::run(&Metadata::new(self.kv()), &mut |_| {}).unwrap();
        assert!(report.is_clean(), "{:#?}", report.findings);
    }
}

fn names(volume: &Shards, directory: Ino) -> Vec<Name> {
    let page = on(volume, 0, move |local| async move { local.read_directory(directory, 0, 1000, true).await });
    page.unwrap().entries.into_iter().map(|entry| entry.name).collect()
}

/// The only hour there is, and what is in it.
fn hour(volume: &Shards) -> (Ino, Vec<Name>) {
    let trash = lookup(volume, 0, ".trash").unwrap().ino;
    let [hour] = names(volume, trash).try_into().expect("no test lasts longer than an hour");
    let found = on(volume, 1, move |local| async move { local.lookup(trash, &hour).await }).unwrap();
    (found.ino, names(volume, found.ino))
}

fn remove_tree(volume: &Shards, called: &str, keep: bool) -> FsResult<()> {
    let ino = lookup(volume, 0, called)?.ino;
    let called = name(called);
    on(volume, 1, move |local| async move { local.remove_tree(Ino::ROOT, &called, ino, keep).await })
}

#[test]
fn a_removed_file_can_be_read_in_the_trash_and_taken_back_with_its_bytes() {
    let place = Place::keeping(1);
    let store = Arc::new(TestStore::new(0.0));
    let volume = place.mount(&store, 2);
    assert_eq!(names(&volume, lookup(&volume, 0, ".trash").unwrap().ino), []);
    assert_eq!(names(&volume, Ino::ROOT), [], "it is not listed");
    let ino = create_open(&volume, 0, "a");
    write(&volume, 0, ino, 0, pattern(1, LENGTH)).unwrap();
    unlink(&volume, 1, "a");
    assert_eq!(lookup(&volume, 0, "a").unwrap_err(), Errno::ENOENT);
    write(&volume, 0, ino, LENGTH as u64, pattern(2, 10)).unwrap();
    flush(&volume, 0, ino).unwrap();
    let nlink = on(&volume, 0, move |local| async move { local.get_attributes(ino).await }).unwrap().nlink;
    assert_eq!(nlink, 0, "who has it open sees no name");
    close(&volume, 0, ino);
    let (hour, kept) = hour(&volume);
    assert_eq!(kept, [TrashName::new(Ino::ROOT, ino, &name("a")).name]);
    open(&volume, 1, ino).unwrap();
    assert!(read(&volume, 1, ino, 0, LENGTH).unwrap() == pattern(1, LENGTH));
    close(&volume, 1, ino);
    let from = kept[0].clone();
    on(&volume, 0, move |local| async move {
        local.rename(hour, &from, Ino::ROOT, &name("b"), RenameFlags::default()).await
    })
    .unwrap();
    let back = lookup(&volume, 1, "b").unwrap();
    assert_eq!((back.nlink, back.length), (1, LENGTH as u64 + 10));
    assert_eq!(names(&volume, hour), []);
    volume.stop().unwrap();
    place.assert_clean();
}

#[test]
fn what_is_removed_in_the_trash_gives_its_objects_back() {
    let place = Place::keeping(1);
    let store = Arc::new(TestStore::new(0.0));
    let volume = place.mount(&store, 2);
    let ino = create_open(&volume, 0, "a");
    write(&volume, 0, ino, 0, pattern(1, LENGTH)).unwrap();
    flush(&volume, 0, ino).unwrap();
    close(&volume, 0, ino);
    unlink(&volume, 1, "a");
    let (hour, kept) = hour(&volume);
    assert!(store.count() > 0);
    let entry = kept[0].clone();
    on(&volume, 1, move |local| async move { local.unlink(hour, &entry).await }).unwrap();
    wait_until("its objects are deleted", || store.count() == 0);
    volume.stop().unwrap();
    place.assert_clean();
}

#[test]
fn any_mount_removes_what_has_been_in_the_trash_for_its_days() {
    let place = Place::keeping(2);
    let store = Arc::new(TestStore::new(0.0));
    let first = place.mount(&store, 2);
    for called in ["old", "older", "young"] {
        let ino = create_open(&first, 0, called);
        write(&first, 0, ino, 0, pattern(1, LENGTH)).unwrap();
        flush(&first, 0, ino).unwrap();
        close(&first, 0, ino);
    }
    first.stop().unwrap();
    let metadata = Metadata::new(place.kv());
    let registration = RegisterSession { record: config(place.kv(), &store, 1).session, now: crate::shared::now() };
    let registered = metadata.run(MetaOp::RegisterSession(registration), Durability::Visible).unwrap();
    let session = registered.into_registered().unwrap();
    let now = crate::shared::now().seconds;
    for (called, hours_ago) in [("old", 50), ("older", 500), ("young", 46)] {
        let (name, removed) = (name(called), Timestamp::new(now - hours_ago * 3600, 0));
        let unlink = Unlink { parent: Ino::ROOT, name, open: vec![], session, now: removed };
        metadata.run(MetaOp::Unlink(unlink), Durability::Visible).unwrap();
    }
    crate::session::end(&metadata, session).unwrap();
    let per_file = store.count() / 3;
    let second = place.mount(&store, 2);
    wait_until("two of three are gone", || store.count() == per_file);
    assert_eq!(names(&second, Ino::TRASH).len(), 1);
    second.stop().unwrap();
    place.assert_clean();
}

#[test]
fn a_large_tree_goes_in_the_background_while_its_mount_serves_and_another_finishes_it() {
    let place = Place::keeping(0);
    let store = Arc::new(TestStore::new(0.0));
    let volume = place.mount(&store, 2);
    on(&volume, 0, |local| async move {
        let top = local.create(Ino::ROOT, &name("top"), new(FileKind::Directory)).await.unwrap().ino;
        for directory in 0..10 {
            let sub = local.create(top, &name(&directory.to_string()), new(FileKind::Directory)).await.unwrap().ino;
            for file in 0..300 {
                local.create(sub, &name(&file.to_string()), new(FileKind::Regular)).await.unwrap();
            }
        }
    });
    let kept = create_open(&volume, 0, "kept");
    write(&volume, 0, kept, 0, pattern(1, LENGTH)).unwrap();
    remove_tree(&volume, "top", true).unwrap();
    assert_eq!(lookup(&volume, 0, "top").unwrap_err(), Errno::ENOENT);
    assert_eq!(names(&volume, Ino::ROOT), [name("kept")]);
    assert_eq!(remove_tree(&volume, "kept", true).unwrap_err(), Errno::ENOTDIR);
    // Ended wherever the removal is just then.
    volume.stop().unwrap();
    place.assert_clean();
    let other = place.mount(&store, 1);
    let metadata = Metadata::new(place.kv());
    let inodes = || metadata.usage().unwrap().inodes;
    wait_until("only the root and a file are left", || inodes() == 2);
    other.stop().unwrap();
    place.assert_clean();
}
