//! Clones step by step: what each leaves in the store, what stands against them, and what becomes of those that end halfway.

use crate::quotas::bytes;
use crate::support::*;
use shoal_metadata::keys::Key;
use shoal_metadata::{
    Account, BeginClone, Caller, CleanClone, CloneProgress, CreateNameless, EndSession, FillClone, FinishClone,
    MetaError, MetaOp, MetaReply, MetaResult, Release, SetXattr, check,
};
use shoal_types::{Acl, AclEntry, AclTag, Errno, FileKind, Ino, ObjectId, Slice, XattrMode, XattrName};

const ROOT: Caller = Caller { uid: 0, gid: 0, groups: Vec::new(), acls: true };

/// A clone under way, as the mount knows it.
struct Clone<'a> {
    volume: &'a Volume,
    caller: Caller,
    root: Ino,
    beside: Ino,
    name: &'static str,
    progress: CloneProgress,
    steps: u32,
}

impl Volume {
    fn begin(&self, source: Ino, parent: Ino, name: &'static str, caller: &Caller) -> MetaResult<Clone<'_>> {
        let (session, now, beside, root) = (self.session, at(20), self.lease_inodes(1), self.lease_inodes(1));
        let Caller { uid, gid, .. } = *caller;
        let lifeline = CreateNameless { directory: parent, ino: beside, mode: 0, umask: 0, uid, gid, session, now };
        self.run(MetaOp::CreateNameless(lifeline));
        let caller = caller.clone();
        let begin =
            BeginClone { source, beside, name: crate::support::name(name), root, caller: caller.clone(), session, now };
        match self.try_run(MetaOp::BeginClone(begin)) {
            Ok(reply) => {
                let progress = reply.into_cloning().unwrap();
                Ok(Clone { volume: self, caller, root, beside, name, progress, steps: 0 })
            }
            Err(error) => {
                self.run(MetaOp::Release(Release { ino: beside, session, now }));
                self.remove_queued();
                Err(error)
            }
        }
    }

    /// The whole of it.
    fn clone_tree(&self, source: Ino, parent: Ino, name: &'static str, caller: &Caller) -> MetaResult<Ino> {
        let mut clone = self.begin(source, parent, name, caller)?;
        while !clone.progress.filled {
            clone.fill(FillClone::INODES)?;
        }
        let root = clone.root;
        clone.finish().map(|_| root)
    }

    /// What maintenance does.
    fn tidy_up(&self, clone: Ino) {
        self.run_steps(MetaOp::CleanClone(CleanClone { clone, session: self.session, queue_at: at(21) }));
        while !self.metadata.queued_removals(u64::MAX, 1).unwrap().is_empty() {
            self.assert_counted();
            self.remove_queued();
        }
    }

    fn find(&self, path: &str) -> Ino {
        let names = path.split('/').filter(|name| !name.is_empty());
        names.fold(Ino::ROOT, |parent, name| self.metadata.lookup(parent, &crate::support::name(name)).unwrap().ino)
    }
}

impl Clone<'_> {
    fn fill(&mut self, inodes: u64) -> MetaResult<()> {
        let start = self.volume.lease_inodes(inodes).0;
        let (session, caller) = (self.volume.session, self.caller.clone());
        let fill = FillClone { clone: self.root, caller, inodes: start..start + inodes, session, now: at(20) };
        self.progress = self.volume.try_run(MetaOp::FillClone(fill))?.into_cloning().unwrap();
        self.steps += 1;
        match &self.progress.refusal {
            Some(refusal) => Err(refusal.errno.into()),
            None => Ok(()),
        }
    }

    fn finish(self) -> MetaResult<MetaReply> {
        let (parent, session) = (self.progress.parent, self.volume.session);
        let finish = FinishClone { clone: self.root, parent, name: name(self.name), session, now: at(22) };
        let finished = self.volume.try_run(MetaOp::FinishClone(finish));
        self.end();
        finished
    }

    /// Gives it up, if it's not finished.
    fn end(self) {
        let (ino, session) = (self.beside, self.volume.session);
        self.volume.run(MetaOp::Release(Release { ino, session, now: at(20) }));
        self.volume.tidy_up(self.root);
    }
}

fn refused(errno: Errno) -> MetaError {
    MetaError::Refused(errno)
}

/// s/{f, g = f, small, empty/, d/{deep, h = f}}, where f has an object.
fn sample(volume: &Volume) -> (Ino, ObjectId) {
    let source = volume.directory(Ino::ROOT, "s");
    let file = volume.create(source, "f", FileKind::Regular);
    let object = volume.lease_object();
    volume.write_slices(file, 3, &[slice(5, 10, object)], 4 << 30);
    let directory = volume.directory(source, "d");
    volume.directory(source, "empty");
    volume.link(file, source, "g").unwrap();
    volume.link(file, directory, "h").unwrap();
    let small = volume.create(source, "small", FileKind::Regular);
    volume.write_inline(small, 0, b"inline");
    volume.create(directory, "deep", FileKind::Symlink);
    (source, object)
}

