//! Quotas of directories.

use super::*;
use crate::support::slice;
use shoal_kv::MemoryKv;
use shoal_metadata::{CopyRange, EndSession, Release, Rmdir, Unlink};

fn quota(ino: Ino) -> Account {
    Account::Directory(ino)
}

/// `/d` with `/d/e/f` of 100 inline bytes and `/d/g` of 5,000 in an object, and `/out`.
struct Tree {
    volume: Volume,
    d: Ino,
    e: Ino,
    f: Ino,
    g: Ino,
    out: Ino,
}

fn tree() -> Tree {
    let volume = Volume::new();
    let d = volume.directory(Ino::ROOT, "d");
    let e = volume.directory(d, "e");
    let f = volume.create(e, "f", FileKind::Regular);
    volume.write_inline(f, 0, &[1; 100]);
    let g = volume.create(d, "g", FileKind::Regular);
    let object = volume.lease_object();
    volume.write_slices(g, 0, &[slice(0, 5000, object)], 5000);
    let out = volume.directory(Ino::ROOT, "out");
    Tree { volume, d, e, f, g, out }
}

#[test]
fn a_new_quota_counts_what_is_there_and_then_what_comes() {
    let Tree { volume, d, e, f, .. } = tree();
    volume.start_quota(quota(d), bytes(10_000)).unwrap();
    assert_eq!(volume.state_of(quota(d)), Some(QuotaState::Counting));
    volume.run_steps(MetaOp::WalkQuotas);
    assert_eq!(volume.state_of(quota(d)), Some(QuotaState::Active));
    assert_eq!(volume.usage_of(quota(d)), (5100, 4), "the directory itself is one of the four");
    let h = volume.create(e, "h", FileKind::Regular);
    volume.write_inline(h, 0, &[2; 50]);
    assert_eq!(volume.usage_of(quota(d)), (5150, 5));
    volume.truncate(f, 10);
    assert_eq!(volume.usage_of(quota(d)), (5060, 5));
    volume.assert_counted();
}

#[test]
fn inodes_are_refused_beyond_the_limit_and_bytes_once_it_is_reached() {
    let Tree { volume, d, e, f, .. } = tree();
    volume.set_quota(quota(d), Limits { bytes: Some(5_150), inodes: Some(5) });
    let h = volume.try_create(e, "h", FileKind::Regular, 1).unwrap();
    for kind in [FileKind::Regular, FileKind::Directory, FileKind::Fifo] {
        assert_eq!(volume.try_create(d, "i", kind, 0), Err(EDQUOT), "the superuser too");
    }
    volume.link(h, d, "a second name").unwrap();
    let write = |ino, bytes: usize| volume.try_write_inline(ino, &vec![3; bytes]);
    write(h, 40).unwrap();
    write(h, 400).unwrap();
    assert_eq!(volume.usage_of(quota(d)), (5500, 5), "one write may go beyond, when the limit had not been reached");
    assert_eq!(write(h, 401), Err(EDQUOT));
    write(h, 399).unwrap();
    let object = volume.lease_object();
    assert_eq!(volume.try_write_slices(f, vec![(0, vec![slice(100, 1, object)])], 200), Err(EDQUOT));
    volume.truncate(h, 0);
    write(f, 120).unwrap();
    volume.start_quota(quota(d), bytes(6000)).unwrap();
    write(h, 400).unwrap();
    volume.try_create(d, "i", FileKind::Regular, 1).unwrap();
    volume.assert_counted();
}

#[test]
fn writing_over_what_is_there_needs_no_more_room() {
    let Tree { volume, d, g, .. } = tree();
    volume.set_quota(quota(d), bytes(5_100));
    let object = volume.lease_object();
    volume.write_slices(g, 0, &[slice(0, 5000, object)], 5000);
    assert_eq!(volume.usage_of(quota(d)).0, 5_100, "what was covered has been given back");
    let object = volume.lease_object();
    let beyond = volume.try_write_slices(g, vec![(0, vec![slice(1, 5000, object)])], 5001);
    assert_eq!(beyond, Err(EDQUOT), "a byte of the old slice shows still, so both stay");
    volume.assert_counted();
}

