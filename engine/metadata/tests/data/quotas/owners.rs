//! Quotas of users and groups.

use super::*;
use crate::support::slice;
use shoal_metadata::{WriteInline, WriteSlices};

const USER: Account = Account::User(7);
const GROUP: Account = Account::Group(107);

#[test]
fn the_first_quota_counts_everything_that_is_there() {
    let volume = Volume::new();
    let mut files = Vec::new();
    for number in 0..600 {
        files.push(volume.try_create(Ino::ROOT, &format!("{number}"), FileKind::Regular, 7).unwrap());
    }
    volume.write_inline(files[3], 0, &[1; 100]);
    volume.start_quota(USER, inodes(1000)).unwrap();
    volume.run(MetaOp::WalkQuotas);
    volume.try_create(Ino::ROOT, "meanwhile", FileKind::Regular, 7).unwrap();
    volume.write_inline(files[599], 0, &[1; 10]);
    volume.write_inline(files[0], 0, &[1; 10]);
    volume.assert_counted();
    volume.run_steps(MetaOp::WalkQuotas);
    assert_eq!(volume.usage_of(USER), (120, 601));
    assert_eq!(volume.usage_of(GROUP), (120, 601), "groups are counted as well");
    assert_eq!(volume.usage_of(Account::User(0)), (0, 1), "the root directory is the superuser's");
    volume.assert_counted();
}

#[test]
fn limits_bind_users_and_not_the_superuser() {
    let volume = Volume::new();
    volume.set_quota(USER, Limits { bytes: Some(100), inodes: Some(2) });
    volume.set_quota(Account::User(0), inodes(1));
    let file = volume.try_create(Ino::ROOT, "a", FileKind::Regular, 7).unwrap();
    volume.try_create(Ino::ROOT, "b", FileKind::Regular, 7).unwrap();
    assert_eq!(volume.try_create(Ino::ROOT, "c", FileKind::Regular, 7), Err(EDQUOT));
    volume.try_create(Ino::ROOT, "c", FileKind::Regular, 8).unwrap();
    volume.try_create(Ino::ROOT, "d", FileKind::Regular, 0).unwrap();
    volume.try_write_inline(file, &[1; 100]).unwrap();
    assert_eq!(volume.try_write_inline(file, &[1; 101]), Err(EDQUOT));
    let write = WriteInline {
        ino: file,
        patches: vec![(0, vec![1; 101])],
        length_min: 0,
        inline_max: 4096,
        staging: Default::default(),
        mtime: at(3),
        exempt: true,
        session: volume.session,
    };
    volume.run(MetaOp::WriteInline(write));
    let object = volume.lease_object();
    let write = |exempt| {
        let chunks = vec![(0, vec![slice(0, 5000, object)])];
        let session = volume.session;
        let write = WriteSlices { ino: file, chunks, length: 5000, mtime: at(3), allocated: 5000, exempt, session };
        volume.try_run(MetaOp::WriteSlices(write))
    };
    assert_eq!(write(false), Err(EDQUOT));
    write(true).unwrap();
    assert_eq!(volume.usage_of(USER), (5101, 2), "the superuser's writes count for the owner of the file");
    volume.assert_counted();
}

#[test]
fn a_new_owner_takes_over_what_there_is() {
    let volume = Volume::new();
    volume.set_quota(USER, bytes(50));
    volume.set_quota(Account::Group(5), bytes(90));
    let file = volume.try_create(Ino::ROOT, "a", FileKind::Regular, 8).unwrap();
    volume.write_inline(file, 0, &[1; 100]);
    assert_eq!(volume.chown(file, Some(7), None, false), Err(EDQUOT));
    assert_eq!(volume.chown(file, None, Some(5), false), Err(EDQUOT));
    volume.chown(file, Some(7), Some(5), true).unwrap();
    assert_eq!((volume.usage_of(USER), volume.usage_of(Account::Group(5))), ((100, 1), (100, 1)));
    assert_eq!(volume.usage_of(Account::User(8)), (0, 0));
    volume.assert_counted();
    volume.unlink_in(Ino::ROOT, "a");
    volume.remove_queued();
    assert_eq!(volume.usage_of(USER), (0, 0));
    volume.assert_counted();
}

#[test]
fn with_the_last_quota_counting_ends_and_with_the_next_it_begins_anew() {
    let volume = Volume::new();
    let file = volume.try_create(Ino::ROOT, "a", FileKind::Regular, 7).unwrap();
    volume.set_quota(USER, bytes(50));
    volume.set_quota(GROUP, bytes(500));
    volume.delete_quota(USER);
    volume.write_inline(file, 0, &[1; 100]);
    assert_eq!(volume.usage_of(USER), (100, 1), "counted for the group's sake");
    volume.delete_quota(GROUP);
    assert!(!volume.metadata.accounting().unwrap().any);
    assert_eq!(volume.usage_of(USER), (0, 0), "nobody counts");
    volume.write_inline(file, 0, &[1; 200]);
    volume.try_create(Ino::ROOT, "b", FileKind::Regular, 7).unwrap();
    volume.assert_counted();
    volume.set_quota(USER, bytes(500));
    assert_eq!(volume.usage_of(USER), (200, 2));
    volume.assert_counted();
}

#[test]
fn a_session_that_begins_later_counts_too() {
    let kv = shoal_kv::MemoryKv::new();
    let volume = Volume::on(kv.clone());
    volume.set_quota(USER, inodes(1));
    volume.set_quota(Account::Volume, inodes(100));
    let later = Volume::join(kv);
    later.try_create(Ino::ROOT, "a", FileKind::Regular, 7).unwrap();
    assert_eq!(later.try_create(Ino::ROOT, "b", FileKind::Regular, 7), Err(EDQUOT));
    later.start_quota(Account::Volume, inodes(2)).unwrap();
    assert_eq!(later.try_create(Ino::ROOT, "b", FileKind::Regular, 8), Err(ENOSPC));
    later.assert_counted();
}