#[test]
fn every_step_leaves_a_sound_volume_and_the_last_a_whole_tree() {
    let volume = Volume::new();
    let (source, object) = sample(&volume);
    let mut clone = volume.begin(source, Ino::ROOT, "c", &ROOT).unwrap();
    while !clone.progress.filled {
        clone.fill(1).unwrap();
        volume.assert_counted();
        assert_eq!(volume.metadata.lookup(Ino::ROOT, &name("c")).unwrap_err(), refused(Errno::ENOENT));
    }
    assert!(clone.steps >= 5, "{} steps", clone.steps);
    assert_eq!((clone.progress.entries, clone.progress.bytes), (8, 16));
    clone.finish().unwrap();
    volume.assert_counted();
    let [f, g, h] = ["c/f", "c/g", "c/d/h"].map(|path| volume.find(path));
    assert_eq!([f, g, h], [f; 3]);
    assert_ne!(f, volume.find("s/f"));
    let (copy, original) =
        (volume.metadata.get_attributes(f).unwrap(), volume.metadata.get_attributes(volume.find("s/f")).unwrap());
    assert_eq!((copy.nlink, copy.length, copy.allocated, copy.mtime), (3, 4 << 30, 10, original.mtime));
    assert_eq!((copy.ctime, copy.btime), (at(20), at(20)));
    assert_eq!(volume.number(Key::Object(object)), 20);
    assert_eq!(volume.metadata.get_content(volume.find("c/small")).unwrap().inline.unwrap(), b"inline");
    assert_eq!(volume.metadata.clones().unwrap(), []);
}

#[test]
fn either_side_can_go_first_and_the_object_goes_with_the_last() {
    for first in ["s", "c"] {
        let volume = Volume::new();
        let (source, object) = sample(&volume);
        volume.clone_tree(source, Ino::ROOT, "c", &ROOT).unwrap();
        for (round, tree) in [first, if first == "s" { "c" } else { "s" }].into_iter().enumerate() {
            let (top, directory) = (volume.find(tree), volume.find(&format!("{tree}/d")));
            ["deep", "h"].into_iter().for_each(|name| volume.unlink_in(directory, name));
            ["f", "g", "small"].into_iter().for_each(|name| volume.unlink_in(top, name));
            ["d", "empty"].into_iter().for_each(|name| volume.remove_dir(top, name));
            volume.remove_dir(Ino::ROOT, tree);
            volume.remove_queued();
            volume.assert_counted();
            assert_eq!(volume.number(Key::Object(object)), [10, 0][round]);
        }
        assert_eq!(volume.forget_queued(), [object]);
    }
}

#[test]
fn what_is_given_up_anywhere_leaves_nothing() {
    let volume = Volume::new();
    let (source, object) = sample(&volume);
    let before = volume.usage_of(Account::Volume);
    for steps in 0..8 {
        let mut clone = volume.begin(source, Ino::ROOT, "c", &ROOT).unwrap();
        for _ in 0..steps {
            clone.fill(1).unwrap();
        }
        clone.end();
        volume.assert_counted();
        assert_eq!(volume.usage_of(Account::Volume), before);
        assert_eq!(volume.number(Key::Object(object)), 10);
        assert!(volume.metadata.clones().unwrap().is_empty());
    }
}

#[test]
fn a_single_file_is_a_clone_too_and_can_be_given_up() {
    let volume = Volume::new();
    let (_, object) = sample(&volume);
    let source = volume.find("s/f");
    let clone = volume.begin(source, Ino::ROOT, "c", &ROOT).unwrap();
    assert!(clone.progress.filled);
    volume.assert_counted();
    clone.end();
    assert_eq!(volume.number(Key::Object(object)), 10);
    let copy = volume.clone_tree(source, Ino::ROOT, "c", &ROOT).unwrap();
    assert_eq!((copy, volume.number(Key::Object(object))), (volume.find("c"), 20));
    assert_eq!(volume.metadata.get_attributes(copy).unwrap().nlink, 1);
    volume.assert_counted();
}