#[test]
fn what_is_copied_by_reference_counts_for_each_file() {
    let Tree { volume, d, f, g, .. } = tree();
    volume.set_quota(quota(d), bytes(8_000));
    let copy = |length| {
        let session = volume.session;
        let (source, target, source_offset, target_offset) = (g, f, 0, 200);
        let copy = CopyRange { source, source_offset, target, target_offset, length, session, now: at(6) };
        volume.try_run(MetaOp::CopyRange(copy))
    };
    assert_eq!(copy(3_000), Err(EDQUOT));
    copy(2_000).unwrap();
    assert_eq!(volume.usage_of(quota(d)), (7_100, 4));
    volume.assert_counted();
}

#[test]
fn each_quota_around_counts_and_limits() {
    let Tree { volume, d, e, f, .. } = tree();
    volume.set_quota(quota(e), inodes(3));
    volume.set_quota(quota(d), inodes(5));
    volume.set_quota(quota(Ino::ROOT), Limits::default());
    assert_eq!(volume.usage_of(quota(e)), (100, 2));
    assert_eq!(volume.usage_of(quota(d)), (5100, 4));
    assert_eq!(volume.usage_of(quota(Ino::ROOT)), (5100, 6));
    volume.create(e, "h", FileKind::Regular);
    assert_eq!(volume.try_create(e, "i", FileKind::Regular, 1), Err(EDQUOT), "the inner limit");
    volume.unlink_in(e, "h");
    volume.remove_queued();
    volume.create(d, "h", FileKind::Regular);
    assert_eq!(volume.try_create(e, "i", FileKind::Regular, 1), Err(EDQUOT), "the outer limit");
    let accounts: Vec<Account> = volume.metadata.quotas_of(f).unwrap().iter().map(|info| info.account).collect();
    assert_eq!(accounts, [Account::Volume, quota(e), quota(d), quota(Ino::ROOT)]);
    volume.assert_counted();
    // The one in the middle goes: the inner one stays in the outer one.
    volume.delete_quota(quota(d));
    assert_eq!(volume.state_of(quota(d)), None);
    let accounts: Vec<Account> = volume.metadata.quotas_of(f).unwrap().iter().map(|info| info.account).collect();
    assert_eq!(accounts, [Account::Volume, quota(e), quota(Ino::ROOT)]);
    volume.create(e, "i", FileKind::Regular);
    assert_eq!(volume.usage_of(quota(Ino::ROOT)), (5100, 8));
    volume.assert_counted();
}

#[test]
fn a_file_takes_its_usage_along_and_a_tree_does_not_move_between_quotas() {
    let Tree { volume, d, e, f, g, out } = tree();
    volume.set_quota(quota(d), Limits::default());
    volume.rename((d, "g"), (out, "g")).unwrap();
    assert_eq!(volume.usage_of(quota(d)), (100, 3));
    assert_eq!(volume.rename((d, "e"), (out, "e")), Err(EXDEV));
    volume.rename((d, "e"), (d, "e2")).unwrap();
    volume.set_quota(quota(out), bytes(5_050));
    assert_eq!(volume.usage_of(quota(out)), (5000, 2));
    assert_eq!(volume.rename((e, "f"), (out, "f")), Err(EDQUOT), "100 bytes more would be too many");
    volume.link(g, out, "g2").unwrap();
    assert_eq!(volume.rename((out, "g"), (d, "g")), Err(EXDEV), "its other name stays");
    assert_eq!(volume.link(f, out, "f"), Err(EXDEV));
    volume.unlink_in(out, "g2");
    volume.rename((out, "g"), (d, "g")).unwrap();
    volume.rename((e, "f"), (out, "f")).unwrap();
    volume.rename((d, "e2"), (out, "e")).unwrap();
    assert_eq!((volume.usage_of(quota(d)), volume.usage_of(quota(out))), ((5000, 2), (100, 3)));
    volume.set_quota(quota(e), Limits::default());
    assert_eq!(volume.rename((out, "e"), (d, "e")), Err(EXDEV), "the root of a quota stays where it counts");
    volume.rename((out, "e"), (out, "e2")).unwrap();
    volume.assert_counted();
}

