//! Access times and extended attributes: noted or set on one shard, seen by all.

use super::*;
use crate::NewTime;
use shoal_types::{Timestamp, XattrMode, XattrName};

fn attributes(volume: &Shards, shard: usize, ino: Ino) -> Attributes {
    on(volume, shard, move |local| async move { local.get_attributes(ino).await }).unwrap()
}

fn access(volume: &Shards, shard: usize, ino: Ino) {
    on(volume, shard, move |local| async move {
        let attributes = local.get_attributes(ino).await?;
        local.note_access(&attributes);
        FsResult::Ok(())
    })
    .unwrap();
}

fn set_atime(volume: &Shards, shard: usize, ino: Ino, atime: Timestamp) {
    let changes = AttributeChanges { atime: Some(NewTime::At(atime)), ..AttributeChanges::default() };
    on(volume, shard, move |local| async move { local.set_attributes(ino, changes).await }).unwrap();
}

#[test]
fn an_access_is_shown_by_all_shards_at_once_and_stored_by_the_next_flush() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let past = Timestamp::new(1000, 5);
    let inos = ["read", "set"].map(|name| create_open(&volume, 0, name));
    for ino in inos {
        set_atime(&volume, 0, ino, past);
        access(&volume, 1, ino);
        for shard in 0..2 {
            assert!(attributes(&volume, shard, ino).atime > past);
        }
    }
    set_atime(&volume, 0, inos[1], past);
    assert_eq!(attributes(&volume, 1, inos[1]).atime, past, "set by hand after it was read");
    volume.flush_all().unwrap();
    assert!(attributes(&volume, 0, inos[0]).atime > past);
    assert_eq!(attributes(&volume, 0, inos[1]).atime, past, "what was noted before counts no more");
    volume.stop().unwrap();
}

#[test]
fn no_answer_takes_a_noted_access_back() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let past = Timestamp::new(1000, 5);
    let ino = create_open(&volume, 0, "file");
    set_atime(&volume, 0, ino, past);
    access(&volume, 1, ino);
    let noted = attributes(&volume, 0, ino).atime;
    assert!(noted > past);
    for shard in 0..2 {
        assert_eq!(truncate(&volume, shard, ino, 0).unwrap().atime, noted);
        let link = name(&format!("link{shard}"));
        let linked = on(&volume, shard, move |local| async move { local.link(ino, Ino::ROOT, &link).await });
        assert_eq!(linked.unwrap().atime, noted);
        let mode = AttributeChanges { mode: Some(0o600), ..AttributeChanges::default() };
        let changed = on(&volume, shard, move |local| async move { local.set_attributes(ino, mode).await });
        assert_eq!(changed.unwrap().atime, noted);
    }
    volume.stop().unwrap();
}

#[test]
fn an_attribute_set_on_one_shard_is_there_on_the_other_and_gone_when_removed() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "file");
    let name = XattrName::new(b"user.a").unwrap();
    let get = |shard: usize| {
        let name = name.clone();
        on(&volume, shard, move |local| async move { local.get_xattr(ino, &name).await })
    };
    for round in 0..20u8 {
        let (setter, remover) = (usize::from(round % 2), usize::from(round / 2 % 2));
        assert_eq!([get(0), get(1)], [Err(Errno::ENODATA), Err(Errno::ENODATA)]);
        let set = name.clone();
        on(&volume, setter, move |local| async move {
            local.set_xattr(ino, &set, &[round], XattrMode::Create, false).await
        })
        .unwrap();
        assert_eq!([get(0), get(1)], [Ok(vec![round]), Ok(vec![round])]);
        let removed = name.clone();
        on(&volume, remover, move |local| async move { local.remove_xattr(ino, &removed).await }).unwrap();
    }
    volume.stop().unwrap();
}
