//! What the oracle says to an operation, in the words of `shoal_metadata`.

use shoal_metadata::{Create, Fallocated, MetaOp, MetaReply, MetaResult, Removed, Rename, Renamed, Truncated};
use shoal_oracle::{NewNode, Oracle, RenameFlags};
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, InodeFlags};

pub fn expect(oracle: &mut Oracle, operation: &MetaOp) -> FsResult<MetaReply> {
    match operation {
        MetaOp::Create(create) => attributes(expect_create(oracle, create)),
        MetaOp::Link(o) => attributes(oracle.link(o.ino, o.parent, &o.name, o.now)),
        MetaOp::Unlink(o) => {
            let ino = oracle.lookup(o.parent, &o.name).map(|found| found.ino);
            oracle.unlink(o.parent, &o.name, o.now)?;
            Ok(MetaReply::Removed(removed(oracle, ino?)))
        }
        MetaOp::Rmdir(o) => {
            let ino = oracle.lookup(o.parent, &o.name).map(|found| found.ino);
            oracle.rmdir(o.parent, &o.name, o.now)?;
            Ok(MetaReply::Removed(removed(oracle, ino?)))
        }
        MetaOp::RemoveTree(o) => {
            let ino = oracle.lookup(o.parent, &o.name)?.ino;
            oracle.remove_tree(o.parent, &o.name, o.now)?;
            Ok(MetaReply::Removed(Removed { ino, last: true, sustained: false }))
        }
        MetaOp::Rename(rename) => expect_rename(oracle, rename).map(MetaReply::Renamed),
        MetaOp::SetAttributes(o) => {
            oracle.refuse(o.ino, InodeFlags::PROTECTION.without(o.despite))?;
            if o.drop_privileges {
                // The mode comes first, and what has become privileged by it is so no more.
                let mode = o.mode.or_else(|| oracle.get_attributes(o.ino).ok().map(|found| found.mode));
                oracle.set_attributes(o.ino, mode, None, None, None, None, o.now)?;
                oracle.drop_privileges(o.ino, o.now)?;
                return attributes(oracle.set_attributes(o.ino, None, o.uid, o.gid, o.atime, o.mtime, o.now));
            }
            attributes(oracle.set_attributes(o.ino, o.mode, o.uid, o.gid, o.atime, o.mtime, o.now))
        }
        MetaOp::SetFlags(o) => attributes(oracle.set_flags(o.ino, o.flags, o.decided, o.now)),
        MetaOp::NoteAccesses(o) => {
            for (ino, time) in &o.accesses {
                oracle.note_access(*ino, *time);
            }
            Ok(MetaReply::Done)
        }
        MetaOp::SetXattr(o) => attributes(oracle.set_xattr(o.ino, &o.name, &o.value, o.mode, o.drop_setgid, o.now)),
        MetaOp::RemoveXattr(o) => attributes(oracle.remove_xattr(o.ino, &o.name, o.now)),
        MetaOp::Truncate(o) => {
            let attributes = without_allocated(oracle.truncate(o.ino, o.length, o.now)?);
            Ok(MetaReply::Truncated(Truncated { attributes, done: true }))
        }
        MetaOp::WriteInline(o) => {
            let mut last = oracle.get_attributes(o.ino);
            for (offset, bytes) in &o.patches {
                last = oracle.write(o.ino, *offset, bytes, o.mtime);
            }
            attributes(last)
        }
        MetaOp::Fallocate(o) => {
            let attributes = without_allocated(oracle.fallocate(o.ino, o.start..o.end, o.length_min, o.now)?);
            Ok(MetaReply::Fallocated(Fallocated { attributes, reached: o.end }))
        }
        MetaOp::CreateNameless(o) => {
            let new = NewNode { ino: o.ino, mode: o.mode, umask: o.umask, uid: o.uid, gid: o.gid };
            attributes(oracle.create_nameless(o.directory, new, o.now))
        }
        other => panic!("the oracle does not know {other:?}"),
    }
}

/// The same of what `Metadata` answered.
pub fn found(result: MetaResult<MetaReply>) -> FsResult<MetaReply> {
    Ok(match result? {
        MetaReply::Attributes(attributes) => MetaReply::Attributes(without_allocated(attributes)),
        MetaReply::Truncated(Truncated { attributes, done }) => {
            MetaReply::Truncated(Truncated { attributes: without_allocated(attributes), done })
        }
        MetaReply::Fallocated(Fallocated { attributes, reached }) => {
            MetaReply::Fallocated(Fallocated { attributes: without_allocated(attributes), reached })
        }
        other => other,
    })
}

/// The same where there is a trash: then nothing goes with its last name.
pub fn kept(reply: MetaReply) -> MetaReply {
    let kept = |removed: Removed| Removed { last: false, sustained: false, ..removed };
    match reply {
        MetaReply::Removed(removed) => MetaReply::Removed(kept(removed)),
        MetaReply::Renamed(renamed) => MetaReply::Renamed(Renamed { replaced: renamed.replaced.map(kept), ..renamed }),
        other => other,
    }
}

/// The oracle counts whole pages, which is its own business, and knows no trash.
pub fn without_allocated(attributes: Attributes) -> Attributes {
    Attributes { allocated: 0, flags: attributes.flags.without(InodeFlags::TRASHED), ..attributes }
}

fn attributes(result: FsResult<Attributes>) -> FsResult<MetaReply> {
    result.map(|attributes| MetaReply::Attributes(without_allocated(attributes)))
}

fn expect_create(oracle: &mut Oracle, create: &Create) -> FsResult<Attributes> {
    let Create { parent, name, ino, kind, mode, umask, uid, gid, rdev, target, now, .. } = create;
    let new = NewNode { ino: *ino, mode: *mode, umask: *umask, uid: *uid, gid: *gid };
    match kind {
        FileKind::Directory => oracle.mkdir(*parent, name, new, *now),
        FileKind::Symlink => oracle.symlink(*parent, name, new, target, *now),
        other => oracle.mknod(*parent, name, new, *other, *rdev, *now),
    }
}

fn expect_rename(oracle: &mut Oracle, rename: &Rename) -> FsResult<Renamed> {
    let Rename { old_parent, old_name, new_parent, new_name, no_replace, exchange, whiteout, now, .. } = rename;
    let source = oracle.lookup(*old_parent, old_name).map(|found| found.ino);
    let target = oracle.lookup(*new_parent, new_name).map(|found| found.ino).ok();
    let flags = RenameFlags { no_replace: *no_replace, exchange: *exchange, whiteout: *whiteout };
    oracle.rename(*old_parent, old_name, *new_parent, new_name, flags, *now)?;
    let moved = source?;
    let replaced = target.filter(|target| *target != moved).map(|target| removed(oracle, target));
    Ok(Renamed { moved, replaced })
}

/// What has become of an inode that had a name taken.
fn removed(oracle: &Oracle, ino: Ino) -> Removed {
    match oracle.get_attributes(ino) {
        Ok(Attributes { nlink: 0, .. }) => Removed { ino, last: true, sustained: true },
        Ok(_) => Removed { ino, last: false, sustained: false },
        Err(Errno::ENOENT) => Removed { ino, last: true, sustained: false },
        Err(other) => panic!("the oracle answers {other:?} where it can only miss"),
    }
}
