//! Cases of the namespace that need more than the oracle knows: sessions, the removal queue, times, damage.

use crate::support::*;
use shoal_kv::{Durability, Kv, MemoryKv, Verdict};
use shoal_metadata::keys::Key;
use shoal_metadata::records::{Dirent, Identity};
use shoal_metadata::{EndSession, MetaError, MetaOp, MetaReply, Metadata, RemoveInode, Removed, Rename, Renamed};
use shoal_types::{Errno, FileKind, Ino, Timestamp, Whiteout};
use std::sync::Arc;

fn refused<T>(errno: Errno) -> Result<T, MetaError> {
    Err(MetaError::Refused(errno))
}

/// Writes what no operation would.
fn put(kv: &Arc<dyn Kv>, key: Vec<u8>, value: Vec<u8>) {
    let write = move |transaction: &mut dyn shoal_kv::Transaction, _| {
        transaction.put(&key, &value);
        Ok(((), Verdict::Commit))
    };
    kv.transact(Durability::Visible, write).unwrap();
}

#[test]
fn a_volume_is_found_once_it_is_made_and_made_only_once() {
    let kv = MemoryKv::new();
    assert_eq!(Metadata::find(kv.as_ref()), Ok(None));
    Metadata::format(kv.as_ref(), &settings(), (7, 8), at(5)).unwrap();
    assert_eq!(Metadata::find(kv.as_ref()), Ok(Some(settings())));
    assert_eq!(Metadata::format(kv.as_ref(), &settings(), (9, 9), at(6)), refused(Errno::EEXIST));
    let root = Metadata::new(kv).get_attributes(Ino::ROOT).unwrap();
    assert_eq!((root.kind, root.mode, root.uid, root.gid, root.nlink), (FileKind::Directory, 0o755, 7, 8, 2));
    assert_eq!((root.mtime, root.btime), (at(5), at(5)));
}

#[test]
fn the_first_inode_handed_out_is_2() {
    assert_eq!(volume(MemoryKv::new()).first_ino, 2);
}

#[test]
fn a_session_that_has_ended_changes_no_names() {
    let mount = volume(MemoryKv::new());
    mount.create(1, "f", 2, FileKind::Regular).unwrap();
    mount.create(1, "d", 3, FileKind::Directory).unwrap();
    let end = EndSession { session: mount.session, if_silent_since: None, now: at(2) };
    while !mount.run(MetaOp::EndSession(end.clone())).unwrap().into_ended().unwrap() {}
    assert_eq!(mount.create(1, "g", 4, FileKind::Regular), refused(Errno::ESTALE));
    assert_eq!(mount.link(2, 1, "g"), refused(Errno::ESTALE));
    assert_eq!(mount.unlink(1, "f", &[]), refused(Errno::ESTALE));
    assert_eq!(mount.rmdir(1, "d", &[]), refused(Errno::ESTALE));
    assert_eq!(mount.rename((1, "f"), (1, "g")), refused(Errno::ESTALE));
    assert_eq!(mount.set_mtime(2, at(9), at(9)), refused(Errno::ESTALE));
    mount.assert_sound();
}

#[test]
fn an_inode_of_any_kind_without_names_waits_in_the_removal_queue() {
    use FileKind::*;
    let mount = volume(MemoryKv::new());
    let kinds = [Regular, Directory, Symlink, Fifo, Socket, CharDevice, BlockDevice];
    for (ino, kind) in (2..).zip(kinds) {
        mount.create(1, "x", ino, kind).unwrap();
        let removed = if kind == Directory { mount.rmdir(1, "x", &[]) } else { mount.unlink(1, "x", &[]) };
        assert_eq!(removed, Ok(MetaReply::Removed(Removed { ino: Ino(ino), last: true, sustained: false })));
        assert_eq!(mount.metadata.get_attributes(Ino(ino)).map(|left| left.nlink), Ok(0));
        let queued = mount.metadata.queued_removals(u64::MAX, 10).unwrap();
        assert_eq!(queued.iter().map(|queued| queued.ino).collect::<Vec<_>>(), [Ino(ino)]);
        assert_eq!(mount.metadata.usage().unwrap().inodes, 2, "the root, and what waits for its removal");
        mount.assert_sound();
        let step = RemoveInode { queued_at: queued[0].queued_at, ino: Ino(ino), delete_at: at(6) };
        mount.run(MetaOp::RemoveInode(step)).unwrap();
        assert_eq!(mount.metadata.get_attributes(Ino(ino)).map(drop), refused(Errno::ENOENT));
        assert_eq!(mount.metadata.usage().unwrap().inodes, 1);
        mount.assert_sound();
    }
}

