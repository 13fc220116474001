//! Clones: a tree copied by reference, out of sight, which then appears whole.
//!
//! The copy's root is an inode that no entry names; the record of the clone stands for its name. Everything below it is as
//! it will be: identities, entries, counts, usage. So each step leaves a volume that is sound, and the last one only puts
//! the root's entry. The copy of a clone whose session is gone, or that is given up, goes to the removal queue.
//!
//! The source may change meanwhile. Each page of a directory is of one moment, and so is each file. What is renamed within
//! the source can be met twice or not at all, as by any walk through a tree.
//!
//! A copy may be cloned into its own source: nobody finds it there before it's done.

mod caller;
mod clean;
mod fill;
mod source;

pub(super) use clean::clean;
pub(super) use fill::fill;

use super::charges::{Charges, Fit};
use super::live_bytes::Books;
use super::parent::{self, Counts};
use super::{stage, trash};
use crate::inode;
use crate::keys::{self, Key};
use crate::records::{CloneFile, CloneRecord, CloneState, FileVersion, Identity, Rules, encode_clone_directory};
use crate::{BeginClone, Caller, CloneProgress, CloneRefusal, FinishClone, MetaReply, MetaResult};
use shoal_kv::{Direction, KvResult, Transaction};
use shoal_types::{Errno, FileKind, Ino, InodeFlags, SessionId, Timestamp};
use source::Source;

pub(super) fn begin(transaction: &mut dyn Transaction, operation: &BeginClone) -> MetaResult<MetaReply> {
    let BeginClone { source, beside, name, root, caller, session, now } = operation;
    let beside_identity = made_by_caller(transaction, operation, *beside)?;
    let (rules, directory) = parent::require_free_name(transaction, *session, beside_identity.parent, name)?;
    let source = Source::load(transaction, caller, *source)?.ok_or(Errno::ENOENT)?;
    let kind = source.inode.identity.kind;
    if !trash::has_name(&source.inode.identity) {
        return Err(Errno::ENOENT.into());
    }
    if !matches!(kind, FileKind::Regular | FileKind::Directory) {
        return Err(Errno::EINVAL.into());
    }
    source.permit(caller)?;
    let mut charges = Charges::exempt(rules, caller.is_superuser());
    let stage_above = stage::threshold(transaction)?;
    let (quota, flags) = (directory.quota, directory.flags.only(InodeFlags::BY_USERS));
    let copy = Copy { caller, quota, flags, rules, stage_above, session: *session, now: *now };
    let allocated = copy.put(transaction, &mut charges, &source, *root, beside_identity.parent)?;
    charges.settle(transaction, Fit::Whole)?;
    let record = CloneRecord {
        session: *session,
        state: CloneState::Filling,
        parent: beside_identity.parent,
        quota,
        entries: 1,
        bytes: allocated,
        file: rest_of(&source, *root, (Ino(0), b"")),
        flags,
    };
    if kind == FileKind::Directory {
        let work = encode_clone_directory(source.inode.ino, b"");
        transaction.put(&Key::CloneDirectory(*root, *root).encode(), &work);
    }
    let filled = record.file.is_none() && kind != FileKind::Directory;
    save(transaction, *root, &record);
    Ok(MetaReply::Cloning(progress(&record, 0, filled, None)))
}

/// The file beside which the copy is to appear: without a name, kept by the session, the caller's own.
fn made_by_caller(transaction: &mut dyn Transaction, operation: &BeginClone, beside: Ino) -> MetaResult<Identity> {
    let identity = inode::identity(transaction, beside)?;
    let kept = transaction.get(&Key::Sustained(operation.session, beside).encode())?.is_some();
    match kept && identity.flags.has(InodeFlags::NEVER_NAMED) && identity.uid == operation.caller.uid {
        true => Ok(identity),
        false => Err(Errno::EBADF.into()),
    }
}