#[test]
fn an_exchange_moves_both_ways() {
    let Tree { volume, d, out, .. } = tree();
    let small = volume.create(out, "small", FileKind::Regular);
    volume.write_inline(small, 0, &[1; 10]);
    volume.set_quota(quota(d), Limits::default());
    volume.set_quota(quota(out), bytes(4_000));
    let exchange = |from, to| {
        let mut rename = volume.renaming(from, to);
        rename.exchange = true;
        volume.try_run(MetaOp::Rename(rename))
    };
    assert_eq!(exchange((d, "g"), (out, "small")), Err(EDQUOT));
    volume.start_quota(quota(out), bytes(5_000)).unwrap();
    exchange((d, "g"), (out, "small")).unwrap();
    assert_eq!((volume.usage_of(quota(d)), volume.usage_of(quota(out))), ((110, 4), (5000, 2)));
    assert_eq!(exchange((d, "e"), (out, "small")), Err(EXDEV));
    volume.assert_counted();
}

#[test]
fn what_is_removed_counts_until_it_is_gone_even_when_the_directory_is_gone_before() {
    let Tree { volume, d, e, f, .. } = tree();
    volume.set_quota(quota(Ino::ROOT), Limits::default());
    volume.set_quota(quota(d), Limits::default());
    volume.set_quota(quota(e), Limits::default());
    let unlink = Unlink { parent: e, name: name("f"), open: vec![f], session: volume.session, now: at(5) };
    volume.run(MetaOp::Unlink(unlink));
    volume.unlink_in(d, "g");
    volume.remove_dir(d, "e");
    volume.remove_dir(Ino::ROOT, "d");
    assert_eq!(volume.state_of(quota(d)), Some(QuotaState::Gone));
    assert_eq!(volume.usage_of(quota(Ino::ROOT)), (5100, 6), "all four wait, beside the root and `out`");
    volume.assert_counted();
    volume.remove_queued();
    assert_eq!(volume.usage_of(quota(d)), (100, 1), "the one that is open");
    volume.run(MetaOp::Release(Release { ino: f, session: volume.session, now: at(6) }));
    volume.remove_queued();
    assert_eq!((volume.state_of(quota(d)), volume.state_of(quota(e))), (None, None), "nothing is left of the quotas");
    assert_eq!(volume.usage_of(quota(Ino::ROOT)), (0, 2));
    volume.assert_counted();
}

#[test]
fn a_dead_mounts_open_files_are_given_back() {
    let kv = MemoryKv::new();
    let volume = Volume::on(kv.clone());
    let d = volume.directory(Ino::ROOT, "d");
    let f = volume.create(d, "f", FileKind::Regular);
    volume.write_inline(f, 0, &[1; 100]);
    let other = Volume::join(kv);
    volume.set_quota(quota(d), Limits::default());
    other.run(MetaOp::Unlink(Unlink { parent: d, name: name("f"), open: vec![f], session: other.session, now: at(5) }));
    assert_eq!(volume.usage_of(quota(d)), (100, 2));
    volume.run_steps(MetaOp::EndSession(EndSession { session: other.session, if_silent_since: None, now: at(9) }));
    volume.remove_queued();
    assert_eq!(volume.usage_of(quota(d)), (0, 1));
    volume.assert_counted();
}

