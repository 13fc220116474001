//! What is removed is kept, can be taken back, and goes when its time has come; trees go at once.

use crate::support::{Volume, at, name, settings, slice};
use shoal_kv::{Durability, Faults, Kv, MemoryKv};
use shoal_metadata::check::Problem;
use shoal_metadata::keys::Key;
use shoal_metadata::records::{Identity, encode_origin};
use shoal_metadata::{
    Account, Create, FormatOptions, Limits, Link, MetaError, MetaOp, MetaReply, MetaResult, Metadata, PurgeTrash,
    RemoveTree, Removed, Rename, Rmdir, SetAttributes, SetQuota, SetTrash, TrashName, Unlink, check,
};
use shoal_types::{Errno, FileKind, Ino, InodeFlags, Name, Timestamp};
use std::sync::Arc;

/// Tests happen in this hour: 1970-01-01-00.
const HOUR: Ino = Ino(Ino::TRASH.0 + 1);

fn volume() -> Volume {
    volume_on(MemoryKv::new())
}

fn volume_on(kv: Arc<dyn Kv>) -> Volume {
    let options = FormatOptions { trash_days: 2, ..Default::default() };
    Metadata::format_with(kv.as_ref(), &settings(), &options, (0, 0), at(1)).unwrap();
    Volume::join(kv)
}

impl Volume {
    fn listed(&self, directory: Ino) -> Vec<String> {
        let page = self.metadata.read_directory(directory, 0, 10_000, false).unwrap();
        let mut names: Vec<String> = page.entries.iter().map(|entry| entry.name.to_string()).collect();
        names.sort();
        names
    }

    fn move_name(&self, from: (Ino, &Name), to: (Ino, &Name)) -> MetaResult<MetaReply> {
        self.move_how(from, to, false)
    }

    fn move_how(&self, from: (Ino, &Name), to: (Ino, &Name), exchange: bool) -> MetaResult<MetaReply> {
        self.try_run(MetaOp::Rename(Rename {
            old_parent: from.0,
            old_name: from.1.clone(),
            new_parent: to.0,
            new_name: to.1.clone(),
            no_replace: false,
            exchange,
            whiteout: None,
            open: Vec::new(),
            session: self.session,
            now: at(9),
        }))
    }

    fn remove_at(&self, parent: Ino, name: &Name, now: Timestamp) -> Removed {
        let (name, session) = (name.clone(), self.session);
        let unlink = MetaOp::Unlink(Unlink { parent, name, open: Vec::new(), session, now });
        self.run(unlink).into_removed().unwrap()
    }

    fn remove_tree(&self, parent: Ino, name: &str, ino: Ino, keep: bool) -> MetaResult<MetaReply> {
        let name = self::name(name);
        self.try_run(MetaOp::RemoveTree(RemoveTree { parent, name, ino, keep, session: self.session, now: at(5) }))
    }

    fn purge(&self, before: Timestamp) -> u32 {
        self.run_steps(MetaOp::PurgeTrash(PurgeTrash { before, now: before }))
    }

    fn remove_all_queued(&self) {
        while !self.metadata.queued_removals(u64::MAX, 1).unwrap().is_empty() {
            self.remove_queued();
        }
    }

    fn assert_exact(&self) {
        let report = check::run(&self.metadata, &mut |_| {}).unwrap();
        assert!(report.is_clean(), "{:#?}", report.findings);
        for account in check::accounts(&self.metadata, &mut |_| {}).unwrap() {
            assert_eq!(account.recorded, account.counted, "{}", account.account);
        }
    }

    fn inodes(&self) -> u64 {
        self.metadata.usage().unwrap().inodes
    }

    fn problems(&self) -> Vec<Problem> {
        check::run(&self.metadata, &mut |_| {}).unwrap().findings.into_iter().map(|found| found.problem).collect()
    }
}

fn kept(from: Ino, ino: Ino, text: &str) -> Name {
    TrashName::new(from, ino, &name(text)).name
}