pub(super) fn finish(transaction: &mut dyn Transaction, operation: &FinishClone) -> MetaResult<MetaReply> {
    let FinishClone { clone, parent, name, session, now } = operation;
    let (_, directory) = parent::require_free_name(transaction, *session, *parent, name)?;
    let record = under_way(transaction, *clone, *session)?;
    let more = transaction.scan(&keys::clone_directories(*clone), 1, Direction::Forward)?;
    if record.file.is_some() || !more.is_empty() || record.parent != *parent {
        return Err(Errno::EBUSY.into());
    }
    if record.quota != directory.quota {
        // All of the copy would have to be marked anew.
        return Err(Errno::EXDEV.into());
    }
    let root = inode::load(transaction, *clone)?;
    parent::put_name(transaction, *parent, name, *clone, root.identity.kind);
    parent::touch(transaction, *parent, Counts::default().gain(root.identity.kind), *now);
    save(transaction, *clone, &CloneRecord { state: CloneState::Finished, ..record });
    Ok(MetaReply::Attributes(root.attributes()))
}

/// `ENOENT` for a clone that this session is not filling.
fn under_way(transaction: &mut dyn Transaction, clone: Ino, session: SessionId) -> MetaResult<CloneRecord> {
    match load(transaction, clone)? {
        Some(record) if record.state == CloneState::Filling && record.session == session => Ok(record),
        _ => Err(Errno::ENOENT.into()),
    }
}

fn load(transaction: &mut dyn Transaction, clone: Ino) -> KvResult<Option<CloneRecord>> {
    transaction.get(&Key::Clone(clone).encode())?.map(|value| CloneRecord::decode(&value)).transpose()
}

fn save(transaction: &mut dyn Transaction, clone: Ino, record: &CloneRecord) {
    transaction.put(&Key::Clone(clone).encode(), &record.encode());
}

fn progress(record: &CloneRecord, next_inode: u64, filled: bool, refusal: Option<CloneRefusal>) -> CloneProgress {
    let CloneRecord { parent, entries, bytes, .. } = *record;
    CloneProgress { parent, next_inode, entries, bytes, filled, refusal }
}

/// What all copies of a clone have in common.
struct Copy<'a> {
    caller: &'a Caller,
    quota: Option<Ino>,
    /// Of the directory that the copy is to appear in.
    flags: InodeFlags,
    rules: Rules,
    /// Files with more inline bytes are staged.
    stage_above: Option<u32>,
    session: SessionId,
    now: Timestamp,
}

impl Copy<'_> {
    /// Makes the copy of one inode, with one name in `parent`. Tells what it allocates.
    fn put(
        &self,
        transaction: &mut dyn Transaction,
        charges: &mut Charges,
        source: &Source,
        target: Ino,
        parent: Ino,
    ) -> MetaResult<u64> {
        let mut identity = self.identity(source, parent);
        let mut books = Books::new(target);
        source.put(transaction, &mut books, target, &mut identity);
        let inline = source.inline_bytes();
        if self.stage_above.is_some_and(|bytes| inline > bytes) {
            stage::enter_new(transaction, self.session, parent, target, inline);
        }
        Ok(books.close_new(transaction, charges, &identity))
    }

    /// Times are those that the source shows; accumulators there may be later than its identity.
    fn identity(&self, source: &Source, parent: Ino) -> Identity {
        let shown = source.inode.attributes();
        let (mode, uid, gid) = self.caller.ownership(&source.inode.identity);
        Identity {
            mode,
            uid,
            gid,
            rdev: shown.rdev,
            atime: shown.atime,
            mtime: shown.mtime,
            quota: self.quota,
            flags: self.flags.inherited(shown.kind),
            owners: self.rules.owners,
            ..Identity::new(shown.kind, parent, self.now)
        }
    }
}

/// What is left to copy of a file, which has to be the same file then.
fn rest_of(source: &Source, target: Ino, (directory, name): (Ino, &[u8])) -> Option<CloneFile> {
    let (ino, version) = (source.inode.ino, FileVersion::of(&source.inode));
    source.rest.map(|next| CloneFile { source: ino, target, next, directory, name: name.to_vec(), version })
}