#[test]
fn one_walk_at_a_time_and_its_quota_can_be_given_up_half_way() {
    let volume = Volume::new();
    let (d, other) = (volume.directory(Ino::ROOT, "d"), volume.directory(Ino::ROOT, "other"));
    for number in 0..600 {
        volume.create(d, &format!("{number}"), FileKind::Regular);
    }
    volume.start_quota(quota(d), inodes(10)).unwrap();
    assert_eq!(volume.start_quota(quota(other), inodes(10)), Err(EBUSY));
    volume.run(MetaOp::WalkQuotas);
    assert_eq!(volume.usage_of(quota(d)), (0, 257), "a step looks at so many");
    volume.assert_counted();
    volume.run(MetaOp::DeleteQuota(DeleteQuota { account: quota(d) }));
    assert_eq!(volume.start_quota(quota(d), inodes(10)), Err(EBUSY), "it has to be gone before it comes again");
    volume.run(MetaOp::WalkQuotas);
    volume.assert_counted();
    volume.run_steps(MetaOp::WalkQuotas);
    assert_eq!(volume.state_of(quota(d)), None);
    assert!(!volume.metadata.accounting().unwrap().any);
    volume.set_quota(quota(d), inodes(10));
    assert_eq!(volume.usage_of(quota(d)), (0, 601), "a limit below what is there is none the less a limit");
    assert_eq!(volume.try_create(d, "one more", FileKind::Regular, 1), Err(EDQUOT));
    volume.assert_counted();
}

#[test]
fn only_living_directories_get_quotas_and_not_too_deep_ones() {
    let Tree { volume, f, e, d, .. } = tree();
    assert_eq!(volume.start_quota(quota(f), inodes(1)), Err(MetaError::Refused(Errno::ENOTDIR)));
    assert_eq!(volume.start_quota(quota(Ino(999)), inodes(1)), Err(MetaError::Refused(Errno::ENOENT)));
    volume.unlink_in(e, "f");
    let open = vec![e];
    volume.run(MetaOp::Rmdir(Rmdir { parent: d, name: name("e"), open, session: volume.session, now: at(5) }));
    assert_eq!(volume.start_quota(quota(e), inodes(1)), Err(MetaError::Refused(Errno::ENOENT)));
    let mut parent = Ino::ROOT;
    for depth in 0..32 {
        parent = volume.directory(parent, &format!("{depth}"));
        volume.set_quota(quota(parent), Limits::default());
    }
    let deeper = volume.directory(parent, "deeper");
    assert_eq!(volume.start_quota(quota(deeper), inodes(1)), Err(MetaError::Refused(Errno::EMLINK)));
    volume.assert_counted();
}

#[test]
fn the_check_finds_usage_and_marks_that_are_wrong_and_the_repair_puts_usage_right() {
    use shoal_metadata::keys::{Key, UsageField};
    let Tree { volume, d, g, .. } = tree();
    volume.set_quota(quota(d), Limits::default());
    let key = Key::QuotaUsage(quota(d), UsageField::Bytes).encode();
    volume.raw(move |transaction| transaction.add(&key, 7));
    let found = check::run(&volume.metadata, &mut |_| {}).unwrap();
    let wrong = check::Problem::AccountBytes { account: quota(d), recorded: 5107, counted: 5100 };
    assert_eq!(found.findings.iter().map(|finding| finding.problem.clone()).collect::<Vec<_>>(), [wrong]);
    for check in check::accounts(&volume.metadata, &mut |_| {}).unwrap() {
        let (bytes, inodes) =
            (check.counted.bytes - check.recorded.bytes, check.counted.inodes - check.recorded.inodes);
        let session = volume.session;
        let adjust = shoal_metadata::AdjustUsage { account: check.account, bytes, inodes, session };
        volume.run(MetaOp::AdjustUsage(adjust));
    }
    volume.assert_counted();
    let key = Key::Identity(g).encode();
    let mut identity = shoal_metadata::records::Identity::decode(&volume.get(Key::Identity(g)).unwrap()).unwrap();
    identity.quota = None;
    volume.raw(move |transaction| transaction.put(&key, &identity.encode()));
    let found = check::run(&volume.metadata, &mut |_| {}).unwrap();
    let wrong = check::Problem::QuotaMark { recorded: None, wanted: Some(d) };
    assert!(found.findings.iter().any(|finding| finding.problem == wrong), "{:#?}", found.findings);
}