#[test]
fn an_open_inode_of_any_kind_is_sustained() {
    let mount = volume(MemoryKv::new());
    mount.create(1, "d", 2, FileKind::Directory).unwrap();
    mount.create(1, "p", 3, FileKind::Fifo).unwrap();
    let sustained = |ino| Ok(MetaReply::Removed(Removed { ino: Ino(ino), last: true, sustained: true }));
    assert_eq!(mount.rmdir(1, "d", &[Ino(9), Ino(2)]), sustained(2));
    assert_eq!(mount.unlink(1, "p", &[Ino(3)]), sustained(3));
    assert!(mount.metadata.queued_removals(u64::MAX, 10).unwrap().is_empty());
    assert!(mount.metadata.read_directory(Ino(2), 0, 10, true).unwrap().entries.is_empty());
    assert_eq!(mount.create(2, "f", 4, FileKind::Regular), refused(Errno::ENOENT));
    assert_eq!(mount.rename((1, "none"), (2, "f")), refused(Errno::ENOENT));
    mount.assert_sound();
}

#[test]
fn a_set_mtime_holds_until_the_content_changes_and_then_moves_even_backwards() {
    let mount = volume(MemoryKv::new());
    let far = Timestamp::new(4_000_000_000, 7);
    mount.create(1, "a", 2, FileKind::Regular).unwrap();
    let root = mount.set_mtime(1, far, at(2)).unwrap();
    assert_eq!((root.mtime, root.ctime), (far, at(2)));
    mount.unlink(1, "a", &[]).unwrap();
    let root = mount.metadata.get_attributes(Ino::ROOT).unwrap();
    assert_eq!((root.mtime, root.ctime), (at(3), at(3)));
    let before_the_epoch = Timestamp::new(-5, 5);
    assert_eq!(mount.set_mtime(1, before_the_epoch, at(4)).unwrap().mtime, before_the_epoch);
}

#[test]
fn the_last_countable_link_is_refused() {
    let kv: Arc<dyn Kv> = MemoryKv::new();
    let mount = volume(kv.clone());
    let full = Identity { nlink: i32::MAX as u32, ..Identity::new(FileKind::Regular, Ino::ROOT, at(0)) };
    put(&kv, Key::Identity(Ino(2)).encode(), full.encode());
    assert_eq!(mount.link(2, 1, "one too many"), refused(Errno::EMLINK));
}

#[test]
fn a_name_without_its_inode_is_told_as_damage_and_not_as_absence() {
    let kv: Arc<dyn Kv> = MemoryKv::new();
    let mount = volume(kv.clone());
    let dangling = Dirent { ino: Ino(99), kind: FileKind::Regular };
    put(&kv, Key::dirent(Ino::ROOT, &name("ghost")).encode(), dangling.encode());
    let error = mount.metadata.lookup(Ino::ROOT, &name("ghost")).unwrap_err();
    assert!(error.to_string().contains("ghost") && error.errno() == Errno::EIO, "{error}");
    assert_eq!(mount.unlink(1, "ghost", &[]).unwrap_err().errno(), Errno::EIO);
    let listed = mount.metadata.read_directory(Ino::ROOT, 0, 10, true).unwrap().entries;
    assert_eq!(listed.iter().map(|entry| (entry.ino, &entry.attributes)).collect::<Vec<_>>(), [(Ino(99), &None)]);
}

#[test]
fn a_replaced_file_is_told_in_the_answer_with_its_fate() {
    let mount = volume(MemoryKv::new());
    mount.create(1, "new", 2, FileKind::Regular).unwrap();
    mount.create(1, "old", 3, FileKind::Regular).unwrap();
    mount.link(3, 1, "other").unwrap();
    let answer = |last, sustained| {
        let replaced = Some(Removed { ino: Ino(3), last, sustained });
        Ok(MetaReply::Renamed(Renamed { moved: Ino(2), replaced }))
    };
    assert_eq!(mount.rename((1, "new"), (1, "old")), answer(false, false));
    let over_open = Rename { open: vec![Ino(3)], ..mount.renaming((1, "old"), (1, "other")) };
    assert_eq!(mount.run(MetaOp::Rename(over_open)), answer(true, true));
    mount.assert_sound();
}

#[test]
fn a_whiteout_gets_the_group_of_a_setgid_directory() {
    let mount = volume(MemoryKv::new());
    let mut directory = mount.creation(1, "d", 2, FileKind::Directory);
    (directory.mode, directory.gid) = (0o2755, 50);
    mount.run(MetaOp::Create(directory)).unwrap();
    mount.create(2, "f", 3, FileKind::Regular).unwrap();
    let rename =
        Rename { whiteout: Some(Whiteout { ino: Ino(4), uid: 7, gid: 8 }), ..mount.renaming((2, "f"), (1, "f")) };
    mount.run(MetaOp::Rename(rename)).unwrap();
    let whiteout = mount.metadata.lookup(Ino(2), &name("f")).unwrap();
    assert_eq!(
        (whiteout.ino, whiteout.kind, whiteout.uid, whiteout.gid, whiteout.mode, whiteout.rdev),
        (Ino(4), FileKind::CharDevice, 7, 50, 0, 0)
    );
    mount.assert_sound();
}