#[test]
fn another_session_tidies_up_after_one_that_is_gone_and_not_before() {
    let volume = Volume::new();
    let (source, object) = sample(&volume);
    let mut clone = volume.begin(source, Ino::ROOT, "c", &ROOT).unwrap();
    clone.fill(2).unwrap();
    let root = clone.root;
    let other = Volume { metadata: volume.metadata.clone(), session: register(&volume.metadata, 2) };
    let clean = MetaOp::CleanClone(CleanClone { clone: root, session: other.session, queue_at: at(30) });
    assert_eq!(other.run(clean), MetaReply::Ended { done: true });
    let [info] = volume.metadata.clones().unwrap()[..] else { panic!("it's still under way") };
    assert!(info.filling && !info.orphaned);
    clone.fill(1).unwrap();
    other.run_steps(MetaOp::EndSession(EndSession { session: volume.session, if_silent_since: None, now: at(31) }));
    assert!(volume.metadata.clones().unwrap()[0].orphaned);
    let start = other.lease_inodes(5).0;
    let late = FillClone { clone: root, caller: ROOT, inodes: start..start + 5, session: volume.session, now: at(31) };
    assert_eq!(volume.try_run(MetaOp::FillClone(late)), Err(refused(Errno::ESTALE)));
    assert!(check::run(&other.metadata, &mut |_| {}).unwrap().is_clean(), "it waits to be tidied up");
    other.tidy_up(root);
    other.assert_counted();
    assert_eq!(other.number(Key::Object(object)), 10);
}

#[test]
fn limits_refuse_it_before_it_appears() {
    let volume = Volume::new();
    let (source, _) = sample(&volume);
    let limited = volume.directory(Ino::ROOT, "limited");
    volume.set_quota(Account::Directory(limited), bytes(15));
    assert_eq!(volume.clone_tree(source, limited, "c", &ROOT).unwrap_err(), refused(Errno::EDQUOT));
    let abandoned = volume.metadata.clones().unwrap()[0].clone;
    volume.tidy_up(abandoned);
    assert_eq!(volume.usage_of(Account::Directory(limited)).0, 0);
    volume.set_quota(Account::Directory(limited), bytes(16));
    volume.clone_tree(source, limited, "c", &ROOT).unwrap();
    assert_eq!(volume.usage_of(Account::Directory(limited)).0, 16);
    volume.assert_counted();
}

#[test]
fn a_place_that_comes_to_be_counted_otherwise_is_refused() {
    let volume = Volume::new();
    let (source, _) = sample(&volume);
    let place = volume.directory(Ino::ROOT, "place");
    let mut clone = volume.begin(source, place, "c", &ROOT).unwrap();
    clone.fill(100).unwrap();
    volume.set_quota(Account::Directory(place), bytes(1000));
    assert_eq!(clone.finish().unwrap_err(), refused(Errno::EXDEV));
    volume.assert_counted();
}

#[test]
fn the_name_is_free_at_the_beginning_and_at_the_end_and_its_directory_there() {
    let volume = Volume::new();
    let (source, _) = sample(&volume);
    let place = volume.directory(Ino::ROOT, "place");
    assert_eq!(volume.begin(source, Ino::ROOT, "s", &ROOT).err(), Some(refused(Errno::EEXIST)));
    let mut clone = volume.begin(source, place, "c", &ROOT).unwrap();
    clone.fill(100).unwrap();
    volume.create(place, "c", FileKind::Regular);
    assert_eq!(clone.finish().unwrap_err(), refused(Errno::EEXIST));
    let mut clone = volume.begin(source, place, "e", &ROOT).unwrap();
    clone.fill(100).unwrap();
    volume.unlink_in(place, "c");
    volume.remove_dir(Ino::ROOT, "place");
    volume.remove_queued();
    assert_eq!(clone.finish().unwrap_err(), refused(Errno::ENOENT));
    volume.assert_counted();
}

#[test]
fn only_the_callers_own_nameless_file_says_where_it_goes() {
    let volume = Volume::new();
    let (source, _) = sample(&volume);
    let (session, now) = (volume.session, at(20));
    let begin = |beside: Ino, caller: Caller| {
        let root = volume.lease_inodes(1);
        let begin = BeginClone { source, beside, name: name("c"), root, caller, session, now };
        volume.try_run(MetaOp::BeginClone(begin)).unwrap_err()
    };
    assert_eq!(begin(volume.find("s/small"), ROOT), refused(Errno::EBADF));
    let ino = volume.lease_inodes(1);
    let nameless = CreateNameless { directory: Ino::ROOT, ino, mode: 0, umask: 0, uid: 7, gid: 7, session, now };
    volume.run(MetaOp::CreateNameless(nameless));
    assert_eq!(begin(ino, ROOT), refused(Errno::EBADF));
}