fn refused<T: std::fmt::Debug>(result: MetaResult<T>) -> Errno {
    match result {
        Err(MetaError::Refused(errno)) => errno,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_removed_file_is_whole_in_the_trash_and_a_rename_takes_it_back() {
    let volume = volume();
    let file = volume.file("a");
    let object = volume.lease_object();
    volume.write_slices(file, 0, &[slice(0, 1000, object)], 1000);
    let removed = volume.remove_at(Ino::ROOT, &name("a"), at(5));
    assert_eq!(removed, Removed { ino: file, last: false, sustained: false });
    assert_eq!(volume.listed(Ino::TRASH), ["1970-01-01-00"]);
    assert_eq!(volume.listed(HOUR), [kept(Ino::ROOT, file, "a").to_string()]);
    assert!(volume.listed(Ino::ROOT).is_empty(), "the root does not list its trash");
    let attributes = volume.metadata.get_attributes(file).unwrap();
    assert_eq!((attributes.nlink, attributes.length, attributes.ctime), (0, 1000, at(5)));
    assert!(attributes.flags.has(InodeFlags::TRASHED));
    assert_eq!(volume.metadata.path_of(file).unwrap(), format!("/.trash/1970-01-01-00/1-{file}-a").into_bytes());
    volume.assert_exact();
    volume.move_name((HOUR, &kept(Ino::ROOT, file, "a")), (Ino::ROOT, &name("b"))).unwrap();
    let attributes = volume.metadata.lookup(Ino::ROOT, &name("b")).unwrap();
    assert_eq!((attributes.ino, attributes.nlink, attributes.flags), (file, 1, InodeFlags::default()));
    assert!(volume.listed(HOUR).is_empty());
    assert!(volume.metadata.queued_removals(u64::MAX, 1).unwrap().is_empty());
    volume.assert_exact();
}

#[test]
fn only_the_last_name_goes_to_the_trash_and_a_replaced_file_does() {
    let volume = volume();
    let (file, other) = (volume.file("a"), volume.file("b"));
    let link = Link { ino: file, parent: Ino::ROOT, name: name("c"), session: volume.session, now: at(3) };
    volume.run(MetaOp::Link(link));
    assert!(!volume.remove_at(Ino::ROOT, &name("c"), at(5)).last);
    assert!(volume.metadata.get_attributes(Ino::TRASH).is_ok());
    assert!(volume.metadata.get_attributes(HOUR).is_err(), "nothing is in it yet");
    let renamed = volume.move_name((Ino::ROOT, &name("b")), (Ino::ROOT, &name("a"))).unwrap().into_renamed().unwrap();
    assert_eq!(renamed.replaced, Some(Removed { ino: file, last: false, sustained: false }));
    assert_eq!(volume.listed(HOUR), [kept(Ino::ROOT, file, "a").to_string()]);
    assert_eq!(volume.metadata.lookup(Ino::ROOT, &name("a")).unwrap().ino, other);
    volume.assert_exact();
}

#[test]
fn nothing_is_made_in_the_trash_moved_into_it_or_put_in_its_place() {
    let volume = volume();
    let (directory, file) = (volume.directory(Ino::ROOT, "d"), volume.file("a"));
    volume.remove_dir(Ino::ROOT, "d");
    let in_trash = kept(Ino::ROOT, directory, "d");
    let trash = TrashName::of_all();
    let create = |parent: Ino, text: &str| {
        let (ino, session) = (volume.lease_inodes(1), volume.session);
        let new = Create {
            parent,
            name: name(text),
            ino,
            kind: FileKind::Regular,
            mode: 0o644,
            umask: 0,
            uid: 0,
            gid: 0,
            rdev: 0,
            target: Vec::new(),
            session,
            now: at(7),
        };
        refused(volume.try_run(MetaOp::Create(new)))
    };
    assert_eq!(create(HOUR, "x"), Errno::EPERM);
    assert_eq!(create(Ino::TRASH, "x"), Errno::EPERM);
    assert_eq!(create(Ino::ROOT, ".trash"), Errno::EEXIST);
    assert_eq!(create(directory, "x"), Errno::ENOENT, "as in any removed directory");
    let a = name("a");
    for (from, to) in [
        ((Ino::ROOT, &a), (HOUR, &a)),
        ((Ino::ROOT, &a), (Ino::TRASH, &a)),
        ((Ino::ROOT, &a), (Ino::ROOT, &trash)),
        ((Ino::ROOT, &trash), (Ino::ROOT, &name("t"))),
        ((HOUR, &in_trash), (HOUR, &a)),
        ((Ino::TRASH, &name("1970-01-01-00")), (Ino::ROOT, &name("hour"))),
    ] {
        assert_eq!(refused(volume.move_name(from, to)), Errno::EPERM, "{from:?} to {to:?}");
    }
    assert_eq!(refused(volume.move_how((HOUR, &in_trash), (Ino::ROOT, &a), true)), Errno::EPERM);
    let rmdir = Rmdir { parent: Ino::ROOT, name: trash, open: Vec::new(), session: volume.session, now: at(7) };
    assert_eq!(refused(volume.try_run(MetaOp::Rmdir(rmdir))), Errno::EPERM);
    let link = Link { ino: file, parent: HOUR, name: name("x"), session: volume.session, now: at(7) };
    assert_eq!(refused(volume.try_run(MetaOp::Link(link))), Errno::EPERM);
    volume.assert_exact();
}

#[test]
fn what_is_removed_in_the_trash_is_gone_for_good() {
    let volume = volume();
    let file = volume.file("a");
    let (directory, deep) = (volume.directory(Ino::ROOT, "d"), volume.directory(Ino::ROOT, "e"));
    let below = volume.create(deep, "f", FileKind::Regular);
    let (file_name, directory_name) = (kept(Ino::ROOT, file, "a"), kept(Ino::ROOT, directory, "d"));
    volume.unlink("a", &[]);
    volume.remove_dir(Ino::ROOT, "d");
    volume.remove_tree(Ino::ROOT, "e", deep, true).unwrap();
    volume.assert_exact();
    assert!(volume.remove_at(HOUR, &file_name, at(8)).last);
    volume.remove_dir(HOUR, &directory_name.to_string());
    assert!(volume.remove_at(deep, &name("f"), at(8)).last, "also in a tree that lies in the trash");
    volume.remove_queued();
    assert!(volume.metadata.get_attributes(file).is_err() && volume.metadata.get_attributes(below).is_err());
    volume.assert_exact();
    volume.remove_dir(HOUR, &kept(Ino::ROOT, deep, "e").to_string());
    volume.remove_dir(Ino::TRASH, "1970-01-01-00");
    volume.remove_queued();
    assert_eq!((volume.listed(Ino::TRASH).len(), volume.inodes()), (0, 2));
    volume.assert_exact();
    volume.file("again");
    volume.unlink("again", &[]);
    assert_eq!(volume.listed(HOUR).len(), 1, "an hour that was removed is made again");
    volume.assert_exact();
}

#[test]
fn an_open_file_in_the_trash_stays_open_when_it_is_removed_there() {
    let volume = volume();
    let file = volume.file("a");
    volume.unlink("a", &[file]);
    volume.write_inline(file, 0, b"written after its removal");
    let unlink = Unlink {
        parent: HOUR,
        name: kept(Ino::ROOT, file, "a"),
        open: vec![file],
        session: volume.session,
        now: at(8),
    };
    let removed = volume.run(MetaOp::Unlink(unlink)).into_removed().unwrap();
    assert_eq!(removed, Removed { ino: file, last: true, sustained: true });
    volume.assert_exact();
}

#[test]
fn a_name_too_long_for_the_trash_is_remembered_beside_it() {
    let volume = volume();
    let long = Name::new(&[b'x'; 255]).unwrap();
    let file = volume.create(Ino::ROOT, &long.to_string(), FileKind::Regular);
    volume.remove_at(Ino::ROOT, &long, at(5));
    let in_trash = TrashName::new(Ino::ROOT, file, &long).name;
    assert_eq!(in_trash.as_bytes().len(), 255);
    assert_eq!(volume.metadata.trash_origin(file, &in_trash).unwrap(), (Ino::ROOT, long.clone()));
    volume.assert_exact();
    volume.move_name((HOUR, &in_trash), (Ino::ROOT, &long)).unwrap();
    assert!(volume.get(Key::Origin(file)).is_none());
    volume.remove_at(Ino::ROOT, &long, at(5));
    volume.remove_at(HOUR, &in_trash, at(6));
    volume.remove_queued();
    volume.assert_exact();
    let short = volume.file("a");
    volume.unlink("a", &[]);
    let origin = volume.metadata.trash_origin(short, &kept(Ino::ROOT, short, "a")).unwrap();
    assert_eq!(origin, (Ino::ROOT, name("a")));
    assert_eq!(refused(volume.metadata.trash_origin(Ino::ROOT, &in_trash)), Errno::ENOENT, "it is not in the trash");
}

#[test]
fn hours_are_purged_when_they_have_ended_long_enough_ago() {
    let volume = volume();
    let hour = |number: i64| at(number * 3600 + 1800);
    let mut files = Vec::new();
    for number in 0..4 {
        let file = volume.file(&format!("file {number}"));
        volume.remove_at(Ino::ROOT, &name(&format!("file {number}")), hour(number));
        files.push(file);
    }
    let directory = volume.directory(Ino::ROOT, "d");
    let rmdir = Rmdir { parent: Ino::ROOT, name: name("d"), open: vec![], session: volume.session, now: hour(0) };
    volume.run(MetaOp::Rmdir(rmdir));
    assert_eq!(volume.purge(hour(0)), 1, "the hour has not ended");
    volume.purge(hour(2));
    assert_eq!(volume.listed(Ino::TRASH), ["1970-01-01-02", "1970-01-01-03"]);
    volume.assert_exact();
    volume.remove_queued();
    assert!(volume.metadata.get_attributes(files[1]).is_err() && volume.metadata.get_attributes(directory).is_err());
    assert!(volume.metadata.get_attributes(files[2]).is_ok());
    volume.purge(hour(100));
    volume.remove_queued();
    assert_eq!(volume.inodes(), 2, "the root and the trash");
    volume.assert_exact();
}

#[test]
fn a_large_hour_is_purged_in_bounded_steps_and_the_volume_is_sound_after_each() {
    let volume = volume();
    for number in 0..700 {
        volume.create(Ino::ROOT, &number.to_string(), FileKind::Fifo);
        volume.unlink(&number.to_string(), &[]);
    }
    let purge = MetaOp::PurgeTrash(PurgeTrash { before: at(3600), now: at(3600) });
    let mut steps = 0;
    while !volume.run(purge.clone()).into_ended().unwrap() {
        volume.assert_exact();
        steps += 1;
    }
    volume.remove_queued();
    assert_eq!((steps, volume.inodes()), (3, 2));
    volume.assert_exact();
}

#[test]
fn a_tree_disappears_at_once_and_is_taken_apart_in_bounded_steps_by_anybody() {
    for keep in [false, true] {
        let volume = volume();
        let top = volume.directory(Ino::ROOT, "top");
        let elsewhere = volume.create(top, "linked", FileKind::Regular);
        let link = Link { ino: elsewhere, parent: Ino::ROOT, name: name("l"), session: volume.session, now: at(3) };
        volume.run(MetaOp::Link(link));
        for number in 0..300 {
            volume.create(top, &number.to_string(), FileKind::Regular);
        }
        let mut deep = top;
        for _ in 0..20 {
            deep = volume.directory(deep, "sub");
            volume.create(deep, "link", FileKind::Symlink);
        }
        assert_eq!(refused(volume.remove_tree(Ino::ROOT, "top", deep, keep)), Errno::ENOENT, "it is another one");
        let linked = volume.remove_tree(Ino::ROOT, "l", elsewhere, keep);
        assert_eq!(refused(linked), Errno::ENOTDIR);
        volume.remove_tree(Ino::ROOT, "top", top, keep).unwrap();
        assert_eq!(volume.listed(Ino::ROOT), ["l"]);
        assert_eq!(volume.metadata.get_attributes(top).unwrap().nlink, 0);
        volume.assert_exact();
        assert!(volume.metadata.get_parent(deep).is_ok(), "who is in it can go on");
        if keep {
            assert_eq!(volume.listed(HOUR), [kept(Ino::ROOT, top, "top").to_string()]);
            assert_eq!(volume.listed(top).len(), 302);
            volume.purge(at(3600));
            volume.assert_exact();
        }
        let other = Volume::join(volume.metadata.kv().clone());
        let mut rounds = 0;
        while !other.metadata.queued_removals(u64::MAX, 1).unwrap().is_empty() {
            let queued = other.metadata.queued_removals(u64::MAX, 1).unwrap()[0];
            let step = shoal_metadata::RemoveInode { queued_at: queued.queued_at, ino: queued.ino, delete_at: at(6) };
            other.run(MetaOp::RemoveInode(step));
            rounds += 1;
            if rounds % 50 == 0 {
                other.assert_exact();
            }
        }
        assert_eq!(volume.metadata.lookup(Ino::ROOT, &name("l")).unwrap().nlink, 1);
        assert_eq!(volume.inodes(), 3, "the root, the trash and the file with another name");
        volume.assert_exact();
    }
}

#[test]
fn a_tree_in_the_trash_is_taken_back_whole() {
    let volume = volume();
    let top = volume.directory(Ino::ROOT, "top");
    let sub = volume.directory(top, "sub");
    volume.create(sub, "file", FileKind::Regular);
    volume.remove_tree(Ino::ROOT, "top", top, true).unwrap();
    volume.move_name((HOUR, &kept(Ino::ROOT, top, "top")), (Ino::ROOT, &name("back"))).unwrap();
    assert_eq!(volume.metadata.lookup(Ino::ROOT, &name("back")).unwrap().nlink, 3);
    assert_eq!(volume.listed(sub), ["file"]);
    volume.create(top, "new", FileKind::Regular);
    volume.assert_exact();
    volume.unlink_in(sub, "file");
    assert_eq!(volume.listed(HOUR).len(), 1, "from there things are kept again");
    volume.assert_exact();
}

#[test]
fn moves_inside_a_tree_that_is_being_removed_do_no_harm() {
    let volume = volume();
    let top = volume.directory(Ino::ROOT, "top");
    let (one, two) = (volume.directory(top, "one"), volume.directory(top, "two"));
    let three = volume.directory(one, "three");
    volume.remove_tree(Ino::ROOT, "top", top, false).unwrap();
    volume.move_name((one, &name("three")), (two, &name("three"))).unwrap();
    volume.move_name((two, &name("three")), (Ino::ROOT, &name("saved"))).unwrap();
    volume.file("moved in");
    volume.move_name((Ino::ROOT, &name("moved in")), (two, &name("moved in"))).unwrap();
    volume.assert_exact();
    volume.remove_all_queued();
    assert_eq!(volume.listed(Ino::ROOT), ["saved"]);
    assert_eq!(volume.metadata.get_attributes(three).unwrap().nlink, 2);
    volume.assert_exact();
}

#[test]
fn what_is_removed_leaves_its_directorys_quota_and_comes_back_to_it() {
    let volume = volume();
    let (directory, inner) = (volume.directory(Ino::ROOT, "d"), volume.directory(Ino::ROOT, "i"));
    let limit = |account, limits| {
        volume.run(MetaOp::SetQuota(SetQuota { account, limits }));
        volume.run_steps(MetaOp::WalkQuotas);
    };
    limit(Account::Directory(directory), Limits { bytes: Some(150), inodes: None });
    limit(Account::Directory(inner), Limits::default());
    limit(Account::User(1), Limits { bytes: None, inodes: Some(100) });
    let file = volume.create(directory, "f", FileKind::Regular);
    volume.write_inline(file, 0, &[b'x'; 100]);
    let usage = |account| volume.metadata.quota(account).unwrap().usage;
    assert_eq!((usage(Account::Directory(directory)).bytes, usage(Account::User(1)).bytes), (100, 100));
    volume.unlink_in(directory, "f");
    assert_eq!(usage(Account::Directory(directory)).bytes, 0);
    assert_eq!(usage(Account::User(1)).bytes, 100, "users pay for what they have in the trash");
    volume.assert_exact();
    let second = volume.create(directory, "g", FileKind::Regular);
    volume.write_inline(second, 0, &[b'x'; 100]);
    let back = || volume.move_name((HOUR, &kept(directory, file, "f")), (directory, &name("f")));
    assert_eq!(refused(back()), Errno::EDQUOT);
    volume.unlink_in(directory, "g");
    back().unwrap();
    assert_eq!(usage(Account::Directory(directory)).bytes, 100);
    volume.assert_exact();
    volume.remove_dir(Ino::ROOT, "i");
    volume.assert_exact();
    volume.remove_tree(Ino::ROOT, "d", directory, true).unwrap();
    assert_eq!(usage(Account::Directory(directory)).bytes, 100, "a tree stays counted as it was");
    volume.assert_exact();
    volume.purge(at(3600));
    volume.remove_all_queued();
    volume.assert_exact();
    assert_eq!(volume.metadata.usage().unwrap().bytes, 0);
}

#[test]
fn a_full_volume_still_lets_things_be_removed() {
    let volume = volume();
    volume.file("a");
    volume.file("b");
    let limits = Limits { bytes: None, inodes: Some(4) };
    volume.run(MetaOp::SetQuota(SetQuota { account: Account::Volume, limits }));
    volume.move_name((Ino::ROOT, &name("a")), (Ino::ROOT, &name("b"))).unwrap();
    volume.unlink("b", &[]);
    assert_eq!(volume.inodes(), 5, "the hour's directory is one more");
    volume.assert_exact();
}

#[test]
fn sessions_obey_a_change_of_the_trash_at_once() {
    let volume = Volume::new();
    assert!(volume.metadata.get_attributes(Ino::TRASH).is_err(), "a volume without a trash has no such directory");
    let set = |days| volume.try_run(MetaOp::SetTrash(SetTrash { days, now: at(5) }));
    volume.file(".trash");
    assert_eq!(refused(set(1)), Errno::EEXIST);
    volume.unlink(".trash", &[]);
    volume.remove_queued();
    volume.file("a");
    set(1).unwrap();
    volume.unlink("a", &[]);
    assert_eq!(volume.listed(HOUR).len(), 1);
    set(0).unwrap();
    let file = volume.file("b");
    volume.unlink("b", &[]);
    assert_eq!((volume.listed(HOUR).len(), volume.metadata.queued_removals(u64::MAX, 9).unwrap()[0].ino), (1, file));
    set(3).unwrap();
    assert_eq!(volume.metadata.accounting().unwrap().trash_days, 3);
    volume.assert_exact();
}

#[test]
fn steps_that_run_into_conflicts_and_lose_their_results_do_everything_once() {
    for seed in 0..20 {
        let faults = Faults { seed, conflict_rate: 0.2, unknown_rate: 0.3, ..Faults::default() };
        let volume = volume_on(MemoryKv::with_faults(faults));
        let top = volume.directory(Ino::ROOT, "top");
        for number in 0..10 {
            let sub = volume.directory(top, &number.to_string());
            volume.create(sub, "file", FileKind::Regular);
        }
        volume.file("a");
        volume.unlink("a", &[]);
        let removed = volume.remove_tree(Ino::ROOT, "top", top, seed % 2 == 0).unwrap().into_removed().unwrap();
        assert_eq!(removed.ino, top);
        volume.purge(at(3600));
        volume.remove_all_queued();
        assert_eq!(volume.inodes(), 2, "seed {seed}");
        volume.assert_exact();
    }
}

#[test]
fn the_check_tells_where_the_trash_and_its_content_disagree() {
    let spoil = |change: fn(&mut Identity)| {
        let volume = volume();
        let file = volume.file("a");
        volume.unlink("a", &[]);
        let mut identity = Identity::decode(&volume.get(Key::Identity(file)).unwrap()).unwrap();
        change(&mut identity);
        let (key, value) = (Key::Identity(file).encode(), identity.encode());
        volume.raw(move |transaction| transaction.put(&key, &value));
        volume.problems()
    };
    assert_eq!(spoil(|identity| identity.flags = InodeFlags::default()), [Problem::Trashed]);
    assert_eq!(spoil(|identity| identity.nlink = 1), [Problem::LinkCount { recorded: 1, names: 1 }]);
    let volume = volume();
    let file = volume.file("a");
    volume.raw(move |transaction| {
        transaction.put(&Key::Origin(file).encode(), &encode_origin(Ino::ROOT, &name("a")));
    });
    assert_eq!(volume.problems(), [Problem::Trashed]);
}

#[test]
fn an_hour_can_be_hidden_from_others_by_its_mode_and_keeps_it() {
    let volume = volume();
    volume.file("a");
    volume.unlink("a", &[]);
    assert_eq!(volume.metadata.get_attributes(HOUR).unwrap().mode, 0o1777);
    let set = SetAttributes {
        ino: HOUR,
        mode: Some(0o700),
        uid: None,
        gid: None,
        atime: None,
        mtime: None,
        drop_privileges: false,
        exempt: true,
        despite: Default::default(),
        session: volume.session,
        now: at(6),
    };
    volume.run(MetaOp::SetAttributes(set));
    volume.file("b");
    volume.unlink("b", &[]);
    assert_eq!((volume.metadata.get_attributes(HOUR).unwrap().mode, volume.listed(HOUR).len()), (0o700, 2));
    volume.metadata.run(MetaOp::WalkQuotas, Durability::Visible).unwrap();
    volume.assert_exact();
}