#[test]
fn what_the_caller_may_not_read_refuses_all_and_is_named() {
    let volume = Volume::new();
    let (source, _) = sample(&volume);
    let stranger = Caller { uid: 50, gid: 50, groups: Vec::new(), acls: true };
    let small = volume.find("s/small");
    volume.chown(small, Some(3), Some(3), true).unwrap();
    volume.raw(move |transaction| {
        let key = Key::Identity(small).encode();
        let mut identity = shoal_metadata::records::Identity::decode(&transaction.get(&key).unwrap().unwrap()).unwrap();
        identity.mode = 0o600;
        transaction.put(&key, &identity.encode());
    });
    // The sample's directories have no search permission for others.
    assert_eq!(volume.begin(source, Ino::ROOT, "c", &stranger).err(), Some(refused(Errno::EACCES)));
    let owner = Caller { uid: 1, ..stranger };
    let mut clone = volume.begin(small, Ino::ROOT, "c", &ROOT).unwrap();
    assert!(clone.progress.filled && clone.fill(1).is_ok());
    clone.end();
    assert_eq!(volume.begin(small, Ino::ROOT, "c", &owner).err(), Some(refused(Errno::EACCES)));
    let entry = |tag, permissions, id| AclEntry { tag, permissions, id };
    let acl = Acl::new(vec![
        entry(AclTag::Owner, 6, 0),
        entry(AclTag::User, 4, 1),
        entry(AclTag::OwningGroup, 0, 0),
        entry(AclTag::Mask, 4, 0),
        entry(AclTag::Other, 0, 0),
    ]);
    let name = XattrName::known(XattrName::ACCESS_ACL);
    let value = acl.unwrap().to_bytes();
    volume.run(MetaOp::SetXattr(SetXattr {
        ino: small,
        name: name.clone(),
        value: value.clone(),
        mode: XattrMode::Any,
        drop_setgid: false,
        session: volume.session,
        now: at(5),
    }));
    let copy = volume.clone_tree(small, Ino::ROOT, "c", &owner).unwrap();
    assert_eq!(volume.metadata.get_xattr(copy, &name).unwrap(), value);
    let copied = volume.metadata.get_attributes(copy).unwrap();
    assert_eq!((copied.uid, copied.gid, copied.mode), (1, 50, 0o640));
    volume.assert_counted();
}

#[test]
fn a_directory_larger_than_a_step_comes_whole_and_in_few_transactions() {
    let volume = Volume::new();
    let source = volume.directory(Ino::ROOT, "s");
    let files = 3 * FillClone::INODES + 7;
    for number in 0..files {
        volume.create(source, &format!("f{number}"), FileKind::Regular);
    }
    let mut clone = volume.begin(source, Ino::ROOT, "c", &ROOT).unwrap();
    while !clone.progress.filled {
        clone.fill(FillClone::INODES).unwrap();
    }
    assert!(clone.steps <= 5, "{} steps", clone.steps);
    let root = clone.root;
    clone.finish().unwrap();
    assert_eq!(volume.metadata.get_attributes(root).unwrap().length, files);
    volume.assert_counted();
}

/// Lists as long as they get, so that a file takes several steps.
fn large_file(volume: &Volume, chunks: u64) -> (Ino, ObjectId) {
    let (file, object) = (volume.file("large"), volume.lease_object());
    let list: Vec<Slice> =
        (0..3000).map(|at| Slice { object_offset: at, length: 1, ..slice(2 * at, 3000, object) }).collect();
    for chunk in 0..chunks {
        volume.write_slices(file, chunk, &list, chunks << 26);
    }
    (file, object)
}

#[test]
fn a_file_of_more_lists_than_a_step_takes_is_copied_in_several() {
    let volume = Volume::new();
    let (file, object) = large_file(&volume, 60);
    let mut clone = volume.begin(file, Ino::ROOT, "c", &ROOT).unwrap();
    assert!(!clone.progress.filled);
    while !clone.progress.filled {
        clone.fill(1).unwrap();
    }
    assert!(clone.steps >= 1);
    volume.assert_counted();
    let root = clone.root;
    clone.finish().unwrap();
    volume.assert_counted();
    assert_eq!(volume.number(Key::Object(object)), 2 * 60 * 3000);
    let lists = |ino| volume.metadata.get_chunks(ino, 0, 100).unwrap();
    assert!(lists(root) == lists(file));
}

#[test]
fn a_large_file_that_changes_between_steps_is_refused_and_named() {
    let volume = Volume::new();
    let (file, object) = large_file(&volume, 60);
    let source = volume.directory(Ino::ROOT, "s");
    volume.link(file, source, "inside").unwrap();
    let mut clone = volume.begin(source, Ino::ROOT, "c", &ROOT).unwrap();
    clone.fill(100).unwrap();
    volume.write_slices(file, 0, &[slice(60_000, 10, volume.lease_object())], 60_010);
    assert_eq!(clone.fill(100), Err(refused(Errno::EBUSY)));
    let refusal = clone.progress.refusal.clone().unwrap();
    assert_eq!((refusal.directory, refusal.name), (source, b"inside".to_vec()));
    clone.end();
    volume.assert_counted();
    assert_eq!(volume.number(Key::Object(object)), 60 * 3000);
}
